"""Spikes and the questions one asks of them, whether they lie in a ``.spikes`` file or came with a recording."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import DatasetError, RecordingError
from ranvier.recordings import SpikeTrains
from ranvier.spikes.columns import KNOWN, SNIPPETS, Columns
from ranvier.spikes.curation import Curated, applied, rows_of
from ranvier.spikes.file import Edit, SpikesFile, Templates
from ranvier.spikes.info import SiteRecord, StoreInfo, UnitRecord
from ranvier.spikes.segment import Segment

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
#: What queries return of each spike unless told otherwise.
PLAIN = ("sample_index", "unit", "site")


@dataclass(frozen=True)
class Spikes:
    """Some spikes in time order.

    Attributes
    ----------
    columns
        One value per spike each; ``unit`` after curation.
    """

    columns: Columns

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def samples(self) -> I64:
        """Sample counter of each spike."""
        found: I64 = self.columns["sample_index"]
        return found

    @property
    def units(self) -> I32:
        """Unit of each spike, 0 = none."""
        found: I32 = self.columns["unit"]
        return found

    @property
    def sites(self) -> I32:
        """Channel on which each spike was largest, NTV; -1 unknown."""
        found: I32 = self.columns["site"]
        return found


class SpikeStore:
    """A set of spikes.

    Times are sample counters of the recording, channels NTV indices, units the numbers after curation (0 = none).

    Attributes
    ----------
    path
        The file, or where the spikes came from.
    info
        What they are.
    """

    def __init__(
        self, path: Path, info: StoreInfo, segments: Sequence[Segment], units: Iterable[UnitRecord] = (),
        *, templates: Templates | None = None, edits: Sequence[Edit] = (), file: SpikesFile | None = None,
    ) -> None:  # fmt: skip
        self.path, self.info, self.templates = path, info, templates
        self._segments = list(segments)
        self._described = {u.unit: u for u in units}
        self._edits = list(edits)
        self._file = file

    @classmethod
    def open(cls, path: Path | str) -> SpikeStore:
        """Open a ``.spikes`` file; raises what :class:`SpikesFile` raises."""
        return cls._of(SpikesFile(Path(path)))

    @classmethod
    def _of(cls, file: SpikesFile) -> SpikeStore:
        if file.info is None:
            raise RecordingError(f"{file.path} does not say what it is")
        return cls(
            file.path, file.info, file.segments, file.units, templates=file.templates, edits=file.edits, file=file
        )

    @classmethod
    def from_trains(
        cls, trains: SpikeTrains, fs: Fraction, path: Path, *, sites: Sequence[SiteRecord] = (), name: str = ""
    ) -> SpikeStore:
        """Return spikes that came with a recording, or in another program's file."""
        counted = trains.counted_at(fs)
        columns: Columns = {"sample_index": counted.counter, "unit": counted.unit, "site": counted.site}
        if counted.waveforms is not None:
            columns[SNIPPETS] = counted.waveforms
        stored = counted.waveforms is not None
        points = counted.waveforms.shape[2] if counted.waveforms is not None else 0
        info = StoreInfo(
            fs=fs,
            start=int(counted.counter[0]) if len(counted) else 0,
            stop=int(counted.counter[-1]) + 1 if len(counted) else 0,
            sites=tuple(sites),
            sorter=name,
            waveforms="stored" if stored else "recording",
            uid=f"{path.name}:{name}",
        )
        if stored:
            info = replace(info, before=points // 3, after=max(1, points - points // 3))
        segment = Segment(columns)
        main = _main_sites(segment) if len(segment) else {}
        units = [
            UnitRecord(unit, main.get(unit, -1), name=(counted.unit_names or {}).get(unit, ""))
            for unit in (int(u) for u in segment.by_unit.keys)
            if unit > 0
        ]
        return cls(path, info, [segment] if len(segment) else [], units)

    def renewed(self) -> SpikeStore:
        """Return these spikes with what was written since; itself where there is nothing. This one stays as it was."""
        return SpikeStore._of(self._file) if self._file is not None and self._file.refresh() else self

    def close(self) -> None:
        """Let go of the file."""
        self._segments = []

    def __len__(self) -> int:
        return sum(map(len, self._segments))

    def __enter__(self) -> SpikeStore:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know: what was damaged or left out."""
        return (*(() if self._file is None else self._file.notes), *self._curated.notes)

    def damaged_spikes(self) -> list[str]:
        """Return in words which spikes are not as they were written; reads a file whole where nobody did yet."""
        return [] if self._file is None else self._file.damaged_spikes()

    @property
    def first_sample(self) -> int:
        """Counter of the first spike; 0 where there is none."""
        return min((s.first for s in self._segments), default=0)

    @property
    def last_sample(self) -> int:
        """Counter of the last spike; -1 where there is none."""
        return max((s.last for s in self._segments), default=-1)

    @property
    def finished(self) -> bool:
        """Whether writing came to its end (True for spikes that lie in no file of ours)."""
        return self._file is None or self._file.finished

    @property
    def is_file(self) -> bool:
        """Whether this is a ``.spikes`` file, which can be curated."""
        return self._file is not None

    @property
    def edits(self) -> list[tuple[int, dict[str, Any], bool]]:
        """The curation log: number, JSON data, and whether it is in force."""
        last = self._curated
        return [
            (n, {k: v for k, v in e.text.items() if k != "number"}, n not in last.undone)
            for n, e in enumerate(self._edits, start=1)
        ]

    @property
    def sorter_log(self) -> list[dict[str, Any]]:
        """What the sorter wrote down about itself."""
        return [] if self._file is None else list(self._file.log)

    @cached_property
    def units(self) -> dict[int, UnitRecord]:
        """Every unit that exists, by number, with the labels people gave."""
        return {unit: self._record(unit) for unit in sorted(self._curated.parts)}

    def need(self, units: Iterable[int]) -> None:
        """Raise DatasetError for units that do not exist; the message lists those that do."""
        try:
            self._curated.need([int(u) for u in units])
        except DatasetError as error:
            raise DatasetError(f"{self.path.name}: {error}") from error

    def count(self, unit: int) -> int:
        """Return how many spikes a unit has."""
        return self.counts().get(int(unit), 0)

    def counts(self, start: int | None = None, stop: int | None = None) -> dict[int, int]:
        """Return how many spikes each unit has in ``[start, stop)``; 0 stands for those without a unit."""
        if start is None and stop is None and self._single is not None:
            raw = self._single.by_unit.counts()
            found = {
                unit: sum(raw.get(p.unit, 0) if p.rows is None else len(p.rows) for p in parts)
                for unit, parts in self._curated.parts.items()
            }
            return {0: len(self) - sum(found.values()), **found}
        found = dict.fromkeys([0, *self._curated.parts], 0)
        for part in self.walk(start, stop, ("unit",)):
            for unit, number in zip(*(a.tolist() for a in np.unique(part["unit"], return_counts=True)), strict=True):
                found[unit] = found.get(unit, 0) + number
        return found

    def unit_samples(self, unit: int, start: int | None = None, stop: int | None = None) -> I64:
        """Return the counters of one unit's spikes in ``[start, stop)``; DatasetError for one that does not exist."""
        return self.select(start, stop, units=[unit], columns=("sample_index",)).samples

    def select(
        self, start: int | None = None, stop: int | None = None, *, units: Sequence[int] | None = None,
        sites: Sequence[int] | None = None, columns: Sequence[str] = PLAIN,
    ) -> Spikes:  # fmt: skip
        """Return spikes with ``start <= sample < stop``, of some units and on some sites (None: all), in time order.

        Raises
        ------
        DatasetError
            A unit that does not exist (0 stands for spikes without one); the message lists those that do.
        """
        wanted = None if units is None else list(dict.fromkeys(int(u) for u in units))
        if wanted is not None:
            self.need([u for u in wanted if u])
        names = tuple(dict.fromkeys(("sample_index", *columns)))
        found = [self._gather(s, rows, names) for s, rows in self._rows(start, stop, wanted, sites)]
        joined = {
            name: found[0][name] if len(found) == 1 else _concatenated(name, [f[name] for f in found]) for name in names
        }
        if len(found) > 1 and np.any(np.diff(joined["sample_index"]) < 0):
            order = np.argsort(joined["sample_index"], kind="stable")
            joined = {name: column[order] for name, column in joined.items()}
        return Spikes(joined)

    def walk(
        self,
        start: int | None = None,
        stop: int | None = None,
        columns: Sequence[str] = PLAIN,
        *,
        at_most: int = 1 << 20,
    ) -> Iterator[Columns]:
        """Yield all spikes of a window in pieces (of a file that is being written, not always in time order)."""
        for segment in self._segments:
            a, b = segment.window(start, stop)
            for first in range(a, b, at_most):
                yield self._gather(segment, slice(first, min(first + at_most, b)), tuple(columns))

    def trains(self) -> SpikeTrains:
        """Return all spikes as a recording's spike trains; waveforms are left out."""
        found = self.select()
        names = {u.unit: f"{u.unit} {u.label}".strip() for u in self.units.values()}
        return SpikeTrains(found.samples, found.units, found.sites, None, names or None, self.info.fs)

    def site_ids(self) -> list[int]:
        """Return the sites on which there are spikes (-1: unknown), ascending."""
        return sorted({int(s) for segment in self._segments for s in segment.by_site.keys})

    def template(self, unit: int) -> npt.NDArray[np.float32] | None:
        """Return a unit's mean waveform ``(sites, points)`` uV: of a merged unit the mean, weighted by its spikes."""
        if self.templates is None:
            return None
        self.need([unit])
        raw = {} if self._single is None else self._single.by_unit.counts()
        found, weights = [], []
        for part in self._curated.parts[unit]:
            for origin in self._origins(part.unit):
                one = self.templates.of(origin)
                if one is not None:
                    found.append(one)
                    weights.append(max(1, raw.get(origin, 1) if part.rows is None else len(part.rows)))
        if not found:
            return None
        return np.average(np.stack(found), axis=0, weights=weights).astype(np.float32)

    def is_divided(self, unit: int) -> bool:
        """Return whether a split left a part of one of the sorter's units: that unit's template is not its own."""
        self.need([unit])
        return any(part.rows is not None for part in self._curated.parts[unit])

    @cached_property
    def _curated(self) -> Curated:
        raw = set(self._described)
        for segment in self._segments:
            single = len(self._segments) == 1
            raw.update((segment.by_unit.keys if single else np.unique(segment.column("unit"))).tolist())
        return applied(sorted(raw - {0}), self._edits, self._single if self.finished else None)

    @property
    def _single(self) -> Segment | None:
        return self._segments[0] if len(self._segments) == 1 else None

    @cached_property
    def _lookup(self) -> tuple[dict[int, int], I64, I32]:
        """What curation makes of the sorter's numbers: by number, and by row where a split went through a unit."""
        whole: dict[int, int] = {}
        rows, units = [np.empty(0, np.int64)], [np.empty(0, np.int32)]
        for unit, parts in self._curated.parts.items():
            for part in parts:
                if part.rows is None:
                    whole[part.unit] = unit
                else:
                    rows.append(part.rows)
                    units.append(np.full(len(part.rows), unit, np.int32))
        every = np.concatenate(rows)
        order = np.argsort(every, kind="stable")
        return whole, every[order], np.concatenate(units)[order]

    def _rows(
        self, start: int | None, stop: int | None, units: list[int] | None, sites: Sequence[int] | None
    ) -> Iterator[tuple[Segment, slice | npt.NDArray[Any]]]:
        single = self._single
        for segment in self._segments:
            if (start is not None and segment.last < start) or (stop is not None and segment.first >= stop):
                continue
            if segment is single and units is not None and 0 not in units:
                found = [segment.cut(rows_of(self._curated.parts[u], segment), start, stop) for u in units]
                rows = found[0] if len(found) == 1 else np.sort(np.concatenate([*found, np.empty(0, np.uint32)]))
            elif segment is single and units is None and sites is not None:
                found = [segment.cut(segment.by_site.of(int(s)), start, stop) for s in dict.fromkeys(sites)]
                yield segment, np.sort(np.concatenate([*found, np.empty(0, np.uint32)])).astype(np.int64)
                continue
            else:
                a, b = segment.window(start, stop)
                if units is None and sites is None:
                    yield segment, slice(a, b)
                    continue
                rows = np.arange(a, b)
                if units is not None:
                    rows = rows[np.isin(self._units_at(segment, slice(a, b)), units)]
            if sites is not None:
                rows = rows[np.isin(segment.column("site")[rows], np.asarray(sites))]
            yield segment, rows

    def _gather(self, segment: Segment, rows: slice | npt.NDArray[Any], names: tuple[str, ...]) -> Columns:
        return {name: self._units_at(segment, rows) if name == "unit" else segment.column(name)[rows] for name in names}

    def _units_at(self, segment: Segment, rows: slice | npt.NDArray[Any]) -> I32:
        """Return units after curation."""
        raw: I32 = np.asarray(segment.column("unit")[rows], np.int32)
        if not self._curated.is_changed():
            return raw
        whole, changed, into = self._lookup
        found = raw.copy()
        for old in np.unique(raw).tolist():
            if old and whole.get(old, old) != old:
                found[raw == old] = whole[old]
        if len(changed):
            at = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
            where = np.minimum(np.searchsorted(changed, at), len(changed) - 1)
            hit = changed[where] == at
            found[hit] = into[where[hit]]
        return found

    @cached_property
    def _main_sites(self) -> dict[int, int]:
        """Site on which each unit has most of its spikes: what is known of units that nobody described.

        A live sorter describes its units when a recording ends; one that was killed did not.
        """
        counts: dict[int, Counter[int]] = defaultdict(Counter)
        for segment in self._segments:
            pairs = segment.column("unit").astype(np.int64) << 32 | (segment.column("site") + np.int64(1))
            for pair, n in zip(*(a.tolist() for a in np.unique(pairs, return_counts=True)), strict=True):
                counts[pair >> 32][(pair & 0xFFFFFFFF) - 1] += n
        return {unit: found.most_common(1)[0][0] for unit, found in counts.items()}

    def _origins(self, unit: int) -> list[int]:
        """Return the sorter's units that a unit was made from, through every change that is in force."""
        made = {
            int(new): [int(u) for u in text["units"]]
            for _, text, in_force in self.edits
            if in_force and text.get("action") in ("merge", "split")
            for new in text["new"]
        }
        if unit not in made:
            return [unit]
        return [origin for source in made[unit] for origin in self._origins(source)]

    def _record(self, unit: int) -> UnitRecord:
        """Return what is known of a unit; of one that curation made, site and place of the largest that it came from.

        Its size is not theirs: SNR and peak are not known then.
        """
        sources = [
            self._described.get(o) or UnitRecord(o, self._main_sites.get(o, -1))
            for p in self._curated.parts[unit]
            for o in self._origins(p.unit)
        ]
        told = self._curated.labels.get(unit)
        if len(sources) == 1 and sources[0].unit == unit:
            return sources[0] if told is None else replace(sources[0], label=told)
        raw = {} if self._single is None else self._single.by_unit.counts()
        main = max(sources, key=lambda s: raw.get(s.unit, 0))
        return replace(main, unit=unit, label=told or "", name="", snr=None, mean_abs_peak_uv=None)


def _main_sites(segment: Segment) -> dict[int, int]:
    """Return the site on which each unit has most of its spikes."""
    found = {}
    sites = segment.column("site")
    for unit in segment.by_unit.keys.tolist():
        values, number = np.unique(sites[segment.by_unit.of(unit)], return_counts=True)
        found[unit] = int(values[np.argmax(number)])
    return found


def _concatenated(name: str, parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, KNOWN[name][0])
