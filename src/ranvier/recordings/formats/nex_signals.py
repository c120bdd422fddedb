"""Continuous variables of a NeuroExplorer file as streams: those of equal rate and fragments belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.models.channels import SignalUnits
from ranvier.models.signals import SignalType
from ranvier.recordings.channel_json import channels_from_json
from ranvier.recordings.channels import Channel, ChannelTable
from ranvier.recordings.chunked import ChunkColumn, ChunkedRecording, Chunks
from ranvier.recordings.formats.counters import exact_rate
from ranvier.recordings.formats.nex_file import CONTINUOUS, NexFile, NexVariable
from ranvier.recordings.stamps import StampedTime, place_packets

_TO_UV = {"mv": 1e3, "uv": 1.0, "µv": 1.0, "v": 1e6, "": 1e3}
#: Fragments say where they begin to a tick: what is more than rounding is a gap.
_TOLERANCE_SAMPLES = 0.75


@dataclass(frozen=True)
class Signal:
    """One continuous variable: where its values lie and which of them are there."""

    variable: NexVariable
    ticks: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    values_at: int
    rows: int
    damaged: bool

    def key(self) -> tuple[Any, ...]:
        """Return what signals of one stream have in common."""
        return self.variable.fs, self.rows, self.ticks.tobytes(), self.first.tobytes()


def read_signals(file: NexFile) -> list[Signal]:
    """Return the continuous variables."""
    return [_signal(file, v) for v in file.variables if v.kind == CONTINUOUS]


def _signal(file: NexFile, variable: NexVariable) -> Signal:
    ticks, first, at = file.fragments(variable)
    there = max(0, file.size - at) // variable.value_dtype.itemsize
    rows = min(variable.points, there)
    n = min(len(ticks), len(first))
    ticks, first = ticks[:n], first[:n]
    damaged = bool(n and (first[0] != 0 or np.any(np.diff(first) < 0) or first[-1] > variable.points))
    if damaged:
        ticks, first = ticks[:1], np.zeros(1, np.int64)
    keep = first < rows
    # An empty fragment has no sample that it could place.
    keep[:-1] &= np.diff(first) > 0
    return Signal(variable, ticks[keep], first[keep], at, rows, damaged)


class NexRecording(ChunkedRecording):
    """Signals that share their rate and fragments."""

    def __init__(self, file: NexFile, name: str, signals: Sequence[Signal], own: Mapping[str, Any] | None) -> None:
        head = signals[0]
        self.path = file.path
        self.name = name
        self.fs = (
            exact_rate(head.variable.fs, where=f"{file.path}: {head.variable.name}") if own is None else _rate(own)
        )
        notes = []
        if own is None:
            self.channels, order = _table(signals)
        else:
            self.channels, order = channels_from_json(own["channels"], file.path), list(range(len(signals)))
            self.simulated = bool(own.get("simulated"))
            self.walltime = _walltime(own)
        lost = max(s.variable.points - s.rows for s in signals)
        self.lost_samples = lost
        if lost:
            notes.append(f"{file.path.name} is truncated: {lost} samples of {', '.join(_names(signals))} are lost")
        if any(s.damaged for s in signals):
            notes.append(
                f"{file.path.name}: fragments of {', '.join(_names(signals))} are damaged; gaps cannot be told"
            )
        speed = self.fs if own is not None else exact_rate(file.tick_hz, where=str(file.path))
        self.time: StampedTime = place_packets(
            head.first, head.ticks, head.rows, self.fs, speed,
            tolerance_sec=_TOLERANCE_SAMPLES / float(self.fs), drifts=False, what=f"fragments of {file.path.name}",
        )  # fmt: skip
        self.segments = self.time.segments
        self.notes = (*notes, *self.time.notes)
        places = [signals[i] for i in order]
        columns = [ChunkColumn(file.path, s.variable.value_dtype, range(s.values_at, s.values_at + 1)) for s in places]
        self._adopt(columns, Chunks(head.rows, max(1, head.rows)))


def _names(signals: Sequence[Signal]) -> list[str]:
    return [s.variable.name for s in signals[:4]] + ([f"{len(signals) - 4} more"] if len(signals) > 4 else [])


def _rate(own: Mapping[str, Any]) -> Fraction:
    top, bottom = own["fs"]
    rate = Fraction(int(top), int(bottom))
    if not 0 < rate < 10**9:
        raise RecordingError(f"{rate} Hz is no sampling rate; the metadata are damaged")
    return rate


def _walltime(own: Mapping[str, Any]) -> datetime | None:
    stored = own.get("walltime")
    return datetime.fromisoformat(stored).astimezone(UTC) if isinstance(stored, str) else None


def _table(signals: Sequence[Signal]) -> tuple[ChannelTable, list[int]]:
    """Return the channels (voltages first) and which signal each is."""
    is_amp = [s.variable.units.lower() in _TO_UV for s in signals]
    order = sorted(range(len(signals)), key=lambda i: not is_amp[i])
    channels = []
    counts = {True: 0, False: 0}
    for sys, i in enumerate(order):
        v = signals[i].variable
        scale = _TO_UV.get(v.units.lower(), 1.0)
        channels.append(
            Channel(
                type=SignalType.AMP if is_amp[i] else SignalType.AIN,
                ntv=counts[is_amp[i]],
                sys=sys,
                name=v.name or f"signal {i}",
                ntv_name=v.name,
                unit=SignalUnits.MICROVOLTS if is_amp[i] else SignalUnits.UNKNOWN,
                unit_source="file" if v.units else "assumed",
                gain=(v.gain or 1.0) * scale,
                offset=v.unit_offset * scale,
            )
        )
        counts[is_amp[i]] += 1
    return ChannelTable(tuple(channels)), order


def make_streams(file: NexFile, own: Mapping[str, Any] | None) -> tuple[dict[str, NexRecording], list[str]]:
    """Return the streams of a file, and notes on signals that are lost."""
    signals = read_signals(file)
    notes = [
        f"{s.variable.name}: all {s.variable.points} samples are lost"
        for s in signals
        if not s.rows and s.variable.points
    ]
    signals = [s for s in signals if s.rows]
    groups: dict[tuple[Any, ...], list[Signal]] = {}
    for signal in signals:
        groups.setdefault(signal.key(), []).append(signal)
    if own is not None and not (len(groups) == 1 and len(signals) == len(own["channels"]["columns"]["type"])):
        own = None  # damaged: what the headers say is all that is left
        notes.append("signals do not fit the file's own metadata, which are ignored")
    streams: dict[str, NexRecording] = {}
    for group in groups.values():
        name = "" if len(groups) == 1 else f"{group[0].variable.fs:g} Hz"
        if name in streams:
            name = f"{name} {group[0].variable.name}"
        if name in streams:
            name = f"{name} {len(streams)}"
        streams[name] = NexRecording(file, name, group, own)
    return streams, notes
