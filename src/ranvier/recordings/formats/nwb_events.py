"""Events and units of an NWB file: in seconds there, in sample counters here."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.formats.nwb_file import (
    MAX_VALUES,
    child,
    column,
    groups_below,
    is_plausible,
    number_of,
    numbers,
    text_of,
    texts,
    type_of,
)

#: Turns times in seconds into sample counters.
ToCounters = Callable[[npt.ArrayLike], npt.NDArray[np.int64]]

#: Names of series that hold a digital signal as samples.
_TTL_NAME = re.compile(r"ttl|trigger|sync|digital|din|dout|pulse", re.IGNORECASE)
_EDGE_ROWS = 1 << 20
#: What a column of our own tables of units is described as.
PEAK_CHANNEL = "native index of the channel with the largest peak"
_TIME_COLUMNS = ("timestamp", "timestamps", "event_times")
_LABEL_COLUMNS = ("text", "label", "annotation", "event_type", "event_name", "event_description")


def event_sources(file: Any) -> list[str]:
    """Return the names of the groups that hold events; cheap."""
    tops = ("acquisition", "processing", "events", "stimulus/presentation")
    return [name for name, group in groups_below(file, tops) if _reader_of(group) is not None]


def read_events(file: Any, names: list[str], to_counters: ToCounters) -> Events:
    """Read the events of some groups, merged in time order."""
    parts = []
    for name in names:
        reader = _reader_of(file[name])
        if reader is not None:
            try:
                parts.append(reader(file[name], to_counters))
            except (KeyError, ValueError, TypeError, IndexError, OSError, RuntimeError) as error:
                raise RecordingError(f"{file.filename}: events in {name} cannot be read ({error})") from error
    return Events.merge(*parts)


def _reader_of(group: Any) -> Callable[[Any, ToCounters], Events] | None:
    kind = type_of(group)
    if kind == "IntervalSeries":
        return _intervals
    if kind == "AnnotationSeries":
        return _annotations
    if kind in ("LabeledEvents", "TTLs", "Events"):
        return _labeled
    if kind == "TimeSeries":
        data = child(group, "data")
        is_column = data is not None and getattr(data, "ndim", 0) == 1 and data.dtype.kind in "iufb"
        short = group.name.rsplit("/", 1)[-1]
        return _sampled if is_column and _TTL_NAME.search(short) and not _is_own(group) else None
    if any(child(group, name) is not None for name in _TIME_COLUMNS) and (
        kind.endswith("Table") and kind not in ("TimeIntervals", "Units")
    ):
        return _table
    return None


def _is_own(group: Any) -> bool:
    """Return whether Ranvier wrote this series as columns of a recording."""
    return "comments" in group.attrs and text_of(group.attrs["comments"]).startswith("ranvier columns")


def _table(group: Any, to_counters: ToCounters) -> Events:
    """A table with one event per row (ours, ndx-events, EventsTable), or one kind of event per row."""
    if child(group, "event_times_index") is not None:
        return _annotated(group, to_counters)
    name = group.name.rsplit("/", 1)[-1]
    stored = column(group, "counter")
    times = next((t for t in (numbers(column(group, c)) for c in _TIME_COLUMNS) if t is not None), None)
    if times is None:
        return Events.empty()
    n = len(times)
    usable = stored is not None and len(stored) == n and stored.dtype.kind in "iu"
    counters = stored.astype(np.int64) if usable and stored is not None else to_counters(times)
    line, state = numbers(column(group, "line")), numbers(column(group, "state"))
    source = texts(column(group, "source")) or [name] * n
    text = next((t for t in (texts(column(group, c)) for c in _LABEL_COLUMNS) if t is not None), [""] * n)
    order = np.argsort(counters, kind="stable")
    return Events(
        counters[order],
        np.full(n, -1, np.int32) if line is None else line.astype(np.int32)[order],
        np.full(n, -1, np.int8) if state is None else state.astype(np.int8)[order],
        tuple(source[i] for i in order),
        tuple(text[i] for i in order),
    )


def _annotated(group: Any, to_counters: ToCounters) -> Events:
    """AnnotatedEventsTable (ndx-events): each row is a kind of event with many times."""
    times = numbers(column(group, "event_times"))
    ends = column(group, "event_times_index")
    if times is None or ends is None:
        return Events.empty()
    labels = next((t for t in (texts(column(group, c)) for c in _LABEL_COLUMNS) if t is not None), [])
    kinds = np.repeat(np.arange(len(ends)), np.diff(np.concatenate(([0], ends.astype(np.int64)))))
    text = [labels[k] if k < len(labels) else str(k) for k in kinds.tolist()]
    return _plain(to_counters(times), group.name.rsplit("/", 1)[-1], text)


def _annotations(group: Any, to_counters: ToCounters) -> Events:
    times, text = numbers(column(group, "timestamps")), texts(column(group, "data"))
    if times is None or text is None:
        return Events.empty()
    return _plain(to_counters(times), group.name.rsplit("/", 1)[-1], text)


def _plain(counters: npt.NDArray[np.int64], source: str, text: list[str]) -> Events:
    n = min(len(counters), len(text))
    order = np.argsort(counters[:n], kind="stable")
    return Events(
        counters[order],
        np.full(n, -1, np.int32),
        np.full(n, -1, np.int8),
        (source,) * n,
        tuple(text[i] for i in order),
    )


def _labeled(group: Any, to_counters: ToCounters) -> Events:
    """LabeledEvents and TTLs (ndx-events 0.2): data are indices of labels; Events have timestamps only."""
    times = numbers(column(group, "timestamps"))
    if times is None:
        return Events.empty()
    data = column(group, "data")
    source = group.name.rsplit("/", 1)[-1]
    if data is None or data.dtype.kind not in "iu":
        return _plain(to_counters(times), source, [""] * len(times))
    stored = group["data"].attrs.get("labels", [])
    labels = [text_of(v) for v in np.asarray(stored, dtype=object).reshape(-1)]
    return _plain(to_counters(times), source, [labels[i] if 0 <= i < len(labels) else str(i) for i in data.tolist()])


def _intervals(group: Any, to_counters: ToCounters) -> Events:
    """IntervalSeries: data > 0 begins, < 0 ends the interval of that number."""
    times, data = numbers(column(group, "timestamps")), numbers(column(group, "data"))
    if times is None or data is None:
        return Events.empty()
    n = min(len(times), len(data))
    signed = data[:n].astype(np.int64)
    return Events.ttl(
        to_counters(times[:n]),
        np.abs(signed) - 1,
        np.where(signed > 0, 1, np.where(signed < 0, 0, -1)),
        source=group.name.rsplit("/", 1)[-1],
    )


def _sampled(group: Any, to_counters: ToCounters) -> Events:
    """A sampled TTL signal: it is high above the middle between its extremes."""
    data = group["data"]
    rows = int(data.shape[0])
    if rows < 2 or not is_plausible(data):
        return Events.empty()
    pieces = range(0, rows, _EDGE_ROWS)
    extremes = [(np.nanmin(v), np.nanmax(v)) for v in (data[a : a + _EDGE_ROWS] for a in pieces)]
    low, high = float(min(a for a, _ in extremes)), float(max(b for _, b in extremes))
    if not low < high:
        return Events.empty()
    rows_found: list[npt.NDArray[np.int64]] = []
    states: list[npt.NDArray[np.bool_]] = []
    before: npt.NDArray[np.bool_] | None = None
    for a in pieces:
        up = data[a : a + _EDGE_ROWS] > (low + high) / 2
        changed = np.flatnonzero(up != np.concatenate((up[:1] if before is None else before, up[:-1])))
        rows_found.append(a + changed)
        states.append(up[changed])
        before = up[-1:]
    at = np.concatenate(rows_found)
    source = group.name.rsplit("/", 1)[-1]
    return Events.ttl(to_counters(_seconds(group, at)), np.zeros(len(at)), np.concatenate(states), source=source)


def _seconds(group: Any, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    start = child(group, "starting_time")
    if start is not None:
        rate = number_of(start.attrs, "rate", 0.0)
        if rate <= 0:
            raise RecordingError(f"{group.name}: its rate is not positive")
        return float(start[()]) + rows / rate
    times = numbers(column(group, "timestamps"))
    if times is None or len(times) <= (rows.max() if len(rows) else -1):
        raise RecordingError(f"{group.name} has neither a rate nor timestamps")
    return times[rows]


def units_rate_hz(units: Any) -> float:
    """Return the rate in which counters of a units table without signals are given: 1 / resolution, else 1 MHz."""
    times = child(units, "spike_times")
    resolution = number_of(times.attrs, "resolution", 0.0) if times is not None else 0.0
    return 1.0 / resolution if 1e-9 <= resolution <= 1.0 else 1e6


def read_units(units: Any, to_counters: ToCounters) -> SpikeTrains:
    """Read a Units table.

    Unit ids are those of the table, plus one where one of them is 0 (0 means not clustered here); ``unit_names``
    gives the table's own names.
    """
    times, ends = numbers(column(units, "spike_times")), column(units, "spike_times_index")
    ids = column(units, "id")
    if times is None or ends is None or ends.dtype.kind not in "iu":
        raise RecordingError(f"{units.file.filename}: the units in {units.name} have no spike times")
    borders = np.concatenate(([0], ends.astype(np.int64)))
    if np.any(np.diff(borders) < 0) or borders[-1] > len(times) or len(times) > MAX_VALUES:
        raise RecordingError(f"{units.file.filename}: the index of spike times in {units.name} is damaged")
    times = times[: borders[-1]]
    numbered = ids is not None and len(ids) == len(ends) and ids.dtype.kind in "iu"
    own = ids.astype(np.int64) if numbered and ids is not None else np.arange(len(ends))
    shift = 0 if len(own) == 0 or own.min() > 0 else 1 - int(own.min())
    named = texts(column(units, "unit_name")) or [str(i) for i in own.tolist()]
    which = np.repeat(np.arange(len(ends)), np.diff(borders))
    counters = to_counters(times)
    order = _order(units, counters)
    return SpikeTrains(
        counters[order],
        (own + shift).astype(np.int32)[which][order],
        _spike_sites(units, which)[order],
        _waveforms(units, order),
        {int(i) + shift: name for i, name in zip(own, named, strict=False)},
    )


def _order(units: Any, counters: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the time order of all spikes; spikes of equal time as our own column tells, else by unit."""
    stored = numbers(column(units, "spike_index"))
    if stored is not None and len(stored) == len(counters):
        return np.lexsort((stored, counters))
    return np.argsort(counters, kind="stable")


def _spike_sites(units: Any, which: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Return the site of each spike: its own, or, in tables of units that we exported, that of its unit; -1 unknown."""
    stored = numbers(column(units, "spike_site"))
    if stored is not None and len(stored) == len(which):
        return stored.astype(np.int32)
    peaks, table = column(units, "peak_channel"), child(units, "peak_channel")
    ours = table is not None and text_of(table.attrs.get("description", "")) == PEAK_CHANNEL
    if ours and peaks is not None and peaks.dtype.kind in "iu" and len(peaks) > which.max(initial=-1):
        return peaks.astype(np.int32)[which]
    return np.full(len(which), -1, np.int32)


def _waveforms(units: Any, order: npt.NDArray[np.int64]) -> npt.NDArray[np.float32] | None:
    """Return our own column of waveforms, ``(spikes, channels, points)`` in uV; None where there is none."""
    stored = child(units, "spike_waveform")
    if (
        stored is None
        or getattr(stored, "ndim", 0) != 3
        or len(stored) != len(order)
        or stored.dtype.kind != "f"
        or not is_plausible(stored)
    ):
        return None
    waveforms: npt.NDArray[np.float32] = stored[:].astype(np.float32, copy=False)[order]
    return waveforms
