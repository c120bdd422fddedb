"""The gap table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranvier.exceptions import RecordingError
from ranvier.recordings import Gap, Piece, Segments

steps = st.lists(st.integers(1, 5), min_size=1, max_size=60)


@given(st.integers(-1000, 1000), steps, st.integers(-20, 320), st.integers(0, 100))
def test_pieces_are_the_rows_whose_counters_are_asked_for(first: int, steps: list[int], at: int, length: int) -> None:
    counters = first + np.cumsum([0, *steps])
    table = Segments.from_counters(counters)
    a, b = first + at, first + at + length
    got = [(row + i, counter + i) for row, counter, n in table.pieces(a, b) for i in range(n)]
    assert got == [(i, int(c)) for i, c in enumerate(counters) if a <= c < b]


@given(st.integers(-1000, 1000), steps)
def test_totals(first: int, steps: list[int]) -> None:
    counters = first + np.cumsum([0, *steps])
    table = Segments.from_counters(counters)
    assert (table.start, table.stop) == (first, counters[-1] + 1)
    assert table.rows == len(counters)
    assert table.missing == table.stop - table.start - table.rows == sum(g.stop - g.start for g in table.gaps)
    assert [table.counter_of(i) for i in range(len(counters))] == counters.tolist()
    assert Segments.from_runs(table.runs()).runs() == table.runs()


def test_runs_that_touch_are_joined() -> None:
    table = Segments.from_runs([(5, 5), (10, 1), (11, 0), (20, 2)])
    assert table.runs() == [(5, 6), (20, 2)]
    assert table.gaps == [Gap(11, 20)]
    assert list(table.pieces(0, 100)) == [Piece(0, 5, 6), Piece(6, 20, 2)]


def test_empty() -> None:
    for table in (Segments.single(5, 0), Segments.from_runs([]), Segments.from_counters(np.empty(0, np.int64))):
        assert (table.start, table.stop, table.rows, table.missing, table.gaps) == (0, 0, 0, 0, [])
        assert list(table.pieces(0, 10)) == []


@pytest.mark.parametrize("runs", [[(0, 5), (4, 5)], [(10, 1), (0, 1)]])
def test_overlaps_are_refused(runs: list[tuple[int, int]]) -> None:
    with pytest.raises(RecordingError, match="backwards"):
        Segments.from_runs(runs)


def test_rows_before_counters() -> None:
    table = Segments.from_runs([(10, 5), (20, 3)])
    counters = np.arange(5, 30)
    stored = np.r_[10:15, 20:23]
    assert table.rows_before(counters).tolist() == [int((stored < c).sum()) for c in counters]
    assert Segments.single(0, 0).rows_before(counters).tolist() == [0] * len(counters)


@given(st.integers(-1000, 1000), steps, st.integers(0, 20))
def test_time_without_gaps(first: int, steps: list[int], beyond: int) -> None:
    stored = first + np.cumsum([0, *steps])
    table = Segments.from_counters(stored)
    every = np.arange(first - beyond, stored[-1] + beyond + 1)
    missing = np.setdiff1d(np.arange(first, stored[-1]), stored)
    assert (every - table.without_gaps(every)).tolist() == [int((missing < c).sum()) for c in every]
    assert Segments.single(0, 0).without_gaps(every).tolist() == every.tolist()
