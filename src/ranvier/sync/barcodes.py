"""Barcodes on a TTL line.

The form is that of the DAQ Synchronization project (Optogenetics and Neural Engineering Core, University of Colorado):
a wrapper of three 10 ms bits (low, high, low), 32 bits of 30 ms, least significant first, high for 1, and the wrapper
again; a new value every few seconds. The generators of Open Ephys and of the Allen Institute begin alike.
https://optogeneticsandneuralengineeringcore.gitlab.io/ONECoreSite/projects/DAQSyncBarcodeGeneration/
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.models.sessions import Barcodes

BITS, BAR_SEC, WRAPPER_SEC = 32, 0.030, 0.010
#: How far an edge may be off its place.
TOLERANCE_SEC = 0.3 * WRAPPER_SEC

F64 = npt.NDArray[np.float64]


def read_barcodes(
    timestamp: npt.NDArray[np.int64], state: npt.NDArray[np.int8], fs_hz: float, *, bits: int = BITS
) -> Barcodes:
    """Return the barcodes among the edges of one line.

    Parameters
    ----------
    timestamp, state
        Counters of the edges, in order, and the level after each (1 or 0); edges that change nothing are ignored.

    Returns
    -------
    Barcodes
        Counter of the first rising edge and value of each whole one; ``damaged`` counts those that began as a barcode
        and have an edge where none can be, or no end.
    """
    state = np.asarray(state, dtype=np.int8)
    change = np.flatnonzero(np.concatenate(([True], np.diff(state) != 0))) if len(state) else np.empty(0, np.int64)
    timestamp, state = np.asarray(timestamp, dtype=np.int64)[change], state[change]
    t = timestamp / fs_hz
    width = np.diff(t, append=np.inf)
    starts = np.flatnonzero((state == 1) & (np.abs(width - WRAPPER_SEC) <= TOLERANCE_SEC))
    found: list[tuple[int, int]] = []
    damaged = 0
    free_from = -np.inf
    for k in starts:
        if t[k] < free_from:
            continue
        body = t[k] + 2 * WRAPPER_SEC
        end = body + bits * BAR_SEC
        if not np.any((t > t[k] + width[k]) & (t < end + 1.5 * WRAPPER_SEC)):
            continue  # a lone pulse, or the closing wrapper
        value = _value(t, state, body, bits)
        if value is None:
            damaged += 1
        else:
            found.append((int(timestamp[k]), value))
        free_from = end + 2.5 * WRAPPER_SEC
    table = np.array(found, dtype=np.int64).reshape(-1, 2)
    return Barcodes(timestamp=table[:, 0], value=table[:, 1], damaged=damaged)


def write_barcode(value: int, start_sec: float, *, bits: int = BITS) -> tuple[F64, npt.NDArray[np.int8]]:
    """Return the edges (seconds, level after) of one barcode: what a generator sends."""
    levels = [1, 0, *((value >> k) & 1 for k in range(bits)), 0, 1, 0]
    lengths = [WRAPPER_SEC, WRAPPER_SEC, *[BAR_SEC] * bits, WRAPPER_SEC, WRAPPER_SEC, WRAPPER_SEC]
    at = start_sec + np.concatenate(([0.0], np.cumsum(lengths)[:-1]))
    level = np.array(levels, dtype=np.int8)
    change = np.flatnonzero(np.diff(np.concatenate(([0], level))) != 0)
    return at[change], level[change]


def _value(t: F64, state: npt.NDArray[np.int8], body: float, bits: int) -> int | None:
    """Return the value of the barcode whose first bit begins at ``body``, or None."""
    end = body + bits * BAR_SEC
    inside = t[(t > body - TOLERANCE_SEC) & (t < end - TOLERANCE_SEC)]
    off = np.abs((inside - body) / BAR_SEC - np.rint((inside - body) / BAR_SEC)) * BAR_SEC
    if np.any(off > TOLERANCE_SEC):
        return None
    closing = [_level(t, state, end + k * WRAPPER_SEC) for k in (0.5, 1.5, 2.5)]
    if closing != [0, 1, 0]:
        return None
    levels = [_level(t, state, body + (k + 0.5) * BAR_SEC) for k in range(bits)]
    return sum(level << k for k, level in enumerate(levels))


def _level(t: F64, state: npt.NDArray[np.int8], at: float) -> int:
    k = int(np.searchsorted(t, at, side="right")) - 1
    return int(state[k]) if k >= 0 else 0
