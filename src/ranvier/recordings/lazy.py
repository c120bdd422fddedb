"""A mapping whose values are made when they are first asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Generic, TypeVar

T = TypeVar("T")


class LazyDict(MutableMapping[str, T], Generic[T]):
    """A dictionary of values or of functions that make them; each is called once, on first access.

    Finding TTL edges means reading a whole recording: opening must not pay for it.
    """

    def __init__(self, makers: Mapping[str, Callable[[], T]] | None = None) -> None:
        self._makers: dict[str, Callable[[], T]] = dict(makers or {})
        self._values: dict[str, T] = {}
        self._lock = threading.RLock()

    def __getitem__(self, name: str) -> T:
        with self._lock:
            if name not in self._values:
                self._values[name] = self._makers[name]()
            return self._values[name]

    def __setitem__(self, name: str, value: T) -> None:
        with self._lock:
            self._makers[name] = lambda: value
            self._values[name] = value

    def __delitem__(self, name: str) -> None:
        with self._lock:
            del self._makers[name]
            self._values.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __contains__(self, name: object) -> bool:
        return name in self._makers

    def __repr__(self) -> str:
        return f"LazyDict({', '.join(repr(n) for n in self._makers)})"
