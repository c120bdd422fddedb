"""Units that are no units: what is left behind, at a fixed lag, by the spikes of larger ones.

A filter's afterwave, or the difference between a spike and its template, comes again with every spike of the unit that
it belongs to; it would be found as a unit of its own. Its train gives it away: most of its spikes follow (or lead)
those of a larger unit by one and the same lag, or those of a few, each by its own. Two neurons, even two that drive
each other, do not do that.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.sorting.pair_kernels import most_locked

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

#: Lags that are looked at, and the width of the window that must hold the spikes.
_REACH_SEC = 0.003
_WIDTH_SEC = 0.0003
#: Share of a unit's spikes in that window, beyond what chance puts there, that makes it a shadow.
SHARE = 0.4
_NEAR_UM = 200.0
#: A common reference throws shadows on all sites, and what a template misses stays at its place: of units with so many
#: times the energy. Of others only what comes this much earlier or later is a shadow: neurons fire together.
_MUCH_LARGER = 10.0
_APART_SEC = 0.0003
#: A share is more than chance where it is so many SD beyond it, and one of several shares counts above this.
_SURE = 5.0
_LEAST = 0.03


def shadows(trains: list[I64], energies: F64, positions_um: F64, fs_hz: float) -> npt.NDArray[np.bool_]:
    """Return which units are shadows of larger ones (near them, or much larger): of one, or of several together.

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
        much = energies > _MUCH_LARGER * energies[v]
        larger = (energies > energies[v]) & ((apart <= _NEAR_UM) | much) & ~found
        enough = [u for u in np.flatnonzero(larger) if len(trains[u]) > _LEAST * len(trains[v])]
        shares = [locked_share(trains[v], trains[u], fs_hz, 0.0 if much[u] else _APART_SEC) for u in enough]
        found[v] = sum(share for share in shares if share > _LEAST) > SHARE
    return found


def locked_share(train: I64, other: I64, fs_hz: float, apart_sec: float = 0.0) -> float:
    """Return the largest share of a train's spikes at one lag from another's, beyond what chance gives.

    Lags shorter than ``apart_sec`` are left out.
    """
    reach, width = int(_REACH_SEC * fs_hz), max(1, int(_WIDTH_SEC * fs_hz))
    if not len(train) or not len(other):
        return 0.0
    most = most_locked(train, other, reach, width, apart_sec * fs_hz)
    by_chance = len(train) * len(other) * width / max(float(max(train[-1], other[-1]) - min(train[0], other[0])), 1.0)
    excess = float(most) - by_chance
    return excess / len(train) if excess > _SURE * (np.sqrt(by_chance) + 1.0) else 0.0
