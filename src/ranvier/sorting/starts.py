"""Learning that begins several times: where few sites see all units, chance decides which of two alike are told apart.

Clusters begin at points that are chosen by chance. On a tetrode two units that are near each other are found apart from
one such beginning and as one from another, whatever the signal is kept in. So learning begins several times there, and
each island of sites (none of whose units is seen on another one) keeps the units that explain most of what it sees.
Learning on so few sites takes a second. It begins once where sites are many, as a wrong cluster is one of many there,
and where each stands alone, as the starts hardly differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import connected_components

from ranvier.sorting.crew import Crew
from ranvier.sorting.drift import Drift
from ranvier.sorting.following import Follower, moved_templates
from ranvier.sorting.geometry import Geometry
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.refining import Still, match_block
from ranvier.sorting.source import SortSource
from ranvier.sorting.templates import Templates
from ranvier.sorting.training import MOST_SITES
from ranvier.sorting.window import Window

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

#: Learning begins so often at most.
STARTS = 5
#: Once where the largest island has fewer sites, or more.
FEW_SITES = (2, 8)
#: And so often that no more sites than these are learned from in all.
SITES_IN_ALL = 320
#: What a spike must explain to count: less is what taking one for another gives by chance.
PRICE = 100.0


def islands(geometry: Geometry, radius_um: float) -> npt.NDArray[np.int32]:
    """Return which island each site belongs to, from 0: no template that reaches so far lies on two of them."""
    _, island = connected_components(geometry.distance_um <= radius_um, directed=False)
    return np.asarray(island, np.int32)


def starts_of(island: npt.NDArray[np.int32]) -> int:
    """Return how often learning begins."""
    if not FEW_SITES[0] <= int(np.bincount(island).max(initial=0)) <= FEW_SITES[1]:
        return 1
    return int(np.clip(SITES_IN_ALL // max(1, len(island)), 1, STARTS))


def seed_of(seed: int, start: int) -> int:
    """Return the seed of one beginning; the first has that of the whole."""
    return int(np.random.SeedSequence(seed, spawn_key=(5, start)).generate_state(1)[0]) if start else seed


def explained(
    templates: Templates,
    source: SortSource,
    parameters: SorterParameters,
    window: Window,
    blocks: list[int],
    crew: Crew,
    drift: Drift | None,
) -> F64:
    """Return how much the spikes of each unit explain of some blocks, ``(units,)``, in squares of the noise's SD."""
    if not len(templates):
        return np.zeros(0)
    near = source.geometry.nearest(parameters.template_radius_um, MOST_SITES)
    view: Still | Follower = Still(templates, parameters, window)
    if drift is not None:
        view = Follower(moved_templates(templates, drift, near), parameters, window)
    total = np.zeros(len(templates))
    for part in crew.map(lambda block: match_block(view, source, window, near, block), blocks):
        total += np.bincount(part.unit, part.gain.astype(np.float64) - PRICE, minlength=len(templates))
    return total


def best_of(found: Sequence[Templates], gains: Sequence[F64], island: npt.NDArray[np.int32]) -> Templates:
    """Return of each island the units, learned from one beginning, that explain most; equal ones of the first.

    Parameters
    ----------
    found, gains
        Of each beginning: its units, in one basis, and what each of them explains.
    island
        ``(sites,)``, as :func:`islands` returns it.
    """
    count = int(island.max(initial=-1)) + 1
    on = [island[templates.sites] for templates in found]
    sums = np.array([np.bincount(own, gain, minlength=count) for own, gain in zip(on, gains, strict=True)])
    best = cast("I64", sums.argmax(axis=0))
    chosen = [np.flatnonzero(best[own] == start) for start, own in enumerate(on)]
    weights = np.concatenate([t.weights[rows] for t, rows in zip(found, chosen, strict=True)])
    return Templates(np.ascontiguousarray(weights), found[0].basis, found[0].geometry)
