"""Units that are no units: what is left behind, at a fixed lag, by the spikes of larger ones.

A filter's afterwave, or the difference between a spike and its template, comes again with every spike of the unit that
it belongs to; it would be found as a unit of its own. Its train gives it away: most of its spikes follow (or lead)
those of a larger unit by one and the same lag, or those of a few, each by its own. Two neurons, even two that drive
each other, do not do that.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

#: Lags that are looked at, and the width of the window that must hold the spikes.
_REACH_SEC = 0.003
_WIDTH_SEC = 0.0003
#: Share of a unit's spikes in that window, beyond what chance puts there, that makes it a shadow.
SHARE = 0.4
_NEAR_UM = 200.0
#: A share is more than chance where it is so many SD beyond it, and one of several shares counts above this.
_SURE = 5.0
_LEAST = 0.03


def shadows(trains: list[I64], energies: F64, positions_um: F64, fs_hz: float) -> npt.NDArray[np.bool_]:
    """Return which units are shadows of larger ones near them: of one, or of several together.

    Parameters
    ----------
    trains
        Sorted sample counters.
    energies
        Of the templates: a shadow is smaller than what throws it.
    """
    count = len(trains)
    found = np.zeros(count, np.bool_)
    for v in np.argsort(energies, kind="stable"):
        if not len(trains[v]):
            continue
        apart = np.hypot(*(positions_um - positions_um[v]).T)
        larger = np.flatnonzero((energies > energies[v]) & (apart <= _NEAR_UM) & ~found)
        shares = [locked_share(trains[v], trains[u], fs_hz) for u in larger if len(trains[u])]
        found[v] = sum(share for share in shares if share > _LEAST) > SHARE
    return found


def locked_share(train: I64, other: I64, fs_hz: float) -> float:
    """Return the largest share of a train's spikes at one lag from another's, beyond what chance gives."""
    reach, width = int(_REACH_SEC * fs_hz), max(1, int(_WIDTH_SEC * fs_hz))
    first = np.searchsorted(other, train - reach)
    last = np.searchsorted(other, train + reach, side="right")
    counts = last - first
    if not counts.any():
        return 0.0
    which = np.repeat(np.arange(len(train)), counts)
    offset = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    lags = train[which] - other[first[which] + offset]
    histogram = np.bincount(lags + reach, minlength=2 * reach + 1)
    window = np.convolve(histogram, np.ones(width, np.int64))
    by_chance = len(train) * len(other) * width / max(float(max(train[-1], other[-1]) - min(train[0], other[0])), 1.0)
    excess = float(window.max()) - by_chance
    return excess / len(train) if excess > _SURE * (np.sqrt(by_chance) + 1.0) else 0.0
