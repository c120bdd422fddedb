"""Spikes that are learned from: gathered block by block, bounded per site, the same whatever the workers did."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

_CHUNK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Spikes:
    """Spikes with what their waveforms look like.

    Attributes
    ----------
    sample
        ``(n,)``: counter of the trough.
    site
        ``(n,)``: column among those sorted.
    features
        ``(n, K, P)``: components of the whitened waveform on the site's K neighbours, nearest first.
    """

    sample: I64
    site: I32
    features: F32

    def __len__(self) -> int:
        return len(self.sample)

    def take(self, chosen: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Spikes:
        """Return some of them."""
        return Spikes(self.sample[chosen], self.site[chosen], self.features[chosen])


class Pile:
    """Features ``(n, K, P)`` that come in pieces, a few per block, and are one array in the end.

    They lie in chunks so large that the system takes each back once it was copied: many small arrays, kept by several
    threads, would stay in their heaps, and all would be there twice.
    """

    def __init__(self) -> None:
        self._chunks: list[F32] = []
        self._room = 0
        self._shape: tuple[int, ...] = (0, 0)

    def add(self, rows: F32) -> None:
        """Copy some rows."""
        self._shape = rows.shape[1:]
        while len(rows):
            if not self._room:
                self._room = max(1, _CHUNK_BYTES // max(1, rows[0].nbytes))
                self._chunks.append(np.empty((self._room, *self._shape), np.float32))
            chunk, now = self._chunks[-1], rows[: self._room]
            at = len(chunk) - self._room
            chunk[at : at + len(now)] = now
            self._room -= len(now)
            rows = rows[len(now) :]

    def whole(self) -> F32:
        """Return all rows in the order in which they came; nothing is left here."""
        end = sum(map(len, self._chunks)) - self._room
        made = np.empty((end, *self._shape), np.float32)
        while self._chunks:
            chunk = self._chunks.pop()
            used = len(chunk) - self._room
            made[end - used : end] = chunk[:used]
            end, self._room = end - used, 0
        return made


class SpikePile:
    """Spikes that come block by block."""

    def __init__(self) -> None:
        self._sample: list[I64] = []
        self._site: list[I32] = []
        self._features = Pile()

    def add(self, spikes: Spikes) -> None:
        """Copy the spikes of a block."""
        self._sample.append(spikes.sample)
        self._site.append(spikes.site)
        self._features.add(spikes.features)

    def whole(self) -> Spikes:
        """Return all of them, of one block at least; nothing is left here."""
        return Spikes(np.concatenate(self._sample), np.concatenate(self._site), self._features.whole())


def thin(spikes: Spikes, most: int, channels: int) -> Spikes:
    """Keep at most ``most`` spikes of each site, spread evenly over those there are."""
    return spikes.take(thin_indices(spikes.site, most, channels))


def thin_indices(site: I32, most: int, channels: int) -> I64:
    """Return which spikes to keep so that no site has more than ``most``, in order."""
    kept = []
    for own in members_of(site, channels):
        if len(own) > most:
            own = own[np.linspace(0, len(own) - 1, most).astype(np.int64)]
        kept.append(own)
    return np.sort(np.concatenate(kept))


def members_of(group: I32, groups: int) -> list[I64]:
    """Return which spikes each of the groups 0, 1, ... has (sites, or units), in order."""
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(groups + 1))
    return [order[bounds[k] : bounds[k + 1]] for k in range(groups)]
