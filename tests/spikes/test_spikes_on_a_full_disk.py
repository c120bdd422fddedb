"""A disk that is full while spikes are written: one error of ours, nothing left behind, and the next try works."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spike_tools import FS, columns

from ranvier.exceptions import OutputError
from ranvier.recordings import files
from ranvier.spikes import SpikeStore, SpikeWriter, StoreInfo, curation, write_store, writer


class _Disk:
    """So many bytes, for all files together."""

    def __init__(self, free: int) -> None:
        self.free = free

    def take(self, wanted: int) -> int:
        taken = min(wanted, self.free)
        if wanted and not taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.free -= taken
        return taken


class _Raw(io.FileIO):
    """Writes what the disk takes: a part, then nothing."""

    def __init__(self, disk: _Disk, path: Path, mode: str) -> None:
        super().__init__(path, mode)
        self._disk = disk

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        return super().write(view[: self._disk.take(len(view))]) or 0


@contextmanager
def disk_of(free: int) -> Iterator[_Disk]:
    disk = _Disk(free)

    def opened(path: Path, mode: str = "r", buffering: int = -1) -> Any:
        if mode == "rb":
            return open(path, mode)
        raw = _Raw(disk, path, mode.replace("b", ""))
        return raw if buffering == 0 else io.BufferedWriter(raw, 1 << 20)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "open", opened, raising=False)
        patch.setattr(writer, "open", opened, raising=False)
        yield disk


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


INFO = StoreInfo(FS, start=0, stop=400_000)
SPIKES = columns(3000)


def _whole(path: Path) -> None:
    write_store(path, INFO, SPIKES, force=True)


def _aborted(path: Path) -> None:
    """As a sort does: it stops at the first error."""
    made = SpikeWriter(path, INFO, force=True)
    try:
        made.append(**SPIKES)
        made.close()
    finally:
        made.abort()


@pytest.mark.parametrize("write", [_whole, _aborted])
@pytest.mark.parametrize("free", [0, 40, 3000, 60_000, 110_000, 200_000])
def test_what_was_there_stays_and_nothing_else(tmp_path: Path, free: int, write: Callable[[Path], None]) -> None:
    path = write_store(tmp_path / "a", INFO, columns(100, seed=2))
    before = path.read_bytes()
    with disk_of(free), pytest.raises(OutputError, match=r"a\.spikes: the disk is full"):
        write(path)
    assert path.read_bytes() == before
    assert names(tmp_path) == ["a.spikes"]
    write(path)
    assert len(SpikeStore.open(path)) == 3000


def test_a_live_file_is_readable_up_to_what_fitted(tmp_path: Path) -> None:
    with disk_of(1 << 30) as disk:
        made = SpikeWriter(tmp_path / "l", INFO, live=True, flush_sec=1e9)
        made.append(**columns(500))
        made.flush()
        disk.free = 200
        made.append(**SPIKES)
        with pytest.raises(OutputError, match="the disk is full"):
            made.close()
    assert len(SpikeStore.open(made.path)) == 500
    with SpikeWriter(made.path, INFO, force=True) as again:  # nobody holds it any more
        again.append(**SPIKES)
    assert names(tmp_path) == ["l.spikes"]


def test_a_change_of_units_is_whole_or_not_there(tmp_path: Path) -> None:
    path = write_store(tmp_path / "a", INFO, SPIKES)
    before = path.read_bytes()
    many = np.arange(int(np.count_nonzero(SPIKES["unit"] == 1))) % 2
    with disk_of(100), pytest.raises(OutputError, match="the disk is full"):
        curation.split(path, 1, many)
    assert path.read_bytes() == before
    assert curation.split(path, 1, many) == [6, 7]
