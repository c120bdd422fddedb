"""What every reader must do: one function per rule, and ``check_reader`` that runs them all.

A rule takes a :class:`ReaderCase` and raises AssertionError. Use them in one test, or one test per rule::

    check_reader(lambda: open_session(path), reference=reference, files=[path])

    @pytest.mark.parametrize("rule", READER_RULES, ids=lambda rule: rule.__name__)
    def test_reader(rule):
        rule(ReaderCase(open, reference=reference))
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.checks._tools import raises, same
from ranvier.exceptions import SignalSelectionError, TimeRangeError
from ranvier.recordings import ChannelTable, Events, Recording, Session
from ranvier.recordings.registry import all_formats

#: Most rows that a rule reads from one place of a long recording.
WINDOW_ROWS = 20_000


@dataclass(frozen=True)
class ReferenceStream:
    """What one stream must read as, from an independent reader.

    Attributes
    ----------
    samples
        ``(n, columns)`` in physical units (uV, V, 0/1), from counter ``start``; missing samples NaN.
    columns
        The columns of the recording that ``samples`` hold; None for all.
    atol, rtol
        Tolerance, as numpy.testing.assert_allclose; 0 demands equality as float32.
    """

    samples: npt.NDArray[Any]
    start: int = 0
    fs: float | None = None
    columns: tuple[int, ...] | None = None
    names: tuple[str, ...] | None = None
    events: Events | None = None
    atol: float = 0.0
    rtol: float = 0.0


#: Reference data by stream name.
ReferenceData = Mapping[str, ReferenceStream]


@dataclass(frozen=True)
class ReaderCase:
    """A way to open a recording, and what is known about it.

    Attributes
    ----------
    open
        Opens the recording anew each time it is called.
    reference
        What an independent reader says, by stream name.
    files
        The files it consists of; they must not change while it is read.
    """

    open: Callable[[], Session]
    reference: ReferenceData = field(default_factory=dict)
    files: tuple[Path, ...] = ()


def session_is_consistent(case: ReaderCase) -> None:
    """Names, types and paths of the session fit together."""
    with case.open() as session:
        assert isinstance(session, Session)
        assert session.format in {f.name for f in all_formats()}, f"format {session.format!r} is not registered"
        assert session.path.exists(), f"{session.path} does not exist"
        assert all(isinstance(note, str) for note in session.notes)
        assert session.streams or session.spike_trains or len(session.events), "there is nothing in this session"
        for name, recording in session.streams.items():
            assert isinstance(recording, Recording)
            assert session.stream_name(recording) == name
            assert session.stream(name) is recording
        unknown = set(session.events) - set(session.streams)
        assert not unknown or not session.streams, f"events of streams that do not exist: {unknown}"


def attributes_are_typed(case: ReaderCase) -> None:
    """Rate, channels, counters, gaps and notes have the types and ranges that the base class promises."""
    for recording in _streams(case):
        assert isinstance(recording.fs, Fraction)
        assert recording.fs > 0
        assert isinstance(recording.channels, ChannelTable)
        assert len(recording.channels) > 0
        assert isinstance(recording.start, int)
        assert isinstance(recording.stop, int)
        assert recording.stop - recording.start == recording.segments.rows + recording.segments.missing
        assert recording.segments.counters.dtype == recording.segments.lengths.dtype == np.int64
        assert recording.lost_samples >= 0
        assert isinstance(recording.notes, tuple)
        walltime = recording.walltime
        if walltime is not None:
            assert isinstance(walltime, datetime)
            assert walltime.utcoffset() == timedelta(0), f"walltime {walltime} must be in UTC"
        for gap in recording.segments.gaps:
            assert recording.start < gap.start < gap.stop < recording.stop
        assert recording.path.name in repr(recording)


def channels_are_consistent(case: ReaderCase) -> None:
    """Gains are finite, names and system indices unique, sites finite."""
    for recording in _streams(case):
        table = recording.channels
        systems = [c.sys for c in table]
        assert len(set(systems)) == len(systems), "system indices occur twice"
        assert np.all(np.isfinite(table.gains))
        assert np.all(table.gains != 0)
        assert np.all(np.isfinite(table.offsets))
        for channel in table:
            assert channel.name, f"{channel} has no name"
            assert channel.unit_source in ("file", "assumed", "user")
            assert channel.ntv >= 0
            assert channel.sys >= 0
            if channel.site is not None:
                assert np.all(np.isfinite([channel.site.x_um, channel.site.y_um, channel.site.z_um]))
        assert table.geometry_source in ("file", "probe name", "probeinterface", "assumed")


def blocks_have_the_promised_layout(case: ReaderCase) -> None:
    """Blocks are C-contiguous float32 of (samples, columns), and say where they start."""
    for recording in _streams(case):
        for a, b in _windows(recording):
            block = recording.read(a, b)
            assert block.samples.dtype == np.float32
            assert block.samples.flags.c_contiguous
            assert block.samples.shape == (b - a, len(recording.channels))
            assert (block.start, block.stop) == (a, b)
            assert not block.is_counts
            assert block.physical() is block.samples


def chunking_is_invisible(case: ReaderCase) -> None:
    """Reads in pieces of any size equal the read of the whole."""
    rng = np.random.default_rng(1)
    for recording in _streams(case):
        for a, b in _windows(recording):
            whole = recording.read(a, b).samples
            cuts = np.unique(np.concatenate(([a, b], rng.integers(a, b, 9), [a + 1, b - 1])))
            cuts = cuts[(cuts >= a) & (cuts <= b)]
            parts = [recording.read(int(x), int(y)).samples for x, y in itertools.pairwise(cuts)]
            same(np.concatenate(parts), whole, "pieces differ from the whole")


def columns_are_slices(case: ReaderCase) -> None:
    """Selected columns, in any order and repeated, equal slices of the whole; unknown columns are refused."""
    rng = np.random.default_rng(2)
    for recording in _streams(case):
        n = len(recording.channels)
        a, b = _windows(recording)[0]
        whole = recording.read(a, b).samples
        picks: list[npt.NDArray[np.int64]] = [np.array([0]), np.array([n - 1, 0]), rng.integers(0, n, 2 * n + 1)]
        picks += [rng.permutation(n), np.arange(n), np.array([], np.int64)]
        for pick in picks:
            block = recording.read(a, b, pick)
            assert block.samples.flags.c_contiguous
            same(block.samples, whole[:, pick], f"columns {pick[:8]}")
        for wrong in ([n], [-1], [0, n + 5]):
            with raises(SignalSelectionError, f"columns {wrong} of {n}"):
                recording.read(a, b, wrong)


def out_is_used(case: ReaderCase) -> None:
    """``out`` becomes the memory of the block, may be too long, and must fit."""
    for recording in _streams(case):
        a, b = _windows(recording)[-1]
        expected = recording.read(a, b).samples
        out = np.full((b - a + 3, len(recording.channels)), 12345.0, np.float32)
        block = recording.read(a, b, out=out)
        assert np.shares_memory(block.samples, out), "out was not used"
        same(block.samples, expected, "out")
        assert np.all(out[b - a :] == 12345.0), "rows behind the block were written"
        too_wide = np.empty((b - a, len(recording.channels) + 1), np.float32)
        unfit: list[Any] = [too_wide, out.astype(np.float64), out[::2]]
        for memory in unfit:
            with raises(ValueError, f"out of {memory.dtype} {memory.shape}"):
                recording.read(a, b, out=memory)


def ranges_are_clipped(case: ReaderCase) -> None:
    """A range partly outside is clipped; one wholly outside, empty or reversed raises TimeRangeError."""
    for recording in _streams(case):
        first, last = recording.start, recording.stop
        n = min(50, last - first)
        head = recording.read(first - 100, first + n)
        assert (head.start, head.stop) == (first, first + n)
        tail = recording.read(last - n, last + 100)
        assert (tail.start, tail.stop) == (last - n, last)
        same(tail.samples, recording.read(last - n, last).samples, "clipped tail")
        for a, b in ((last, last + 10), (first - 10, first), (first + 1, first + 1), (first + n, first)):
            with raises(TimeRangeError, f"[{a}, {b})"):
                recording.read(a, b)


def parallel_reads_agree(case: ReaderCase) -> None:
    """Reads from several threads give what one thread reads."""
    for recording in _streams(case):
        a, b = _windows(recording)[0]
        rng = np.random.default_rng(3)
        ranges = [(int(s), int(min(b, s + 1 + rng.integers(0, 2000)))) for s in rng.integers(a, b, 24)]
        columns: list[Any] = [None, [0], None, list(range(len(recording.channels)))[::-1]] * 6
        expected = [recording.read(x, y, pick).samples for (x, y), pick in zip(ranges, columns, strict=True)]
        with ThreadPoolExecutor(4) as pool:
            starts, stops = zip(*ranges, strict=True)
            got = [block.samples for block in pool.map(recording.read, starts, stops, columns)]
        for x, y in zip(got, expected, strict=True):
            same(x, y, "a parallel read")


def gaps_read_as_missing(case: ReaderCase) -> None:
    """Missing samples read as NaN, digital ones as 0; ``blocks`` never spans a gap and gives every stored row."""
    for recording in _streams(case):
        digital = recording.channels.is_digital
        for gap in recording.segments.gaps[:5]:
            a, b = max(recording.start, gap.start - 3), min(recording.stop, min(gap.stop, gap.start + 1000) + 3)
            samples = recording.read(a, b).samples
            hole = samples[gap.start - a : min(gap.stop, b) - a]
            assert np.all(np.isnan(hole[:, ~digital])), "missing samples must read as NaN"
            assert np.all(hole[:, digital] == 0), "missing digital samples must read as 0"
        if recording.segments.rows <= 20 * WINDOW_ROWS:
            runs = [(block.start, len(block)) for block in recording.blocks(1000)]
            assert sum(n for _, n in runs) == recording.segments.rows
            for start, n in runs:
                assert len(list(recording.segments.pieces(start, start + n))) == 1, "a block spans a gap"


def counts_scale_to_physical(case: ReaderCase) -> None:
    """Where counts are stored, gain * count + offset equals the physical read, exactly as float32."""
    for recording in _streams(case):
        if not recording.stores_counts:
            continue
        a, b = _windows(recording)[0]
        pick = np.arange(len(recording.channels))[::-1].copy()
        for columns in (None, pick):
            counts = recording.read_counts(a, b, columns)
            assert counts.samples.dtype == np.int16
            assert counts.samples.flags.c_contiguous
            assert counts.is_counts
            physical = recording.read(a, b, columns).samples
            stored = ~np.isnan(physical)
            assert np.array_equal(counts.physical()[stored], physical[stored]), "gain * count + offset differs"
        out = np.empty((b - a, len(recording.channels)), np.int16)
        assert np.shares_memory(recording.read_counts(a, b, out=out).samples, out)


def sources_do_not_change(case: ReaderCase) -> None:
    """Opening and reading leave every file as it was, and create none."""
    if not case.files:
        return
    folders = {p.parent for p in case.files}
    before = {p: _digest(p) for p in case.files}
    listing = {f: sorted(f.iterdir()) for f in folders}
    with case.open() as session:
        for recording in session.streams.values():
            recording.read(*_windows(recording)[0])
        for name in session.events:
            len(session.events[name])
    assert {p: _digest(p) for p in case.files} == before, "a source file was changed"
    assert {f: sorted(f.iterdir()) for f in folders} == listing, "files appeared or vanished beside the source"


def events_are_ordered_and_inside(case: ReaderCase) -> None:
    """Events and spikes are in time order and lie within their stream; states are -1, 0 or 1."""
    with case.open() as session:
        for name in session.events:
            events = session.events[name]
            assert isinstance(events, Events)
            assert events.counter.dtype == np.int64
            assert np.all(np.diff(events.counter) >= 0)
            assert np.all(np.isin(events.state, (-1, 0, 1)))
            if name in session.streams and len(events):
                stream = session.streams[name]
                assert stream.start <= events.counter[0] <= events.counter[-1] <= stream.stop
        for name in session.spike_trains:
            trains = session.spike_trains[name]
            assert np.all(np.diff(trains.counter) >= 0)
            if trains.waveforms is not None:
                assert trains.waveforms.dtype == np.float32
                assert trains.waveforms.shape[0] == len(trains)


def reference_agrees(case: ReaderCase) -> None:
    """Samples, rate, names and events equal what an independent reader says."""
    with case.open() as session:
        for name, reference in case.reference.items():
            recording = session.stream(name)
            columns = None if reference.columns is None else list(reference.columns)
            stop = reference.start + len(reference.samples)
            assert (recording.start, recording.stop) == (reference.start, stop), (
                f"{name}: counters [{recording.start}, {recording.stop}), reference [{reference.start}, {stop})"
            )
            if reference.fs is not None:
                assert float(recording.fs) == reference.fs
            if reference.names is not None:
                picked = range(len(recording.channels)) if columns is None else columns
                assert tuple(recording.channels[i].name for i in picked) == reference.names
            for a in range(reference.start, stop, WINDOW_ROWS):
                b = min(stop, a + WINDOW_ROWS)
                got = recording.read(a, b, columns).samples
                wanted = np.asarray(reference.samples[a - reference.start : b - reference.start], dtype=np.float64)
                if reference.atol == reference.rtol == 0:
                    same(got, wanted.astype(np.float32), f"{name}: samples from {a}")
                else:
                    np.testing.assert_allclose(got, wanted, rtol=reference.rtol, atol=reference.atol)
            if reference.events is not None:
                same_events(session.events[name], reference.events)


#: Every rule, in the order in which a failure tells most.
READER_RULES: tuple[Callable[[ReaderCase], None], ...] = (
    session_is_consistent,
    attributes_are_typed,
    channels_are_consistent,
    blocks_have_the_promised_layout,
    chunking_is_invisible,
    columns_are_slices,
    out_is_used,
    ranges_are_clipped,
    parallel_reads_agree,
    gaps_read_as_missing,
    counts_scale_to_physical,
    sources_do_not_change,
    events_are_ordered_and_inside,
    reference_agrees,
)


def check_reader(
    open: Callable[[], Session],
    *,
    reference: ReferenceData | None = None,
    files: Iterable[Path] = (),
) -> None:
    """Run every rule; AssertionError names the first that fails."""
    case = ReaderCase(open, reference or {}, tuple(files))
    for rule in READER_RULES:
        try:
            rule(case)
        except AssertionError as error:
            raise AssertionError(f"{rule.__name__}: {error}") from error


def same_events(got: Events, expected: Events) -> None:
    """Assert that two tables of events are equal, whatever the order of those at the same counter."""
    assert len(got) == len(expected), f"{len(got)} events, expected {len(expected)}"
    assert _sorted_rows(got) == _sorted_rows(expected), "events differ"


def _sorted_rows(events: Events) -> list[tuple[int, int, int, str, str]]:
    return sorted(
        zip(
            events.counter.tolist(),
            events.line.tolist(),
            events.state.tolist(),
            events.source,
            events.text,
            strict=True,
        )
    )


def _streams(case: ReaderCase) -> Iterator[Recording]:
    with case.open() as session:
        yield from session.streams.values()


def _windows(recording: Recording) -> list[tuple[int, int]]:
    """Return the places a rule looks at: start, end, and around the first gaps."""
    first, last = recording.start, recording.stop
    spans = {(first, min(last, first + WINDOW_ROWS)), (max(first, last - WINDOW_ROWS), last)}
    for gap in recording.segments.gaps[:3]:
        spans.add((max(first, gap.start - 500), min(last, min(gap.stop, gap.start + WINDOW_ROWS) + 500)))
    return sorted(spans)


def _digest(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
