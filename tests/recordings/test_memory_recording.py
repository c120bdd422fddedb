"""Arrays as recordings and as outputs."""

from __future__ import annotations

import numpy as np
import pytest

from ranvier.exceptions import RecordingError
from ranvier.recordings import Block, Segments, plain_channels
from ranvier.recordings.memory import ArrayRecording, ArraySink


def test_reads_by_counter_with_gaps() -> None:
    x = np.arange(60, dtype=np.float32).reshape(20, 3)
    segments = Segments(np.array([10, 30]), np.array([12, 8]))
    recording = ArrayRecording(x, 1000, plain_channels(amp=2, din=1), segments=segments)
    block = recording.read(20, 32)
    assert (block.start, block.stop) == (20, 32)
    np.testing.assert_array_equal(block.samples[:2], x[10:12])
    assert np.isnan(block.samples[2:10, :2]).all()
    assert not block.samples[2:10, 2].any()
    np.testing.assert_array_equal(block.samples[10:], x[12:14])
    assert not recording.stores_counts


def test_counts_are_scaled_by_the_channels() -> None:
    counts = np.array([[1, 2], [3, -4]], np.int16)
    recording = ArrayRecording(counts, 30000, start=5)
    assert recording.stores_counts
    np.testing.assert_array_equal(recording.read_counts(5, 7, [1]).samples, [[2], [-4]])
    np.testing.assert_array_equal(recording.read(5, 7).samples, counts)


def test_misfits_are_refused() -> None:
    with pytest.raises(RecordingError, match="does not fit"):
        ArrayRecording(np.zeros((5, 2), np.float32), 30000, plain_channels(amp=3))
    with pytest.raises(RecordingError, match="rows, columns"):
        ArrayRecording(np.zeros(5, np.float32), 30000)


def test_sink_keeps_copies() -> None:
    from fractions import Fraction

    from ranvier.recordings import Header

    sink = ArraySink(Header(Fraction(30000), plain_channels(amp=2)))
    x = np.ones((3, 2), np.float32)
    sink.write(Block(x, 10))
    x[:] = 0
    sink.write(Block(x, 20))
    assert sink.samples().sum() == 6
    assert sink.counters().tolist() == [10, 11, 12, 20, 21, 22]
    sink.commit()
    sink.abort()
    assert sink.state == "committed"
    assert len(sink.samples()) == 6
