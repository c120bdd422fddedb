"""Edges of digital lines."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ranvier.checks.files_xdat import write_xdat
from ranvier.recordings import Events, open_session
from ranvier.recordings.digital import digital_edges, drop_stored_edges, edges_lost_at


def edges_of(folder: Path, line: list[int], counters: list[int]) -> list[tuple[int, int]]:
    path, _ = write_xdat(folder, rows=len(line), pri=1, aux=0, din=1, dout=0, counters=np.array(counters))
    stored = np.fromfile(folder / "set_data.xdat", "<f4").reshape(-1, 2)
    stored[:, 1] = line
    stored.tofile(folder / "set_data.xdat")
    events = digital_edges(open_session(path).stream())
    assert set(events.source) <= {"DIN"}
    return list(zip(events.counter.tolist(), events.state.tolist(), strict=True))


@pytest.mark.parametrize("block_rows", [1, 2, 3, 100])
def test_blocks_and_gaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_rows: int) -> None:
    """High from the start is no edge; a change across a gap counts behind it; blocks do not matter."""
    monkeypatch.setattr("ranvier.recordings.digital.BLOCK_ROWS", block_rows)
    line = [1, 1, 0, 0, 1, 0, 0, 1]
    counters = [10, 11, 12, 13, 14, 20, 21, 40]
    assert edges_of(tmp_path, line, counters) == [(12, 0), (14, 1), (20, 0), (40, 1)]


def test_no_edges(tmp_path: Path) -> None:
    assert edges_of(tmp_path, [0, 0, 0], [0, 1, 2]) == []
    path, _ = write_xdat(tmp_path, din=0, dout=0)
    assert len(digital_edges(open_session(path).stream())) == 0


def test_edges_of_stored_lines_are_dropped() -> None:
    events = Events.merge(Events.ttl([1, 2, 3], [0, 1, 0], [1, 1, 0], source="DIN"), Events.ttl([2], [0], [1]))
    kept = drop_stored_edges(events, {("DIN", 0), ("DOUT", 1)})
    assert list(zip(kept.counter.tolist(), kept.source, strict=True)) == [(2, "DIN"), (2, "TTL")]
    assert drop_stored_edges(events, set()) is events


def test_edges_that_meet_between_kept_samples_are_counted() -> None:
    """A pulse of counters 11-14 lies between the samples 10 and 20; one of 15-21 does not."""
    pulses = Events.ttl([11, 14, 15, 21, 32, 35], [0, 0, 1, 1, 2, 3], [1, 0, 1, 0, 1, 1], source="DIN")
    assert edges_lost_at(pulses, Fraction(10)) == 2
    assert edges_lost_at(pulses, Fraction(1)) == 0
    comments = Events.ttl([11, 14], [0, 0], [1, 0], source="message")
    assert edges_lost_at(Events.merge(pulses, comments), Fraction(10)) == 2
