"""A chain that is divided: what ``begin`` leaves for later gives what ``process`` gives."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest

from ranvier.dsp import BandPass, Chain, CommonAverageReference, Downsample
from ranvier.dsp.operations import Operation
from ranvier.recordings import Block, plain_channels

FS = Fraction(30000)
CHANNELS = 5
BAND = BandPass(300, 6000, 5, zero_phase=True)


def signal_with_holes() -> list[Block]:
    """Three tiles and a half, NaN in one channel around a tile's edge, then a gap and a rest."""
    x = np.random.default_rng(3).standard_normal((30000, CHANNELS)).astype(np.float32) * 50
    x[8100:8300, 1] = np.nan
    x[17000:, 2] = np.nan
    cuts = [0, 900, 9000, 9001, 21000, 25000, 30000]
    return [Block(x[a:b], a + (100000 if a >= 25000 else 0)) for a, b in itertools.pairwise(cuts)]


def joined(blocks: list[Block]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    counters = np.concatenate([np.arange(b.start, b.stop) for b in blocks])
    return counters, np.concatenate([b.samples for b in blocks])


@pytest.mark.parametrize(
    "operations",
    [
        [BAND],
        [BAND, CommonAverageReference()],
        [CommonAverageReference(), BAND],
        [BandPass(300, 6000, 5), CommonAverageReference()],
        [CommonAverageReference(), BandPass(300, 6000, 5), BAND],
        [BAND, CommonAverageReference(), Downsample(10)],
        [Downsample(2), BAND],
        [CommonAverageReference("median")],
        [CommonAverageReference(), Downsample(2)],
    ],
)
def test_rests_that_are_done_late_give_the_same(operations: list[Operation]) -> None:
    chain = Chain.bind(operations, FS, plain_channels(amp=CHANNELS))
    assert chain.divisible
    at_once, late = chain.start(), chain.start()
    expected = [done for block in signal_with_holes() for done in chain.process(block, at_once)]
    expected += chain.finish(at_once)
    rests = [rest for block in signal_with_holes() for rest in chain.begin(block, late)]
    got = [done for rest in rests for done in rest()] + chain.finish(late)
    for one, two in zip(joined(expected), joined(got), strict=True):
        np.testing.assert_array_equal(one, two)


def test_only_blocks_that_nothing_follows_are_independent() -> None:
    def bound(*operations: Operation) -> Chain:
        return Chain.bind(operations, FS, plain_channels(amp=CHANNELS))

    median = CommonAverageReference("median")
    assert not any(bound(*o).independent for o in ([BAND], [median, Downsample(2)], [BAND, median], [Downsample(2)]))
    chain = bound(median)
    assert chain.independent
    state = chain.start()
    rests = [rest for block in signal_with_holes() for rest in chain.begin(block, state)]
    backwards = [rest() for rest in reversed(rests)]
    got = [done for blocks in reversed(backwards) for done in blocks]
    expected = [done for block in signal_with_holes() for done in chain.process(block, chain.start())]
    for one, two in zip(joined(expected), joined(got), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_single_causal_filter_is_not_divided() -> None:
    assert not Chain.bind([BandPass(300, 6000, 5)], FS, plain_channels(amp=CHANNELS)).divisible
    assert not Chain.bind([Downsample(10)], FS, plain_channels(amp=CHANNELS)).divisible
