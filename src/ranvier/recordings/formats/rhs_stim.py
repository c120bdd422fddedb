"""Stimulation of an RHS recording as events.

Every amplifier sample has a word: bits 0-7 the magnitude of the current in steps, bit 8 its sign (1 negative), bit 13
amplifier settle, bit 14 charge recovery, bit 15 compliance limit reached. Source: Intan Technologies, "RHS2000
Application Note: Data File Formats".

Each change of the current is an event ``"STIM"``: state 1 and the current as text (``"-10 uA"``) while it flows, state
0 where it ends. Each change of a flag is an event ``"STIM settle"``, ``"STIM recovery"`` or ``"STIM limit"``. The line
is the native index of the amplifier. Words are told by these events completely.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.recordings.events import Events
from ranvier.recordings.recording import Recording

_FLAGS: tuple[tuple[int, str], ...] = ((13, "STIM settle"), (14, "STIM recovery"), (15, "STIM limit"))
_BLOCK_ROWS = 1 << 14


def stimulation_events(words: Recording, step_a: float) -> Events:
    """Return the stimulation that a recording of words tells; this reads all of it.

    Parameters
    ----------
    words
        One column per amplifier; counts are the words minus 32768.
    step_a
        Amperes per step of the current.
    """
    lines = np.array([c.ntv for c in words.channels], dtype=np.int32)
    before = np.zeros((1, len(lines)), np.uint16)
    parts: list[Events] = []
    for piece in words.segments.pieces(words.start, words.stop):
        for at in range(piece.counter, piece.counter + piece.n, _BLOCK_ROWS):
            block = words.read_counts(at, min(at + _BLOCK_ROWS, piece.counter + piece.n)).samples
            stored = (block.view(np.uint16) ^ np.uint16(0x8000)).reshape(block.shape)
            rows, columns = np.nonzero(stored != np.vstack((before, stored[:-1])))
            if len(rows):
                old = np.where(rows > 0, stored[rows - 1, columns], before[0, columns])
                parts.append(_changes(at + rows, lines[columns], stored[rows, columns], old, step_a))
            before = stored[-1:].copy()
    return Events.merge(*parts)


def _changes(
    counters: npt.NDArray[np.int64],
    lines: npt.NDArray[np.int32],
    new: npt.NDArray[np.uint16],
    old: npt.NDArray[np.uint16],
    step_a: float,
) -> Events:
    found = []
    current, was = _steps(new), _steps(old)
    i = np.flatnonzero(current != was)
    text = tuple(f"{steps * step_a * 1e6:.6g} uA" if steps else "" for steps in current[i].tolist())
    found.append(Events(counters[i], lines[i], (current[i] != 0).astype(np.int8), ("STIM",) * len(i), text))
    for bit, name in _FLAGS:
        on, was_on = new >> bit & 1, old >> bit & 1
        i = np.flatnonzero(on != was_on)
        found.append(Events(counters[i], lines[i], on[i].astype(np.int8), (name,) * len(i), ("",) * len(i)))
    return Events.merge(*found)


def _steps(words: npt.NDArray[np.uint16]) -> npt.NDArray[np.int64]:
    """Return the current in steps, with its sign."""
    magnitude = (words & 0xFF).astype(np.int64)
    return np.where(words >> 8 & 1, -magnitude, magnitude)
