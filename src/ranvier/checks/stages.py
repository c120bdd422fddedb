"""What every Stage keeps, as a suite: shipped, so that a lab can hold its own stage to it.

::

    from ranvier.checks.stages import check_stage

    def test_my_stage():
        check_stage(MyOperation(...).bind(30000, plain_channels(amp=6, din=1)))

Needs ``pip install ranvier[checks]`` (hypothesis). Each check is a function of its own; ``check_stage`` runs them all.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from itertools import pairwise
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.dsp.parallel import ALONE, Team
from ranvier.dsp.stage import Stage
from ranvier.models.signals import SignalType
from ranvier.recordings.block import Block

F32 = npt.NDArray[np.float32]

#: Where streams of the suite begin: neither 0 nor on a grid.
FIRST = 100_003


def check_stage(stage: Stage, *, examples: int = 12, seed: int = 0) -> None:
    """Run every check of this module; AssertionError tells what is not kept.

    Parameters
    ----------
    stage
        Bound to a few channels (more rows than its latency are pushed through it many times).
    examples
        How many ways of cutting the stream hypothesis tries.
    seed
        Of the signal.
    """
    signal = make_signal(stage, seed=seed)
    check_description(stage)
    check_shape(stage, signal)
    check_input_untouched(stage, signal)
    check_repeatable(stage, signal)
    check_workers(stage, signal)
    check_latency(stage, signal)
    check_bounded_state(stage, seed=seed)
    check_gap(stage, signal)
    check_missing_rows(stage, signal)
    check_missing_samples(stage, signal)
    check_any_chunking(stage, signal, examples=examples)


def make_signal(stage: Stage, *, seed: int = 0, rows: int | None = None) -> F32:
    """Return noise on an offset and a slow wave, 0 and 1 on digital channels: ``(rows, channels)``."""
    n = rows or max(2000, 2 * stage.latency + 3000)
    rng = np.random.default_rng(seed)
    channels = stage.in_channels
    wave = 80 * np.sin(2 * np.pi * 7 * np.arange(n) / float(stage.in_fs))
    signal = rng.standard_normal((n, len(channels))) * 15 + wave[:, None] + rng.uniform(-200, 200, len(channels))
    signal[:, channels.is_digital] = rng.integers(0, 2, (n, int(channels.is_digital.sum())))
    made: F32 = signal.astype(np.float32)
    return made


def run_stage(
    stage: Stage, signal: F32, cuts: Sequence[int] = (), *, start: int = FIRST, state: Any = None
) -> list[Block]:
    """Push a signal through a stage, cut at some rows; return what comes out."""
    state = stage.start() if state is None else state
    edges = sorted({0, *(c for c in cuts if 0 < c < len(signal)), len(signal)})
    out: list[Block] = []
    for a, b in pairwise(edges):
        out += stage.process(Block(signal[a:b], start + a), state)
    return [*out, *stage.finish(state)]


def joined(blocks: Sequence[Block]) -> F32:
    """Return the samples of consecutive blocks in one array."""
    return np.concatenate([block.samples for block in blocks])


def check_description(stage: Stage) -> None:
    """The description is JSON data with a kind, and the stage survives pickling."""
    described = stage.describe()
    assert json.loads(json.dumps(described)) == described, "describe() is not plain JSON data"
    assert described.get("kind"), "describe() names no kind"
    again = pickle.loads(pickle.dumps(stage))
    assert again.describe() == described, "a pickled stage is not the same stage"


def check_shape(stage: Stage, signal: F32) -> None:
    """Blocks come out as float32, C order, with the channels declared, each sample once and in order."""
    blocks = run_stage(stage, signal, cuts=(1, 700, 701))
    at = stage.first_output(FIRST)
    for block in blocks:
        assert block.samples.dtype == np.float32, f"samples are {block.samples.dtype}"
        assert block.samples.flags.c_contiguous, "samples are not in C order"
        assert block.samples.shape[1] == len(stage.out_channels), "not the channels that were declared"
        assert not block.is_counts, "a stage gives physical samples"
        assert block.start == at, f"counter {at} was due, {block.start} came"
        at = block.stop
    due = stage.first_output(FIRST + len(signal))
    assert at == due, f"the output ends at {at} instead of {due}"
    assert run_stage(stage, signal[:0]) == [], "an empty stream gives output"


def check_input_untouched(stage: Stage, signal: F32) -> None:
    """The block that goes in is not written to, nor is it changed later."""
    given = signal.copy()
    given.flags.writeable = False
    run_stage(stage, given, cuts=(900,))
    assert np.array_equal(given, signal, equal_nan=True), "the input was changed"


def check_repeatable(stage: Stage, signal: F32) -> None:
    """After ``finish`` the state is as at the start; nothing is remembered in the stage itself."""
    state = stage.start()
    first = joined(run_stage(stage, signal, state=state))
    second = joined(run_stage(stage, signal, state=state))
    _same(first, second, "the second of two equal streams differs")


def check_workers(stage: Stage, signal: F32) -> None:
    """The number of threads does not change a bit."""
    alone = joined(run_stage(stage, signal, cuts=(1500,)))
    for workers in (2, 3):
        stage.use(Team(workers))
        try:
            _same(
                alone, joined(run_stage(stage, signal, cuts=(1500,))), f"{workers} threads give another result than 1"
            )
        finally:
            stage.use(ALONE)


def check_any_chunking(stage: Stage, signal: F32, *, examples: int = 12) -> None:
    """No way of cutting the stream changes a bit, with or without missing samples, nor does saving it midway."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st

    n = len(signal)
    place = st.integers(0, n)
    holes = st.lists(st.tuples(place, st.integers(1, 60), st.integers(0, len(stage.in_channels))), max_size=4)

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True,
        phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(cuts=st.lists(place, max_size=12), holes=holes, save=place)
    def any_chunking(cuts: list[int], holes: list[tuple[int, int, int]], save: int) -> None:
        given_signal = with_missing(stage, signal, holes)
        whole = joined(run_stage(stage, given_signal))
        _same(whole, joined(run_stage(stage, given_signal, cuts)), f"cutting at {sorted(cuts)} changes the result")
        _same(whole, joined(_saved_midway(stage, given_signal, save)), f"saving at {save} changes the result")

    any_chunking()


def with_missing(stage: Stage, signal: F32, holes: Sequence[tuple[int, int, int]]) -> F32:
    """Return the signal with NaN in some places: ``(row, length, channel)``; a channel too many means all of them."""
    signal = signal.copy()
    analog = np.flatnonzero(~stage.in_channels.is_digital)
    for row, length, channel in holes:
        columns = analog if channel not in analog else [channel]
        signal[row : row + length, columns] = np.nan
    return signal


def check_gap(stage: Stage, signal: F32) -> None:
    """Behind a jump of the counter everything starts anew: two streams in a row."""
    half = len(signal) // 2
    other = FIRST + half + 12_345
    state = stage.start()
    blocks = stage.process(Block(signal[:half], FIRST), state)
    blocks += stage.process(Block(signal[half:], other), state)
    blocks += stage.finish(state)
    expected = [*run_stage(stage, signal[:half]), *run_stage(stage, signal[half:], start=other)]
    assert [(b.start, b.stop) for b in _merge(blocks)] == [(b.start, b.stop) for b in _merge(expected)]
    _same(joined(blocks), joined(expected), "the signal behind a gap depends on what was before it")


def check_missing_rows(stage: Stage, signal: F32) -> None:
    """Rows that are NaN in all channels part the stream as a gap does (within the accuracy of stages with latency)."""
    a, b = len(signal) // 2, len(signal) // 2 + 50
    holed = with_missing(stage, signal, [(a, b - a, len(stage.in_channels))])
    got = joined(run_stage(stage, holed))
    analog = stage.out_channels.columns_of(SignalType.AMP)
    if len(analog) == 0:
        return
    at = stage.first_output(FIRST)
    stop, again = stage.first_output(FIRST + a) - at, stage.first_output(FIRST + b) - at
    assert np.isnan(got[stop:again][:, analog]).all(), "missing samples came back as numbers"
    before = joined(run_stage(stage, signal[:a]))
    behind = joined(run_stage(stage, signal[b:], start=FIRST + b))
    largest = float(np.abs(signal[:, analog]).max())
    tolerance = 1e-6 * largest if stage.latency else 0.0
    for name, part, expected in (("before", got[:stop], before), ("behind", got[again:], behind)):
        missing = np.isnan(part[:, analog]) & np.isnan(expected[:, analog])
        error = np.where(missing, 0, np.abs(part[:, analog] - expected[:, analog]))
        assert not np.isnan(error).any(), f"NaN spread to what comes {name} it"
        assert error.max(initial=0) <= tolerance, f"what comes {name} missing samples is off by {error.max()}"


def check_missing_samples(stage: Stage, signal: F32) -> None:
    """A missing sample does not outlive its place: no other row lacks a number that it would have had."""
    analog = stage.in_channels.columns_of(SignalType.AMP)
    if len(analog) == 0:
        return
    row = len(signal) // 3
    got = joined(run_stage(stage, with_missing(stage, signal, [(row, 1, int(analog[0]))])))
    its_own = range(*(stage.first_output(FIRST + r) - stage.first_output(FIRST) for r in (row, row + 1)))
    spoiled = ~np.isfinite(got) & np.isfinite(joined(run_stage(stage, signal)))
    rows = np.flatnonzero(spoiled.any(axis=1))
    assert rows.tolist() in ([], list(its_own)), f"one missing sample in row {row} spoils rows {rows[:5]}"


def check_latency(stage: Stage, signal: F32) -> None:
    """Output comes when it was declared: the longest wait of a sample is the latency, to within one step.

    Both are counted in input samples, for a stage with fewer output samples too.
    """
    step = max(1, stage.latency // 64)
    ratio = stage.in_fs / stage.out_fs
    state = stage.start()
    waits = []
    rows = signal if stage.latency else signal[:300]
    for a in range(0, len(rows), step):
        block = Block(rows[a : a + step], FIRST + a)
        waits += [block.stop - 1 - ceil(done.start * ratio) for done in stage.process(block, state) if len(done)]
    stage.finish(state)
    assert waits, "nothing came out before the end, though more went in than the latency"
    assert abs(max(waits) - stage.latency) < step, f"declared latency {stage.latency}, measured {max(waits)}"


def check_bounded_state(stage: Stage, *, seed: int = 0) -> None:
    """What a stage remembers does not grow with the stream."""
    signal = make_signal(stage, seed=seed, rows=8 * max(stage.latency, 500))
    step = max(100, stage.latency // 6)
    state = stage.start()
    sizes = []
    for a in range(0, len(signal), step):
        stage.process(Block(signal[a : a + step], FIRST + a), state)
        sizes.append(len(pickle.dumps(state)))
    half = len(sizes) // 2
    early, late = max(sizes[:half]), max(sizes[half:])
    assert late <= 1.2 * early + 4096, f"the state grew from {early} to {late} bytes"
    stage.finish(state)


def _saved_midway(stage: Stage, signal: F32, row: int) -> list[Block]:
    """Run with stage and state pickled and restored before one row."""
    state = stage.start()
    blocks = stage.process(Block(signal[:row], FIRST), state) if row else []
    stage, state = pickle.loads(pickle.dumps((stage, state)))
    if row < len(signal):
        blocks += stage.process(Block(signal[row:], FIRST + row), state)
    return [*blocks, *stage.finish(state)]


def _merge(blocks: Sequence[Block]) -> list[Block]:
    """Return the blocks with neighbours joined."""
    merged: list[Block] = []
    for block in blocks:
        if merged and merged[-1].stop == block.start:
            merged[-1] = Block(np.concatenate([merged[-1].samples, block.samples]), merged[-1].start)
        else:
            merged.append(block)
    return merged


def _same(one: F32, two: F32, message: str) -> None:
    assert one.shape == two.shape, f"{message}: shapes {one.shape} and {two.shape}"
    if not np.array_equal(one, two, equal_nan=True):
        rows = np.flatnonzero(((one != two) & ~(np.isnan(one) & np.isnan(two))).any(axis=1))
        raise AssertionError(f"{message}: {len(rows)} rows differ, the first is {rows[0]}")
