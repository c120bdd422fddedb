"""The thread that writes: takes what waits, in order, and keeps the files safe."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Sequence

from ranvier.models.ports import Port
from ranvier.recordings import Block
from ranvier.recordings.formats.xdat_clock import ClockTriple
from ranvier.rig.clock import Clock
from ranvier.rig.disk import Disk
from ranvier.rig.recording_file import CounterError, RecordingFile
from ranvier.rig.recording_limits import RecorderLimits
from ranvier.rig.recording_queue import Begin, End, Item, Lost, RecordingQueue

#: The free space is looked at after so many bytes at the latest: a disk that catches up writes faster than the stream.
_LOOK_BYTES = 32 << 20
#: Answers slower than this count as a stall.
_STALL_SEC = 0.5


class RecordingWriter:
    """Writes until it is closed; it never dies of what a disk does.

    Parameters
    ----------
    ended
        Told which ports' files the writer ended by itself, and why.

    Attributes
    ----------
    error
        Why files ended by themselves or are incomplete; "" where they are whole.
    unwritten_samples
        Samples per channel that a disk refused, or that made room on a full one.
    free_bytes
        Where it writes, when it last looked, with what is claimed by its files already.
    busy_fraction
        CPU time of the thread per second, over about the last second.
    """

    def __init__(
        self,
        queue: RecordingQueue,
        disk: Disk,
        limits: RecorderLimits,
        clock: Clock,
        ended: Callable[[Sequence[Port | None], str], None],
    ) -> None:
        self.error = ""
        self.unwritten_samples = 0
        self.busy_fraction = 0.0
        self.free_bytes: int | None = None
        self._queue = queue
        self._disk = disk
        self._limits = limits
        self._clock = clock
        self._tell_ended = ended
        self._files: dict[Port | None, RecordingFile] = {}
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._working_since: float | None = None
        self._unlooked_bytes = 0
        self._meter = (0.0, 0.0)

    @property
    def stalled_sec(self) -> float:
        """How long the disk has not answered; 0 while it does."""
        since = self._working_since
        waited = 0.0 if since is None else self._clock.monotonic() - since
        return waited if waited >= _STALL_SEC else 0.0

    def start(self) -> None:
        """Start the thread; harmless where it runs."""
        if self._thread is None or not self._thread.is_alive():
            self._closing.clear()
            self._thread = threading.Thread(target=self._run, name="ranvier-recorder", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the thread when everything that waits is written."""
        self._closing.set()
        self._queue.wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(10.0)

    def _run(self) -> None:
        while True:
            item = self._queue.take(min(self._limits.flush_sec, 0.25))
            if item is None and self._closing.is_set():
                return
            self.work(item)

    def work(self, item: Item | None) -> None:
        """Do one thing that waits; None: nothing came for a while."""
        self._working_since = began = self._clock.monotonic()
        try:
            self._dispatch(item)
        finally:
            took = self._clock.monotonic() - began
            self._working_since = None
            for file in self._files.values():
                file.longest_stall_sec = max(file.longest_stall_sec, took if took >= _STALL_SEC else 0.0)
            self._measure()

    def _dispatch(self, item: Item | None) -> None:
        if isinstance(item, Block):
            try:
                self._write(item)
            finally:
                self._queue.release(item)
        elif item is None:
            self._each(RecordingFile.flush)
        elif isinstance(item, ClockTriple):
            for file in self._files.values():
                file.note_clock(item)
        elif isinstance(item, Begin):
            self._files[item.port] = item.file
        elif isinstance(item, Lost):
            self._lose(item.start, item.stop, "the disk was too slow and the queue was full")
        else:
            self._end(item)

    def _write(self, block: Block) -> None:
        def write(file: RecordingFile) -> None:
            before = file.rows
            file.write(block)
            self._unlooked_bytes += (file.rows - before) * file.bytes_per_row
            if file.pending_rows >= self._limits.flush_sec * file.header.fs:
                file.flush()
                self._unlooked_bytes = max(self._unlooked_bytes, _LOOK_BYTES)

        self._each(write, block)
        if self._files and self._unlooked_bytes >= _LOOK_BYTES:
            self._unlooked_bytes = 0
            self._guard_space()

    def _each(self, action: Callable[[RecordingFile], None], block: Block | None = None) -> None:
        """Do something with every file; a file whose disk refuses is ended, the others go on."""
        for port, file in list(self._files.items()):
            try:
                action(file)
            except CounterError as error:
                self._give_up(port, f"{error}: the recording ended there")
            except OSError as error:
                self._give_up(port, f"{_cause(error)}: the recording ended there", block)
            except Exception as error:  # noqa: BLE001 - whatever goes wrong with one file is told, and the others go on
                self._give_up(port, f"{type(error).__name__}: {error}: the recording ended there", block)

    def _lose(self, start: int, stop: int, why: str) -> None:
        for file in self._files.values():
            file.note_unwritten(start, stop, why)

    def _guard_space(self) -> None:
        for folder in {f.files.folder for f in self._files.values()}:
            try:
                free = self._disk.free_bytes(folder)
            except OSError:
                continue  # the next write or flush tells
            free += sum(f.claimed_bytes for f in self._files.values())
            self.free_bytes = free
            if free < self._limits.reserve_bytes:
                note = (
                    f"{folder} has less than {self._limits.reserve_bytes / 1e6:.0f} MB left: the recording was stopped"
                )
                for port in [p for p, f in self._files.items() if f.files.folder == folder]:
                    self._give_up(port, note)

    def _give_up(self, port: Port | None, reason: str, block: Block | None = None) -> None:
        """End a file; ``block`` is what it could not write whole."""
        file = self._files.pop(port)
        before = file.unwritten_samples
        if block is not None:
            file.note_unwritten_rest(block, "it could not be stored")
        self.error = f"{file.files.data.name}: {reason}"
        try:
            file.finish(reason)
        except OSError as error:
            self.error += f"; its metadata could not be completed ({_cause(error)}), it opens with its provisional ones"
        self.unwritten_samples += file.unwritten_samples - before
        self._tell_ended([port], self.error)

    def _end(self, end: End) -> None:
        try:
            self._finish(end)
        finally:
            end.done.set()

    def _finish(self, end: End) -> None:
        errors, empty = [], []
        for port in end.ports:
            file = self._files.pop(port, None)
            if file is None:
                continue  # ended by itself before
            try:
                path = file.finish(end.note)
            except OSError as error:
                errors.append(
                    f"{file.files.data}: {_cause(error)}; what was flushed ({file.durable_rows} samples) opens with "
                    f"its provisional metadata"
                )
            else:
                if path is None:
                    empty.append(f"{file.files.data}: no samples came while it was recorded; nothing was kept")
                else:
                    end.paths.append(path)
        end.error = "; ".join(errors)
        self.error = "; ".join([*errors, *empty]) or self.error

    def _measure(self) -> None:
        now, cpu = time.monotonic(), time.thread_time()
        if now - self._meter[0] >= 1.0:
            elapsed = now - self._meter[0]
            self.busy_fraction = max(0.0, min(1.0, (cpu - self._meter[1]) / elapsed)) if self._meter[0] else 0.0
            self._meter = (now, cpu)


def _cause(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return "the disk is full"
    return f"the disk refused ({error.strerror or error})"
