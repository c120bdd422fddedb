"""What waits for the disk: blocks and marks in the order they came, bounded by bytes."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from ranvier.models.ports import Port
from ranvier.recordings import Block
from ranvier.recordings.formats.xdat_clock import ClockTriple
from ranvier.rig.recording_file import RecordingFile


@dataclass
class Begin:
    """From here on blocks go to this file too."""

    port: Port | None
    file: RecordingFile


@dataclass
class End:
    """The files of these ports end here; ``done`` is set when they are finished (``error`` says what went wrong)."""

    ports: tuple[Port | None, ...]
    note: str = ""
    done: threading.Event = field(default_factory=threading.Event)
    paths: list[Path] = field(default_factory=list)
    error: str = ""


@dataclass
class Lost:
    """Counters ``[start, stop)`` found no place in the queue."""

    start: int
    stop: int


Item = Block | ClockTriple | Begin | End | Lost


class RecordingQueue:
    """One thread offers blocks and never waits, one takes. Blocks are held, not copied: their memory never changes.

    Attributes
    ----------
    limit_bytes
        Blocks that would exceed it are refused.
    lost_samples
        Samples per channel that were refused.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._items: deque[Item] = deque()
        self._ready = threading.Condition()
        self._bytes = self._samples = 0
        self.lost_samples = 0
        self._overflowed = False

    @property
    def queued_bytes(self) -> int:
        """Bytes of the blocks that wait."""
        return self._bytes

    @property
    def queued_samples(self) -> int:
        """Samples per channel that wait."""
        return self._samples

    def offer(self, block: Block) -> bool:
        """Take a block; where there is no room note its counters as lost and return False. Never waits for a disk."""
        with self._ready:
            # Once full, wait for some room: one long gap does less harm than a thousand short ones.
            limit = self.limit_bytes - self.limit_bytes // 16 if self._overflowed else self.limit_bytes
            fits = self._bytes + block.samples.nbytes <= limit
            self._overflowed = not fits
            if fits:
                self._items.append(block)
                self._bytes += block.samples.nbytes
                self._samples += len(block)
            else:
                self._note_lost(block)
            self._ready.notify()
            return fits

    def put(self, item: ClockTriple | Begin | End) -> None:
        """Append a mark; there is always room for one."""
        with self._ready:
            self._items.append(item)
            self._ready.notify()

    def wake(self) -> None:
        """Let ``take`` return."""
        with self._ready:
            self._ready.notify()

    def take(self, timeout_sec: float) -> Item | None:
        """Return the oldest item; None where none came in time."""
        with self._ready:
            if not self._items:
                self._ready.wait(timeout_sec)
            if not self._items:
                return None
            return self._items.popleft()

    def release(self, block: Block) -> None:
        """Forget the bytes of a block that was taken, when it is written: until then its memory is still held."""
        with self._ready:
            self._bytes -= block.samples.nbytes
            self._samples -= len(block)

    def _note_lost(self, block: Block) -> None:
        self.lost_samples += len(block)
        last = self._items[-1] if self._items else None
        if isinstance(last, Lost) and last.stop == block.start:
            last.stop = block.stop
        else:
            self._items.append(Lost(block.start, block.stop))
