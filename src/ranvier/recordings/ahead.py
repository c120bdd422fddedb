"""Work that an output needs at its end, begun at its beginning: it goes on beside the samples."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def begun(work: Callable[[], T]) -> Future[T]:
    """Begin work in a thread of its own; its result, or what it raised, is asked for later."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="ranvier-ahead")
    try:
        return pool.submit(work)
    except RuntimeError:  # the interpreter ends, and no thread takes work any more
        done: Future[T] = Future()
        done.set_result(work())
        return done
    finally:
        pool.shutdown(wait=False)
