"""A robust map between two clocks from matched pulses: a line, or a broken line where the rate wanders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]

#: A broken line is taken where it lowers the rms residual below this share of the straight one's.
_BETTER = 0.7
#: Knots of a broken line lie at least so far apart.
_KNOT_SEC, _KNOT_PULSES, _MOST_KNOTS = 60.0, 20, 100
#: Residuals beyond so many standard deviations (by the median) are no pulses of the pair.
_OUTLIER_SIGMAS = 5.0


@dataclass(frozen=True, slots=True)
class Fit:
    """A map and what it was made from.

    Attributes
    ----------
    knots_source, knots_target
        The map, seconds.
    slope
        Of the straight line through all pulses.
    kept
        Which of the given pairs belong, bool ``(n,)``.
    residual
        Target minus map, seconds, of those kept.
    """

    knots_source: F64
    knots_target: F64
    slope: float
    kept: npt.NDArray[np.bool_]
    residual: F64


def line(a: F64, b: F64) -> tuple[float, float]:
    """Return (offset, slope) of ``b - a = offset + (slope - 1) * a``: least squares with Huber weights, 10 rounds."""
    d, centre = b - a, float(a.mean())
    x = a - centre
    weight = np.ones(len(a))
    offset, rate = float(np.median(d)), 0.0
    for _ in range(10):
        total = weight.sum()
        mx, md = (weight * x).sum() / total, (weight * d).sum() / total
        spread = (weight * (x - mx) ** 2).sum()
        rate = (weight * (x - mx) * (d - md)).sum() / spread if spread > 0 else 0.0
        offset = md - rate * mx
        r = np.abs(d - offset - rate * x)
        scale = 1.345 * 1.4826 * float(np.median(r))
        weight = np.minimum(1.0, scale / np.maximum(r, 1e-12)) if scale > 0 else (r <= 1e-9).astype(float) + 1e-6
    return offset - rate * centre, 1.0 + rate


def fit_map(a: F64, b: F64, sample_sec: float) -> Fit:
    """Fit the map from matched pulse times (seconds, increasing); pairs far off are dropped.

    Parameters
    ----------
    sample_sec
        Duration of a sample: no pair within two samples of the map is dropped, and no broken line is taken where the
        straight one leaves half a sample rms.
    """
    kept = np.ones(len(a), dtype=np.bool_)
    offset, slope = line(a, b)
    knots = np.array([a[0], a[-1]])
    values = offset + slope * knots
    for _ in range(3):
        knots, values, slope = _map(a[kept], b[kept], sample_sec)
        r = np.abs(b - evaluate(a, knots, values))
        sigma = 1.4826 * float(np.median(r[kept]))
        new = r <= max(_OUTLIER_SIGMAS * sigma, 2 * sample_sec)
        if np.array_equal(new, kept) or new.sum() < 3:
            break
        kept = new
    return Fit(knots, values, slope, kept, b[kept] - evaluate(a[kept], knots, values))


def evaluate(seconds: F64, knots: F64, values: F64) -> F64:
    """Return the map at source seconds; beyond the knots the first and last slope go on."""
    i = np.clip(np.searchsorted(knots, seconds, side="right") - 1, 0, len(knots) - 2)
    share = (seconds - knots[i]) / (knots[i + 1] - knots[i])
    return np.asarray(values[i] + share * (values[i + 1] - values[i]), dtype=np.float64)


def _map(a: F64, b: F64, sample_sec: float) -> tuple[F64, F64, float]:
    offset, slope = line(a, b)
    ends = np.array([a[0], a[-1]])
    straight = offset + slope * ends
    rms = _rms(b - (offset + slope * a))
    n = int(min((a[-1] - a[0]) / _KNOT_SEC, len(a) / _KNOT_PULSES, _MOST_KNOTS))
    if n < 2 or rms <= 0.5 * sample_sec:
        return ends, straight, slope
    knots = np.quantile(a, np.linspace(0, 1, n + 1))
    hats = np.stack([np.interp(a, knots, row) for row in np.eye(n + 1)], axis=1)
    d = np.linalg.lstsq(hats, b - a, rcond=None)[0]
    if _rms(b - a - hats @ d) > _BETTER * rms:
        return ends, straight, slope
    return knots, knots + d, slope


def _rms(values: F64) -> float:
    return float(np.sqrt(np.mean(values**2)))
