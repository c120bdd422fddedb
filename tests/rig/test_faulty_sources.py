"""Sources that fail on purpose fail as ordered, and only so."""

from __future__ import annotations

import numpy as np
import pytest

from ranvier.checks.sources import Fault, FaultKind, FaultySource, SourceCase, check_source
from ranvier.exceptions import SourceError
from ranvier.models.ports import Port
from ranvier.models.status import BackboneMode
from ranvier.recordings import Block
from ranvier.rig.clock import Clock, FakeClock
from ranvier.rig.sources import make_source


def faulty(*faults: Fault, clock: Clock | None = None) -> FaultySource:
    clock = clock or FakeClock()
    source = make_source(BackboneMode.SMARTBOX_SIM_GEN_SINE, clock=clock, ports={Port.A: 3})
    made = FaultySource(source, faults, clock=clock)
    made.start()
    return made


def read(source: FaultySource, reads: int) -> list[Block]:
    return [block for _ in range(reads) if (block := source.read(1.0)) is not None]


def counters(blocks: list[Block]) -> np.ndarray:
    return np.concatenate([np.arange(b.start, b.stop) for b in blocks])


def good_rows() -> np.ndarray:
    source = faulty()
    return np.concatenate([b.samples for b in read(source, 10)])


def test_without_faults_it_is_a_source_like_others() -> None:
    def make(clock: Clock) -> FaultySource:
        source = make_source(BackboneMode.SMARTBOX_SIM_GEN_SPIKES, clock=clock, ports={Port.A: 3})
        return FaultySource(source, (), clock=clock)

    check_source(SourceCase(make))
    assert make(FakeClock()).info.name == "SIMULATED spikes (faulty)"


def test_dropped_samples_leave_a_jump() -> None:
    source = faulty(Fault(FaultKind.DROP, 450, 700), Fault(FaultKind.DROP, 2000, 1))
    blocks = read(source, 12)
    got = counters(blocks)
    assert set(range(got[0], got[-1] + 1)) - set(got.tolist()) == {*range(450, 1150), 2000}
    rows = np.concatenate([b.samples for b in blocks])
    np.testing.assert_array_equal(rows[got < 3000], good_rows()[got[got < 3000]])


def test_a_stall_is_silence_and_then_everything_comes() -> None:
    clock = FakeClock()
    source = faulty(Fault(FaultKind.STALL, 600, 5.0), clock=clock)
    blocks = read(source, 2)
    began = clock.monotonic()
    silent = 0
    while (block := source.read(1.0)) is None:
        silent += 1
    assert silent == 5
    assert 5.0 <= clock.monotonic() - began < 5.1
    assert block.start == blocks[-1].stop == 600


@pytest.mark.parametrize(("kind", "expected"), [(FaultKind.JUMP, 1050), (FaultKind.BACKWARD, -150)])
def test_a_counter_that_moves(kind: FaultKind, expected: int) -> None:
    blocks = read(faulty(Fault(kind, 450, 600)), 5)
    starts = [b.start for b in blocks]
    assert starts[:4] == [0, 300, expected, expected + 150]
    np.testing.assert_array_equal(np.concatenate([b.samples for b in blocks])[:1000], good_rows()[:1000])


def test_a_counter_of_32_bits_wraps() -> None:
    got = counters(read(faulty(Fault(FaultKind.WRAP, 500)), 5))
    assert got[0] == 2**32 - 500
    assert got[499] == 2**32 - 1
    assert got[500:503].tolist() == [0, 1, 2]


def test_nan_and_wrong_width() -> None:
    blocks = read(faulty(Fault(FaultKind.NAN, 310, 5), Fault(FaultKind.WIDTH, 700, 2)), 8)
    assert np.array_equal(counters(blocks), np.arange(blocks[-1].stop))
    spoilt = next(b for b in blocks if b.start == 310)
    assert len(spoilt) == 5
    assert spoilt.samples.dtype == np.float32
    assert np.isnan(spoilt.samples).all()
    narrow = next(b for b in blocks if b.start == 700)
    assert narrow.samples.shape[1] == blocks[0].samples.shape[1] - 2
    assert narrow.gain is not None
    assert len(narrow.gain) == narrow.samples.shape[1]


def test_unplugged_then_back() -> None:
    source = faulty(Fault(FaultKind.UNPLUG, 900))
    read(source, 3)
    with pytest.raises(SourceError, match="unplugged"):
        source.read(1.0)
    source.stop()
    for call in (source.start, source.scan):
        with pytest.raises(SourceError, match="plug it in"):
            call()
    source.plug_in()
    source.start()
    assert read(source, 1)[0].start == 0
    source.unplug()
    with pytest.raises(SourceError):
        source.read(0.0)


def test_faults_happen_once_per_start() -> None:
    source = faulty(Fault(FaultKind.DROP, 100, 10))
    for _ in range(2):
        assert [b.start for b in read(source, 2)] == [0, 110]
        source.stop()
        source.start()


def test_suite_on_a_faulty_source() -> None:
    def make(clock: Clock) -> FaultySource:
        source = make_source(BackboneMode.SMARTBOX_SIM_GEN_SINE, clock=clock, ports={Port.A: 3})
        return FaultySource(source, [Fault(FaultKind.BACKWARD, 450, 600)], clock=clock)

    with pytest.raises(AssertionError):
        check_source(SourceCase(make))
