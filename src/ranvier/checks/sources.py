"""What every Source must do: one function per rule, and ``check_source`` that runs them all.

A rule takes a :class:`SourceCase` and raises AssertionError::

    @pytest.mark.parametrize("rule", SOURCE_RULES, ids=lambda rule: rule.__name__)
    def test_source(rule):
        rule(SourceCase(lambda clock: MySource(clock=clock)))

:class:`FaultySource` puts faults between an engine and a source that works.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.checks._tools import raises, same
from ranvier.checks.faulty import Fault, FaultKind, FaultySource
from ranvier.exceptions import CapabilityError, ConfigurationError, SourceError
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.recordings import Block
from ranvier.rig.clock import Clock, FakeClock
from ranvier.rig.source import CAPABILITIES, Source
from ranvier.rig.wiring import scans_of

__all__ = ["SOURCE_RULES", "Fault", "FaultKind", "FaultySource", "SourceCase", "check_source"]


@dataclass(frozen=True)
class SourceCase:
    """A kind of source.

    Attributes
    ----------
    make
        Makes a source, stopped, that is paced by a clock.
    contiguous
        Whether no counter is missing in what it plays; False for replays of recordings with gaps.
    pure
        Whether the same counters have the same samples after every start, whatever the length of blocks.
    is_paced
        Whether samples come at the pace of the clock that ``make`` is given; False for instruments.
    seconds
        How much is read.
    """

    make: Callable[[Clock], Source]
    contiguous: bool = True
    pure: bool = True
    is_paced: bool = True
    seconds: float = 0.2

    @contextmanager
    def running(self, *, block_sec: float | None = None) -> Iterator[tuple[Source, FakeClock]]:
        """Make a source and start it; stop and close it at the end."""
        clock = FakeClock(1000.0)
        source = self.make(clock)
        if block_sec is not None:
            source.block_sec = block_sec
        source.start()
        try:
            yield source, clock
        finally:
            source.stop()
            source.close()

    def read(self, source: Source, seconds: float | None = None) -> list[Block]:
        """Read until that many seconds of samples have come."""
        blocks: list[Block] = []
        wanted, patience = (seconds or self.seconds) * source.fs, 200
        while sum(map(len, blocks)) < wanted:
            block = source.read(0.5)
            patience -= block is None
            assert patience > 0, "no samples come"
            if block is not None:
                blocks.append(block)
        return blocks


def it_says_what_it_is(case: SourceCase) -> None:
    """Name, rates and capabilities are told; what is no instrument says so in its name and repr."""
    source = case.make(FakeClock())
    info = source.info
    assert info.name
    assert float(source.fs) in info.sampling_rates_hz
    assert info.capabilities <= set(CAPABILITIES), f"unknown capabilities: {info.capabilities - set(CAPABILITIES)}"
    if info.simulated:
        assert "SIMULATED" in info.name or "REPLAY" in info.name, (
            f"{info.name!r} does not tell that it is no instrument"
        )
        assert "SIMULATED" in repr(source), f"{source!r} does not tell that"
    source.close()


def counters_are_whole_and_increasing(case: SourceCase) -> None:
    """Counters are Python integers that follow each other; where samples are missing they jump forward."""
    with case.running() as (source, _):
        blocks = case.read(source)
        at = blocks[0].start
        for block in blocks:
            assert isinstance(block.start, int)
            assert 0 <= block.start < 2**63
            assert len(block) > 0, "an empty block"
            assert block.start == at or (block.start > at and not case.contiguous), f"counter {block.start} after {at}"
            at = block.stop


def blocks_have_the_shape_of_the_channels(case: SourceCase) -> None:
    """Blocks are in C order, a column per channel: int16 counts with gain, or float32; digital lines are 0 or 1."""
    with case.running() as (source, _):
        for block in case.read(source):
            assert block.samples.ndim == 2
            assert block.samples.shape[1] == len(source.channels)
            assert block.samples.flags.c_contiguous
            if block.is_counts:
                assert block.samples.dtype == np.int16
                assert block.gain is not None
                assert block.offset is not None
                assert block.gain.shape == block.offset.shape == (len(source.channels),)
                assert block.gain.dtype == block.offset.dtype == np.float64
            else:
                assert block.samples.dtype == np.float32
            lines = block.physical()[:, source.channels.is_digital]
            assert np.isin(lines, (0.0, 1.0)).all(), "a digital line that is neither 0 nor 1"


def blocks_stay_as_they_were(case: SourceCase) -> None:
    """The memory of a block is not written again."""
    with case.running() as (source, _):
        blocks = case.read(source)
        copies = [block.samples.copy() for block in blocks]
        case.read(source)
        for block, copy in zip(blocks, copies, strict=True):
            same(block.samples, copy, f"block {block.start} after later reads")


def nothing_comes_before_its_time(case: SourceCase) -> None:
    """Where no sample is due within the time-out, ``read`` returns None and loses nothing."""
    if not case.is_paced:
        return
    with case.running() as (source, clock):
        first = case.read(source, 1e-9)[-1]
        at = clock.monotonic()
        assert source.read(0.0) is None, "samples that nobody can have taken yet"
        assert clock.monotonic() == at, "a read without patience waited"
        second = case.read(source, 1e-9)[0]
        assert second.start >= first.stop
        assert second.start == first.stop or not case.contiguous, "a read that timed out lost samples"


def it_keeps_the_pace(case: SourceCase) -> None:
    """A second of samples takes a second; after a hold-up it catches up without waiting or skipping."""
    if not case.is_paced:
        return
    with case.running() as (source, clock):
        began = clock.monotonic()
        blocks = case.read(source)
        if case.contiguous:
            played = sum(map(len, blocks)) / float(source.fs)
            assert abs(clock.monotonic() - began - played) < 1e-3, "samples come faster or slower than they should"
        clock.advance(case.seconds)
        held_up = clock.monotonic()
        assert 0.0 < source.buffer_level() <= 1.0, "a source that was held up does not tell"
        later = case.read(source, case.seconds / 2)
        assert clock.monotonic() == held_up, "a source that is behind waited"
        assert later[0].start == blocks[-1].stop or not case.contiguous, "a hold-up lost samples"


def it_can_be_stopped_and_started_again(case: SourceCase) -> None:
    """Stopping twice is harmless; reading what is stopped is a SourceError; starting again works, more than once."""
    source = case.make(FakeClock())
    with raises(SourceError, "reading what was never started"):
        source.read(0.0)
    source.stop()
    firsts = []
    for _ in range(3):
        source.start()
        firsts.append(case.read(source)[0])
        source.stop()
        source.stop()
        with raises(SourceError, "reading what was stopped"):
            source.read(0.0)
    if case.pure:
        for block in firsts[1:]:
            assert block.start == firsts[0].start, "counters begin elsewhere after starting again"
            same(block.samples, firsts[0].samples, "the first block after starting again")
    source.close()


def block_length_does_not_show(case: SourceCase) -> None:
    """The same counters hold the same bits, whatever the length of the blocks."""
    if not case.pure:
        return
    with case.running() as (source, _):
        counters, expected = _joined(case.read(source))
    for block_sec in (0.0007, 0.0037, 0.031):
        with case.running(block_sec=block_sec) as (source, _):
            got_counters, got = _joined(case.read(source))
        n = min(len(expected), len(got))
        same(got_counters[:n], counters[:n], f"counters in blocks of {block_sec} s")
        same(got[:n], expected[:n], f"samples in blocks of {block_sec} s")


def offered_rates_are_accepted(case: SourceCase) -> None:
    """Every rate that is offered can be set and gives samples; others are refused, naming what is offered."""
    source = case.make(FakeClock())
    offered = source.info.sampling_rates_hz
    for rate in offered:
        source.configure(rate, source.channels)
        assert float(source.fs) == rate
    for rate in (offered[0], offered[-1]):
        source.configure(rate, source.channels)
        source.start()
        case.read(source, 0.02)
        source.stop()
    for rate in (max(offered) * 2 + 1, 0.0, -offered[0]):
        with raises(ConfigurationError, f"a rate of {rate} Hz", naming=f"{offered[-1]:g}"):
            source.configure(rate, source.channels)
    assert float(source.fs) == offered[-1], "a refused rate changed the rate"
    source.close()


def scan_and_channels_agree(case: SourceCase) -> None:
    """A scan finds the ports of the amplifier channels in order; indices count through all of them."""
    source = case.make(FakeClock())
    found = [(scan.port, scan.num_channels) for scan in source.scan()]
    assert found == [(scan.port, scan.num_channels) for scan in scans_of(source.channels)]
    assert found == sorted(found)
    assert len({c.sys for c in source.channels}) == len(source.channels), "system indices occur twice"
    for kind in SignalType:
        ntv = [source.channels[int(c)].ntv for c in source.channels.columns_of(kind)]
        assert ntv == sorted(ntv)
    source.close()


def only_its_own_channels_fit(case: SourceCase) -> None:
    """Other columns than the source has are refused; so is every change while it runs."""
    source = case.make(FakeClock())
    rate, channels = float(source.fs), source.channels
    with raises(ConfigurationError, "a table that lacks a column"):
        source.configure(rate, channels.take(range(len(channels) - 1)))
    assert len(source.channels) == len(channels), "a refused table was taken"
    source.start()
    with raises(ConfigurationError, "a change while it runs"):
        source.configure(rate, channels)
    source.stop()
    source.configure(rate, channels)
    source.configure(rate, source.default_channels())
    source.close()


def what_it_cannot_do_it_refuses(case: SourceCase) -> None:
    """Each capability works where it is offered, and raises CapabilityError where it is not."""
    with case.running() as (source, _):
        case.read(source)
        amp = source.channels[int(source.channels.columns_of(SignalType.AMP)[0])]
        port = source.scan()[0].port
        can = source.info.capabilities
        _works_or_refuses("dout" in can, lambda: source.set_digital_out(0, True))
        _works_or_refuses("stim" in can, lambda: source.stimulate(amp.sys, [-1.0, 1.0]))
        _works_or_refuses("stim" in can, source.stop_stimulation)
        _works_or_refuses("ground_truth" in can, lambda: source.ground_truth(0, 1000))
        _works_or_refuses("sinaps" in can, source.sinaps_status)
        _works_or_refuses("mosi" in can, lambda: source.load_mosi([1, 2, 3]))
        _works_or_refuses("mosi" in can, source.transmit_mosi)
        _works_or_refuses("mosi" in can, lambda: source.read_wire_out(0x20))
        source.stop()
        _works_or_refuses("impedance" in can, lambda: source.measure_impedance(port))
        if "plug" not in can:
            _works_or_refuses(False, lambda: source.plug(Port.H, "", 0))
        assert len(source.marks(0, 2**62)) >= 0


def orders_show_from_the_counter_returned(case: SourceCase) -> None:
    """A digital output changes in its column from the counter on that ``set_digital_out`` returned, and not before."""
    with case.running() as (source, clock):
        column = source.channels.columns_of(SignalType.DOUT)
        if "dout" not in source.info.capabilities or not len(column):
            return
        first = case.read(source, 0.05)
        if case.is_paced:
            clock.advance(0.0123)
        at = source.set_digital_out(0, True)
        assert at >= first[-1].stop, "an order changed what was read already"
        counters, samples = _joined([*first, *case.read(source)])
        level = samples[:, int(column[0])]
        assert (level[counters >= at] == 1).all(), "the line is low after it was set"
        assert (level[counters < at] == 0).all(), "the line is high before it was set"


def samples_have_a_time(case: SourceCase) -> None:
    """Where a source knows when its samples were taken, that is before they are read and at its sampling rate."""
    with case.running() as (source, clock):
        for block in case.read(source):
            first, last = source.sample_time(block.start), source.sample_time(block.stop - 1)
            if first is None or last is None:
                return
            lasts = (len(block) - 1) / float(source.fs)
            assert abs(last - first - lasts) < 1e-6, "the samples of a block are not a period apart"
            if case.is_paced:
                assert last <= clock.monotonic() + 1e-6, "a sample was read before it was taken"


def it_can_be_closed_twice(case: SourceCase) -> None:
    """Closing a source that runs, twice, is harmless; its buffer level is a fraction."""
    source = case.make(FakeClock())
    source.start()
    case.read(source)
    assert 0.0 <= source.buffer_level() <= 1.0
    source.close()
    source.close()


SOURCE_RULES: tuple[Callable[[SourceCase], None], ...] = (
    it_says_what_it_is,
    counters_are_whole_and_increasing,
    blocks_have_the_shape_of_the_channels,
    blocks_stay_as_they_were,
    nothing_comes_before_its_time,
    it_keeps_the_pace,
    it_can_be_stopped_and_started_again,
    block_length_does_not_show,
    offered_rates_are_accepted,
    scan_and_channels_agree,
    only_its_own_channels_fit,
    what_it_cannot_do_it_refuses,
    orders_show_from_the_counter_returned,
    samples_have_a_time,
    it_can_be_closed_twice,
)


def check_source(case: SourceCase) -> None:
    """Run every rule."""
    for rule in SOURCE_RULES:
        rule(case)


def _joined(blocks: list[Block]) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    counters = np.concatenate([np.arange(b.start, b.stop) for b in blocks])
    return counters, np.concatenate([b.samples for b in blocks])


def _works_or_refuses(works: bool, call: Callable[[], object]) -> None:
    if works:
        call()
        return
    with raises(CapabilityError, "what the source does not offer"):
        call()
