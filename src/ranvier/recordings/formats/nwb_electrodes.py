"""The electrodes table of an NWB file, as channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.models.channels import SignalUnits
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.recordings.channels import Channel, ChannelTable, Site
from ranvier.recordings.formats.nwb_file import child, column, numbers, text_of, texts

_TABLE = "general/extracellular_ephys/electrodes"
#: Columns that a Channel holds; the others go to ``extra``.
_KNOWN = {
    "rel_x",
    "rel_y",
    "rel_z",
    "channel_name",
    "ntv_chan_idx",
    "imp",
    "port",
    "site_num",
    "contact_id",
    "skew_samples",
    "id",
}


class Electrodes:
    """The electrodes table, read once."""

    def __init__(self, file: Any) -> None:
        table = child(file, _TABLE)
        self.columns: dict[str, npt.NDArray[Any]] = {}
        for name in table if table is not None else ():
            values = column(table, name)
            if values is not None:
                self.columns[name] = values
        self.rows = len(self.columns.get("id", ()))
        self._group_names = self._groups(file)

    def extra(self) -> dict[str, list[Any]]:
        """Return the columns that channels do not hold, as plain data."""
        kept = {}
        for name, values in self.columns.items():
            if name not in _KNOWN and name != "group" and values.dtype.kind in "OiufbSU":
                kept[name] = texts(values) if values.dtype.kind in "OSU" else values.tolist()
        return {name: values for name, values in kept.items() if values is not None}

    def channels(
        self, rows: npt.NDArray[np.int64] | None, gains: npt.NDArray[np.float64], offsets: npt.NDArray[np.float64]
    ) -> tuple[ChannelTable, list[str]]:
        """Return the channels of one series: table row, gain and offset (uV) of each of its columns; and notes."""
        n = len(gains)
        notes: list[str] = []
        if rows is not None and (len(rows) != n or np.any(rows < 0) or np.any(rows >= self.rows)):
            notes.append(f"its electrodes ({len(rows)} of a table of {self.rows}) do not fit its {n} columns; left out")
            rows = None
        if rows is None:
            plain = [_plain(i, gains[i], offsets[i]) for i in range(n)]
            return ChannelTable(tuple(plain)), notes
        sites, source = self._sites(rows)
        if source == "x, y":
            notes.append("it gives no rel_x and rel_y; x and y are taken as site positions in um")
        ntv = self._native(rows)
        shanks = self._shanks(rows)
        channels = tuple(
            Channel(
                type=SignalType.AMP,
                ntv=ntv[i],
                sys=i,
                name=self._name(int(row), ntv[i]),
                ntv_name=self._text("channel_name", int(row)) or self._name(int(row), ntv[i]),
                unit=SignalUnits.MICROVOLTS,
                gain=float(gains[i]),
                offset=float(offsets[i]),
                port=self._port(int(row)),
                shank=shanks[i],
                probe_id=self._group_names[int(row)] if self._group_names else "",
                contact_id=self._text("contact_id", int(row)),
                site=sites[i],
                impedance_ohm=self._impedance(int(row)),
                skew_samples=self._skew(int(row)),
            )
            for i, row in enumerate(rows)
        )
        return ChannelTable(
            channels, geometry_source="file" if source else "assumed", wiring_verified=bool(source)
        ), notes

    def _sites(self, rows: npt.NDArray[np.int64]) -> tuple[list[Site | None], str]:
        """Return the sites and which columns they come from; x and y serve where all rel_x, rel_y are missing."""
        for x_name, y_name, z_name in (("rel_x", "rel_y", "rel_z"), ("x", "y", "z")):
            x, y = numbers(self.columns.get(x_name)), numbers(self.columns.get(y_name))
            if x is None or y is None or len(x) < self.rows or len(y) < self.rows:
                continue
            x, y = x[rows], y[rows]
            placed = np.isfinite(x) & np.isfinite(y)
            if not placed.any() or (x_name == "x" and len(rows) > 1 and len(set(zip(x, y, strict=True))) == 1):
                continue
            z = numbers(self.columns.get(z_name))
            depth = np.nan_to_num(z[rows]) if z is not None and len(z) >= self.rows else np.zeros(len(rows))
            sites = [Site(float(x[i]), float(y[i]), float(depth[i])) if placed[i] else None for i in range(len(rows))]
            return sites, f"{x_name}, {y_name}"
        return [None] * len(rows), ""

    def _native(self, rows: npt.NDArray[np.int64]) -> list[int]:
        ntv = numbers(self.columns.get("ntv_chan_idx"))
        if ntv is not None and len(ntv) >= self.rows:
            picked = ntv[rows]
            if np.all(np.isfinite(picked)) and np.all(picked >= 0) and len(np.unique(picked)) == len(rows):
                return [int(v) for v in picked]
        return list(range(len(rows)))

    def _shanks(self, rows: npt.NDArray[np.int64]) -> list[int]:
        if not self._group_names:
            return [0] * len(rows)
        order = {name: i for i, name in enumerate(dict.fromkeys(self._group_names[int(r)] for r in rows))}
        return [order[self._group_names[int(r)]] for r in rows]

    def _groups(self, file: Any) -> list[str]:
        names = texts(self.columns.get("group_name"))
        if names is not None and len(names) == self.rows:
            return names
        references = self.columns.get("group")
        if references is None or references.dtype.kind != "O" or len(references) != self.rows:
            return []
        try:
            return [text_of(file[reference].name).rsplit("/", 1)[-1] for reference in references]
        except (TypeError, ValueError, KeyError, AttributeError):
            return []

    def _name(self, row: int, ntv: int) -> str:
        for key in ("channel_name", "label"):
            if self._text(key, row):
                return self._text(key, row)
        return f"pri_{ntv}"

    def _text(self, name: str, row: int) -> str:
        values = self.columns.get(name)
        if values is None or row >= len(values) or values.dtype.kind not in "OSU":
            return ""
        return text_of(values[row])

    def _port(self, row: int) -> Port | None:
        name = self._text("port", row)
        return Port[name] if name in Port.__members__ else None

    def _impedance(self, row: int) -> float | None:
        values = numbers(self.columns.get("imp"))
        if values is None or row >= len(values) or not np.isfinite(values[row]) or values[row] <= 0:
            return None
        return float(values[row])

    def _skew(self, row: int) -> float:
        values = numbers(self.columns.get("skew_samples"))
        return float(values[row]) if values is not None and row < len(values) and np.isfinite(values[row]) else 0.0


def _plain(i: int, gain: float, offset: float) -> Channel:
    return Channel(
        type=SignalType.AMP,
        ntv=i,
        sys=i,
        name=f"pri_{i}",
        ntv_name=f"pri_{i}",
        unit=SignalUnits.MICROVOLTS,
        gain=float(gain),
        offset=float(offset),
    )
