"""Every metric: unit, formula, and how it is computed from folded packets. The table of the guide is made from this."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ranvier.metrics import packet_columns as k
from ranvier.metrics.fold import Totals
from ranvier.models.kpi import KpiMetric

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Definition:
    """One metric.

    Attributes
    ----------
    formula
        For people; the unit is that of :class:`~ranvier.models.kpi.KpiMetric`.
    missing
        Where the value is NaN.
    compute
        From totals to ``(channels,)``.
    is_time
        Whether it is a sample counter: then its average (mode AVG) is not defined, NaN.
    """

    formula: str
    missing: str
    compute: Callable[[Totals], Floats]
    is_time: bool = False


NO_SAMPLE = "no finite sample"
NO_BETWEEN = "detection off, or no sample outside event windows"
NO_EVENT = "no event, or detection off"
NO_DETECTION = "detection off, or no noise to measure thresholds in"


def _where(valid: npt.NDArray[np.bool_], values: Floats) -> Floats:
    return np.where(valid, values, np.nan)


def _finite(values: Floats) -> Floats:
    return _where(np.isfinite(values), values)


def _divided(a: Floats, b: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return _where(b > 0, a / np.where(b > 0, b, 1.0))


def _count(t: Totals) -> Floats:
    return t.count(k.N)


def _duration(t: Totals) -> Floats:
    return np.full(t.channels, t.span_samples / t.fs)


def _moment(isi: bool) -> tuple[Callable[[Totals], Floats], Callable[[Totals], Floats], Callable[[Totals], Floats]]:
    """Return mean, variance and mean square, of all samples or of those outside events."""

    def of(t: Totals) -> tuple[Floats, Floats, Floats]:
        return t.isi_moments if isi else t.moments

    def mean(t: Totals) -> Floats:
        n, m, _ = of(t)
        return _where(n > 0, m)

    def variance(t: Totals) -> Floats:
        n, _, squares = of(t)
        return _divided(squares, n)

    def mean_square(t: Totals) -> Floats:
        return variance(t) + mean(t) ** 2

    return mean, variance, mean_square


_MEAN, _VAR, _SQUARE = _moment(False)
_, _VAR_ISI, _SQUARE_ISI = _moment(True)


def _noise(t: Totals) -> Floats:
    return t.mad / k.MAD_OF_NORMAL


def _least(row: int) -> Callable[[Totals], Floats]:
    return lambda t: _finite(t.least(row))


def _most(row: int) -> Callable[[Totals], Floats]:
    return lambda t: _finite(t.most(row))


def _largest_abs(low: int, high: int) -> Callable[[Totals], Floats]:
    return lambda t: _finite(np.maximum(np.abs(t.least(low)), np.abs(t.most(high))))


def _range(low: int, high: int) -> Callable[[Totals], Floats]:
    return lambda t: _finite(t.most(high) - t.least(low))


def _at(row: int, at: int, *, largest: bool) -> Callable[[Totals], Floats]:
    return lambda t: t.counter_of(row, at, largest=largest)


def _events(t: Totals) -> Floats:
    return _where(t.count(k.SEEN) > 0, t.count(k.EVENTS))


def _rate(t: Totals) -> Floats:
    return _divided(t.count(k.EVENTS), t.count(k.SEEN) / t.fs)


def _mean_of(row: int) -> Callable[[Totals], Floats]:
    return lambda t: _divided(t.total(row), t.count(k.EVENTS))


def _snr(t: Totals) -> Floats:
    return _divided(_mean_of(k.SUM_PP)(t), 2.0 * np.nan_to_num(_noise(t)))


def _amplified(t: Totals) -> Floats:
    range_ = _range(k.MIN, k.MAX)(t)
    with np.errstate(invalid="ignore"):
        return _where(range_ > 2.0 * np.sqrt(_VAR(t)), range_**2)


def _isi_points(t: Totals) -> Floats:
    return _where(t.count(k.SEEN) > 0, t.count(k.ISI_N))


_M = KpiMetric
_PEAK = "mean over events of"

DEFINITIONS: dict[KpiMetric, Definition] = {
    _M.NUM_PTS: Definition("n: finite samples", "never", _count),
    _M.NUM_PTS_ISI: Definition("finite samples outside event windows", NO_DETECTION, _isi_points),
    _M.DUR_SEC: Definition("length of the range, gaps included", "never", _duration),
    _M.MEAN: Definition("sum(x) / n", NO_SAMPLE, _MEAN),
    _M.MIN: Definition("min(x)", NO_SAMPLE, _least(k.MIN)),
    _M.MIN_ISI: Definition("min(x) outside events", NO_BETWEEN, _least(k.ISI_MIN)),
    _M.MAX: Definition("max(x)", NO_SAMPLE, _most(k.MAX)),
    _M.MAX_ISI: Definition("max(x) outside events", NO_BETWEEN, _most(k.ISI_MAX)),
    _M.MAX_ABS: Definition("max(abs(x))", NO_SAMPLE, _largest_abs(k.MIN, k.MAX)),
    _M.MAX_ABS_ISI: Definition("max(abs(x)) outside events", NO_BETWEEN, _largest_abs(k.ISI_MIN, k.ISI_MAX)),
    _M.TIMESTAMP_MIN: Definition(
        "first argmin(x)", NO_SAMPLE, _at(k.MIN, k.AT_MIN, largest=False), True
    ),
    _M.TIMESTAMP_MAX: Definition(
        "first argmax(x)", NO_SAMPLE, _at(k.MAX, k.AT_MAX, largest=True), True
    ),
    _M.MAX_MIN_DIFF_ABS: Definition("max(x) - min(x)", NO_SAMPLE, _range(k.MIN, k.MAX)),
    _M.MAX_MIN_DIFF_ABS_ISI: Definition(
        "max(x) - min(x) outside events", NO_BETWEEN, _range(k.ISI_MIN, k.ISI_MAX)
    ),
    _M.SD: Definition("sqrt(VAR)", NO_SAMPLE, lambda t: np.sqrt(_VAR(t))),
    _M.SD_ISI: Definition("sqrt(VAR_ISI)", NO_BETWEEN, lambda t: np.sqrt(_VAR_ISI(t))),
    _M.VAR: Definition("sum((x - MEAN)^2) / n", NO_SAMPLE, _VAR),
    _M.VAR_ISI: Definition("the same outside events", NO_BETWEEN, _VAR_ISI),
    _M.RMS: Definition("sqrt(sum(x^2) / n)", NO_SAMPLE, lambda t: np.sqrt(_SQUARE(t))),
    _M.RMS_ISI: Definition("the same outside events", NO_BETWEEN, lambda t: np.sqrt(_SQUARE_ISI(t))),
    _M.NOISE_UV: Definition(
        "median over packets of median(abs(x - median(x))) / 0.6745 (Quiroga et al. 2004)", NO_SAMPLE, _noise
    ),
    _M.SNR: Definition(
        "EVENT_MEAN_MAX_MIN_DIFF_ABS / (2 NOISE_UV) (Suner et al. 2005)", "no event, or no noise", _snr
    ),
    _M.NUM_EVENTS: Definition("events whose crossing lies in the range", NO_DETECTION, _events),
    _M.EVENT_RATE: Definition("NUM_EVENTS / seconds of finite samples", NO_DETECTION, _rate),
    _M.EVENT_MAX: Definition("largest max of an event window", NO_EVENT, _most(k.EV_MAX)),
    _M.EVENT_MIN: Definition("least min of an event window", NO_EVENT, _least(k.EV_MIN)),
    _M.EVENT_MAX_ABS: Definition("largest max(abs) of an event window", NO_EVENT, _most(k.EV_ABS)),
    _M.EVENT_MAX_MIN_DIFF_ABS: Definition("largest max - min of an event window", NO_EVENT, _most(k.EV_PP)),
    _M.EVENT_TIMESTAMP_MIN: Definition(
        "of EVENT_MIN", NO_EVENT, _at(k.EV_MIN, k.EV_AT_MIN, largest=False), True
    ),
    _M.EVENT_TIMESTAMP_MAX: Definition(
        "of EVENT_MAX", NO_EVENT, _at(k.EV_MAX, k.EV_AT_MAX, largest=True), True
    ),
    _M.EVENT_TIMESTAMP_MAX_ABS: Definition(
        "of EVENT_MAX_ABS", NO_EVENT, _at(k.EV_ABS, k.EV_AT_ABS, largest=True), True
    ),
    _M.EVENT_TIMESTAMP_MAX_MIN_DIFF_ABS: Definition(
        "largest abs sample of the event of EVENT_MAX_MIN_DIFF_ABS", NO_EVENT,
        _at(k.EV_PP, k.EV_AT_PP, largest=True), True,
    ),
    _M.MEAN_MAX: Definition(f"{_PEAK} max of the window", NO_EVENT, _mean_of(k.SUM_MAX)),
    _M.MEAN_MIN: Definition(f"{_PEAK} min of the window", NO_EVENT, _mean_of(k.SUM_MIN)),
    _M.MEAN_MAX_ABS: Definition(f"{_PEAK} max(abs) of the window", NO_EVENT, _mean_of(k.SUM_ABS)),
    _M.EVENT_MEAN_MAX_MIN_DIFF_ABS: Definition(
        f"{_PEAK} max - min of the window", NO_EVENT, _mean_of(k.SUM_PP)
    ),
    _M.MAX_MIN_DIFF_ABS_AMPLIFIED: Definition(
        "MAX_MIN_DIFF_ABS^2 where that exceeds 2 SD", "no finite sample, or not above 2 SD", _amplified
    ),
    _M.EVENT_MEAN_MAX_ABS: Definition("MEAN_MAX_ABS under its newer name", NO_EVENT, _mean_of(k.SUM_ABS)),
}  # fmt: skip


def markdown_table() -> str:
    """Return the table of all metrics, as the guide has it."""
    lines = ["| metric | unit | formula | NaN where |", "|---|---|---|---|"]
    lines += [f"| `{m.name}` | {m.unit} | {d.formula} | {d.missing} |" for m, d in DEFINITIONS.items()]
    return "\n".join(lines)
