"""Flat files: pieces, buffers, errors."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ranvier.checks.readers import READER_RULES, ReaderCase, ReferenceStream
from ranvier.exceptions import RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings import ChannelTable, Segments, Session, plain_channels
from ranvier.recordings.flat import FlatFile, FlatRecording

INT16 = np.dtype("<i2")


def uneven_channels(n: int) -> ChannelTable:
    plain = plain_channels(amp=n)
    return plain.with_channels(replace(c, gain=0.1 + i, offset=-0.5 * i) for i, c in enumerate(plain))


@pytest.mark.parametrize(
    "rule", [r for r in READER_RULES if r.__name__ != "session_is_consistent"], ids=lambda r: r.__name__
)
def test_reader_suite(rule, tmp_path: Path) -> None:
    """Columns of different gain, two gaps, a header, more rows than a tile."""
    counts = np.random.default_rng(0).integers(-32768, 32768, (40_000, 12)).astype(INT16)
    path = tmp_path / "x.flat"
    path.write_bytes(b"head" + counts.tobytes())
    table = uneven_channels(12)
    segments = Segments.from_runs([(1000, 10_000), (11_005, 1), (20_000, 29_999)])
    whole = np.full((49_999 - 1000, 12), np.nan, np.float32)
    rows = np.concatenate([np.arange(c, c + n) for c, n in segments.runs()]) - 1000
    whole[rows] = counts * table.gains + table.offsets

    def open_it() -> Session:
        file = FlatFile(path, INT16, 12, header_bytes=4)
        recording = FlatRecording(file, fs=Fraction(30_000), channels=table, segments=segments)
        return Session(path, RadiensFileType.KILOSORT2, "flat", {"": recording})

    rule(ReaderCase(open_it, {"": ReferenceStream(whole, 1000, 30_000.0)}, (path,)))


def test_rows_and_leftover(tmp_path: Path) -> None:
    path = tmp_path / "x"
    file = FlatFile(path, INT16, 3, header_bytes=5)
    for size, rows, leftover in ((0, 0, 0), (4, 0, 0), (10, 0, 5), (11, 1, 0), (24, 3, 1)):
        path.write_bytes(bytes(size))
        assert (file.rows(), file.leftover_bytes()) == (rows, leftover)


def test_two_readers_in_one_thread_do_not_share_a_buffer(tmp_path: Path) -> None:
    one, two = (np.full((5000, 100), v, INT16) for v in (1, 2))
    one.tofile(tmp_path / "one")
    two.tofile(tmp_path / "two")
    tiles = [FlatFile(tmp_path / name, INT16, 100).tiles(0, 5000) for name in ("one", "two")]
    for (_, a), (_, b) in zip(*tiles, strict=True):
        assert np.all(a == 1)
        assert np.all(b == 2)


def test_short_reads_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read may return less than was asked for (signals, network drives)."""

    class Slow(FileIO):
        def readinto(self, buffer: Any) -> int:
            return super().readinto(memoryview(buffer)[:7])

    stored = np.arange(300, dtype=INT16).reshape(100, 3)
    stored.tofile(tmp_path / "x")
    monkeypatch.setattr("ranvier.recordings.flat.open", lambda path, *_, **__: Slow(path), raising=False)
    out = np.empty((90, 3), INT16)
    FlatFile(tmp_path / "x", INT16, 3).read_into(5, out)
    assert np.array_equal(out, stored[5:95])


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(60))
    file = FlatFile(path, INT16, 3)
    with pytest.raises(RecordingError, match=r"x: 3 columns, but 4 channels"):
        FlatRecording(file, fs=Fraction(1000), channels=plain_channels(amp=4))
    recording = FlatRecording(file, fs=Fraction(1000), channels=plain_channels(amp=3))
    path.write_bytes(bytes(30))
    with pytest.raises(RecordingError, match="became shorter"):
        recording.read(0, 10)
