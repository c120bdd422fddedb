"""The books of a concatenated recording: there and back again, for any pieces, gaps and cuts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranvier.exceptions import RecordingError
from ranvier.recordings import Events, Segments, SpikeTrains, plain_channels
from ranvier.recordings.memory import ArrayRecording
from ranvier.recordings.pieces import PieceTable, SourcePiece, pieces_in
from ranvier.recordings.views import ContinuedRecording, JoinedRecording, stretch


@st.composite
def tables(draw: st.DrawFn) -> PieceTable:
    """Return up to five pieces, back to back or apart."""
    pieces, at = [], draw(st.integers(-1000, 1000))
    for k in range(draw(st.integers(1, 5))):
        start, n = draw(st.integers(-500, 10_000)), draw(st.integers(1, 300))
        pieces.append(SourcePiece(f"f{k}", "", start, start + n, at))
        at += n + draw(st.sampled_from([0, 0, 1, 57]))
    return PieceTable(tuple(pieces))


@given(tables(), st.randoms(use_true_random=False))
def test_counters_there_and_back(table: PieceTable, random) -> None:
    for k, p in enumerate(table.pieces):
        own = np.array(sorted(random.randrange(p.start, p.stop) for _ in range(7)))
        piece, back = table.to_sources(table.to_output(k, own))
        assert set(piece.tolist()) == {k}
        np.testing.assert_array_equal(back, own)
    every = np.arange(table.pieces[0].output_start - 3, table.pieces[-1].output_stop + 3)
    piece, _ = table.to_sources(every)
    assert (piece >= 0).sum() == sum(p.stop - p.start for p in table.pieces)


@given(tables(), st.integers(0, 2**31))
def test_events_and_spikes_come_back(table: PieceTable, seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts, trains = [], []
    for k, p in enumerate(table.pieces):
        n = int(rng.integers(0, 9))
        at = np.sort(rng.integers(p.start, p.stop, n))
        parts.append(Events.ttl(at, rng.integers(0, 4, n), rng.integers(0, 2, n), source=f"TTL {k}"))
        trains.append(SpikeTrains(at, np.full(n, k, np.int32), np.zeros(n, np.int32)))
    for old, new in zip(parts, table.split_events(table.join_events(parts)), strict=True):
        np.testing.assert_array_equal(old.counter, new.counter)
        np.testing.assert_array_equal(old.line, new.line)
        np.testing.assert_array_equal(old.state, new.state)
        assert old.source == new.source
    whole = np.concatenate([table.to_output(k, t.counter) for k, t in enumerate(trains)])
    unit = np.concatenate([t.unit for t in trains])
    joined = SpikeTrains(whole, unit, np.zeros(len(whole), np.int32))
    for old, new in zip(trains, table.split_trains(joined), strict=True):
        np.testing.assert_array_equal(old.counter, new.counter)
        np.testing.assert_array_equal(old.unit, new.unit)


@given(tables(), st.integers(0, 2**31), st.booleans())
def test_samples_of_every_piece_and_gap(table: PieceTable, seed: int, counts: bool) -> None:
    rng = np.random.default_rng(seed)
    sources = []
    for p in table.pieces:
        n = p.stop - p.start
        hole = int(rng.integers(1, 9)) if n > 2 else 0
        half = n // 2 if hole else n
        segments = Segments.from_runs([(p.start, half), (p.start + half + hole, n - half - hole)])
        samples = rng.integers(-99, 99, (segments.rows, 3)).astype(np.int16 if counts else np.float32)
        sources.append(ArrayRecording(samples, 1000, plain_channels(amp=3), segments=segments))
    order = np.array([2, 0, 1])
    whole = JoinedRecording(sources, table, [order] * len(sources), plain_channels(amp=3), path=sources[0].path)
    assert whole.stores_counts == counts
    for p, source in zip(table.pieces, sources, strict=True):
        start, stop = max(p.start, source.start), min(p.stop, source.stop)
        moved = p.output_start - p.start
        expected = source.read(start, stop).samples[:, order]
        np.testing.assert_array_equal(whole.read(start + moved, stop + moved).samples, expected)
        back = stretch(whole, start + moved, stop + moved, start)
        assert back.segments.runs() == [(c, n) for _, c, n in source.segments.pieces(start, stop)]
        np.testing.assert_array_equal(back.read(start, stop).samples, expected)


class Growing(ArrayRecording):
    """Shows more of itself at each look."""

    def __init__(self, samples: np.ndarray, shown: int, start: int) -> None:
        super().__init__(samples, 1000, plain_channels(amp=1), start=start)
        self.all, self.first, self.shown = len(samples), start, shown
        self.segments = Segments.single(start, shown)

    def refresh(self) -> int:
        self.shown = min(self.all, self.shown + 50)
        self.segments = Segments.single(self.first, self.shown)
        return self.stop


def test_files_that_continue_each_other_grow_at_the_end() -> None:
    first = ArrayRecording(np.arange(100, dtype=np.int16)[:, None], 1000, plain_channels(amp=1), start=7)
    last = Growing(np.arange(1000, 1120, dtype=np.int16)[:, None], 1, start=157)
    whole = ContinuedRecording([first, last], Path("run"))
    assert (whole.start, whole.stop) == (7, 158)
    assert whole.refresh() == 208
    assert whole.segments.runs() == [(7, 100), (157, 51)]
    assert whole.notes == ("1 gap between files, 50 samples not stored",)
    assert whole.refresh() == 258
    assert whole.refresh() == 277
    np.testing.assert_array_equal(whole.read_counts(157, 277).samples[:, 0], np.arange(1000, 1120))
    np.testing.assert_array_equal(whole.read(100, 107).samples[:, 0], np.arange(93, 100))


def test_pieces_that_cannot_be() -> None:
    with pytest.raises(RecordingError, match="overlap"):
        PieceTable((SourcePiece("a", "", 0, 10, 0), SourcePiece("b", "", 0, 10, 9)))
    with pytest.raises(RecordingError, match="each with samples"):
        PieceTable((SourcePiece("a", "", 5, 5, 0),))
    with pytest.raises(RecordingError, match="damaged"):
        PieceTable.from_json([{"path": "a", "source": [0]}])
    assert pieces_in(None) is None
    assert pieces_in({"stages": [{"kind": "highpass"}], "sources": []}) is None
