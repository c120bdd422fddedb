"""Units that are no units: what is left behind, at a fixed lag, by the spikes of larger ones.

A filter's afterwave, or the difference between a spike and its template, comes again with every spike of the unit that
it belongs to; it would be found as a unit of its own. Its train gives it away: most of its spikes follow (or lead)
those of a larger unit by one and the same lag, or those of a few, each by its own. Two neurons, even two that drive
each other, do not do that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from ranvier.sorting.pair_kernels import most_locked_of

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


#: ``spread(function, items)``: the results of a function, in order.
Spread = Callable[[Callable[[int], bool], Iterable[int]], Iterable[bool]]


def shadows(
    trains: list[I64], energies: F64, positions_um: F64, fs_hz: float, spread: Spread = map
) -> npt.NDArray[np.bool_]:
    """Return which units are shadows of larger ones (near them, or much larger): of one, or of several together.

    Parameters
    ----------
    trains
        Sorted sample counters.
    energies
        Of the templates: a shadow is smaller than what throws it.
    spread
        Gives work on a unit each to several threads.
    """
    sizes = np.array([len(train) for train in trains], np.int64)
    ends = np.cumsum(sizes)
    joined = np.concatenate([*trains, np.empty(0, np.int64)])

    def one(v: int) -> bool:
        apart = np.hypot(*(positions_um - positions_um[v]).T)
        much = energies > _MUCH_LARGER * energies[v]
        larger = (energies > energies[v]) & ((apart <= _NEAR_UM) | much)
        others = np.flatnonzero(larger & (sizes > _LEAST * sizes[v]))
        if not sizes[v] or not len(others):
            return False
        least = np.where(much[others], 0.0, _APART_SEC)
        shares = _locked_shares(trains[v], joined, ends[others] - sizes[others], ends[others], least, fs_hz)
        return bool(sum(share for share in shares.tolist() if share > _LEAST) > SHARE)

    return np.fromiter(spread(one, range(len(trains))), np.bool_, len(trains))


def _locked_shares(train: I64, joined: I64, first: I64, last: I64, apart_sec: F64, fs_hz: float) -> F64:
    """Return the largest share of a train's spikes at one lag from another's, beyond what chance gives.

    The others are stretches of ``joined`` that are not empty; lags shorter than ``apart_sec`` are left out.
    """
    reach, width = int(_REACH_SEC * fs_hz), max(1, int(_WIDTH_SEC * fs_hz))
    most = np.empty(len(first), np.int64)
    most_locked_of(train, joined, first, last, reach, width, apart_sec * fs_hz, most)
    span = np.maximum(train[-1], joined[last - 1]) - np.minimum(train[0], joined[first])
    by_chance = len(train) * (last - first) * width / np.maximum(span.astype(np.float64), 1.0)
    excess = most - by_chance
    return np.where(excess > _SURE * (np.sqrt(by_chance) + 1.0), excess / len(train), 0.0)
