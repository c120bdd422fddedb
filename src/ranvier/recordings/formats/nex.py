"""Reader of NeuroExplorer files, ``.nex`` and ``.nex5``; ``nex_sink`` writes the latter.

Continuous variables become streams (fragments are their gaps), neurons the spike trains ``"neurons"``, waveforms a
spike train each; events, intervals and markers become events. Files written here also hold, in their JSON, what the
format has no place for.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.formats.counters import events_inside, exact_rate
from ranvier.recordings.formats.nex_file import (
    EVENT,
    INTERVAL,
    MARKER,
    NEURON,
    POPULATION,
    WAVEFORM,
    NexFile,
    NexVariable,
    is_nex,
)
from ranvier.recordings.formats.nex_signals import NexRecording, make_streams
from ranvier.recordings.formats.nex_sink import OWN_KEY, Nex5Sink
from ranvier.recordings.lazy import LazyDict
from ranvier.recordings.quantiser import loss_notes
from ranvier.recordings.registry import FILE_ERRORS, Format
from ranvier.recordings.session import Session
from ranvier.recordings.sidecar import events_from_json

_NAME = "NeuroExplorer"
_MOST_WAVEFORM_BYTES = 1 << 28
_TO_UV = {"mv": 1e3, "uv": 1.0, "µv": 1.0, "v": 1e6}

Ints = npt.NDArray[np.int64]


def detect(path: Path) -> Path | None:
    """Return the path itself, with the suffix where it was left out; None where it is no such file."""
    return next((p for p in (path, *(path.with_name(path.name + s) for s in (".nex5", ".nex"))) if is_nex(p)), None)


def open_nex(path: Path) -> Session:
    """Open a file; RecordingError where its headers are damaged."""
    file = NexFile.open(path)
    own = file.metadata.get(OWN_KEY)
    notes = []
    if "damaged" in file.metadata:
        notes.append(f"{path.name}: its metadata cannot be read ({file.metadata['damaged']})")
    try:
        streams, lost = make_streams(file, own if isinstance(own, dict) else None)
    except RecordingError:
        raise
    except FILE_ERRORS as error:
        own = None
        notes.append(f"{path.name}: its own metadata are damaged ({error}); what the headers say is used")
        streams, lost = make_streams(file, None)
    left_out = [v.name for v in file.variables if v.kind == POPULATION]
    if left_out:
        notes.append(f"population vectors are not read: {', '.join(left_out[:5])}")
    session = Session(
        path=path,
        file_type=RadiensFileType.NEX5,
        format=_NAME,
        streams=dict(streams),
        clocks={name: s.time.clock for name, s in streams.items() if len(s.segments.counters) > 1},
        notes=(*notes, *lost),
        extra={"nex": _extra(file)},
    )
    if isinstance(own, dict) and len(streams) == 1:
        _adopt_own(session, file, own)
    else:
        _adopt_variables(session, file, streams)
    return session


def _adopt_own(session: Session, file: NexFile, own: Mapping[str, Any]) -> None:
    """Take events and spikes from what was written here."""
    provenance = own.get("provenance")
    session.provenance = provenance if isinstance(provenance, dict) else None
    session.notes += tuple(loss_notes(own.get("clipped_samples", 0), own.get("unknown_samples", 0)))
    name = next(iter(session.streams))
    session.events = LazyDict({name: partial(_own_events, own, file.path)})
    trains = own.get("spike_trains")
    session.spike_trains = LazyDict(
        {
            str(train.get("name")): partial(_own_spikes, file, train)
            for train in (trains if isinstance(trains, list) else [])
            if isinstance(train, dict)
        }
    )


def _own_events(own: Mapping[str, Any], path: Path) -> Events:
    return events_from_json(own["events"], path) if "events" in own else Events.empty()


def _own_spikes(file: NexFile, train: Mapping[str, Any]) -> SpikeTrains:
    variables = {v.name: v for v in file.variables}
    try:
        table = variables[train["table"]]
        fields = dict(file.marker_texts(table))
        unit, site = (fields[key].view(np.int32) for key in ("unit", "site"))
        waveforms = None
        if train.get("waveforms"):
            flat = file.waveforms(variables[train["waveforms"]], _MOST_WAVEFORM_BYTES)
            waveforms = (
                None if flat is None else (flat * np.float32(1e3)).reshape(len(flat), int(train["channels"]), -1)
            )
        names = {int(k): str(v) for k, v in train["unit_names"].items()} if train.get("unit_names") else None
        return SpikeTrains(file.ticks(table), unit, site, waveforms, names)
    except FILE_ERRORS as error:
        raise RecordingError(
            f"{file.path}: its spike trains {train.get('name')!r} are damaged ({error}); signals can still be read"
        ) from error


def _adopt_variables(session: Session, file: NexFile, streams: Mapping[str, NexRecording]) -> None:
    names = list(streams)
    if not names and any(v.kind in (EVENT, INTERVAL, MARKER) for v in file.variables):
        names = [""]
    session.events = LazyDict({n: partial(_events, session, file, streams.get(n)) for n in names})
    makers: dict[str, Any] = {}
    if any(v.kind == NEURON for v in file.variables):
        makers["neurons"] = partial(_neurons, file)
    for i, v in enumerate(file.variables):
        if v.kind == WAVEFORM:
            name = (v.name or f"waveforms {i}") if v.name not in makers else f"{v.name} ({i})"
            makers[name] = partial(_spikes_with_waveforms, session, file, v)
    session.spike_trains = LazyDict(makers)


def _events(session: Session, file: NexFile, stream: NexRecording | None) -> Events:
    """Return events (state 1), intervals (1 at the start, 0 at the end), and markers with their fields as text.

    Without a stream counters are the file's ticks.
    """
    speed = exact_rate(file.tick_hz, where=str(file.path))
    fs = speed if stream is None else stream.fs
    parts = []
    line = 0
    for v in file.variables:
        if v.kind == EVENT:
            ticks = file.ticks(v)
            parts.append(Events.ttl(_counters(ticks, fs, speed), *_columns(ticks, line, 1), source=f"event {v.name}"))
        elif v.kind == INTERVAL:
            for part, state in ((0, 1), (1, 0)):
                ticks = file.ticks(v, part)
                columns = _columns(ticks, line, state)
                parts.append(Events.ttl(_counters(ticks, fs, speed), *columns, source=f"interval {v.name}"))
        elif v.kind == MARKER:
            parts.append(_markers(file, v, fs, speed))
        line += v.kind in (EVENT, INTERVAL)
    events = Events.merge(*parts)
    if stream is None:
        return events
    inside, outside = events_inside(events, stream.start, stream.stop)
    if outside:
        session.notes += (f"{outside} events lie outside of the signals and are left out",)
    return inside


def _columns(ticks: Ints, line: int, state: int) -> tuple[Ints, Ints]:
    return np.full(len(ticks), line, np.int64), np.full(len(ticks), state, np.int64)


def _markers(file: NexFile, variable: NexVariable, fs: Fraction, speed: Fraction) -> Events:
    ticks = file.ticks(variable)
    fields = file.marker_texts(variable)
    n = min([len(ticks), *(len(values) for _, values in fields)])
    order = np.argsort(ticks[:n], kind="stable")
    texts = []
    for i in order.tolist():
        values = [_value(values[i]) for _, values in fields]
        texts.append(
            values[0] if len(values) == 1 else ", ".join(f"{f}={v}" for (f, _), v in zip(fields, values, strict=True))
        )
    nothing = np.full(n, -1, np.int8)
    counters = _counters(ticks[:n][order], fs, speed)
    return Events(counters, nothing.astype(np.int32), nothing, (f"marker {variable.name}",) * n, tuple(texts))


def _value(value: Any) -> str:
    return value.decode("utf-8", errors="replace").strip("\0 ") if isinstance(value, bytes) else str(value)


def _counters(ticks: Ints, fs: Fraction, speed: Fraction) -> Ints:
    ratio = fs / speed
    if ratio == 1:
        return ticks
    return np.rint(ticks.astype(np.float64) * ratio.numerator / ratio.denominator).astype(np.int64)


def _neurons(file: NexFile) -> SpikeTrains:
    """Return all neurons as units 1, 2, ... in the order of the file; counters are its ticks."""
    neurons = [v for v in file.variables if v.kind == NEURON]
    ticks = [file.ticks(v) for v in neurons]
    counter = np.concatenate(ticks)
    unit = np.repeat(np.arange(1, len(neurons) + 1, dtype=np.int32), [len(t) for t in ticks])
    order = np.argsort(counter, kind="stable")
    names = {i + 1: v.name for i, v in enumerate(neurons)}
    nowhere = np.full(len(counter), -1, np.int32)
    fs = exact_rate(file.tick_hz, where=str(file.path))
    return SpikeTrains(counter[order], unit[order], nowhere, None, names, fs)


def _spikes_with_waveforms(session: Session, file: NexFile, variable: NexVariable) -> SpikeTrains:
    ticks = file.ticks(variable)
    order = np.argsort(ticks, kind="stable")
    flat = file.waveforms(variable, _MOST_WAVEFORM_BYTES)
    if flat is None and variable.count:
        session.notes += (f"{variable.name}: its waveforms are too large or cut off, and left out",)
    scale = np.float32(_TO_UV.get(variable.units.lower(), 1e3))
    with np.errstate(over="ignore", invalid="ignore"):  # damaged values become infinite
        waveforms = None if flat is None else (flat[order] * scale)[:, None, :]
    n = len(ticks)
    fs = exact_rate(file.tick_hz, where=str(file.path))
    names = {1: variable.name}
    return SpikeTrains(ticks[order], np.ones(n, np.int32), np.full(n, -1, np.int32), waveforms, names, fs)


def _extra(file: NexFile) -> dict[str, Any]:
    return {
        "version": file.version,
        "comment": file.comment,
        "ticks_per_second": file.tick_hz,
        "writer": file.metadata.get("file", {}) if isinstance(file.metadata.get("file", {}), dict) else {},
        "neurons": {v.name: {"wire": v.wire, "unit": v.unit} for v in file.variables if v.kind == NEURON},
    }


def files_of(path: Path) -> list[Path]:
    """Return the one file."""
    return [path]


def base_name(path: Path) -> str:
    """Return the name without its suffix."""
    return path.stem if path.suffix.lower() in (".nex", ".nex5") else path.name


FORMAT = Format(
    name=_NAME,
    file_type=RadiensFileType.NEX5,
    suffixes=(".nex5", ".nex"),
    detect=detect,
    open=open_nex,
    files=files_of,
    base_name=base_name,
    sink=Nex5Sink,
)
