"""The JSON of an XDAT set, as a channel table and a few numbers.

Everything in it is a claim that the size of the binary files may contradict; nothing but the sampling rate is
indispensable. The table ``sapiens_base.biointerface_map`` is a dictionary of lists with one entry per column. What the
format has no place for stands under the key ``ranvier``::

    {"version": 1, "fs": [numerator, denominator], "provenance": {...}, "simulated": false, "geometry_source": "file",
     "wiring_verified": true, "walltime_known": true, "uid": "...", "events": {columns},
     "spike_trains": ["name", ...], "channels": {"shank": [...], "contact_id": [...], ...}, "notes": ["..."],
     "recording": {of the recorder: "counter_offset", "unwritten": [[start, stop, why], ...], "clock": {...}, ...}}
"""

from __future__ import annotations

import copy
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

from ranvier.exceptions import RecordingError
from ranvier.models.channels import COLOR_GROUP_UNSET, SITE_NUM_UNSET, SignalUnits
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.recordings.channels import NAME_PREFIX, NATIVE_UNIT, TYPE_ORDER, Channel, ChannelTable, Site

T = TypeVar("T")

OWN_KEY = "ranvier"

#: Keys of ``status`` that a Sink writes anew; all others survive a round trip.
STATUS_KEYS: tuple[str, ...] = (
    "samp_freq",
    "shape",
    "timestamp_range",
    "t_range",
    "start_time",
    "signals",
    "num_smpl",
)

#: Lists of ``biointerface_map`` that a Sink writes anew; all others survive a round trip, column by column.
MAP_KEYS: tuple[str, ...] = (
    "chan_name",
    "chan_type",
    "ntv_chan_idx",
    "ntv_chan_name",
    "sys_chan_idx",
    "absolute_idx",
    "site_num",
    "site_shape",
    "port",
    "is_selected",
    "color_grp_idx",
    *(f"site_ctr_{axis}" for axis in "xyz"),
    *(f"site_ctr_tcs_{axis}" for axis in "xyz"),
    *(f"scs_to_tcs_{axis}" for axis in "xyz"),
    *(f"site_lim_{axis}_{end}" for axis in "xyz" for end in ("min", "max")),
    "sensor_units",
    "probe_id",
    "headstage_id",
    "sensor_uid",
)

#: ``chan_type`` of each signal type, as the vendor writes it.
CHAN_TYPE: dict[SignalType, str] = {
    SignalType.AMP: "ai0",
    SignalType.AIN: "ai4",
    SignalType.DIN: "din0",
    SignalType.DOUT: "dout0",
}

_UNITS: dict[str, SignalUnits] = {
    "uv": SignalUnits.MICROVOLTS,
    "µv": SignalUnits.MICROVOLTS,
    "micro-volts": SignalUnits.MICROVOLTS,
    "microvolts": SignalUnits.MICROVOLTS,
    "v": SignalUnits.VOLTS,
    "volts": SignalUnits.VOLTS,
    "binary": SignalUnits.BINARY,
}
_SIGNAL_KEYS: tuple[str, ...] = ("pri", "aux", "din", "dout")
_NO_PROBE: tuple[str, ...] = ("", "no-probe", "probe__none")
#: More columns than any instrument has: a number beyond it is damage.
MOST_COLUMNS = 100_000


@dataclass
class XdatMetadata:
    """What a JSON document says; ``channels`` waits for the number of columns that the binary files confirm."""

    document: dict[str, Any]
    path: Path
    provisional: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def status(self) -> Mapping[str, Any]:
        """The part about sampling."""
        return _section(self.document, "status")

    @property
    def map(self) -> Mapping[str, Any]:
        """The table of columns."""
        return _section(_section(self.document, "sapiens_base"), "biointerface_map")

    @property
    def own(self) -> Mapping[str, Any]:
        """What Ranvier wrote."""
        return _section(self.document, OWN_KEY)

    def is_being_recorded(self) -> bool:
        """Return whether our own recorder writes the set, or wrote it until it died."""
        return self.provisional and isinstance(self.own.get("recording"), dict)

    def stated_notes(self) -> list[str]:
        """Return what the writer of the set wanted its users to know."""
        notes = self.own.get("notes")
        return [n for n in notes if isinstance(n, str)] if isinstance(notes, list) else []

    def fs(self) -> Fraction | None:
        """Return the sampling rate; None where the document has none that can be meant."""
        stated = _number(self.status.get("samp_freq"))
        if stated is None or not 0 < stated < 1e9:
            return None
        exact = self.own.get("fs")
        if isinstance(exact, list) and len(exact) == 2 and all(isinstance(i, int) and i > 0 for i in exact):
            fraction = Fraction(exact[0], exact[1])
            if math.isclose(float(fraction), stated, rel_tol=1e-12):
                return fraction
        return Fraction(stated)

    def promised_rows(self) -> int | None:
        """Return how many rows the document promises; None while it is provisional or silent."""
        shape = self.status.get("shape")
        rows = _integer(shape[0] if isinstance(shape, list) and shape else self.status.get("num_smpl"))
        return None if self.provisional or rows is None or rows < 0 else rows

    def promised_start(self) -> int | None:
        """Return the first counter that the document promises."""
        stated = self.status.get("timestamp_range")
        return _integer(stated[0]) if isinstance(stated, list) and stated else None

    def column_counts(self) -> list[int]:
        """Return every number of columns that the document states, most trustworthy first, without repeats."""
        signals = _section(self.status, "signals")
        parts = [_integer(signals.get(k)) for k in _SIGNAL_KEYS]
        summed = sum(p for p in parts if p) if any(p is not None for p in parts) else None
        shape = self.status.get("shape")
        kinds = self.map.get("chan_type")
        stated = [
            _integer(signals.get("total")),
            summed,
            _integer(shape[1]) if isinstance(shape, list) and len(shape) > 1 else None,
            len(kinds) if isinstance(kinds, list) else None,
        ]
        return list(dict.fromkeys(n for n in stated if n is not None and 0 < n <= MOST_COLUMNS))

    def walltime(self) -> datetime | None:
        """Return the time of day of the first sample in UTC."""
        text = self.status.get("start_time")
        if not isinstance(text, str) or self.own.get("walltime_known") is False:
            return None
        try:
            parsed = datetime.fromisoformat(text)
            if parsed.tzinfo is None:
                self.notes.append(f"start_time {text} has no time zone: taken as UTC")
                parsed = parsed.replace(tzinfo=UTC)
            return parsed.astimezone(UTC)
        except (ValueError, OverflowError):
            self.notes.append(f"start_time {text[:40]!r} is not a time: ignored")
            return None

    def uid(self) -> str:
        """Return the identifier of the set, "" where it has none."""
        uids = self.map.get("dsrc_uid")
        stated = [self.own.get("uid"), *(uids if isinstance(uids, list) else [])]
        return next((uid for uid in stated if isinstance(uid, str) and uid), "")

    def channels(self, total: int) -> ChannelTable:
        """Return the table for ``total`` columns; what is missing is filled with defaults, and noted."""
        return _TableReader(self, total).table()

    def extra(self, channels: ChannelTable) -> dict[str, Any]:
        """Return what no attribute holds and a Sink must write back: the document without what it writes anew."""
        rest = copy.deepcopy(self.document)
        rest.pop(OWN_KEY, None)
        _drop(rest.get("status"), STATUS_KEYS)
        sapiens = rest.get("sapiens_base")
        if isinstance(sapiens, dict):
            _drop(sapiens, ("sigUnits",))
            _drop(sapiens.get("biointerface_map"), MAP_KEYS)
        kept: dict[str, Any] = {"document": rest, "columns": [[c.type.name, c.ntv] for c in channels]}
        if isinstance(self.status.get("start_time"), str):
            kept["start_time"] = self.status["start_time"]
        return kept


class _TableReader:
    """Reads the lists of one document, each with its own default; a list that is no good is noted once."""

    def __init__(self, metadata: XdatMetadata, total: int) -> None:
        self.metadata = metadata
        self.total = total
        self.own_lists = _section(metadata.own, "channels")

    def table(self) -> ChannelTable:
        kinds = self._kinds()
        ntv = self._unique("ntv_chan_idx", _positions(kinds), kinds)
        sys = self._unique("sys_chan_idx", list(range(self.total)))
        names = self._texts("chan_name", [f"{NAME_PREFIX[k]}_{i}" for k, i in zip(kinds, ntv, strict=True)])
        native = self._texts("ntv_chan_name", names)
        units, sources = self._units(kinds)
        sites = self._sites(kinds)
        own = self._own
        columns = {
            "type": kinds,
            "ntv": ntv,
            "sys": sys,
            "name": [n or f"{NAME_PREFIX[k]}_{i}" for n, k, i in zip(names, kinds, ntv, strict=True)],
            "ntv_name": native,
            "unit": units,
            "unit_source": own("unit_source", sources, _one_of("file", "assumed", "user")),
            "port": own("port", self._list("port", [None] * self.total, _port, _is_text), _port),
            "headstage_id": self._texts("headstage_id", [""] * self.total),
            "probe_id": ["" if p in _NO_PROBE else p for p in self._texts("probe_id", [""] * self.total)],
            "probe_idx": own("probe_idx", [None] * self.total, _integer),
            "shank": own("shank", [0] * self.total, lambda v: _integer(v) or 0),
            "contact_id": own("contact_id", [""] * self.total, lambda v: v if isinstance(v, str) else ""),
            "site_num": [n if n > 0 else SITE_NUM_UNSET for n in self._ints("site_num", [0] * self.total)],
            "site": sites,
            "selected": self._list("is_selected", [True] * self.total, bool, lambda v: v in (0, 1)),
            "color_group": self._ints("color_grp_idx", [COLOR_GROUP_UNSET] * self.total),
            "impedance_ohm": own("impedance_ohm", [None] * self.total, _number),
            "skew_samples": own("skew_samples", [0.0] * self.total, lambda v: _number(v) or 0.0),
        }
        channels = tuple(Channel(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True))
        has_sites = any(site is not None for site in sites)
        source = self.metadata.own.get("geometry_source")
        stated = source if source in ("file", "probe name", "probeinterface", "assumed") else None
        verified = self.metadata.own.get("wiring_verified")
        return ChannelTable(
            channels,
            geometry_source=stated or ("file" if has_sites else "assumed"),
            wiring_verified=verified if isinstance(verified, bool) else has_sites,
        )

    def _kinds(self) -> list[SignalType]:
        stated = self.metadata.map.get("chan_type")
        signals = _section(self.metadata.status, "signals")
        counts = [max(0, min(self.total + 1, _integer(signals.get(k)) or 0)) for k in _SIGNAL_KEYS]
        by_count = [kind for kind, n in zip(TYPE_ORDER, counts, strict=True) for _ in range(n)]
        kinds: list[SignalType] | None = None
        if isinstance(stated, list) and len(stated) == self.total and all(isinstance(s, str) for s in stated):
            kinds = [_kind(s) for s in stated]
            order = [TYPE_ORDER.index(k) for k in kinds]
            if order != sorted(order):
                self._note("biointerface_map.chan_type does not list amplifier, aux, din, dout in this order: ignored")
                kinds = None
        if kinds is None and len(by_count) == self.total:
            kinds = by_count
        if kinds is None:
            self._note(f"the types of the {self.total} columns are not known: all are taken as amplifier channels")
            kinds = [SignalType.AMP] * self.total
        return kinds

    def _units(self, kinds: list[SignalType]) -> tuple[list[SignalUnits], list[str]]:
        by_type = _section(_section(self.metadata.document, "sapiens_base"), "sigUnits")
        texts = self._texts("sensor_units", [""] * self.total)
        units, sources, odd = [], [], set()
        for kind, text in zip(kinds, texts, strict=True):
            named = text or str(by_type.get(f"sig_units_{_SIGNAL_KEYS[TYPE_ORDER.index(kind)]}", ""))
            unit = _UNITS.get(named.lower())
            if named and unit != NATIVE_UNIT[kind]:
                odd.add((kind.name, named[:20]))
            units.append(NATIVE_UNIT[kind])
            sources.append("file" if unit == NATIVE_UNIT[kind] else "assumed")
        if odd:
            said = ", ".join(f"{named!r} for {kind}" for kind, named in sorted(odd)[:4])
            self._note(f"units {said} are not what XDAT stores (uV, V, 0/1): read as those")
        return units, sources

    def _sites(self, kinds: list[SignalType]) -> list[Site | None]:
        zeros = [0.0] * self.total
        shapes = self._texts("site_shape", [""] * self.total)
        x, y, z = (self._floats(f"site_ctr_{axis}", zeros) for axis in "xyz")
        moved = list(zip(*(self._floats(f"scs_to_tcs_{axis}", zeros) for axis in "xyz"), strict=True))
        area = self._own("area_um2", [None] * self.total, _number)
        limits = {(axis, end): self._floats(f"site_lim_{axis}_{end}", zeros) for axis in "xy" for end in ("min", "max")}
        # Mirrored sites may have their limits the other way round.
        width = [abs(b - a) for a, b in zip(limits["x", "min"], limits["x", "max"], strict=True)]
        height = [abs(b - a) for a, b in zip(limits["y", "min"], limits["y", "max"], strict=True)]
        return [
            Site(
                x[i],
                y[i],
                z[i],
                shape=shapes[i],
                area_um2=_area(shapes[i], width[i], height[i]) if area[i] is None else float(area[i]),
                width_um=width[i],
                height_um=height[i],
                scs_to_tcs_um=moved[i],
            )
            if kinds[i] == SignalType.AMP and shapes[i]
            else None
            for i in range(self.total)
        ]

    def _unique(self, key: str, default: list[int], within: list[SignalType] | None = None) -> list[int]:
        values = self._ints(key, default)
        kinds = within or [SignalType.AMP] * self.total
        if len(set(zip(kinds, values, strict=True))) < self.total or min(values, default=0) < 0:
            self._note(f"biointerface_map.{key} repeats itself: channels are numbered by their position instead")
            return default
        return values

    def _list(self, key: str, default: list[T], convert: Callable[[Any], T], valid: Callable[[Any], bool]) -> list[T]:
        stated = self.metadata.map.get(key)
        if stated is None:
            return default
        if not isinstance(stated, list) or len(stated) != self.total:
            what = f"{len(stated)} entries" if isinstance(stated, list) else "no list"
            self._note(f"biointerface_map.{key} has {what} for {self.total} columns: ignored")
            return default
        if not all(valid(v) for v in stated):
            self._note(f"biointerface_map.{key} has entries that cannot be read: defaults are used for them")
        return [convert(v) if valid(v) else d for v, d in zip(stated, default, strict=True)]

    def _texts(self, key: str, default: list[str]) -> list[str]:
        return self._list(key, default, str, _is_text)

    def _ints(self, key: str, default: list[int]) -> list[int]:
        return self._list(key, default, lambda v: _integer(v) or 0, lambda v: _integer(v) is not None)

    def _floats(self, key: str, default: list[float]) -> list[float]:
        return self._list(key, default, float, lambda v: _number(v) is not None)

    def _own(self, key: str, default: list[Any], convert: Callable[[Any], Any]) -> list[Any]:
        stated = self.own_lists.get(key)
        if not isinstance(stated, list) or len(stated) != self.total:
            return default
        return [convert(v) for v in stated]

    def _note(self, text: str) -> None:
        if text not in self.metadata.notes:
            self.metadata.notes.append(text)


def load_document(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file; RecordingError where it is none."""
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{path} is not JSON ({str(error)[:100]}); it was damaged or cut off") from error
    if not isinstance(document, dict):
        raise RecordingError(f"{path} is not the metadata of an XDAT set: it holds no JSON object")
    return document


def _positions(kinds: list[SignalType]) -> list[int]:
    seen: Counter[SignalType] = Counter()
    positions = []
    for kind in kinds:
        positions.append(seen[kind])
        seen[kind] += 1
    return positions


def _kind(chan_type: str) -> SignalType:
    if chan_type == "ai0":
        return SignalType.AMP
    if chan_type.startswith("di"):
        return SignalType.DIN
    if chan_type.startswith("do"):
        return SignalType.DOUT
    return SignalType.AIN


def _area(shape: str, width: float, height: float) -> float:
    return math.pi / 4 * width * height if shape in ("circle", "ellipse") else width * height


def _port(value: Any) -> Port | None:
    return Port[value] if isinstance(value, str) and value in Port.__members__ else None


def _one_of(*allowed: str) -> Callable[[Any], str]:
    return lambda value: value if value in allowed else "assumed"


def _drop(section: Any, keys: tuple[str, ...]) -> None:
    if isinstance(section, dict):
        for key in keys:
            section.pop(key, None)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e300:
        return None
    return float(value) if math.isfinite(value) else None


def _integer(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and abs(number) < 2**62 and number == int(number) else None


def _section(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = parent.get(key)
    return found if isinstance(found, dict) else {}
