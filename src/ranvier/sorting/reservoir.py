"""Spikes that are learned from: gathered block by block, bounded per site, the same whatever the workers did."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


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


def join(parts: list[Spikes]) -> Spikes:
    """Return all spikes of consecutive blocks."""
    return Spikes(
        np.concatenate([p.sample for p in parts]),
        np.concatenate([p.site for p in parts]),
        np.concatenate([p.features for p in parts]),
    )


def thin(spikes: Spikes, most: int, channels: int) -> Spikes:
    """Keep at most ``most`` spikes of each site, spread evenly over those there are."""
    return spikes.take(thin_indices(spikes.site, most, channels))


def thin_indices(site: I32, most: int, channels: int) -> I64:
    """Return which spikes to keep so that no site has more than ``most``, in order."""
    order = np.argsort(site, kind="stable")
    bounds = np.searchsorted(site[order], np.arange(channels + 1))
    kept = []
    for c in range(channels):
        own = order[bounds[c] : bounds[c + 1]]
        if len(own) > most:
            own = own[np.linspace(0, len(own) - 1, most).astype(np.int64)]
        kept.append(own)
    return np.sort(np.concatenate(kept))
