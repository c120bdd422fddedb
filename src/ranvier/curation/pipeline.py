"""Blocks of a recording through threads: read ahead, completed, written behind, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from ranvier.recordings.block import Block
from ranvier.recordings.buffers import aligned_empty
from ranvier.recordings.quantiser import Counts
from ranvier.recordings.recording import Columns, Recording

#: Bytes of one block of input, as float32; its rows follow from the number of columns.
BLOCK_BYTES = 4 * 2**20

#: What comes out of a chain: blocks, or the counts of an output already.
Made = Block | Counts

#: Blocks that are read, and that are completed or written, while one is computed.
READ_AHEAD = 1
WRITE_BEHIND = 2


def usual_rows(width: int) -> int:
    """Return the rows of a block: such that blocks of most widths fill whole pages of the disk."""
    return max(256, BLOCK_BYTES // (4 * max(width, 1)) // 256 * 256)


class BlockReader:
    """Reads blocks of a recording into aligned memory: physical samples, or stored counts."""

    def __init__(self, recording: Recording, columns: Columns, width: int, *, counts: bool) -> None:
        self.recording = recording
        self.columns = columns
        self.width = width
        self.counts = counts

    def read(self, start: int, stop: int) -> Block:
        """Read counters ``[start, stop)``, which no gap interrupts."""
        shape = (stop - start, self.width)
        if self.counts:
            return self.recording.read_counts(start, stop, self.columns, out=aligned_empty(shape, np.int16))
        return self.recording.read(start, stop, self.columns, out=aligned_empty(shape, np.float32))


class Pipeline:
    """Reads ahead, completes and writes behind, each in threads of its own; or in the caller's, without completers."""

    def __init__(self, read: Callable[[int, int], Block], write: Callable[[Made], None], completers: int) -> None:
        self._read, self._write = read, write
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="ranvier-read") if completers else None
        self._completer = ThreadPoolExecutor(completers, thread_name_prefix="ranvier-complete") if completers else None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="ranvier-write") if completers else None
        self._most_behind = WRITE_BEHIND - 1 + completers
        self._completing: Future[Sequence[Made]] | None = None
        self._writing: deque[Future[None]] = deque()

    def blocks(self, ranges: Iterator[tuple[int, int]]) -> Iterator[Block]:
        if self._reader is None:
            for start, stop in ranges:
                yield self._read(start, stop)
            return
        ahead: deque[Future[Block]] = deque()
        for start, stop in ranges:
            ahead.append(self._reader.submit(self._read, start, stop))
            if len(ahead) > READ_AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    def write(self, rest: Callable[[], Sequence[Made]]) -> None:
        """Complete blocks and write them, in the order of the calls."""
        if self._writer is None or self._completer is None:
            self._write_all(rest)
            return
        while len(self._writing) >= self._most_behind:
            self._writing.popleft().result()
        self._completing = self._completer.submit(rest)
        self._writing.append(self._writer.submit(self._write_all, self._completing.result))

    def complete(self) -> None:
        """Wait until all is completed, if not written."""
        if self._completing is not None:
            self._completing.result()

    def _write_all(self, completed: Callable[[], Sequence[Made]]) -> None:
        for block in completed():
            self._write(block)

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Wait for what is under way; raise what a write raised."""
        for pool in (self._reader, self._completer, self._writer):
            if pool is not None:
                pool.shutdown(wait=True, cancel_futures=kind is not None)
        if kind is None:
            while self._writing:
                self._writing.popleft().result()
