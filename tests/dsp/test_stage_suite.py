"""Every stage keeps what ranvier.checks demands; broken ones are caught."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ranvier.checks import stages as suite
from ranvier.dsp import (
    BandPass,
    BandStop,
    BlankArtifacts,
    Chain,
    CommonAverageReference,
    CorrectSkew,
    Downsample,
    HighPass,
    LowPass,
    Notch,
    PairedReference,
    SliceChannels,
    Stage,
    VirtualReference,
)
from ranvier.dsp.causal import CausalFilter, CausalState
from ranvier.recordings import Block, plain_channels

CHANNELS = plain_channels(amp=5, ain=1, din=2)
SKEWED = CHANNELS.with_channels(replace(c, skew_samples=0.15 * i if i < 6 else 0.0) for i, c in enumerate(CHANNELS))
#: Windows away from where the suite cuts its signal (rows 666, 1000-1050, 1500), two of them touching.
EVENTS = tuple(suite.FIRST + row for row in (0, 120, 140, 160, 1200, 1990))
FS = 30000

OPERATIONS = {
    "lowpass": LowPass(250),
    "lowpass zero": LowPass(1000, 2, zero_phase=True),
    "highpass": HighPass(300),
    "highpass 0.1": HighPass(0.1, 2),
    "highpass zero": HighPass(300, zero_phase=True),
    "bandpass": BandPass(300, 6000),
    "bandpass 5 zero": BandPass(300, 6000, 5, zero_phase=True),
    "bandpass 9": BandPass(300, 6000, 9),
    "bandpass 7 zero": BandPass(300, 6000, 7, zero_phase=True),
    "bandstop": BandStop(55, 65),
    "notch": Notch(60, 2),
    "car": CommonAverageReference(),
    "median": CommonAverageReference("median"),
    "virtual": VirtualReference(2),
    "mean of ports": CommonAverageReference("mean", "port"),
    "median of shanks": CommonAverageReference("median", "shank"),
    "paired": PairedReference(1, 3),
    "elliptic": BandPass(300, 6000, 3, family="elliptic", ripple_db=1.0),
    "chebyshev zero": HighPass(300, 4, zero_phase=True, family="chebyshev_i"),
    "bessel": LowPass(1000, 5, family="bessel"),
    "slice": SliceChannels((1, 4, 5, 7)),
    "skew": CorrectSkew(),
    **{f"blank {mode}": BlankArtifacts(EVENTS, 0.0002, 0.0007, mode) for mode in ("linear", "hold", "zero", "nan")},
    "blank some": BlankArtifacts(EVENTS, channels=(1, 3)),
    "downsample 10": Downsample(10),
    "downsample 7": Downsample(7),
    "downsample 60": Downsample(60),
    "every 6th": Downsample(6, "plain"),
    "downsample 1": Downsample(1),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_stage_keeps_the_rules(name: str) -> None:
    suite.check_stage(OPERATIONS[name].bind(FS, SKEWED), examples=8)


@pytest.mark.slow
@pytest.mark.parametrize("operation", [Notch(60, 2, zero_phase=True), BandStop(50, 70, 2, zero_phase=True)])
def test_stages_with_long_margins_keep_the_rules(operation: Any) -> None:
    suite.check_stage(operation.bind(FS, CHANNELS), examples=8)


@pytest.mark.parametrize(
    "operations",
    [
        [CommonAverageReference(), BandPass(300, 6000)],
        [BandPass(300, 6000, zero_phase=True), CommonAverageReference()],
        [BandPass(1, 300, 2), Downsample(15), CommonAverageReference(), Downsample(2, "plain")],
        [Notch(60, 20), VirtualReference(0), HighPass(300, 2), CommonAverageReference("median")],
    ],
)
def test_chain_keeps_the_rules(operations: Any) -> None:
    suite.check_stage(Chain.bind(operations, FS, CHANNELS), examples=8)


class Forgetful(CausalFilter):
    """Loses its state between blocks."""

    def process(self, block: Block, state: CausalState) -> list[Block]:
        return super().process(block, self.start())


class Hoarder(CausalFilter):
    """Keeps all it saw."""

    def process(self, block: Block, state: CausalState) -> list[Block]:
        state.__dict__.setdefault("all", []).append(block.samples)
        return super().process(block, state)


class Vandal(CausalFilter):
    """Writes into its input."""

    def process(self, block: Block, state: CausalState) -> list[Block]:
        done = super().process(block, state)
        block.samples[0] = 0
        return done


class GapBlind(CausalFilter):
    """Does not restart behind a gap."""

    def process(self, block: Block, state: CausalState) -> list[Block]:
        state.next = block.start
        return super().process(block, state)


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [(Forgetful, "changes the result"), (Hoarder, "grew"), (Vandal, "read-only"), (GapBlind, "gap")],
)
def test_suite_catches_broken_stages(broken: type[Stage], complaint: str) -> None:
    good = HighPass(300).bind(FS, CHANNELS)
    assert isinstance(good, CausalFilter)
    stage = broken(good.design, good.in_fs, CHANNELS)  # type: ignore[call-arg]
    if broken is GapBlind:
        with pytest.raises(AssertionError, match=complaint):
            suite.check_gap(stage, suite.make_signal(stage))
        return
    with pytest.raises((AssertionError, ValueError), match=complaint):
        suite.check_stage(stage)


def test_wrong_latency_is_caught() -> None:
    stage = HighPass(300).bind(FS, CHANNELS)
    stage.latency = 7
    with pytest.raises(AssertionError, match="declared latency 7, measured 0"):
        suite.check_latency(stage, suite.make_signal(stage))


def test_latency_of_zero_phase_is_exact() -> None:
    stage = LowPass(3000, 2, zero_phase=True).bind(FS, plain_channels(amp=1))
    signal = np.zeros((3 * 8192, 1), np.float32)
    state = stage.start()
    start = 8192 * 3
    quiet = stage.latency - 20
    assert stage.process(Block(signal[:quiet], start), state) == []
    for row in range(quiet, quiet + 40):
        done = stage.process(Block(signal[row : row + 1], start + row), state)
        if done:
            assert done[0].start == start
            assert start + row - done[0].start == stage.latency
            return
    pytest.fail("nothing came out")
