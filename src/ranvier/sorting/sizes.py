"""Which spikes of a faint unit to keep, told from how large all of them are.

Of a unit that fires often, spikes at the usual threshold (``match_noise_sd``) are mostly its own; of a rare one they
are mostly noise, which crosses it as often for either. Sizes are projections on the template in SD of the noise along
it. Those of the unit's own spikes are normal, around a mean near the template's own size, cut at the threshold; those
of noise fall off like the upcrossings of a Gaussian process (Rice 1945): a mixture of the two with three unknowns, the
mean and how many there are of each. From it follows what accuracy to expect of any higher threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

F64 = npt.NDArray[np.float64]

#: Spread of a unit's own amplitudes, as a share of the mean: that of most neurons, which is less than what is allowed.
_SPREAD = 0.1
#: Sizes are counted in bins of so many SD.
_BIN = 0.05
#: How far the mean may be from the template's size, either way; means are tried in steps.
_FAR, _STEP = 1.5, 0.1
#: Higher thresholds are noise's business no more.
_HIGHEST = 7.0
#: Where even the usual threshold is above this, nothing of noise is among the spikes.
CLEAR_SD = 6.0
_ROUNDS = 30
#: Fewer spikes tell no mixture.
_FEWEST = 30
#: Expected accuracy rises by as much, or all stay.
_WORTH = 0.01


@dataclass(frozen=True)
class Mixture:
    """What a unit's spikes are made of.

    Attributes
    ----------
    mean, spread
        Of the sizes of its own spikes, in SD of noise, were none lost.
    own, noise
        Number of its own spikes, with those below the threshold; of spikes of noise above it.
    least
        The threshold.
    """

    mean: float
    spread: float
    own: float
    noise: float
    least: float

    def accuracy(self, thresholds: F64) -> F64:
        """Return the share that true hits have in all true and found spikes, expected behind each threshold."""
        hits = self.own * (1.0 - ndtr((thresholds - self.mean) / self.spread))
        false = self.noise * np.exp(-0.5 * (thresholds**2 - self.least**2))
        return np.asarray(hits / np.maximum(self.own + false, 1e-12), np.float64)


def mixture_of(sizes: F64, least: float, expected: float) -> Mixture:
    """Return the likeliest mixture of a unit's spikes.

    Parameters
    ----------
    sizes
        ``(spikes,)``, in SD of noise, none below ``least``; at least one.
    least, expected
        The threshold, and the size of the template itself.
    """
    edges = np.arange(least, max(2.0 * expected + 4.0, least + 1.0), _BIN)
    counts = np.bincount(
        np.clip(((sizes - least) / _BIN).astype(np.int64), 0, len(edges) - 2), minlength=len(edges) - 1
    )
    spread = float(np.sqrt(1.0 + (_SPREAD * expected) ** 2))
    means = np.arange(max(least - 0.5, expected - _FAR), max(least, expected + _FAR), _STEP)[:, None]
    below = np.asarray(ndtr((edges - means) / spread), np.float64)
    held = 1.0 - below[:, :1]
    own = np.diff(below, axis=1) / held
    noise = -np.diff(np.exp(-0.5 * (edges**2 - least**2)))
    total = float(counts.sum())
    share = np.full(means.shape, 0.5)
    for _ in range(_ROUNDS):
        both = share * own + (1.0 - share) * noise + 1e-12
        share = np.clip((share * own / both * counts).sum(axis=1, keepdims=True) / total, 1e-3, 1.0 - 1e-3)
    likelihood = (counts * np.log(share * own + (1.0 - share) * noise + 1e-12)).sum(axis=1)
    best = int(likelihood.argmax())
    part = float(share[best, 0])
    mean, of_own = float(means[best, 0]), total * part / float(held[best, 0])
    return Mixture(mean, spread, of_own, total * (1.0 - part), least)


def best_least(sizes: F64, least: float, expected: float) -> float:
    """Return the size that spikes should have for the best accuracy that can be expected, ``least`` or more.

    Parameters as of :func:`mixture_of`; there may be no spikes.
    """
    if len(sizes) < _FEWEST or least >= CLEAR_SD:
        return least
    thresholds = np.arange(least, _HIGHEST, _BIN)
    accuracy = mixture_of(sizes, least, expected).accuracy(thresholds)
    best = int(accuracy.argmax())
    return float(thresholds[best]) if accuracy[best] > accuracy[0] + _WORTH else least
