"""Histograms of metrics per packet over many datasets."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError
from ranvier.models.kpi import KpiMetricId
from ranvier.models.summa import SummaHistogram
from ranvier.recordings.recording import Recording

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


def packets_of(recording: Recording, packet_dur_sec: float) -> tuple[I64, int]:
    """Return the first counters of the whole packets of a recording, on the grid of multiples, and their length."""
    n = round(Fraction(packet_dur_sec) * recording.fs)
    if n < 2:
        raise ConfigurationError(f"a packet of {packet_dur_sec:g} s holds fewer than two samples")
    return np.arange(-(-recording.start // n), recording.stop // n, dtype=np.int64) * n, n


def dividers_of(values: Sequence[F64], bins: int) -> F64:
    """Return equal bins from the smallest to the largest finite value, ``(bins + 1,)``."""
    finite = [v[np.isfinite(v)] for v in values]
    held = [v for v in finite if v.size]
    if not held:
        return np.linspace(0.0, 1.0, bins + 1)
    low, high = min(float(v.min()) for v in held), max(float(v.max()) for v in held)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.asarray(np.linspace(low, high, bins + 1), dtype=np.float64)


def histogram(metric: KpiMetricId, values: F64, dividers: F64) -> SummaHistogram:
    """Return counts in bins and the twelve statistics of finite values."""
    finite = values[np.isfinite(values)]
    counts, _ = np.histogram(finite, dividers)
    return SummaHistogram(
        metric=metric, stats=twelve_statistics(finite, counts, dividers), counts=counts, dividers=dividers,
        missing=values.size - finite.size,
    )  # fmt: skip


def twelve_statistics(x: F64, counts: I64, dividers: F64) -> F64:
    """Return mean, sd, mode, min, max, mode_count, median, q25, q75, skew, kurtosis, n."""
    out = np.full(12, np.nan)
    out[5] = out[11] = 0.0
    if not x.size:
        return out
    fullest = int(np.argmax(counts))
    q25, median, q75 = np.percentile(x, [25, 50, 75])
    mean = x.mean()
    out[:9] = mean, np.nan, dividers[fullest : fullest + 2].mean(), x.min(), x.max(), counts[fullest], median, q25, q75
    out[11] = x.size
    moments = [np.mean((x - mean) ** k) for k in (2, 3, 4)]
    if x.size > 1:
        out[1] = x.std(ddof=1)
    if moments[0] > 0:
        out[9], out[10] = moments[1] / moments[0] ** 1.5, moments[2] / moments[0] ** 2 - 3
    return out
