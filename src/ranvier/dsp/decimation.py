"""Fewer samples per second, without aliasing.

``Downsample(factor)`` filters with linear-phase low-passes and keeps one of ``factor`` samples, in steps whose factors
multiply to ``factor`` (10 = 5 x 2 costs a third of 10 at once). Every step is an odd number of symmetric taps from a
Kaiser window (Oppenheim & Schafer, *Discrete-Time Signal Processing*, section 7.5.3), centred on the sample that it
replaces, so that nothing is delayed.

Seen from the output's Nyquist frequency F: gain 1 +- 0.0001 up to ``PASS_EDGE`` F; from F on, and so wherever anything
could fold into the output, at least ``ATTENUATION_DB`` down. Steps before the last one leave alone what the later ones
remove.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from math import ceil, inf
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.dsp.chain import Chain
from ranvier.dsp.fir_kernels import UNROLL, decimate_rows
from ranvier.dsp.stage import Stage, stage_input
from ranvier.dsp.windowed import Windowed
from ranvier.exceptions import FilterDesignError
from ranvier.recordings.block import Block
from ranvier.recordings.channels import ChannelTable

F32 = npt.NDArray[np.float32]

#: Up to this share of the output's Nyquist frequency signals pass unchanged.
PASS_EDGE = 0.8

#: What could alias is weaker than this afterwards; the step between two numbers of 16 bits.
ATTENUATION_DB = 96.0

#: What the design asks for, so that all steps together keep ATTENUATION_DB.
DESIGN_DB = ATTENUATION_DB + 2

#: The longest filter of one step; a prime factor near 700 needs it.
MAX_TAPS = 40_001


@dataclass(frozen=True)
class Step:
    """One low-pass and the number of samples of which it keeps one.

    Attributes
    ----------
    taps
        Symmetric, ``UNROLL`` n + 1 of them, float32; their sum is 1.
    """

    factor: int
    taps: tuple[float, ...]


@lru_cache(maxsize=64)
def steps_for(factor: int) -> tuple[Step, ...]:
    """Return the cheapest steps that multiply to ``factor`` (none for 1).

    Raises
    ------
    FilterDesignError
        For no whole number above 0, or one with a prime factor that would need more than MAX_TAPS.
    """
    try:
        number = operator.index(factor)
    except TypeError:
        raise FilterDesignError(f"downsampling factor {factor!r}: it must be a whole number") from None
    if number < 1:
        raise FilterDesignError(f"downsampling factor {number}: it must be at least 1")
    cost, parts = _cheapest(number, 1)
    if cost == inf:
        raise FilterDesignError(
            f"downsampling by {number}: its prime factors are too large for a filter of reasonable length; choose a "
            f"factor that small numbers divide"
        )
    steps, rate = [], 1
    for part in parts:
        steps.append(_design(part, rate, number))
        rate *= part
    return tuple(steps)


@lru_cache(maxsize=1024)
def _cheapest(left: int, rate: int) -> tuple[float, tuple[int, ...]]:
    """Return cost and factors of the steps that are left behind a division by ``rate``.

    The cost is in products per input sample; infinite where it cannot be done.
    """
    if left == 1:
        return 0.0, ()
    best: tuple[float, tuple[int, ...]] = (inf, ())
    for part in range(2, left + 1):
        taps = _tap_count(part, rate, left * rate)[0] if left % part == 0 else MAX_TAPS + 1
        if taps <= MAX_TAPS:
            cost, rest = _cheapest(left // part, rate * part)
            best = min(best, (cost + taps / (rate * part), (part, *rest)))
    return best


def _band(part: int, rate: int, factor: int) -> tuple[float, float]:
    """Return the edges of pass- and stop-band of a step, as shares of the Nyquist frequency of its input."""
    nyquist = rate / factor  # of the final output
    return PASS_EDGE * nyquist, 2 / part - nyquist


def _tap_count(part: int, rate: int, factor: int) -> tuple[int, float]:
    from scipy.signal import kaiserord

    passed, stopped = _band(part, rate, factor)
    count, beta = kaiserord(DESIGN_DB, stopped - passed)
    return UNROLL * ceil((count - 1) / UNROLL) + 1, float(beta)


def _design(part: int, rate: int, factor: int) -> Step:
    from scipy.signal import firwin

    count, beta = _tap_count(part, rate, factor)
    taps = firwin(count, sum(_band(part, rate, factor)) / 2, window=("kaiser", beta))
    return Step(part, tuple(float(h) for h in taps.astype(np.float32)))


class Decimator(Windowed):
    """One step: amplifier channels and analog inputs are filtered, digital channels take the sample.

    Output k stands at input k * factor, counted from counter 0, wherever the stream begins. It is NaN where that sample
    is not finite; the filter sees each run of samples (between gaps, and per channel between NaN) reflected at its
    ends.
    """

    def __init__(self, step: Step, fs: Fraction, channels: ChannelTable) -> None:
        self.taps = np.array(step.taps, dtype=np.float32)
        super().__init__(len(self.taps) // 2, fs, channels, _seen_at(channels, step.factor), factor=step.factor)

    def describe(self) -> dict[str, Any]:
        """Return kind, parameters and coefficients, as JSON data."""
        return {
            "kind": "decimate",
            "parameters": {"factor": self.factor},
            "coefficients": {"fir": [float(h) for h in self.taps]},
        }

    def _filter(self, recent: F32, x: F32, row: int, low: int, columns: tuple[int, int], out: F32) -> None:
        decimate_rows(recent, x, row, low, self.factor, self.taps, columns, out)


class EveryNth(Stage):
    """Keep the samples whose counter is a multiple of ``factor``, as they are: what lies above Nyquist folds back."""

    fresh_output = True

    def __init__(self, factor: int, fs: Fraction, channels: ChannelTable, description: dict[str, Any]) -> None:
        self.factor = factor
        self.in_fs, self.out_fs = fs, fs / factor
        self.in_channels, self.out_channels = channels, _seen_at(channels, factor)
        self._description = description

    def start(self) -> None:
        """Nothing is remembered."""

    def process(self, block: Block, state: None) -> list[Block]:
        """Keep samples of a block."""
        x = stage_input(block, self.in_channels)
        first = self.first_output(block.start)
        kept = x[first * self.factor - block.start :: self.factor]
        return [Block(kept.copy(), first)] if len(kept) else []

    def describe(self) -> dict[str, Any]:
        """Return kind and parameters, as JSON data."""
        return {**self._description, "out_fs_hz": float(self.out_fs)}


class Downsampler(Chain):
    """All steps of one downsampling; told, and run, as one stage."""

    begin = Stage.begin

    def __init__(
        self, steps: tuple[Step, ...], fs: Fraction, channels: ChannelTable, description: dict[str, Any]
    ) -> None:
        stages: list[Stage] = []
        for step in steps:
            stages.append(Decimator(step, fs, channels))
            fs, channels = stages[-1].out_fs, stages[-1].out_channels
        super().__init__(stages)
        self._description = description

    def describe(self) -> dict[str, Any]:
        """Return kind, parameters, and the taps of every step, as JSON data."""
        nyquist = float(self.out_fs) / 2
        return {
            **self._description,
            "out_fs_hz": float(self.out_fs),
            "pass_hz": PASS_EDGE * nyquist,
            "stop_hz": nyquist,
            "attenuation_db": ATTENUATION_DB,
            "steps": self.describe_stages(),
        }


def _seen_at(channels: ChannelTable, factor: int) -> ChannelTable:
    """Return the channels of the output: what they were sampled late is a smaller share of its longer period."""
    if not channels.skew_samples.any():
        return channels
    return channels.with_channels(replace(c, skew_samples=c.skew_samples / factor) for c in channels)
