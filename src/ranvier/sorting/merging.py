"""Which units are parts of one neuron: alike in shape, near each other, and never firing within a refractory period.

Stage S8. Pairs are taken from the most alike to the least; a merged unit takes part in what follows with its summed
template and joined train. Two proofs are asked for: the templates differ by little at the best lag (normalised
absolute difference, as the ``l1`` distance of SpikeInterface's auto-merge, Garcia et al. 2026), the cross-correlogram
is refractory (see :mod:`ranvier.sorting.correlograms`); where it has too few pairs to judge, other evidence counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ranvier.sorting.correlograms import cross_refractory
from ranvier.sorting.pair_kernels import difference_at_lags

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

#: A unit, and the samples that its times are moved by.
Part = tuple[int, int]
#: ``one_cloud(parts_a, parts_b) -> bool``: whether the spikes of two groups of units form one cloud.
OneCloud = Callable[[list[Part], list[Part]], bool]
#: A pair of units, how much their templates differ, and at which lag.
Alike = tuple[tuple[int, int], tuple[float, int]]
#: ``spread(function, units)``: the results of a function, in order.
Spread = Callable[[Callable[[int], list[Alike]], Iterable[int]], Iterable[list[Alike]]]


@dataclass(frozen=True)
class MergeLimits:
    """When two units are one.

    Attributes
    ----------
    distance_um
        Between their positions, at most.
    difference
        Of their templates, at most; pairs are taken in steps up to it.
    difference_without_proof
        Of templates that are so alike that a correlogram with too few pairs to judge does not keep them apart.
    lag_ms
        Between their templates, at most, either way.
    ratio, p_value
        Of the refractory test: a window emptier than ``ratio`` that chance gives with ``p_value`` at most is a proof.
    """

    distance_um: float = 50.0
    difference: float = 0.40
    difference_without_proof: float = 0.10
    lag_ms: float = 0.5
    ratio: float = 0.25
    p_value: float = 0.002


class Merge(NamedTuple):
    """One decision: ``absorbed`` became a part of ``kept``, its times moved by ``shift`` samples."""

    kept: int
    absorbed: int
    shift: int
    difference: float
    ratio: float
    expected: float


@dataclass
class Merged:
    """What became of units.

    Attributes
    ----------
    kept_as
        ``(units,)``: the unit (index) that each one is a part of now; itself where it stayed.
    shift
        ``(units,)``, samples to add to the spike times of each unit so that they agree with those of ``kept_as``.
    decisions
        In the order in which they were taken.
    """

    kept_as: I64
    shift: I64
    decisions: list[Merge] = field(default_factory=list)


def template_difference(a: F32, b: F32, most_lag: int, limit: float = 1.0) -> tuple[float, int]:
    """Return the least normalised difference of two templates over lags, and its lag.

    Parameters
    ----------
    a, b
        ``(samples, channels)``.
    most_lag
        In samples, either way.
    limit
        Differences that are larger may come back as infinite: that is faster.

    Returns
    -------
    difference
        ``sum |a - b| / (sum |a| + sum |b|)`` over the samples that both have at that lag: 0 for equal ones, 1 for
        ones that share no channel.
    lag
        ``b[t]`` is compared with ``a[t + lag]``: the same spike begins ``lag`` samples later in b's waveform than in
        a's, so b's times less the lag agree with a's.
    """
    found = np.empty(2 * most_lag + 1)
    difference_at_lags(np.ascontiguousarray(a), np.ascontiguousarray(b), most_lag, limit, found)
    lags = np.flatnonzero(found == found.min()) - most_lag
    best = min(lags.tolist(), key=lambda lag: (abs(lag), lag))
    return float(found[best + most_lag]), best


def merge_units(
    templates: Iterable[F32],
    trains: list[I64],
    positions_um: F64,
    sampling_rate_hz: float,
    limits: MergeLimits | None = None,
    *,
    one_cloud: OneCloud | None = None,
    spread: Spread = map,
) -> Merged:
    """Decide which units are parts of one neuron.

    Parameters
    ----------
    templates
        ``(samples, channels)`` each, 0 on channels that do not belong to a unit.
    trains
        Sorted sample counters of each unit's spikes.
    positions_um
        ``(units, 2)``.
    sampling_rate_hz
        Of templates and trains.
    one_cloud
        Asked where a correlogram has too few pairs to judge, with the units that either side consists of; without it
        such units stay apart.
    spread
        Gives the comparison of templates to several threads.
    """
    state = _Merging(templates, trains, positions_um, sampling_rate_hz, limits or MergeLimits(), one_cloud)
    state.run(spread)
    return state.merged


class _Merging:
    def __init__(
        self,
        templates: Iterable[F32],
        trains: list[I64],
        positions_um: F64,
        rate: float,
        limits: MergeLimits,
        one_cloud: OneCloud | None,
    ) -> None:
        self.trains = list(trains)
        self.columns: list[I64] = []
        self.templates: list[F32] = []  # on those columns: on all, many units on many sites are gigabytes
        for template in templates:
            columns = np.flatnonzero((template != 0).any(axis=0))
            self.columns.append(columns)
            self.templates.append(np.ascontiguousarray(template[:, columns]))
        self.positions = np.array(positions_um, np.float64)
        self.weights = np.array([len(train) for train in trains], np.float64)
        self.rate, self.limits, self.one_cloud = rate, limits, one_cloud
        self.most_lag = round(limits.lag_ms * 1e-3 * rate)
        self.parts: list[tuple[int, ...]] = [(u,) for u in range(len(trains))]
        count = len(trains)
        self.merged = Merged(np.arange(count), np.zeros(count, np.int64))
        self.open: dict[tuple[int, int], tuple[float, int]] = {}

    def run(self, spread: Spread) -> None:
        count = len(self.trains)
        for found in spread(lambda u: self._alike(u, range(u + 1, count)), range(count)):
            self.open.update(found)
        while self.open:
            pair = min(self.open, key=lambda ab: (self.open[ab][0], ab))
            difference, lag = self.open.pop(pair)
            self._judge(*pair, difference, lag)

    def _alike(self, u: int, others: range | list[int]) -> list[Alike]:
        """Return the pairs of a unit that are near and alike."""
        alike: list[Alike] = []
        if not len(self.trains[u]):
            return alike
        apart = np.hypot(*(self.positions[u] - self.positions).T)
        for v in others:
            if v == u or apart[v] > self.limits.distance_um or not len(self.trains[v]):
                continue
            columns = np.union1d(self.columns[u], self.columns[v])
            a, b = min(u, v), max(u, v)
            found = template_difference(
                self._on(columns, a), self._on(columns, b), self.most_lag, self.limits.difference
            )
            if found[0] <= self.limits.difference:
                alike.append(((a, b), found))
        return alike

    def _on(self, columns: I64, unit: int) -> F32:
        """Return a template on columns that hold its own."""
        made = np.zeros((len(self.templates[unit]), len(columns)), np.float32)
        made[:, np.searchsorted(columns, self.columns[unit])] = self.templates[unit]
        return made

    def _judge(self, a: int, b: int, difference: float, lag: int) -> None:
        first, second, shift = (a, b, -lag) if self.weights[a] >= self.weights[b] else (b, a, lag)
        limits = self.limits
        tested = cross_refractory(self.trains[first], self.trains[second] + shift, self.rate)
        proven = tested.ratio <= limits.ratio and tested.p_value <= limits.p_value
        if not proven:
            if tested.is_independent(limits.ratio):
                return
            alike = difference <= limits.difference_without_proof
            if not alike and not (self.one_cloud and self.one_cloud(self._parts(first), self._parts(second, shift))):
                return
        self.merged.decisions.append(Merge(first, second, shift, difference, tested.ratio, tested.expected))
        self._join(first, second, shift)

    def _parts(self, unit: int, shift: int = 0) -> list[Part]:
        return [(u, int(self.merged.shift[u]) + shift) for u in self.parts[unit]]

    def _join(self, kept: int, absorbed: int, shift: int) -> None:
        members = list(self.parts[absorbed])
        self.merged.kept_as[members] = kept
        self.merged.shift[members] += shift
        self.parts[kept] += self.parts[absorbed]
        self.trains[kept] = np.sort(np.concatenate([self.trains[kept], self.trains[absorbed] + shift]))
        self.trains[absorbed] = self.trains[absorbed][:0]
        share = self.weights[absorbed] / (self.weights[kept] + self.weights[absorbed])
        columns = np.union1d(self.columns[kept], self.columns[absorbed])
        own, moved = self._on(columns, kept), _shifted(self._on(columns, absorbed), -shift)
        self.templates[kept] = own + np.float32(share) * (moved - own)
        self.columns[kept] = columns
        self.positions[kept] += share * (self.positions[absorbed] - self.positions[kept])
        self.weights[kept] += self.weights[absorbed]
        self.open = {pair: v for pair, v in self.open.items() if kept not in pair and absorbed not in pair}
        self.open.update(self._alike(kept, [v for v in range(len(self.trains)) if len(self.trains[v])]))


def _shifted(template: F32, lag: int) -> F32:
    """Return a template moved by ``lag`` samples, zeros where nothing is known."""
    moved = np.zeros_like(template)
    samples = len(template)
    moved[max(lag, 0) : samples + min(lag, 0)] = template[max(-lag, 0) : samples + min(-lag, 0)]
    return moved
