"""Every source passes the suite that the package ships; a source that breaks a rule does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from ranvier.checks.sources import SOURCE_RULES, SourceCase, check_source
from ranvier.models.ports import Port
from ranvier.models.status import BackboneMode
from ranvier.recordings import Block
from ranvier.recordings.memory import ArrayRecording
from ranvier.rig.clock import Clock, FakeClock
from ranvier.rig.source import Source
from ranvier.rig.sources import MODES, make_source
from ranvier.rig.sources.modes import Kind
from ranvier.rig.sources.replay import ReplaySource
from ranvier.rig.sources.simulator import SimulatorSource
from ranvier.simulation import SimulatedRecording, SimulationSpec

SIMULATORS = [entry.mode for entry in MODES.values() if entry.kind == Kind.SIMULATED]

Rule = Callable[[SourceCase], None]


@pytest.mark.parametrize("rule", SOURCE_RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("mode", SIMULATORS, ids=lambda mode: mode.name)
def test_simulators(mode: BackboneMode, rule: Rule) -> None:
    rule(SourceCase(lambda clock: make_source(mode, clock=clock, ports={Port.A: 5, Port.C: 3})))


@pytest.mark.parametrize("rule", SOURCE_RULES, ids=lambda rule: rule.__name__)
def test_replay_of_counts_with_gaps(rule: Rule, short_recording: ArrayRecording) -> None:
    rule(SourceCase(lambda clock: ReplaySource(short_recording, clock=clock), contiguous=False, seconds=0.9))


@pytest.mark.parametrize("rule", SOURCE_RULES, ids=lambda rule: rule.__name__)
def test_replay_of_a_simulation(rule: Rule) -> None:
    recording = SimulatedRecording(SimulationSpec(probe="a1x16_5mm150_177", duration_sec=0.3, num_units=2, fs=5000))
    truth = recording.ground_truth()
    rule(SourceCase(lambda clock: ReplaySource(recording, truth=truth, clock=clock), seconds=0.5))


class _Broken(SimulatorSource):
    """A simulator with a fault that the suite must find."""

    def __init__(self, clock: Clock, spoil: Callable[[Block], Block]) -> None:
        super().__init__(BackboneMode.SMARTBOX_SIM_GEN_SINE, ports={Port.A: 4}, clock=clock)
        self.spoil = spoil

    def read(self, timeout_sec: float) -> Block | None:
        block = super().read(timeout_sec)
        return None if block is None else self.spoil(block)


def _narrow(block: Block) -> Block:
    return replace(block, samples=np.ascontiguousarray(block.samples[:, 1:]))


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (lambda b: replace(b, start=b.start * 2), "counters_are_whole_and_increasing"),
        (lambda b: replace(b, start=np.int64(b.start)), "counters_are_whole_and_increasing"),
        (_narrow, "blocks_have_the_shape_of_the_channels"),
        (lambda b: replace(b, gain=None), "blocks_have_the_shape_of_the_channels"),
        (lambda b: replace(b, samples=b.samples + np.int16(len(b) == 300)), "block_length_does_not_show"),
    ],
)
def test_suite_finds_faults(spoil: Callable[[Block], Block], rule: str) -> None:
    check = next(r for r in SOURCE_RULES if r.__name__ == rule)
    with pytest.raises(AssertionError):
        check(SourceCase(lambda clock: _Broken(clock, spoil)))


def test_suite_finds_a_source_that_hides_what_it_is() -> None:
    def make(clock: Clock) -> Source:
        source = make_source(BackboneMode.SMARTBOX_SIM_GEN_SINE, clock=clock)
        source.info = replace(source.info, name="Intan")
        return source

    with pytest.raises(AssertionError, match="does not tell"):
        check_source(SourceCase(make))


def test_suite_finds_a_source_that_claims_too_much() -> None:
    def make(clock: Clock) -> Source:
        rows = np.zeros((30_000, 4), np.int16)
        source = ReplaySource(ArrayRecording(rows, Fraction(30_000), name="zeros"), clock=clock)
        source.info = replace(source.info, capabilities=frozenset({"dout"}))
        return source

    with pytest.raises(NotImplementedError):
        check_source(SourceCase(make))


def test_cases_read_with_a_fake_clock() -> None:
    with SourceCase(lambda clock: make_source(SIMULATORS[0], clock=clock)).running() as (source, clock):
        assert isinstance(clock, FakeClock)
        assert isinstance(source, SimulatorSource)
