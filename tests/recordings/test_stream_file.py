"""Files of any length: what is written is what stands there, however the system is asked to write it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from ranvier import _platform
from ranvier._platform import DIRECT_BYTES
from ranvier.exceptions import OutputError
from ranvier.recordings import stream_file
from ranvier.recordings.direct_file import WriteBehind, page_aligned
from ranvier.recordings.files import StagedFiles
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


def _noted(monkeypatch: pytest.MonkeyPatch) -> tuple[list[tuple[int, int, bool]], list[tuple[int, int]]]:
    """Note the ranges that are written the ordinary way (and whether they may stay), and those past the cache."""
    ordinary: list[tuple[int, int, bool]] = []
    direct: list[tuple[int, int]] = []
    write, write_direct = _platform.write_past_cache, _platform.write_direct

    def noted(handle: int, parts: list[object], start: int, *, keep: bool = False) -> int:
        size = write(handle, parts, start, keep=keep)
        if size:
            ordinary.append((start, start + size, keep))
        return size

    def noted_direct(handle: int, data: memoryview, start: int) -> int:
        size = write_direct(handle, data, start)
        direct.append((start, start + size))
        return size

    monkeypatch.setattr(_platform, "write_past_cache", noted)
    monkeypatch.setattr(_platform, "write_direct", noted_direct)
    return ordinary, direct


def _takes_direct_writes(folder: Path) -> bool:
    (folder / "probe").write_bytes(b"")
    handle = _platform.open_direct(folder / "probe")
    if handle is None:
        return False
    try:
        return _platform.write_direct(handle, page_aligned(4096).data, 0) == 4096
    finally:
        _platform.close_handle(handle)


def test_long_files_are_written_past_the_cache_in_whole_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    able = _takes_direct_writes(tmp_path)
    ordinary, direct = _noted(monkeypatch)
    monkeypatch.setattr(stream_file, "KEPT_BYTES", 1 << 20)
    content = np.random.default_rng(4).integers(0, 256, 30 * 300_001, dtype=np.uint8)
    with StreamFile(tmp_path / "a") as file:
        for at in range(0, len(content), 300_001):
            file.write(content[at : at + 300_001])
    assert (tmp_path / "a").read_bytes() == content.tobytes()
    assert all(keep == (start < 1 << 20) for start, _, keep in ordinary)
    if not able:
        pytest.skip("this folder's file system has no O_DIRECT")
    assert all(start % DIRECT_BYTES == stop % DIRECT_BYTES == 0 for start, stop in direct)
    assert sum(stop - start for start, stop in direct) > 7_500_000
    assert [stop - start for start, stop, keep in ordinary if not keep] == [
        len(content) % DIRECT_BYTES
    ]  # the last page


@pytest.mark.parametrize("taken", ["nothing", "a page and a half", "then no more"])
def test_a_disk_that_takes_other_blocks_gets_the_rest_the_ordinary_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    calls: list[int] = []

    def takes(handle: int, data: memoryview, start: int) -> int:
        calls.append(start)
        if taken == "nothing" or (taken == "then no more" and len(calls) > 1):
            return 0
        n = 4096 if taken == "then no more" else 6144
        with open(tmp_path / "a", "r+b") as file:
            file.seek(start)
            return file.write(data[:n])

    monkeypatch.setattr(_platform, "open_direct", lambda path: os.open(path, os.O_WRONLY))
    monkeypatch.setattr(_platform, "write_direct", takes)
    content = np.random.default_rng(5).integers(0, 256, 100_000, dtype=np.uint8)
    with open(tmp_path / "a", "wb", buffering=0) as handle:
        behind = WriteBehind(tmp_path / "a", handle.fileno())
        handle.write(content[:100].tobytes())
        behind.put(100, content[100:50_000])
        behind.put(50_000, content[50_000:])
        behind.close()
    assert calls
    assert (tmp_path / "a").read_bytes() == content.tobytes()


@pytest.mark.parametrize("lent", [True, False])
def test_only_memory_that_was_lent_is_written_without_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lent: bool
) -> None:
    if not _takes_direct_writes(tmp_path):
        pytest.skip("this folder's file system has no O_DIRECT")
    monkeypatch.setattr(stream_file, "KEPT_BYTES", 0)
    own: list[bool] = []
    write = _platform.write_direct

    def noted(handle: int, data: memoryview, start: int) -> int:
        piece = np.frombuffer(data, np.uint8)
        own.append(any(np.may_share_memory(piece, memory) for memory in memories))
        return write(handle, data, start)

    monkeypatch.setattr(_platform, "write_direct", noted)
    memories = [page_aligned(5 << 20) for _ in range(4)]
    expected = b""
    with StreamFile(tmp_path / "a") as file:
        for seed, memory in enumerate(memories):
            memory[:] = np.random.default_rng(seed).integers(0, 256, len(memory), dtype=np.uint8)
            expected += memory.tobytes()
            file.write(memory.data, lent=lent)
            if not lent:
                memory[:] = 0  # as those may who use their memory again
        file.write(b"and the rest")
    assert set(own) == {lent}
    assert (tmp_path / "a").read_bytes() == expected + b"and the rest"


def test_what_the_disk_refuses_behind_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stream_file, "KEPT_BYTES", 0)
    staged = StagedFiles()
    file = staged.open_stream(tmp_path / "a")
    monkeypatch.setattr(_platform, "write_past_cache", full)
    monkeypatch.setattr(_platform, "write_direct", full)
    file.write(bytes(1_000_000))
    with pytest.raises(OutputError, match="the disk is full"):
        staged.commit([tmp_path / "a"])
    staged.abort()
    assert not list(tmp_path.iterdir())


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
