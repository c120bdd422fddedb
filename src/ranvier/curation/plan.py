"""From transform nodes in a row to what is run: a bound chain over a range, or cuts and operations in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from fractions import Fraction
from functools import partial
from math import ceil, floor
from typing import Any

from ranvier.curation.executor import make_header
from ranvier.curation.nodes import operation_of
from ranvier.dsp import Chain, Operation, SliceChannels, Stage
from ranvier.dsp.slicing import columns_for_sys
from ranvier.exceptions import TimeRangeError
from ranvier.models.dataset import SliceTimeParams, TransformNode
from ranvier.models.output_options import OutputOptions
from ranvier.models.time_range import sample_at
from ranvier.recordings import ChannelTable, Events, Format, Recording
from ranvier.recordings.sink import Header


@dataclass(frozen=True, slots=True)
class Point:
    """A place on the way of samples: what they are there, and what was done to them.

    Attributes
    ----------
    start, stop
        Counters ``[start, stop)``, at the rate there.
    stages
        What provenance says of the steps so far.
    events
        Counters of the source ``[first, last)`` whose events are still there.
    """

    source_fs: Fraction
    fs: Fraction
    channels: ChannelTable
    start: int
    stop: int
    stages: tuple[Mapping[str, Any], ...]
    events: tuple[int, int]

    @classmethod
    def of(cls, recording: Recording, channels: ChannelTable, stages: Iterable[Mapping[str, Any]] = ()) -> Point:
        """Return the place where a recording begins its way."""
        span = (recording.start, recording.stop)
        return cls(recording.fs, recording.fs, channels, *span, tuple(stages), span)

    @property
    def ratio(self) -> Fraction:
        """Samples of the source for one here."""
        return self.source_fs / self.fs

    def behind(self, stage: Stage) -> Point:
        """Return the place behind a stage."""
        ratio = stage.out_fs / stage.in_fs
        return replace(
            self,
            fs=stage.out_fs,
            channels=stage.out_channels,
            start=ceil(self.start * ratio),
            stop=ceil(self.stop * ratio),
            stages=(*self.stages, stage.describe()),
        )

    def cut(self, start: int, stop: int) -> Point:
        """Return the place behind a cut to counters ``[start, stop)``, which lie inside."""
        said = {"kind": "slice_time", "parameters": {"source": [self.start, self.stop], "retained": [start, stop]}}
        # an event stands at the first sample here that is not earlier
        first, last = (floor((counter - 1) * self.ratio) + 1 for counter in (start, stop))
        events = (
            self.events[0] if start == self.start else max(first, self.events[0]),
            self.events[1] if stop == self.stop else min(last, self.events[1]),
        )
        return replace(self, start=start, stop=stop, stages=(*self.stages, said), events=events)

    def sliced(self, params: SliceTimeParams) -> Point:
        """Return the place behind a slice of time; TimeRangeError where it is no range, or outside."""
        asked = f"[{params.start_sec:g}, {params.end_sec:g}) s"
        first, last = (sample_at(t, self.fs) for t in (params.start_sec, params.end_sec))
        if last <= first:
            raise TimeRangeError(f"{asked} is no range: it holds no sample at {float(self.fs):g} Hz")
        if last <= self.start or first >= self.stop:
            have = f"{float(self.start / self.fs):.6g} to {float(self.stop / self.fs):.6g} s"
            raise TimeRangeError(f"{asked} lies outside the data, which spans {have}")
        return self.cut(max(first, self.start), min(last, self.stop))


@dataclass
class Part:
    """Counters to take of what comes (None: all), and operations on that."""

    cut: tuple[int, int] | None = None
    operations: list[Operation] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """What steps in a row mean for one recording.

    Attributes
    ----------
    start, stop
        Counters ``[start, stop)`` of the recording to run over.
    end
        What comes out.
    chain
        The stages, bound to ``columns``; None where nothing changes the samples.
    columns
        Columns to read; None for all.
    parts
        Where time is cut behind other steps: cuts and operations in turn, in the place of ``chain``.
    """

    start: int
    stop: int
    end: Point
    chain: Chain | None = None
    columns: list[int] | None = None
    parts: tuple[Part, ...] = ()


class Line:
    """Steps in a row, one added after the other.

    Parameters
    ----------
    stages
        What provenance says of what was done before (several recordings put together).
    """

    def __init__(self, recording: Recording, channels: ChannelTable, stages: Iterable[Mapping[str, Any]] = ()) -> None:
        self._recording = recording
        self._channels = channels
        self._parts = [Part()]
        self.end = Point.of(recording, channels, stages)

    def slice(self, params: SliceTimeParams) -> None:
        """Cut to seconds; TimeRangeError where these lie outside."""
        self._cut_behind(self.end.sliced(params))

    def cut(self, start: int, stop: int) -> None:
        """Cut to counters of what comes; TimeRangeError where these lie outside."""
        if not self.end.start <= start < stop <= self.end.stop:
            raise TimeRangeError(
                f"[{start}, {stop}) lies outside the data, which spans {self.end.start} to {self.end.stop}"
            )
        self._cut_behind(self.end.cut(start, stop))

    def add(self, operation: Operation) -> None:
        """Add an operation; FilterDesignError, DatasetError and others where it cannot be bound there."""
        self.end = self.end.behind(operation.bind(self.end.fs, self.end.channels))
        self._parts[-1].operations.append(operation)

    def plan(self) -> Plan:
        """Return what these steps mean."""
        first = self._parts[0]
        start, stop = first.cut or (self._recording.start, self._recording.stop)
        if len(self._parts) > 1:
            whole = (self._recording.start, self._recording.stop)
            return Plan(*whole, self.end, parts=tuple(self._parts))
        columns, operations = _read_less(first.operations, self._channels)
        channels = self._channels if columns is None else self._channels.take(columns)
        chain = Chain.bind(operations, self._recording.fs, channels) if operations else None
        return Plan(start, stop, self.end, chain, columns)

    def _cut_behind(self, end: Point) -> None:
        self.end = end
        if self._parts[-1].operations:
            self._parts.append(Part())
        self._parts[-1].cut = (end.start, end.stop)


def plan(
    nodes: Sequence[TransformNode],
    recording: Recording,
    channels: ChannelTable,
    *,
    zero_phase: bool = False,
    events: Callable[[], Events] = Events.empty,
) -> Plan:
    """Turn nodes, in their order, into what is run; the result is that of one call per node.

    ``events`` gives those of the recording, where a node asks for them.

    Raises
    ------
    FilterDesignError, DatasetError
        A filter that cannot exist at this rate; a channel that is not there.
    TimeRangeError
        A slice outside the data, or a reversed one.
    CapabilityError
        A node that this version cannot run.
    """
    line = Line(recording, channels)
    for node in nodes:
        if isinstance(node.params, SliceTimeParams):
            line.slice(node.params)
        else:
            here = partial(events_at, events, line.end)
            line.add(operation_of(node, zero_phase=zero_phase, events=here))
    return line.plan()


def events_at(events: Callable[[], Events], place: Point) -> Events:
    """Return events in the counters of a place."""
    return events().at_rate(place.ratio)


def output_header(
    recording: Recording,
    end: Point,
    known: Format,
    *,
    sources: Iterable[Mapping[str, Any]],
    extra: Mapping[str, Any],
    options: OutputOptions | None = None,
) -> Header:
    """Return the header of an output of what is there at the end of a way.

    Its provenance is a dict of its own, to which notes may be added until the output is committed.
    """
    header = make_header(recording, None, sources=sources, extra=extra)
    record = {**(header.provenance or {}), "stages": list(end.stages), "file_type": known.file_type.name}
    walltime = header.walltime
    if walltime is not None:
        walltime += timedelta(seconds=float(end.start / end.fs - recording.start / recording.fs))
    header = replace(header, fs=end.fs, channels=end.channels, start=end.start, walltime=walltime, provenance=record)
    if options is None:
        return header
    record["options"] = options.model_dump(mode="json")
    return replace(header, options=options)


def _read_less(operations: list[Operation], channels: ChannelTable) -> tuple[list[int] | None, list[Operation]]:
    """Move channel slices to the front, past what treats each channel for itself; return columns and what is left."""
    columns: list[int] | None = None
    for i, operation in enumerate(operations):
        if isinstance(operation, SliceChannels):
            kept = channels if columns is None else channels.take(columns)
            chosen = [int(c) for c in columns_for_sys(kept, operation.channels)]
            columns = chosen if columns is None else [columns[c] for c in chosen]
        elif not operation.per_channel:
            return columns, [o for o in operations[:i] if not isinstance(o, SliceChannels)] + operations[i:]
    return columns, [o for o in operations if not isinstance(o, SliceChannels)]
