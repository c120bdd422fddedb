"""Samples on their way to the disk, past the memory in which the system keeps files.

The disk takes them out of our own memory (``O_DIRECT``), which costs a fifth to an eighth of the CPU time of a copy
into the system's. It takes whole pages only; what does not fill one, and what a platform or a file system does not do
that way, is written as :func:`ranvier._platform.write_past_cache` does.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier import _platform
from ranvier._platform import DIRECT_BYTES

#: Bytes of a piece that is handed to the disk, and how many of them wait there: while the disk takes one, the next one
#: is on its way already, and one more is filled.
BLOCK_BYTES = 2 * 2**20
IN_FLIGHT = 2
#: The longest piece of memory that was lent.
_LENT_BYTES = 4 * 2**20
#: Blocks that are kept for the next file: fresh memory is slow on first touch.
_KEPT_BLOCKS = 8


class DirectFile:
    """A second way into a file that is open for writing; for any number of threads, on ranges that share no page."""

    def __init__(self, path: Path, handle: int) -> None:
        self._plain = handle
        self._direct = _platform.open_direct(path)

    @property
    def is_direct(self) -> bool:
        """Whether the disk takes whole pages."""
        return self._direct is not None

    def write(self, at: int, data: npt.NDArray[np.uint8]) -> None:
        """Write bytes at an offset; OSError as the disk gives it."""
        left, begin = data.data, at
        if self._direct is not None and data.ctypes.data % DIRECT_BYTES == at % DIRECT_BYTES:
            head = -at % DIRECT_BYTES
            stop = len(data) - (len(data) - head) % DIRECT_BYTES
            if head < stop:
                done = self._whole(at + head, left[head:stop])
                _platform.write_past_cache(self._plain, [left[:head]], at)
                left, begin = left[head + done :], at + head + done
        _platform.write_past_cache(self._plain, [left], begin)

    def _whole(self, at: int, data: memoryview) -> int:
        """Write whole pages; return how many bytes of them are written."""
        done = 0
        while done < len(data) and self._direct is not None:
            taken = _platform.write_direct(self._direct, data[done:], at + done)
            if taken % DIRECT_BYTES or not taken:
                return done + taken - taken % DIRECT_BYTES
            done += taken
        return done

    def close(self) -> None:
        """Close the second way; the file itself stays open."""
        direct, self._direct = self._direct, None
        if direct is not None:
            _platform.close_handle(direct)


class WriteBehind:
    """Bytes that are copied into blocks of whole pages, which threads bring to the disk.

    From one thread. What the disk refuses, the next call raises.
    """

    def __init__(self, path: Path, handle: int) -> None:
        self._file = DirectFile(path, handle)
        self._pool = ThreadPoolExecutor(IN_FLIGHT, "ranvier-disk")
        self._under_way: deque[Future[None]] = deque()
        self._block: npt.NDArray[np.uint8] | None = None
        self._from = self._to = 0  # the part of the block that is filled
        self._start = 0  # where the block's first byte belongs

    def put(self, at: int, data: Any) -> None:
        """Take bytes that belong at an offset; those of the call before need not end there."""
        left = np.frombuffer(data, np.uint8)
        while len(left):
            if self._block is None or self._start + self._to != at:
                self._hand_over()
                self._block = _take_block()
                self._from = self._to = at % DIRECT_BYTES  # so that pages of the file are pages of the memory
                self._start = at - self._from
            n = min(len(left), len(self._block) - self._to)
            self._block[self._to : self._to + n] = left[:n]
            self._to += n
            left, at = left[n:], at + n
            if self._to == len(self._block):
                self._hand_over()

    def lend(self, at: int, data: npt.NDArray[np.uint8]) -> int:
        """Take whole pages that belong at an offset without a copy; return how many bytes of them were taken.

        Their memory must not change any more. Nothing is taken of what does not lie on whole pages itself.
        """
        size = len(data) - len(data) % DIRECT_BYTES
        if size < BLOCK_BYTES // 4 or at % DIRECT_BYTES or data.ctypes.data % DIRECT_BYTES or not self._file.is_direct:
            return 0
        self._hand_over()
        for first in range(0, size, _LENT_BYTES):
            self._submit(self._file.write, at + first, data[first : min(first + _LENT_BYTES, size)])
        return size

    def drain(self) -> None:
        """Write all that was taken; return when it is written."""
        self._hand_over()
        while self._under_way:
            self._under_way.popleft().result()

    def close(self) -> None:
        """Write all that was taken, and end."""
        try:
            self.drain()
        finally:
            self._pool.shutdown()
            self._under_way.clear()
            self._file.close()

    def _hand_over(self) -> None:
        block, self._block = self._block, None
        if block is None:
            return
        self._submit(self._write, block, self._from, self._to, self._start)

    def _submit(self, write: Callable[..., None], *arguments: Any) -> None:
        while len(self._under_way) >= IN_FLIGHT:
            self._under_way.popleft().result()
        try:
            self._under_way.append(self._pool.submit(write, *arguments))
        except RuntimeError:  # the interpreter ends, and no thread takes work any more
            write(*arguments)

    def _write(self, block: npt.NDArray[np.uint8], first: int, stop: int, start: int) -> None:
        try:
            self._file.write(start + first, block[first:stop])
        finally:
            _give_back(block)


_LOCK = threading.Lock()
_FREE: list[npt.NDArray[np.uint8]] = []


def _take_block() -> npt.NDArray[np.uint8]:
    with _LOCK:
        if _FREE:
            return _FREE.pop()
    return page_aligned(BLOCK_BYTES)


def _give_back(block: npt.NDArray[np.uint8]) -> None:
    with _LOCK:
        if len(_FREE) < _KEPT_BLOCKS and len(block) == BLOCK_BYTES:
            _FREE.append(block)


def page_aligned(size: int) -> npt.NDArray[np.uint8]:
    """Return zeros in memory that begins at a page."""
    memory = np.zeros(size + DIRECT_BYTES, np.uint8)
    skip = -memory.ctypes.data % DIRECT_BYTES
    return memory[skip : skip + size]
