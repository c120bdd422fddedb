"""Take over other units in mid-stream: what was seen, told and not decided yet goes over, in terms of the new ones.

Nothing here takes long: tables were made before (:class:`ranvier.sorting.unit_tables.UnitTables`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.sorting.stream_kernels import SLACK, whiten_near
from ranvier.sorting.stream_matcher import Carried, Placed, StreamMatcher
from ranvier.sorting.unit_tables import UnitTables

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]


def exchanged(old: StreamMatcher, units: UnitTables, *, follow: bool) -> StreamMatcher:
    """Return a matcher of other units of the same sites that goes on where one is; the old one must not be used again.

    Told spikes stay told: what they explain is subtracted as their old templates had it, and none of the same label
    comes twice. Where units and whitening are the same, what follows is the same bit for bit.
    """
    new = StreamMatcher(units, follow=follow)
    if old.next is None:
        return new
    new.next, new.step_stop, new.sure_before = old.next, old.step_stop, old.sure_before
    rows = old.units.rows_of(units.labels)
    known = rows >= 0
    new.last[: len(units)][known] = old.last[rows[known]] + (old.units.before - units.before)
    new.trust[: len(units)][known] = old.trust[rows[known]]
    new.ready = list(old.ready)
    _hand_over_early(old, new)
    first = max(old.signal.start, old.signal.stop - new.kept)
    held = slice(first - old.signal.origin, old.signal.stop - old.signal.origin)
    new.signal.begin(first)
    new.signal.stop = old.signal.stop
    count = old.signal.stop - first
    new.signal.raw[:, :count] = old.signal.raw[:, held]
    if np.array_equal(old.units.trained.whitening.matrix, units.trained.whitening.matrix):
        new.signal.white[:, :count] = old.signal.white[:, held]
        new.carried = _unfinished(old)
    else:
        _whiten_again(old, new, first, count)
    told = [(old.recent(), old.units), *old.others]
    new.others = [(spikes, by) for spikes, by in told if (spikes.begins + by.waveforms.shape[3] > first).any()]
    new.resume()
    return new


def _hand_over_early(old: StreamMatcher, new: StreamMatcher) -> None:
    """Leave spikes that were told early to their units; where these are gone, subtract them as they were told."""
    row, unit, step, size = old.early()
    to = new.units.rows_of(old.units.labels[unit])
    new.expect(row[to >= 0] + old.units.before - new.units.before, to[to >= 0], step[to >= 0], size[to >= 0])
    gone = to < 0
    old.decide_early(row[gone], unit[gone], step[gone], size[gone])


def _unfinished(old: StreamMatcher) -> list[Carried]:
    """Return what is left of spikes whose waveforms reach beyond what was seen."""
    spikes, length, stop = old.recent(), old.units.waveforms.shape[3], old.signal.stop
    left = [c for c in old.carried if c.begin + c.values.shape[1] > stop]
    for k in np.flatnonzero(spikes.begins + length > stop):
        sites = old.units.sites[spikes.units[k]]
        used = sites >= 0
        values = spikes.scales[k] * old.units.waveforms[spikes.units[k], spikes.phases[k], used]
        left.append(Carried(int(spikes.begins[k]), sites[used], values))
    return left


def _whiten_again(old: StreamMatcher, new: StreamMatcher, first: int, count: int) -> None:
    """Write what is left of the signal behind told spikes as the new units' whitening makes it."""
    told = [(old.recent(), old.units), *old.others]
    total = count + max(by.waveforms.shape[3] for _, by in told)
    left = np.zeros((total, old.units.site_count), np.float32)
    for spikes, by in told:
        left -= _explained(spikes, by, first, total)
    left[:count] += new.signal.raw[:, :count].T
    raw, white = np.zeros((2, left.shape[1], total + SLACK), np.float32)
    whiten_near(left, new.units.near, new.units.weights, raw, white, 0)
    new.signal.white[:, :count] = white[:, :count]
    every = np.arange(left.shape[1], dtype=np.int32)
    new.carried = [Carried(first + count, every, np.ascontiguousarray(-white[:, count:total]))]


def _explained(spikes: Placed, units: UnitTables, first: int, rows: int) -> F32:
    """Return the sum of spikes in uV, ``(rows, sites)`` from a counter on."""
    length, inverse = units.waveforms.shape[3], units.trained.whitening.inverse
    out = np.zeros((rows, units.site_count), np.float32)
    for begin, u, phase, scale in zip(spikes.begins, spikes.units, spikes.phases, spikes.scales, strict=True):
        low, high = max(first, int(begin)), min(first + rows, int(begin) + length)
        if high > low:
            used = units.sites[u] >= 0
            part = units.waveforms[u, phase][used, low - begin : high - begin]
            out[low - first : high - first] += (scale * part).T @ inverse[units.sites[u][used]]
    return out
