"""Compiled kernels in files that several processes may read and write at once.

Numba's own index names data files by number and is written before them: where two processes compile one kernel (or two
versions of its source), one of them can read an entry that leads to the other's machine code, which then runs with
arguments that it was not made for. Here every entry has a file of its own, which is whole before the index names it.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile, UserProvidedCacheLocator

from ranvier._platform import try_lock
from ranvier.kernels.sources import sources, stamp

#: An index is written in far less; who waits longer goes on without the lock (an entry may be lost, and be made again).
_WAIT_SEC = 2.0
#: Files that no index names are removed when they are older: younger ones may be about to be named.
_OLD_SEC = 3600.0
#: Sources that are younger than this are not those that this process has read.
_BEGUN = time.time()


class Entries(IndexDataCacheFile):  # type: ignore[misc]
    """The index of one kernel, and a file for each signature."""

    def save(self, key: Any, data: Any) -> None:
        """Write an entry; others see all of it or nothing."""
        name = self._data_name(secrets.randbits(48))
        self._save_data(name, data)
        with _locked(Path(self._cache_path) / ".lock"):
            known = self._load_index()
            known[key] = name
            self._save_index(known)
        self._tidy(set(known.values()))

    def _tidy(self, named: set[str]) -> None:
        """Remove machine code of earlier sources."""
        pattern = Path(self._index_path).stem + ".*.nbc"
        for path in Path(self._cache_path).glob(pattern):
            with suppress(OSError):
                if path.name not in named and time.time() - path.stat().st_mtime > _OLD_SEC:
                    path.unlink()


def attach(dispatcher: Any, folder: Path) -> None:
    """Give a dispatcher of Numba a cache in ``folder``; none if it cannot be written, or its sources changed since."""
    file = Path(dispatcher.py_func.__code__.co_filename).resolve()
    if any(source.stat().st_mtime > _BEGUN for source in sources(file)):
        return  # what this process has read is older: it must not stand for what is there now
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if not os.access(folder, os.W_OK):
        return

    class Locator(UserProvidedCacheLocator):  # type: ignore[misc]
        def __init__(self, py_func: Any, py_file: str) -> None:
            super().__init__(py_func, py_file)
            self._cache_path = os.path.join(str(folder), self.get_suitable_cache_subpath(py_file))

        @classmethod
        def from_function(cls, py_func: Any, py_file: str) -> Any:
            return cls(py_func, py_file)

        def get_source_stamp(self) -> str:
            return stamp(Path(self._py_file))

    class Impl(CompileResultCacheImpl):  # type: ignore[misc]
        _locator_classes = [Locator]  # noqa: RUF012 - as Numba has it

    class Cache(FunctionCache):  # type: ignore[misc]
        _impl_class = Impl

        def __init__(self, py_func: Any) -> None:
            super().__init__(py_func)
            locator = self._impl.locator
            self._cache_file = Entries(self._cache_path, self._impl.filename_base, locator.get_source_stamp())

    dispatcher._cache = Cache(dispatcher.py_func)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock of all processes, where the file system has locks."""
    try:
        handle = open(path, "ab")  # noqa: SIM115 - closed below, which gives the lock up
    except OSError:
        yield
        return
    with handle:
        until = time.monotonic() + _WAIT_SEC
        with suppress(OSError):
            while not try_lock(handle) and time.monotonic() < until:
                time.sleep(0.005)
        yield
