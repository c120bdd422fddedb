"""Work in the background: what ``dsp_stream`` holds, and how its progress is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4
from weakref import WeakSet

from ranvier._platform import before_threads_end
from ranvier.models.jobs import JobProgress
from ranvier.services.progress import Progress


class Stream:
    """One transform on its way. Its thread is no daemon: a script that ends still finishes what it began."""

    def __init__(self, work: Callable[[Progress], object]) -> None:
        self._work = work
        self._progress = JobProgress()
        self._error: BaseException | None = None
        _finish_at_end(self)
        self._thread = threading.Thread(target=self._run, name="ranvier-classic-stream")
        self._thread.start()

    @property
    def fraction(self) -> float:
        """How far it is, 0 to 1; raises what the work raised."""
        if not self.done():
            return min(self._progress.fraction, 0.999999)  # 1.0 says that the output is whole
        self.raise_failure()
        return 1.0

    def done(self) -> bool:
        """Return whether the work ended, well or badly."""
        return not self._thread.is_alive()

    def raise_failure(self) -> None:
        """Raise what the work raised, if it did."""
        if self._error is not None:
            raise self._error

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end; return whether it came."""
        self._thread.join(seconds)
        return self.done()

    def _run(self) -> None:
        try:
            self._work(self._report)
        except BaseException as error:  # noqa: BLE001 - whoever asks for progress gets it
            self._error = error

    def _report(self, progress: JobProgress) -> None:
        self._progress = progress


_STREAMS: WeakSet[Stream] = WeakSet()


def _finish_at_end(stream: Stream) -> None:
    """Have the interpreter wait for a stream before it takes away what the stream works with."""
    if not _STREAMS:
        before_threads_end(_finish)
    _STREAMS.add(stream)


def _finish() -> None:
    for stream in list(_STREAMS):
        stream.wait()


def new_id(protocol: str) -> str:
    """Return the id of a stream: the name of its protocol and nine characters of chance."""
    return f"{protocol}__{uuid4().hex[:9]}"


Entry = dict[str, Any]
