"""Reader of NWB files: ElectricalSeries, events, units. The Sink is in :mod:`ranvier.recordings.formats.nwb_sink`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.exceptions import RadiensError, RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings.digital import with_digital_edges
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.format import Format
from ranvier.recordings.formats.counters import counters_of_seconds
from ranvier.recordings.formats.nwb_electrodes import Electrodes
from ranvier.recordings.formats.nwb_events import ToCounters, event_sources, read_events, read_units, units_rate_hz
from ranvier.recordings.formats.nwb_file import (
    UNREADABLE,
    child,
    groups_below,
    is_hdf5,
    missing_from,
    number_of,
    opened,
    scalar_text,
    text_of,
    type_of,
)
from ranvier.recordings.formats.nwb_own import read_own_record
from ranvier.recordings.formats.nwb_signals import NwbRecording, open_series
from ranvier.recordings.formats.nwb_sink import NwbSink
from ranvier.recordings.lazy import LazyDict
from ranvier.recordings.recording import Recording
from ranvier.recordings.session import Session

_NAME = "NWB"


def detect(path: Path) -> Path | None:
    """Return the path of an NWB file (the suffix may be left out); None where it is none.

    A damaged HDF5 file counts as NWB where its name says so.
    """
    for candidate in (path, path.with_name(path.name + ".nwb")):
        if not candidate.is_file() or not is_hdf5(candidate):
            continue
        try:
            with opened(candidate) as file:
                if "nwb_version" in file.attrs or "nwb_version" in file or type_of(file) == "NWBFile":
                    return candidate
        except UNREADABLE:
            if candidate.suffix.lower() == ".nwb":
                return candidate
    return None


def open_nwb(path: Path) -> Session:
    """Open a file: every ElectricalSeries is a stream; a file with units or events only has none.

    Raises
    ------
    RecordingError
        Where HDF5 cannot open it, or where it holds series that cannot be read and nothing else.
    """
    try:
        return _open(path)
    except UNREADABLE as error:
        end = missing_from(path)
        if end is None or isinstance(error, RadiensError):
            raise
        raise RecordingError(
            f"{path}: the file was cut: only {end} bytes are there, and what is missing is needed to find the rest "
            f"({error})"
        ) from error


def _open(path: Path) -> Session:
    with opened(path) as file:
        own = read_own_record(file)
        notes: list[str] = []
        electrodes = Electrodes(file)
        n = electrodes.rows
        table, _ = electrodes.channels(np.arange(n, dtype=np.int64), np.ones(n), np.zeros(n))
        units = _find(file, {"Units"})
        sources = event_sources(file)
        extra: dict[str, Any] = {"nwb": _extra(file, electrodes)}
        streams = _open_streams(path, file, electrodes, own, notes)
        try:
            if not streams:
                notes.append(_what_is_there(file, units, sources))
            spike_trains, rates = _lazy_units(path, file, units, streams, own)
            alone_hz = next(iter(rates.values()), 0.0) or _events_rate_hz(file, sources)
            events = _lazy_events(path, sources, streams, alone_hz)
        except BaseException:
            for stream in streams.values():
                stream.close()
            raise
    extra["nwb"] |= {"units_counter_hz": rates} if rates else {}
    extra |= {key: value for key, value in _dict(own, "extra").items() if key not in extra}
    for stream in streams.values():
        stream.simulated = bool(own.get("simulated", False))
    provenance = own.get("provenance")
    return Session(
        path=path,
        file_type=RadiensFileType.NWB,
        format=_NAME,
        streams=dict[str, Recording](streams),
        events=events,
        spike_trains=spike_trains,
        clocks={name: s.timing.clock for name, s in streams.items() if s.timing.clock is not None},
        provenance=provenance if isinstance(provenance, dict) else None,
        notes=tuple(notes),
        extra=extra,
        fs=None if streams else Fraction(alone_hz).limit_denominator(10**6),
        channels=None if streams else table,
    )


def _open_streams(
    path: Path, file: Any, electrodes: Electrodes, own: dict[str, Any], notes: list[str]
) -> dict[str, NwbRecording]:
    found = _find(file, {"ElectricalSeries"})
    short = [name.rsplit("/", 1)[-1] for name in found]
    streams: dict[str, NwbRecording] = {}
    failure: RecordingError | None = None
    for name, last in zip(found, short, strict=True):
        label = last if short.count(last) == 1 else name
        mine = _dict(_dict(own, "streams"), f"/{name}") or None
        try:
            streams[label] = open_series(path, file, file[name], label, electrodes, mine)
            streams[label].walltime = _walltime(file, own, streams[label])
        except UNREADABLE as error:
            failure = failure or RecordingError(f"{path}: {label} cannot be read: {error}")
            notes.append(f"left out: {label}: {error}")
    if failure is not None and not streams:
        raise failure
    return streams


def _find(file: Any, kinds: set[str]) -> list[str]:
    """Return the names of all groups of some types."""
    units = child(file, "units")
    found = ["units"] if units is not None and type_of(units) in kinds else []
    return found + [
        name for name, group in groups_below(file, ("acquisition", "processing")) if type_of(group) in kinds
    ]


def _what_is_there(file: Any, units: list[str], sources: list[str]) -> str:
    series = [n.rsplit("/", 1)[-1] for n in _find(file, {"TimeSeries"})]
    parts = [f"{len(units)} units tables" if units else "", f"{len(sources)} tables or series of events"]
    listed = f", TimeSeries {', '.join(series[:8])}" if series else ""
    rest = " and ".join(p for p in parts if p)
    return f"this NWB file holds no ElectricalSeries, so no stream of signals; {rest}{listed}"


def _lazy_events(path: Path, sources: list[str], streams: dict[str, NwbRecording], alone_hz: float) -> LazyDict[Events]:
    """All events in the counters of each stream; without streams under the name "", in those of the session."""
    if streams:
        return LazyDict({n: partial(_stream_events, path, sources, s) for n, s in streams.items()})
    return LazyDict({"": partial(_events, path, sources, _counters_at(alone_hz))} if sources else {})


def _events_rate_hz(file: Any, sources: list[str]) -> float:
    """Return the rate of counters of events without signals or units: their own where they have one, else 1 MHz."""
    starts = [child(file[name], "starting_time") for name in sources]
    rates = {1e6 if start is None else number_of(start.attrs, "rate", 1e6) for start in starts}
    return rates.pop() if len(rates) == 1 and min(rates) > 0 else 1e6


def _lazy_units(
    path: Path, file: Any, units: list[str], streams: dict[str, NwbRecording], own: dict[str, Any]
) -> tuple[LazyDict[SpikeTrains], dict[str, float]]:
    """Spike trains in the counters of the first stream; without one in those of their own rate, which is returned."""
    given = {str(v): str(k) for k, v in _dict(own, "spike_trains").items()}
    makers: dict[str, Callable[[], SpikeTrains]] = {
        str(name): _no_spikes for name, place in _dict(own, "spike_trains").items() if place == ""
    }
    rates: dict[str, float] = {}
    for name in units:
        label = given.get(f"/{name}", name.rsplit("/", 1)[-1])
        to_counters: ToCounters
        if streams:
            to_counters = next(iter(streams.values())).timing.counters
        else:
            rates[label] = units_rate_hz(file[name])
            to_counters = _counters_at(rates[label])
        makers[label] = partial(_units, path, name, to_counters)
    return LazyDict(makers), rates


def _counters_at(rate_hz: float) -> ToCounters:
    fs = Fraction(rate_hz).limit_denominator(10**6) if rate_hz > 0 else Fraction(10**6)
    return partial(counters_of_seconds, fs=fs)


def _events(path: Path, names: list[str], to_counters: ToCounters) -> Events:
    with opened(path) as file:
        return read_events(file, names, to_counters)


def _stream_events(path: Path, names: list[str], stream: NwbRecording) -> Events:
    """Return tabled events and the edges of digital columns; what both tell is given once."""
    return with_digital_edges(_events(path, names, stream.timing.counters), stream)


def _units(path: Path, name: str, to_counters: ToCounters) -> SpikeTrains:
    with opened(path) as file:
        return read_units(file[name], to_counters)


def _no_spikes() -> SpikeTrains:
    return SpikeTrains(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int32))


def _walltime(file: Any, own: dict[str, Any], stream: NwbRecording) -> datetime | None:
    """Return the UTC time of the first sample; None where the file holds a placeholder."""
    if own.get("walltime_known") is False:
        return None
    for name in ("timestamps_reference_time", "session_start_time"):
        text = scalar_text(file, name)
        if text is None:
            continue
        try:
            zero = datetime.fromisoformat(text)
            zero = zero.replace(tzinfo=UTC) if zero.tzinfo is None else zero.astimezone(UTC)
            if zero.year <= 1970:
                return None
            clock = stream.timing.clock
            first = float(clock.seconds[0]) if clock is not None else float(stream.start / stream.fs)
            return zero + timedelta(seconds=first)
        except (ValueError, OverflowError):
            return None
    return None


def _extra(file: Any, electrodes: Electrodes) -> dict[str, Any]:
    """Return metadata texts and the columns of the electrodes table that channels do not hold."""
    extra: dict[str, Any] = {"nwb_version": text_of(file.attrs.get("nwb_version", ""))}
    for name in ("identifier", "session_description", "session_start_time", "general/notes", "general/experimenter"):
        text = scalar_text(file, name)
        if text is not None:
            extra[name.rsplit("/", 1)[-1]] = text
    columns = electrodes.extra()
    return extra | ({"electrodes": columns} if columns else {})


def _dict(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def files_of(path: Path) -> list[Path]:
    """Return the one file."""
    return [path]


def base_name(path: Path) -> str:
    """Return the name without ``.nwb``."""
    return path.stem if path.suffix.lower() == ".nwb" else path.name


FORMAT = Format(
    name=_NAME,
    file_type=RadiensFileType.NWB,
    suffixes=(".nwb",),
    detect=detect,
    open=open_nwb,
    files=files_of,
    base_name=base_name,
    sink=NwbSink,
)
