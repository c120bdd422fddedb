"""Runs one chain from a recording into one sink (trees: :mod:`ranvier.curation.branches`; decision 30 says why both).

Reading, computing and writing overlap: while block k is computed, block k + 1 is read and block k - 1 written, each
in a thread of its own. A chain that can be divided is computed by two threads: one takes blocks through the first
stages (of a zero-phase filter, the forward pass), the other one completes what came before (the backward pass, and the
stages behind). Where blocks have nothing to do with each other (references), every worker takes whole blocks. Threads
with rows of their own leave each other's caches alone and wait for nobody; those that share the columns of a row do
not, and so only workers beyond two do that. Writes happen in order. With one worker everything runs in the caller's
thread. The result is the same to the last bit in any case.

At most ``READ_AHEAD + 1`` blocks of input and ``WRITE_BEHIND + 1`` of output (or of what becomes it; one more for each
further worker that takes whole blocks) exist at a time, in memory that is used again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier._platform import worker_count
from ranvier.curation.counted import CountedPath
from ranvier.curation.pipeline import BlockReader, Made, Pipeline, usual_rows
from ranvier.curation.progress import Meter
from ranvier.dsp.chain import Chain
from ranvier.dsp.parallel import ALONE, Team
from ranvier.exceptions import ConfigurationError, JobCancelledError, TimeRangeError
from ranvier.models.jobs import JobProgress
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.events import Events
from ranvier.recordings.provenance import new_record
from ranvier.recordings.quantiser import Counts
from ranvier.recordings.recording import Columns, Recording
from ranvier.recordings.sink import Header, Sink


@dataclass(frozen=True, slots=True)
class RunReport:
    """How a run ended.

    Attributes
    ----------
    path
        What the sink's commit returned: the path to link.
    start, stop
        Counters of the range that was served.
    samples
        Samples per channel that were read (gaps are not).
    gaps
        Gaps inside the range; the outputs have them too.
    clipped_samples
        Samples that the sink's number format could not hold.
    events
        Events carried over.
    """

    path: Path
    start: int
    stop: int
    samples: int
    gaps: int
    clipped_samples: int
    events: int


def make_header(
    recording: Recording,
    chain: Chain | None,
    *,
    start: int | None = None,
    columns: Columns = None,
    sources: Iterable[Mapping[str, Any]] = (),
    seed: int | None = None,
    simulated: bool | None = None,
    notes: Iterable[str] = (),
    name: str | None = None,
    uid: str = "",
    extra: Mapping[str, Any] | None = None,
) -> Header:
    """Return what a sink must know before a run, with the provenance record.

    Parameters
    ----------
    start
        Counter from which the run will go, where it does not begin with the recording.
    columns
        As ``run`` will be given them.
    sources
        See :mod:`ranvier.recordings.provenance`.
    simulated
        As the recording says, where not given; data made from simulated data stays simulated.
    extra
        Metadata of the source that must survive.
    """
    is_simulated = recording.simulated or bool(simulated)
    channels = _taken(recording, columns) if chain is None else chain.out_channels
    first = recording.start if start is None else max(start, recording.start)
    fs = recording.fs
    if chain is not None:
        first, fs = chain.first_output(first), chain.out_fs
    walltime = recording.walltime
    if walltime is not None:
        walltime += timedelta(seconds=float(first / fs - recording.start / recording.fs))
    record = new_record(
        sources=sources,
        stages=[] if chain is None else chain.describe_stages(),
        simulated=is_simulated,
        seed=seed,
        notes=notes,
    )
    return Header(
        fs=fs,
        channels=channels,
        start=first,
        walltime=walltime,
        name=recording.name if name is None else name,
        uid=uid,
        simulated=is_simulated,
        provenance=record,
        extra=dict(extra or {}),
    )


def run(
    recording: Recording,
    chain: Chain | None,
    sink: Sink,
    *,
    start: int | None = None,
    stop: int | None = None,
    columns: Columns = None,
    workers: int | None = None,
    progress: Callable[[JobProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    events: Events | None = None,
    block_rows: int | None = None,
) -> RunReport:
    """Run a chain over a range of a recording and commit the sink.

    Blocks never span a gap. Without a chain, stored int16 counts pass through untouched where the recording has them.

    Parameters
    ----------
    chain
        Bound to the recording's rate and to the channels of ``columns``; None to copy.
    sink
        An open one (see ``make_header``). Committed at the end, aborted on any error.
    start, stop
        Sample counters, half open; the whole recording where None. Clipped to it.
    columns
        Columns to read, in this order; None for all.
    workers
        Threads of the stages; None for one per core.
    progress
        Called a few times per second, in the caller's thread.
    cancelled
        Asked before every block, and once more before the output gets its names.
    events
        Of the recording, in its counters; those in the range go to the sink, in its counters.
    block_rows
        Rows read at a time; for tests, the result does not depend on it.

    Raises
    ------
    TimeRangeError
        If no sample is stored in the range, or none of those that a slower output keeps.
    JobCancelledError
        If ``cancelled`` said so; nothing is left of the output.
    ConfigurationError
        If the chain was bound to another rate or to other channels.
    """
    try:
        return _run(
            recording, chain, sink, start, stop, columns, workers, cancelled, events, block_rows,
            Meter(progress),
        )  # fmt: skip
    except BaseException:
        sink.abort()
        raise


def _run(
    recording: Recording,
    chain: Chain | None,
    sink: Sink,
    start: int | None,
    stop: int | None,
    columns: Columns,
    workers: int | None,
    cancelled: Callable[[], bool] | None,
    events: Events | None,
    block_rows: int | None,
    meter: Meter,
) -> RunReport:
    if chain is not None:
        _check_fit(recording, chain, columns)
    first, last = recording.clip(recording.start if start is None else start, recording.stop if stop is None else stop)
    pieces = [(piece.counter, piece.counter + piece.n) for piece in recording.segments.pieces(first, last)]
    if not pieces:
        raise TimeRangeError(f"{recording.path.name} stores no sample in [{first}, {last}): the range lies in a gap")
    width = len(_taken(recording, columns))
    rows = block_rows or usual_rows(width)
    workers = worker_count() if workers is None else workers
    team, completers = _crew(workers, chain)
    counted = CountedPath.of(recording, chain, sink)
    counts = recording.stores_counts and (chain is None or counted is not None)
    reader = BlockReader(recording, columns, width, counts=counts)
    carried = Events.empty() if events is None else events.between(first, last)
    sink.lent = True  # every block has memory of its own until nobody refers to it
    if chain is not None and chain.out_fs != chain.in_fs:
        kept = [(chain.first_output(a), chain.first_output(b)) for a, b in pieces]
        if all(a == b for a, b in kept):
            raise TimeRangeError(
                f"[{first}, {last}) of {recording.path.name} holds no sample of an output at {float(chain.out_fs):g} Hz"
            )
        carried = carried.at_rate(chain.in_fs / chain.out_fs, max(b for a, b in kept if a < b))

    meter.begin(sum(b - a for a, b in pieces))
    with Pipeline(reader.read, lambda made: _write(sink, made), completers) as pipeline:
        if counted is not None:
            _compute_counted(counted, pipeline, _cut(pieces, rows), meter, cancelled)
        else:
            _compute(chain, pipeline, _cut(pieces, rows), team, meter, cancelled)
    meter.phase("finishing")
    if len(carried):
        sink.write_events(carried)
    _stop_if(cancelled)
    path = sink.commit()
    meter.end()
    return RunReport(
        path=path,
        start=first,
        stop=last,
        samples=meter.total,
        gaps=len(pieces) - 1,
        clipped_samples=sink.clipped_samples,
        events=len(carried),
    )


def _crew(workers: int, chain: Chain | None) -> tuple[Team, int]:
    """Return who shares the work of a stage, and how many threads complete blocks (0: no other threads at all).

    In a chain that is divided both halves have one thread of their own, and share the team's others.
    """
    if workers == 1:
        return ALONE, 0
    if chain is not None and chain.independent:
        return ALONE, workers
    divided = chain is not None and chain.divisible
    return Team(workers - 1 if divided else workers), 1


def _stop_if(cancelled: Callable[[], bool] | None) -> None:
    if cancelled is not None and cancelled():
        raise JobCancelledError("cancelled; nothing was left of the output")


def _compute(
    chain: Chain | None,
    pipeline: Pipeline,
    ranges: Iterator[tuple[int, int]],
    team: Team,
    meter: Meter,
    cancelled: Callable[[], bool] | None,
) -> None:
    """Take every block from the reader, through the chain, to the writer."""
    if chain is not None:
        chain.use(team)
    state = None if chain is None else chain.start()
    try:
        for block in pipeline.blocks(ranges):
            _stop_if(cancelled)
            if chain is None or state is None:
                pipeline.write(partial(list, [block]))
            else:
                for rest in chain.begin(block, state):
                    pipeline.write(rest)
            meter.advance(len(block))
        if chain is not None and state is not None:
            pipeline.complete()
            pipeline.write(partial(list, chain.finish(state)))
    finally:
        if chain is not None:
            chain.use(ALONE)


def _compute_counted(
    counted: CountedPath,
    pipeline: Pipeline,
    ranges: Iterator[tuple[int, int]],
    meter: Meter,
    cancelled: Callable[[], bool] | None,
) -> None:
    """Take every block of counts from the reader, through the whole path in any thread, to the writer."""
    for block in pipeline.blocks(ranges):
        _stop_if(cancelled)
        pipeline.write(lambda block=block: [counted.through(block)])  # type: ignore[misc]
        meter.advance(len(block))


def _write(sink: Sink, made: Made) -> None:
    if isinstance(made, Counts):
        sink.write_counts(made)
    else:
        sink.write(made)


def _cut(pieces: list[tuple[int, int]], rows: int) -> Iterator[tuple[int, int]]:
    for start, stop in pieces:
        for at in range(start, stop, rows):
            yield at, min(at + rows, stop)


def _taken(recording: Recording, columns: Columns) -> ChannelTable:
    return recording.channels if columns is None else recording.channels.take(_integers(columns))


def _integers(columns: Sequence[int] | npt.NDArray[np.int64]) -> list[int]:
    return [int(c) for c in columns]


def _check_fit(recording: Recording, chain: Chain, columns: Columns) -> None:
    channels = _taken(recording, columns)
    if chain.in_fs != recording.fs or [c.type for c in chain.in_channels] != [c.type for c in channels]:
        raise ConfigurationError(
            f"the chain was bound to {len(chain.in_channels)} channels at {float(chain.in_fs):g} Hz, but "
            f"{recording.path.name} gives {len(channels)} at {float(recording.fs):g} Hz; bind it to this recording"
        )
