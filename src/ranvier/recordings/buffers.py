"""Memory for blocks: aligned, and used again.

Fresh memory costs more than the work done in it (0.5 GB/s on first touch on a virtual machine), so the arrays that come
from here go back to a shelf when nothing refers to them any more, and the next caller gets them. Nobody has to give
anything back, and nobody can be handed memory that is still in use: a view keeps its array alive.
"""

from __future__ import annotations

import math
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

#: Bytes: the width of a cache line, and of the widest vector.
ALIGNMENT = 64
#: Large arrays begin at a page: the disk can take them as they are.
PAGE = 4096

#: What may lie unused, in bytes, and the size from which arrays are kept at all.
SHELF_BYTES = 96 * 2**20
SMALLEST_BYTES = 64 * 2**10
_LARGE_BYTES = 4 * 2**20


class _Shelf:
    """Memory that nobody uses, newest last. Appending and popping are atomic, so no lock is held in a callback."""

    def __init__(self) -> None:
        self.free: deque[npt.NDArray[np.uint8]] = deque()
        self.in_use: dict[int, tuple[weakref.ref[Any], npt.NDArray[np.uint8]]] = {}
        self.more: list[int] = []  # bytes that may lie unused for somebody's sake for a while

    def take(self, size: int) -> npt.NDArray[np.uint8]:
        most = 2 * size if size < _LARGE_BYTES else size + size // 8  # a large one is left to those who need all of it
        for _ in range(len(self.free)):
            try:
                raw = self.free.pop()
            except IndexError:
                break
            if size <= raw.size <= most:
                return raw
            self.free.appendleft(raw)
        return np.empty(size, dtype=np.uint8)

    def lend(self, array: npt.NDArray[Any], raw: npt.NDArray[np.uint8]) -> None:
        key = id(raw)

        def back(_: object) -> None:
            self.in_use.pop(key, None)
            self.free.append(raw)
            self.tidy()

        self.in_use[key] = (weakref.ref(array, back), raw)

    def tidy(self) -> None:
        while sum(r.size for r in tuple(self.free)) > max([SHELF_BYTES, *self.more]):
            try:
                self.free.popleft()
            except IndexError:
                return


_SHELF = _Shelf()


def aligned_empty(shape: int | tuple[int, ...], dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
    """Return an uninitialised C-order array, aligned to 64 bytes (large: to a page), in used memory if there is."""
    dims = (shape,) if isinstance(shape, int) else shape
    kind = np.dtype(dtype)
    wanted = math.prod(dims) * kind.itemsize
    alignment = ALIGNMENT if wanted < SMALLEST_BYTES else PAGE
    size = wanted + alignment
    raw = np.empty(size, dtype=np.uint8) if wanted < SMALLEST_BYTES else _SHELF.take(size)
    skip = -address(raw) % alignment
    # Behind a memoryview NumPy takes the array for the owner of its memory: views refer to it, not to `raw`.
    array = np.frombuffer(memoryview(raw.data)[skip : skip + wanted], dtype=kind).reshape(dims)
    if wanted >= SMALLEST_BYTES:
        _SHELF.lend(_owner(array), raw)
    return array


@contextmanager
def roomy(size: int) -> Iterator[None]:
    """Let as many bytes lie unused for a while: for work whose arrays are larger than :data:`SHELF_BYTES`."""
    _SHELF.more.append(size)
    try:
        yield
    finally:
        _SHELF.more.remove(size)
        _SHELF.tidy()


def address(array: npt.NDArray[Any]) -> int:
    """Return where the first item lies; ``ctypes.data`` says the same and takes longer."""
    return int(array.__array_interface__["data"][0])


def _owner(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the array that every view of this one refers to."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
