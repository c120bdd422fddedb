"""When inputs and keys trigger: edges and levels, by sample counter, whatever the chunking."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError
from ranvier.recordings.block import Block
from ranvier.rig.stim import StimTrigger

KEYS = range(1, 9)


@dataclass(frozen=True, slots=True)
class Active:
    """What a trigger did in one block.

    Attributes
    ----------
    edges
        Counters at which it became active.
    spans
        Counter ranges ``[start, stop)`` in which it was active.
    """

    edges: tuple[int, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()


class InputLevel:
    """Follows one input column through blocks. A gap hides edges: the first sample behind it is no edge."""

    def __init__(self, trigger: StimTrigger) -> None:
        self._trigger = trigger
        self._last: bool | None = None
        self._next: int | None = None

    def look(self, block: Block) -> Active:
        """Return edges and spans of a block."""
        column = _physical_column(block, self._trigger.column or 0)
        high = column >= self._trigger.high_above
        active = high if self._trigger.active_high else ~high
        if self._next != block.start:
            self._last = None
        before = np.concatenate([active[:1] if self._last is None else [self._last], active[:-1]])
        rises = np.flatnonzero(active & ~before)
        self._last, self._next = bool(active[-1]), block.stop
        return Active(tuple((rises + block.start).tolist()), _spans(active, block.start))


class Keys:
    """The eight keys. Clients press them from any thread; the pump takes over what happened at its next block."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._down = dict.fromkeys(KEYS, False)  # as the clients see it
        self._changes: deque[tuple[int, bool]] = deque()
        self._seen = dict.fromkeys(KEYS, False)  # as the pump sees it

    def down(self, key: int) -> bool:
        """Return whether a key is down."""
        return self._down[check_key(key)]

    def set(self, key: int, on: bool) -> None:
        """Press or release a key."""
        key = check_key(key)
        with self._lock:
            if self._down[key] != on:
                self._down[key] = on
                self._changes.append((key, on))

    def release_all(self) -> None:
        """Release every key and forget what the pump has not seen."""
        with self._lock:
            self._changes.clear()
            self._down = dict.fromkeys(KEYS, False)
            self._seen = dict.fromkeys(KEYS, False)

    def take(self, counter: int) -> dict[int, KeyMoves]:
        """Return what every key did since the last block; it counts as done at ``counter``."""
        moves = {key: KeyMoves(counter, down) for key, down in self._seen.items()}
        while True:
            try:
                key, on = self._changes.popleft()
            except IndexError:
                return moves
            moves[key].changes.append(on)
            self._seen[key] = on


class KeyMoves:
    """What one key did between two blocks: how it stood before, and the presses (True) and releases since."""

    def __init__(self, counter: int, before: bool) -> None:
        self._counter = counter
        self._before = before
        self.changes: list[bool] = []

    def look(self, trigger: StimTrigger) -> Active:
        """Return the key as a trigger sees it: one edge at most per block, a level if it is (or was, briefly) there."""
        went = trigger.active_high in self.changes
        stands = (self.changes[-1] if self.changes else self._before) == trigger.active_high
        edges = (self._counter,) if went else ()
        return Active(edges, ((self._counter, self._counter + 1),) if stands or went else ())


def check_key(key: int) -> int:
    """Return the number of a key; ConfigurationError where it is none."""
    if int(key) not in KEYS:
        raise ConfigurationError(f"{key!r} is no key; keys are 1-8")
    return int(key)


def _physical_column(block: Block, column: int) -> npt.NDArray[np.float64]:
    samples: npt.NDArray[np.float64] = block.samples[:, column].astype(np.float64)
    if block.gain is not None and block.offset is not None:
        samples = samples * block.gain[column] + block.offset[column]
    return samples


def _spans(active: npt.NDArray[np.bool_], start: int) -> tuple[tuple[int, int], ...]:
    if not active.any():
        return ()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]))) + start
    return tuple(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
