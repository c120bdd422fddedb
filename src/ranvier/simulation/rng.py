"""Random numbers by address: a draw depends on seed, purpose, item and time window, never on what came before."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What numbers are drawn for; each has a space of its own."""

    UNITS = 1
    SPIKES = 2
    OVERLAPS = 3
    NOISE = 4
    LFP = 5
    CHANNELS = 6
    TTL = 7
    DRIFT = 8


def generator(seed: int, purpose: Purpose, item: int = 0, window: int = 0) -> np.random.Generator:
    """Return a generator that belongs to one address: Philox, a counter-based generator, keyed by it.

    Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3, doi:10.1145/2063384.2063405. ``item`` is below
    2**16 and ``window`` below 2**40.
    """
    address = (int(purpose) << 56) | ((item & 0xFFFF) << 40) | (window & 0xFF_FFFF_FFFF)
    key = np.array([seed & 0xFFFF_FFFF_FFFF_FFFF, address], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))
