"""What every Sink must do: one function per rule, and ``check_sink`` that runs them all.

A rule takes a :class:`SinkCase` and raises AssertionError::

    @pytest.mark.parametrize("rule", SINK_RULES, ids=lambda rule: rule.__name__)
    def test_sink(rule, tmp_path):
        rule(SinkCase(XdatSink, tmp_path))
"""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier import _platform
from ranvier.checks._tools import raises
from ranvier.checks.readers import check_reader, same_events
from ranvier.exceptions import CapabilityError, OutputError, OutputExistsError
from ranvier.models.signals import SignalType
from ranvier.recordings import (
    Block,
    ChannelTable,
    Events,
    Header,
    Session,
    Sink,
    Site,
    SpikeTrains,
    open_session,
    plain_channels,
)
from ranvier.recordings.provenance import new_record
from ranvier.recordings.quantiser import loss_notes

#: uV per count of the samples that the rules write, so that formats with int16 counts store them without loss.
BIT_UV = 0.195


@dataclass(frozen=True)
class SinkCase:
    """A kind of Sink, a folder to write in, and what the format can keep.

    Attributes
    ----------
    sink
        The class.
    folder
        An empty folder; each rule writes in a folder of its own below it.
    channels
        What is written.
    kept
        Columns that the format keeps (None: all); formats for sorters keep the amplifier only.
    atol_uv
        How far a value may come back from what was written; 0 demands equality as float32.
    limit_uv
        Largest value that the format can store, or None.
    keeps_spike_trains
        False where ``write_spike_trains`` raises CapabilityError.
    start_is_kept, walltime_is_kept
        Whether the first counter and the time of day come back.
    """

    sink: type[Sink]
    folder: Path
    channels: ChannelTable = field(default_factory=lambda: probe_channels(6, ain=1, din=2, dout=1))
    kept: tuple[int, ...] | None = None
    atol_uv: float = 0.0
    limit_uv: float | None = None
    keeps_spike_trains: bool = True
    walltime_is_kept: bool = True
    fs: Fraction = Fraction(30_000)
    rows: int = 5_000
    start: int = 320_017

    def header(self, **changes: Any) -> Header:
        """Return what the rules open the sink with."""
        made = Header(
            fs=self.fs,
            channels=self.channels,
            start=self.start,
            walltime=datetime(2025, 1, 2, 3, 4, 5, 123456, tzinfo=UTC),
            name="check",
            uid="0102-03-04-05",
            provenance=new_record(notes=["made by ranvier.checks"]),
        )
        return replace(made, **changes)

    def samples(self, rows: int | None = None, seed: int = 0) -> npt.NDArray[np.float32]:
        """Return random samples: whole counts of BIT_UV, volts in steps, random digital lines."""
        n = self.rows if rows is None else rows
        rng = np.random.default_rng(seed)
        columns = [_column(rng, n, channel.type) for channel in self.channels]
        return np.ascontiguousarray(np.stack(columns, axis=1), dtype=np.float32)

    def expected(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return what of some samples must come back."""
        return samples if self.kept is None else np.ascontiguousarray(samples[:, list(self.kept)])

    def open(self, name: str, **changes: Any) -> Sink:
        """Open a sink at ``folder/name``."""
        return self.sink(self.folder / name, self.header(**changes))

    def write(self, name: str, samples: npt.NDArray[np.float32], **changes: Any) -> Path:
        """Write samples in one block and commit."""
        with self.open(name, **changes) as sink:
            sink.write(Block(samples, self.start))
            return sink.commit()


def any_chunking_comes_back(case: SinkCase) -> None:
    """Blocks of random sizes, also empty ones, read back as what was written; the reader suite passes on them."""
    samples = case.samples()
    rng = np.random.default_rng(4)
    with case.open("sub/chunks") as sink:
        for a, b in _random_cuts(rng, len(samples)):
            sink.write(Block(samples[a:b], case.start + a))
        path = sink.commit()
    assert path.exists()
    assert not _temporaries(case.folder), "temporary files were left"
    with open_session(path) as session:
        assert session.file_type == case.sink.file_type
        recording = session.stream()
        assert recording.fs == case.fs
        assert (recording.start, recording.stop) == (case.start, case.start + len(samples))
        assert recording.lost_samples == 0
        if case.walltime_is_kept:
            walltime = case.header().walltime
            assert recording.walltime is not None
            assert walltime is not None
            assert abs(recording.walltime - walltime) < timedelta(microseconds=2)
        _close(case, recording.read(recording.start, recording.stop).samples, case.expected(samples))
    check_reader(lambda: open_session(path), files=[p for p in path.parent.iterdir() if p.is_file()])


def counts_are_scaled(case: SinkCase) -> None:
    """Blocks of int16 counts with gain and offset are stored as the physical values they stand for."""
    channels = plain_channels(amp=4)
    counts = np.random.default_rng(5).integers(-2000, 2000, (777, 4)).astype(np.int16)
    block = Block(counts, case.start, np.full(4, BIT_UV), np.zeros(4))
    plain = replace(case, channels=channels, kept=None)
    with plain.open("counts") as sink:
        sink.write(block)
        path = sink.commit()
    with open_session(path) as session:
        recording = session.stream()
        _close(plain, recording.read(recording.start, recording.stop).samples, block.physical())


def written_blocks_do_not_change(case: SinkCase) -> None:
    """A sink leaves the memory it is given alone, and reads from read-only memory."""
    samples = case.samples(300)
    before = samples.copy()
    samples.flags.writeable = False
    case.write("unchanged", samples)
    assert np.array_equal(samples, before)


def gaps_come_back(case: SinkCase) -> None:
    """A jump of the counter between blocks is a gap of the output: its length and place are kept."""
    samples = case.samples(900)
    with case.open("gaps") as sink:
        sink.write(Block(samples[:400], case.start))
        sink.write(Block(samples[400:401], case.start + 450))
        sink.write(Block(samples[401:], case.start + 10_451))
        path = sink.commit()
    with open_session(path) as session:
        recording = session.stream()
        expected = [(case.start + 400, case.start + 450), (case.start + 451, case.start + 10_451)]
        assert [tuple(gap) for gap in recording.segments.gaps] == expected
        assert recording.segments.rows == 900
        got = np.concatenate([block.samples for block in recording.blocks(333)])
        _close(case, got, case.expected(samples))
    check_reader(lambda: open_session(path))


def disorder_is_refused(case: SinkCase) -> None:
    """Blocks that run backwards or have other columns are refused."""
    samples = case.samples(20)
    with case.open("disorder") as sink:
        sink.write(Block(samples, case.start))
        with raises(OutputError, "a block that runs backwards"):
            sink.write(Block(samples, case.start + 10))
        with raises(OutputError, "a block with other columns"):
            sink.write(Block(np.zeros((5, len(case.channels) + 1), np.float32), case.start + 20))
    _nothing_is_left(case)


def nothing_stands_before_commit(case: SinkCase) -> None:
    """While writing and after abort no final name exists; abort removes everything, also twice."""
    sink = case.open("aborted")
    sink.write(Block(case.samples(100), case.start))
    assert not [p for p in sink.final_paths() if p.exists()], "a final name exists before commit"
    sink.abort()
    sink.abort()
    _nothing_is_left(case)


def leaving_without_commit_aborts(case: SinkCase) -> None:
    """An exception or Ctrl-C in the middle, or a forgotten commit, leaves nothing behind."""
    errors: tuple[BaseException, ...] = (RuntimeError("boom"), KeyboardInterrupt("boom"))
    for error in errors:
        with raises(type(error), "an error in the middle", naming="boom"), case.open("interrupted") as sink:
            sink.write(Block(case.samples(100), case.start))
            raise error
        _nothing_is_left(case)
    with case.open("forgotten") as sink:
        sink.write(Block(case.samples(100), case.start))
    _nothing_is_left(case)


def existing_outputs_are_refused(case: SinkCase) -> None:
    """An output that exists is refused and untouched; ``force`` replaces it, but only at commit."""
    first, second = case.samples(200, seed=1), case.samples(300, seed=2)
    path = case.write("twice", first)
    with raises(OutputExistsError, "an output that exists"):
        case.open("twice")
    with case.sink(case.folder / "twice", case.header(), force=True) as sink:
        sink.write(Block(second, case.start))
        assert _rows(path) == 200, "force touched the old output before commit"
    assert _rows(path) == 200, "an aborted force destroyed the old output"
    with case.sink(case.folder / "twice", case.header(), force=True) as sink:
        sink.write(Block(second, case.start))
        sink.commit()
    assert _rows(path) == 300
    assert not _temporaries(case.folder), "temporary files were left"


def bad_folders_are_refused(case: SinkCase) -> None:
    """A destination whose folder cannot be made raises OutputError that names it."""
    obstacle = case.folder / "a_file"
    obstacle.write_text("not a folder")
    with raises(OutputError, "a folder that cannot be made", naming="a_file"):
        case.sink(obstacle / "out", case.header())
    obstacle.unlink()


def full_disk_is_reported(case: SinkCase) -> None:
    """A disk that is full when the output is flushed raises OutputError and leaves nothing."""

    def refuse(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    original = _platform.flush_to_disk
    _platform.flush_to_disk = refuse
    try:
        with raises(OutputError, "a full disk"), case.open("full") as sink:
            sink.write(Block(case.samples(100), case.start))
            sink.commit()
    finally:
        _platform.flush_to_disk = original
    _nothing_is_left(case)


def marks_come_back(case: SinkCase) -> None:
    """Provenance and the simulated mark are stored with the output."""
    for simulated in (False, True):
        header = case.header(simulated=simulated)
        path = case.write(f"marks_{simulated}", case.samples(50), simulated=simulated, provenance=header.provenance)
        with open_session(path) as session:
            assert session.provenance == header.provenance, "provenance was lost or changed"
            assert session.stream().simulated is simulated
            assert ("SIMULATED" in repr(session.stream())) is simulated


def channels_come_back(case: SinkCase) -> None:
    """Names, indices, ports, sites, selection, where units come from, skew: the table that was written comes back."""
    sources = ("file", "assumed", "user")
    case = replace(
        case,
        channels=case.channels.with_channels(
            replace(c, unit_source=sources[c.ntv % 3], skew_samples=c.ntv / 13 if c.type == SignalType.AMP else 0.0)
            for c in case.channels
        ),
    )
    path = case.write("channels", case.samples(50))
    with open_session(path) as session:
        got = session.stream().channels
        wanted = case.channels if case.kept is None else case.channels.take(list(case.kept))
        assert len(got) == len(wanted)
        assert got.geometry_source == wanted.geometry_source
        assert got.wiring_verified == wanted.wiring_verified
        for mine, theirs in zip(got, wanted, strict=True):
            for key in (
                "type",
                "ntv",
                "sys",
                "name",
                "port",
                "probe_id",
                "headstage_id",
                "shank",
                "site_num",
                "selected",
                "unit_source",
                "skew_samples",
            ):
                assert getattr(mine, key) == getattr(theirs, key), (
                    f"{theirs.name}: {key} is {getattr(mine, key)!r}, written {getattr(theirs, key)!r}"
                )
            assert (mine.site is None) == (theirs.site is None)
            if mine.site is not None and theirs.site is not None:
                np.testing.assert_allclose(
                    [mine.site.x_um, mine.site.y_um, mine.site.z_um],
                    [theirs.site.x_um, theirs.site.y_um, theirs.site.z_um],
                    atol=1e-4,
                )


def events_come_back(case: SinkCase) -> None:
    """TTL edges and comments come back, at their counters."""
    at = case.start
    events = Events.merge(
        Events.ttl([at + 10, at + 20, at + 20], [0, 3, 1], [1, 1, 0], source="TTL test"),
        Events(np.array([at + 15]), np.array([-1], np.int32), np.array([-1], np.int8), ("message",), ("träge Ratte",)),
    )
    with case.open("events") as sink:
        sink.write(Block(np.zeros((50, len(case.channels)), np.float32), at))
        sink.write_events(events)
        path = sink.commit()
    with open_session(path) as session:
        name = session.stream_name(session.stream())
        same_events(session.events[name], events)


def spike_trains_come_back(case: SinkCase) -> None:
    """Spike trains come back with units, sites and waveforms, or are refused with CapabilityError."""
    rng = np.random.default_rng(6)
    at = np.sort(rng.integers(case.start, case.start + 50, 20))
    trains = SpikeTrains(
        at, rng.integers(1, 3, 20).astype(np.int32), rng.integers(0, 3, 20).astype(np.int32), None, {1: "a", 2: "b"}
    )
    with case.open("spikes") as sink:
        sink.write(Block(case.samples(50), case.start))
        if not case.keeps_spike_trains:
            with raises(CapabilityError, "spike trains"):
                sink.write_spike_trains("sorter", trains)
            return
        sink.write_spike_trains("sorter", trains)
        sink.write_spike_trains("silent", trains.between(case.start, case.start))
        path = sink.commit()
    with open_session(path) as session:
        assert len(session.spike_trains["silent"]) == 0, (
            "trains without a spike are trains too (a slice may leave none)"
        )
        got = session.spike_trains["sorter"]
        assert np.array_equal(got.counter, trains.counter)
        assert np.array_equal(got.unit, trains.unit)
        assert np.array_equal(got.site, trains.site)
        assert got.unit_names == trains.unit_names


def clipped_values_are_counted(case: SinkCase) -> None:
    """Values beyond the format's range are saturated, never wrapped, NaN is 0; both are counted, and told when read."""
    if case.limit_uv is None:
        return
    samples = case.samples(50)
    samples[3, 0], samples[7, 1] = 4 * case.limit_uv, -4 * case.limit_uv
    samples[9, 0], samples[11, 1] = np.inf, np.nan
    with case.open("clipped") as sink:
        sink.write(Block(samples, case.start))
        assert (sink.clipped_samples, sink.unknown_samples) == (3, 1)
        path = sink.commit()
    with open_session(path) as session:
        assert {*loss_notes(3, 1)} <= {*session.notes}
        got = session.stream().read(case.start, case.start + 50).samples
        assert got[3, 0] > 0.99 * case.limit_uv
        assert got[7, 1] < -0.99 * case.limit_uv
        assert got[9, 0] > 0.99 * case.limit_uv
        assert got[11, 1] == 0


def counts_of_its_own_are_those_of_blocks(case: SinkCase) -> None:
    """What a sink's quantiser makes of a block is stored as the block itself would be: samples, gaps, what it lost."""
    with case.open("probe") as sink:
        if sink.quantiser is None:
            return
    samples = case.samples(700)
    if case.limit_uv is not None:
        samples[3, 0], samples[7, 1] = 4 * case.limit_uv, -4 * case.limit_uv
    blocks = [Block(samples[:300], case.start), Block(samples[300:], case.start + 333)]
    read, clipped = [], []
    for name in ("blocks", "counts"):
        with case.open(name) as sink:
            for block in blocks:
                if name == "blocks" or sink.quantiser is None:
                    sink.write(block)
                else:
                    sink.write_counts(sink.quantiser.counts(block))
            clipped.append(sink.clipped_samples)
            path = sink.commit()
        with open_session(path) as session:
            recording = session.stream()
            read.append(recording.read(recording.start, recording.stop).samples)
            assert recording.segments.rows == 700
    assert clipped == [2 if case.limit_uv is not None else 0] * 2
    assert np.array_equal(read[0], read[1], equal_nan=True)


#: Every rule, in the order in which a failure tells most.
SINK_RULES: tuple[Callable[[SinkCase], None], ...] = (
    any_chunking_comes_back,
    counts_are_scaled,
    written_blocks_do_not_change,
    gaps_come_back,
    disorder_is_refused,
    nothing_stands_before_commit,
    leaving_without_commit_aborts,
    existing_outputs_are_refused,
    bad_folders_are_refused,
    full_disk_is_reported,
    marks_come_back,
    channels_come_back,
    events_come_back,
    spike_trains_come_back,
    clipped_values_are_counted,
    counts_of_its_own_are_those_of_blocks,
)


def check_sink(case: SinkCase) -> None:
    """Run every rule, each in a folder of its own; AssertionError names the first that fails."""
    for rule in SINK_RULES:
        folder = case.folder / rule.__name__
        folder.mkdir()
        try:
            rule(replace(case, folder=folder))
        except AssertionError as error:
            raise AssertionError(f"{rule.__name__}: {error}") from error


def probe_channels(amp: int, *, ain: int = 0, din: int = 0, dout: int = 0) -> ChannelTable:
    """Return channels on two shanks of a probe, the last amplifier channel without a site and not selected."""
    plain = plain_channels(amp=amp, ain=ain, din=din, dout=dout)
    channels = []
    for channel in plain:
        if channel.type == SignalType.AMP and channel.ntv < amp - 1:
            shank = channel.ntv % 2
            site = Site(
                x_um=200.0 * shank, y_um=50.0 * (channel.ntv // 2), width_um=15.0, height_um=15.0, area_um2=176.7
            )
            channel = replace(
                channel,
                site=site,
                shank=shank,
                site_num=channel.ntv + 1,
                probe_id="probe__a2x16_10mm50_500_177",
                headstage_id="hstg__passthrough_32",
            )
        elif channel.type == SignalType.AMP:
            channel = replace(channel, selected=False)
        channels.append(channel)
    return ChannelTable(tuple(channels), geometry_source="file", wiring_verified=True)


def _column(rng: np.random.Generator, n: int, kind: SignalType) -> npt.NDArray[Any]:
    if kind == SignalType.AMP:
        return rng.integers(-20_000, 20_000, n) * BIT_UV
    if kind == SignalType.AIN:
        return rng.integers(-5_000, 5_000, n) * 1e-3
    return np.zeros(n)  # events of digital columns would mix with those that the rules write


def _random_cuts(rng: np.random.Generator, n: int) -> Iterator[tuple[int, int]]:
    cuts = np.sort(np.concatenate(([0, 0, 1, n, n], rng.integers(0, n, 12))))
    for a, b in itertools.pairwise(cuts):
        yield int(a), int(b)


def _close(case: SinkCase, got: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> None:
    assert got.shape == expected.shape, f"shape {got.shape}, written {expected.shape}"
    if case.atol_uv:
        np.testing.assert_allclose(got, expected, atol=case.atol_uv, rtol=0)
    else:
        np.testing.assert_array_equal(got, expected)


def _rows(path: Path) -> int:
    with open_session(path) as session:
        return session.stream().segments.rows


def _temporaries(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.name.startswith(".")]


def _nothing_is_left(case: SinkCase) -> None:
    left = [p for p in case.folder.rglob("*") if p.is_file()]
    assert not left, f"files were left: {[p.name for p in left]}"


def session_of(case: SinkCase, name: str = "session") -> Session:
    """Write some samples and open them: for tests that need any session of a format."""
    return open_session(case.write(name, case.samples()))
