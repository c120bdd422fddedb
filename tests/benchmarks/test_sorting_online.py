"""The online harness of the sorting benchmark: what it times, and that a slow sorter shows."""

from __future__ import annotations

import gc
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.sorting import our_generate, recipes
from benchmarks.sorting.online import POST_MS, oracle, replay
from benchmarks.sorting.truth import Truth

from ranvier.recordings import Block

pytestmark = pytest.mark.usefixtures("process_as_before")


@pytest.fixture
def truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Truth:
    monkeypatch.setenv("RANVIER_BENCH_DATA", str(tmp_path))
    monkeypatch.setitem(recipes.RECIPES, "tetrode", replace(recipes.RECIPES["tetrode"], seconds=3.0))
    return our_generate.make("tetrode", 5)


def test_every_label_is_timed_after_its_samples(truth: Truth) -> None:
    done = replay(truth, oracle(truth), seconds=1.0)
    expected = truth.sample_index[truth.sample_index < done.stop - round(POST_MS / 1000 * truth.fs)]
    np.testing.assert_array_equal(done.sample_index, expected[: len(done.sample_index)])
    assert len(done.sample_index) >= len(expected) - 1
    assert (done.published_sec >= done.needed_sec).all()
    assert (done.needed_sec - done.taken_sec >= POST_MS / 1000).all()
    assert done.shed_samples == 0
    assert (done.begun_sec >= done.handed_sec).all()
    assert (done.done_sec > done.begun_sec).all()
    assert set(done.handed_sec) <= set(done.arrived_sec)
    told = done.report(truth)
    assert told["scores"]["recall"] > 0.9 * np.mean(np.bincount(truth.unit[: len(expected)], minlength=8) > 0)
    assert told["L_label_ms"]["p50"] > told["L_sw_ms"]["p50"]


def test_a_slow_sorter_shows_as_latency_since_the_source_never_waits(truth: Truth) -> None:
    know = oracle(truth)

    def slow(block: Block) -> tuple[object, object]:
        time.sleep(0.020)  # for packets of 10 ms
        return know(block)

    done = replay(truth, slow, seconds=0.6, block_ms=10.0)  # type: ignore[arg-type]
    lag = done.published_sec - done.needed_sec
    assert lag[-1] > 0.25
    assert lag[-1] > lag[0] + 0.2


def test_a_full_collection_of_garbage_is_told(truth: Truth) -> None:
    know = oracle(truth)

    def untidy(block: Block) -> tuple[object, object]:
        gc.collect()
        return know(block)

    done = replay(truth, untidy, seconds=0.3, block_ms=50.0)  # type: ignore[arg-type]
    told = done.report(truth)
    assert len(told["full_collections_ms"]) >= len(done.begun_sec)
    assert sum(told["full_collections_ms"]) / 1000 <= (done.done_sec - done.begun_sec).sum() + 0.01


def test_a_sorter_that_fails_is_an_error(truth: Truth) -> None:
    def broken(block: Block) -> tuple[object, object]:
        raise ValueError("no units")

    with pytest.raises(RuntimeError, match="no units"):
        replay(truth, broken, seconds=0.3)  # type: ignore[arg-type]
