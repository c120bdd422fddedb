"""Live sorting of detected spikes: threshold events of a stream wait for their waveforms, and get labels by these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ranvier.sorting.event_units import EventUnits
from ranvier.sorting.snippets import SignalTail
from ranvier.sorting.spike_table import SpikeFlag, SpikeTable

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: Waveforms that are kept of a site to learn from, at most and at least.
MOST_KEPT, LEAST_KEPT = 2000, 100


@dataclass(frozen=True, eq=False)
class EventSample:
    """Spikes to learn from: ``(spikes,)`` counters in order and sites, ``(spikes, points)`` waveforms in uV."""

    samples: I64
    sites: I32
    waveforms_uv: F32


class EventTape:
    """Keeps waveforms of each site in bounded memory: of all that came, each with the same chance. One thread adds."""

    def __init__(self, sites: int, points: int, budget_bytes: int, seed: int) -> None:
        kept = budget_bytes // max(1, 4 * sites * points)
        self.kept = int(min(MOST_KEPT, max(LEAST_KEPT, kept)))
        self._random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(12,))))
        self._waveforms = [np.empty((0, points), np.float32) for _ in range(sites)]
        self._samples = [np.empty(0, np.int64) for _ in range(sites)]
        self._counts = np.zeros(sites, np.int64)  # held
        self._seen = np.zeros(sites, np.int64)
        self.taken_sec = 0.0

    def add(self, samples: I64, sites: I32, waveforms_uv: F32) -> None:
        """Take spikes with whole waveforms."""
        for k in range(len(samples)):
            site = int(sites[k])
            self._seen[site] += 1
            at = int(self._counts[site])
            if at == self.kept:
                at = int(self._random.integers(self._seen[site]))
                if at >= self.kept:
                    continue
            else:
                self._counts[site] += 1
                if at == len(self._samples[site]):
                    more = min(self.kept, max(32, 2 * at)) - at
                    self._samples[site] = np.concatenate([self._samples[site], np.empty(more, np.int64)])
                    grown = np.empty((more, self._waveforms[site].shape[1]), np.float32)
                    self._waveforms[site] = np.concatenate([self._waveforms[site], grown])
            self._samples[site][at], self._waveforms[site][at] = samples[k], waveforms_uv[k]

    def snapshot(self) -> EventSample:
        """Return what is kept now, in order."""
        held = [slice(int(n)) for n in self._counts]
        samples = np.concatenate([s[rows] for s, rows in zip(self._samples, held, strict=True)])
        waveforms = np.concatenate([w[rows] for w, rows in zip(self._waveforms, held, strict=True)])
        sites = np.repeat(np.arange(len(held), dtype=np.int32), self._counts)
        order = np.argsort(samples, kind="stable")
        return EventSample(samples[order], sites[order], waveforms[order])


class EventLabeller:
    """Gives threshold events of a stream their labels.

    Parameters
    ----------
    before, after
        Samples of a waveform before its event, and from it on: so long it waits.
    tape
        Is given what may be learned from.

    Attributes
    ----------
    units
        What is known; None: all labels are 0.
    learns
        Whether waveforms are still put on the tape.
    """

    def __init__(self, before: int, after: int, places_um: F32, tape: EventTape) -> None:
        self.before, self.after = before, after
        self.tape = tape
        self.units: EventUnits | None = None
        self.learns = True
        self._places_um = places_um
        self._waiting = SpikeTable.empty()

    def take(self, events: list[SpikeTable], tail: SignalTail) -> SpikeTable:
        """Take events as they are told, and return those whose waveforms are whole, labelled."""
        waiting = SpikeTable.concatenate([self._waiting, *events])
        if tail.stop is None or not len(waiting):
            return SpikeTable.empty()
        whole = waiting.counter + self.after <= tail.stop
        self._waiting = waiting.take(~whole)
        return self._labelled(waiting.take(whole), tail)

    def flush(self, tail: SignalTail) -> SpikeTable:
        """Return what waits; waveforms that are cut off have no label."""
        waiting, self._waiting = self._waiting, SpikeTable.empty()
        return self._labelled(waiting, tail)

    def _labelled(self, events: SpikeTable, tail: SignalTail) -> SpikeTable:
        if not len(events):
            return events
        waveforms = tail.cut(events.counter, events.site, self.before, self.after)
        clean = (events.flags & np.uint8(SpikeFlag.NOISE)) == 0
        if self.learns:
            learned = clean & np.isfinite(waveforms).all(axis=1)
            self.tape.add(events.counter[learned], events.site[learned], waveforms[learned])
        if self.units is not None:
            events.label[:] = np.where(clean, self.units.label(events.site, waveforms), 0)
        events.x_um[:], events.y_um[:] = self._places_um[events.site].T
        return events
