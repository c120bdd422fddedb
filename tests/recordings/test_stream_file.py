"""Files of any length: what is written is what stands there, however the system is asked to write it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from ranvier import _platform
from ranvier.recordings import stream_file
from ranvier.recordings.stream_file import StreamFile


@pytest.mark.parametrize("kept", [0, 1 << 40])
def test_pieces_of_every_size_come_out_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    monkeypatch.setattr(stream_file, "KEPT_BYTES", kept)
    monkeypatch.setattr(stream_file, "HELD_BYTES", 5000)
    monkeypatch.setattr(stream_file, "PAGE_BYTES", 4096)
    rng = np.random.default_rng(1)
    expected = b""
    with StreamFile(tmp_path / "a") as file:
        for size in [0, 1, 4095, 4096, 4097, 1, 2, 30_001, 8192, 4999, *rng.integers(0, 20_000, 60)]:
            piece = rng.integers(0, 256, int(size), dtype=np.uint8)
            assert file.write(piece.data) == size
            expected += piece.tobytes()
            assert file.tell() == len(expected)
        file.skip(10_000)
        file.write(np.ones((2, 3), np.int16).data)
    assert (tmp_path / "a").read_bytes() == expected + bytes(10_000) + b"\1\0" * 6


def test_long_files_are_written_past_the_cache_in_whole_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int, bool]] = []
    write = _platform.write_past_cache

    def noted(handle: int, parts: list[object], start: int, *, keep: bool) -> int:
        size = write(handle, parts, start, keep=keep)
        calls.append((start, start + size, keep))
        return size

    monkeypatch.setattr(_platform, "write_past_cache", noted)
    monkeypatch.setattr(stream_file, "KEPT_BYTES", 1 << 20)
    with StreamFile(tmp_path / "a") as file:
        for _ in range(9):
            file.write(bytes(300_001))
    assert all(stop % stream_file.PAGE_BYTES == 0 for _, stop, _ in calls[:-1])
    assert [keep for start, _, keep in calls] == [start < 1 << 20 for start, _, _ in calls]
    assert {keep for _, _, keep in calls} == {True, False}
    assert (tmp_path / "a").stat().st_size == 9 * 300_001


def test_where_the_system_cannot_do_it_files_are_written_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not hasattr(os, "pwritev"):
        pytest.skip("no pwritev here: always as ever")
    plain = os.pwritev

    def refuses(handle: int, parts: list[memoryview], start: int, flags: int = 0) -> int:
        if flags:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return plain(handle, [bytes(parts[0][:7])], start)  # and writes little at a time

    monkeypatch.setattr(os, "pwritev", refuses)
    monkeypatch.setattr(_platform, "_drops_behind", lambda: True)
    with open(tmp_path / "a", "wb") as handle:
        assert _platform.write_past_cache(handle.fileno(), [b"0123456789", b"", b"abc"], 2) == 13
    assert (tmp_path / "a").read_bytes() == b"\0\0" + b"0123456789abc"


def test_a_full_disk_is_told_and_the_file_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = StreamFile(tmp_path / "a")
    file.write(b"held back")
    monkeypatch.setattr(_platform, "write_past_cache", full)
    with pytest.raises(OSError, match="No space"):
        file.close()
    assert file.closed
    assert file._handle.closed


@pytest.mark.parametrize(
    ("release", "able"),
    [("6.16.0", True), ("6.18.44-generic", True), ("7.0-rc1", True), ("6.15.9", False), ("?", False)],
)
def test_kernels_that_lose_pages_are_not_asked(release: str, able: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_platform.platform, "release", lambda: release)
    monkeypatch.setattr(_platform.sys, "platform", "linux")
    assert _platform._drops_behind.__wrapped__() is able
