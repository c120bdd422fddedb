"""Stages in a row, compiled for one stream."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Any

from ranvier.dsp.operations import Operation
from ranvier.dsp.parallel import Team
from ranvier.dsp.stage import Rest, Stage
from ranvier.exceptions import ConfigurationError
from ranvier.recordings.block import Block
from ranvier.recordings.channels import ChannelTable

ALONE, FUSED, IN_PLACE = "alone", "fused", "in place"


@dataclass
class ChainState:
    """The states of a chain's stages, in their order, and the counter of the next sample to come; picklable."""

    stages: list[Any]
    next: int | None = None


class Chain(Stage):
    """A compiled list of stages; itself a stage.

    A reference in front of a causal filter is subtracted while the filter reads its input, and one behind another
    stage of ours works in that stage's memory: less traffic, and the same result to the last bit.

    Parameters
    ----------
    stages
        At least one, each bound to what the one before it gives.

    Raises
    ------
    ConfigurationError
        If there is no stage, or two neighbours do not fit.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        if not stages:
            raise ConfigurationError(
                "a chain needs at least one stage; pass no chain at all to leave signals as they are"
            )
        for one, two in pairwise(stages):
            if one.out_fs != two.in_fs or len(one.out_channels) != len(two.in_channels):
                raise ConfigurationError(
                    f"stages do not fit: {one.describe()['kind']} gives {len(one.out_channels)} channels at "
                    f"{float(one.out_fs):g} Hz, {two.describe()['kind']} was bound to {len(two.in_channels)} at "
                    f"{float(two.in_fs):g} Hz"
                )
        self.stages = tuple(stages)
        self.independent = len(stages) == 1 and stages[0].independent
        self._modes = _modes(self.stages)
        self._split = _split(self.stages)
        self.in_fs, self.in_channels = stages[0].in_fs, stages[0].in_channels
        self.out_fs, self.out_channels = stages[-1].out_fs, stages[-1].out_channels
        self._slower = any(stage.out_fs != stage.in_fs for stage in stages)
        self.latency = sum(int(stage.latency * self.in_fs / stage.in_fs) for stage in stages)

    @classmethod
    def bind(cls, operations: Iterable[Operation], fs: Fraction | float, channels: ChannelTable) -> Chain:
        """Bind operations one after the other, from a stream's rate and channels on."""
        stages: list[Stage] = []
        rate = Fraction(fs)
        for operation in operations:
            stages.append(operation.bind(rate, channels))
            rate, channels = stages[-1].out_fs, stages[-1].out_channels
        return cls(stages)

    @property
    def settling_samples(self) -> int:
        """The sum over its stages."""
        return sum(int(stage.settling_samples * self.in_fs / stage.in_fs) for stage in self.stages)

    @property
    def divisible(self) -> bool:
        """Whether ``begin`` leaves work that another thread can do meanwhile."""
        stage = self.stages[self._split]
        return self._behind(self._split) < len(self.stages) or type(stage).begin is not Stage.begin

    def use(self, team: Team) -> None:
        """Share the work of every stage among these threads."""
        self.team = team
        for stage in self.stages:
            stage.use(team)

    def start(self) -> ChainState:
        """Return the state before the first block."""
        return ChainState([stage.start() for stage in self.stages])

    def process(self, block: Block, state: ChainState) -> list[Block]:
        """Send a block through all stages."""
        left = self._at_jump(block, state)
        done = [] if left is None else left()
        return [*done, *self._through([block], 0, len(self.stages), state)]

    def consume(self, block: Block, state: ChainState) -> list[Block]:
        """Do as ``process`` does with a block that nothing else refers to: the first stage may work in its memory."""
        from ranvier.dsp.reference import CommonReference

        first = self.stages[0]
        if len(self.stages) == 1 and isinstance(first, CommonReference):
            return first.process_in_place(block)
        return self.process(block, state)

    def begin(self, block: Block, state: ChainState) -> list[Rest]:
        """Send a block through the first stages; the rest is the backward pass of a filter, and the stages behind.

        All rests must be done before ``finish``, or before the state is saved.
        """
        left = self._at_jump(block, state)
        rests: list[Rest] = []
        for passed in self._through([block], 0, self._split, state):
            stage = self.stages[self._split]
            if self._modes[self._split] == ALONE and stage.independent == self.independent:
                rests += stage.begin(passed, state.stages[self._split])
            elif done := self._step(self._split, passed, state):
                rests.append(partial(list, done))
        completing: list[Rest] = [partial(self._complete, rest, state) for rest in rests]
        return completing if left is None else [left, *completing]

    def finish(self, state: ChainState) -> list[Block]:
        """Return what is left at the end of the stream."""
        return self._ending(state)()

    def describe(self) -> dict[str, Any]:
        """Return kind, parameters and coefficients, as JSON data."""
        return {"kind": "chain", "stages": self.describe_stages()}

    def describe_stages(self) -> list[dict[str, Any]]:
        """Return what provenance says about each stage."""
        return [stage.describe() for stage in self.stages]

    def _at_jump(self, block: Block, state: ChainState) -> Rest | None:
        """Note where a block ends; end the stream first where the block does not follow the one before it.

        Every stage sees a jump of the counter for itself, but not behind one that keeps fewer samples: all may be kept.
        """
        if len(block) == 0:
            return None
        jumps = self._slower and state.next not in (None, block.start)
        left = self._ending(state) if jumps else None
        state.next = block.stop
        return left

    def _ending(self, state: ChainState) -> Rest:
        """End the stream for the stages up to the cut; return the rest of the work."""
        cut, last = self._behind(self._split), len(self.stages)
        passed = self._finished(0, cut, state)
        state.next = None
        return lambda: [*self._through(passed, cut, last, state), *self._finished(cut, last, state)]

    def _finished(self, first: int, stop: int, state: ChainState) -> list[Block]:
        """Return what the stages ``[first, stop)`` give at the end of the stream."""
        finished: list[Block] = []
        for i in range(first, stop):
            finished += self._through(self.stages[i].finish(state.stages[i]), i + 1, stop, state)
        return finished

    def _complete(self, rest: Rest, state: ChainState) -> list[Block]:
        return self._through(rest(), self._behind(self._split), len(self.stages), state)

    def _behind(self, i: int) -> int:
        return i + (2 if self._modes[i] == FUSED else 1)

    def _through(self, blocks: list[Block], first: int, stop: int, state: ChainState) -> list[Block]:
        """Send blocks through the stages ``[first, stop)``."""
        i = first
        while blocks and i < stop:
            blocks = [done for block in blocks for done in self._step(i, block, state)]
            i = self._behind(i)
        return blocks

    def _step(self, i: int, block: Block, state: ChainState) -> list[Block]:
        stage: Any = self.stages[i]
        if self._modes[i] == FUSED:
            then: Any = self.stages[i + 1]
            done = then.process_referenced(block, stage.reference(block), state.stages[i + 1])
        elif self._modes[i] == IN_PLACE:
            done = stage.process_in_place(block)
        else:
            done = stage.process(block, state.stages[i])
        return list(done)


def _split(stages: tuple[Stage, ...]) -> int:
    """Return the stage behind (or within) which a chain is cut: the middle one of those that can be, else the first."""
    divisible = [i for i, stage in enumerate(stages) if type(stage).begin is not Stage.begin and not stage.independent]
    return divisible[len(divisible) // 2] if divisible else 0


def _modes(stages: tuple[Stage, ...]) -> tuple[str, ...]:
    """Return how each stage runs: by itself, together with the next one, or in the memory of what came before."""
    from ranvier.dsp.causal import CausalFilter
    from ranvier.dsp.reference import CommonReference, Reference

    modes = []
    for i, stage in enumerate(stages):
        if isinstance(stage, Reference) and i + 1 < len(stages) and isinstance(stages[i + 1], CausalFilter):
            modes.append(FUSED)
        elif isinstance(stage, CommonReference) and i > 0 and stages[i - 1].fresh_output:
            modes.append(IN_PLACE)
        else:
            modes.append(ALONE)
    return tuple(modes)
