"""One packet of all channels: moments, extremes, exact median deviation, events; a few passes over what is in cache."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable

from ranvier.detect.kernels import row_crossings
from ranvier.detect.threshold import ThresholdDetector
from ranvier.kernels import kernel
from ranvier.metrics.packet_columns import (
    AT_MAX,
    AT_MIN,
    DROPPED,
    EMPTY_SINGLE,
    EV_ABS,
    EV_AT_ABS,
    EV_AT_MAX,
    EV_AT_MIN,
    EV_AT_PP,
    EV_MAX,
    EV_MIN,
    EV_PP,
    EVENTS,
    ISI_M2,
    ISI_MAX,
    ISI_MEAN,
    ISI_MIN,
    ISI_N,
    M2,
    MAD,
    MAD_OF_NORMAL,
    MAX,
    MEAN,
    MIN,
    SEEN,
    SUM_ABS,
    SUM_MAX,
    SUM_MIN,
    SUM_PP,
    N,
)  # fmt: skip
from ranvier.metrics.row_kernels import (
    DRAWN,
    GROUP,
    columns_to_rows,
    extent,
    first_of,
    mark_missing,
    median_deviation,
    median_deviation_reference,
    moments,
    moments_reference,
)
from ranvier.recordings.block import Block

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.float32] | npt.NDArray[np.int16]


_EMPTY = np.array(EMPTY_SINGLE, dtype=np.float32)
_NAN = np.float32(np.nan)
_INF = np.float32(np.inf)


def packet_rows_reference(
    samples: Samples, gain: F64, offset: F64, left: int, right: int, first: int, stop: int, a: int, b: int,
    origin: int, levels: F32, in_sd: U8, wings: I64, exact: F64, single: F32,
) -> None:  # fmt: skip
    """Define :func:`packet_rows`."""
    for c in range(left, right):
        x = (gain[c] * samples[:, c] + offset[c]).astype(np.float32)
        x = np.where(np.isfinite(x), x, _NAN)
        exact[:, c], single[:, c] = 0.0, _EMPTY
        inner = x[a:b]
        good = inner[np.isfinite(inner)]
        if not len(good):
            continue
        single[N, c] = len(good)
        exact[MEAN, c], exact[M2, c] = moments_reference(good)
        single[MIN, c], single[AT_MIN, c] = np.nanmin(inner), a + np.nanargmin(inner) - origin
        single[MAX, c], single[AT_MAX, c] = np.nanmax(inner), a + np.nanargmax(inner) - origin
        single[MAD, c] = median_deviation_reference(inner)
        negative, positive, weak_negative, weak_positive = _levels_reference(x[first:stop], levels[c], in_sd[c])
        if np.isneginf(negative) and np.isposinf(positive):
            continue
        pre, post, shadow = (int(w) for w in wings[c])
        at = _crossings_reference(x, negative, positive, max(shadow, post))
        single[SEEN, c], single[EVENTS, c], single[DROPPED, c] = len(good), 0, 0
        outside = np.ones(len(x), bool)
        for t in at:
            begin, end = max(0, t - pre), min(len(x), t + post + 1)
            outside[begin:end] = False
            if not a <= t < b:
                continue
            window = x[begin:end]
            most, least = np.nanmax(window), np.nanmin(window)
            if least <= weak_negative or most >= weak_positive:
                single[DROPPED, c] += 1
                continue
            large, range_ = max(abs(most), abs(least)), most - least
            peak = begin + np.flatnonzero(np.abs(window) == large)[0] - origin
            single[EVENTS, c] += 1
            for row, value in ((SUM_MAX, most), (SUM_MIN, least), (SUM_ABS, large), (SUM_PP, range_)):
                exact[row, c] += value
            if most > single[EV_MAX, c]:
                single[EV_MAX, c], single[EV_AT_MAX, c] = most, begin + np.nanargmax(window) - origin
            if least < single[EV_MIN, c]:
                single[EV_MIN, c], single[EV_AT_MIN, c] = least, begin + np.nanargmin(window) - origin
            if large > single[EV_ABS, c]:
                single[EV_ABS, c], single[EV_AT_ABS, c] = large, peak
            if range_ > single[EV_PP, c]:
                single[EV_PP, c], single[EV_AT_PP, c] = range_, peak
        between = inner[outside[a:b] & np.isfinite(inner)]
        single[ISI_N, c] = len(between)
        if len(between):
            exact[ISI_MEAN, c], exact[ISI_M2, c] = moments_reference(between)
            single[ISI_MIN, c], single[ISI_MAX, c] = between.min(), between.max()


def _levels_reference(packet: F32, levels: F32, in_sd: U8) -> list[Any]:
    noise = float(median_deviation_reference(packet)) / MAD_OF_NORMAL
    found = [float(levels[0]), float(levels[1]), float(levels[2]), float(levels[3])]
    for pair, scaled in enumerate(in_sd):
        if scaled:
            for i in (2 * pair, 2 * pair + 1):
                off = -np.inf if i % 2 == 0 else np.inf
                found[i] = found[i] * noise if noise > 0 and np.isfinite(found[i]) else off
    return [np.float32(level) for level in found]


def _crossings_reference(x: F32, negative: Any, positive: Any, dead: int) -> list[int]:
    detector = ThresholdDetector(negative, positive, dead, num_channels=1)
    found: list[int] = detector.process(Block(x[:, None], 0), detector.start()).crossings.tolist()
    return found


_SIGNATURE = (
    "void(Array({}, 2, 'C', readonly=True), float64[::1], float64[::1], int64, int64, int64, int64, int64, int64,"
    " int64, float32[:,::1], uint8[:,::1], int64[:,::1], float64[:,::1], float32[:,::1])"
)


@kernel([_SIGNATURE.format(kind) for kind in ("float32", "int16")], reference=packet_rows_reference)
def packet_rows(
    samples: Samples, gain: F64, offset: F64, left: int, right: int, first: int, stop: int, a: int, b: int,
    origin: int, levels: F32, in_sd: U8, wings: I64, exact: F64, single: F32,
) -> None:  # fmt: skip
    """Fill a packet's arrays for columns ``[left, right)`` of a time-major stretch of signal around the packet.

    Parameters
    ----------
    samples
        ``(n, channels)``, float32 or int16 counts; what is not finite is missing.
    gain, offset
        ``(channels,)``: what is measured is ``gain * samples + offset``, computed in float64 and rounded to float32.
    first, stop
        Rows of the packet: its own noise is the unit of thresholds in standard deviations.
    a, b
        Rows that count: the packet, or a part of it. Rows around them are looked at for events only.
    origin
        Row of the start of the packet's grid cell; positions count from there.
    levels
        ``(channels, 4)``: negative, positive threshold, negative, positive artifact level; infinite = off.
    in_sd
        ``(channels, 2)``: whether thresholds, and artifact levels, are in standard deviations of noise.
    wings
        ``(channels, 3)``: samples before and behind a crossing that belong to an event, and the dead time.
    exact, single
        Out: ``(NUM_EXACT, channels)`` and ``(NUM_SINGLE, channels)``, see :mod:`ranvier.metrics.packet_columns`.

    Notes
    -----
    Events are those of :class:`ranvier.detect.ThresholdDetector`, with no window of its own and the longer of dead time
    and window as its shadow. One belongs where its crossing lies; one beyond an artifact level is dropped, but what
    lies in its window is no more between events than that of others.
    """
    n = samples.shape[0]
    turned = np.empty((GROUP, n + (32 - n) % 64), samples.dtype)  # an odd number of cache lines apart: other cache sets
    row = np.empty((1, n), np.float32)
    near = np.empty(n, np.float32)
    away = np.empty((1, n + 1), np.float32)  # one more: what is compacted is written before it is known
    drawn = np.empty(DRAWN, np.float32)
    crossings = np.empty(n, np.int64)
    for group in range(left, right, GROUP):
        width = min(GROUP, right - group)
        columns_to_rows(samples, group, width, turned)
        for k in range(width):
            c = group + k
            _scale(turned[k], gain[c], offset[c], row[0])
            _channel(
                row, first, stop, a, b, origin, levels[c], in_sd[c], wings[c], near, away, drawn, crossings,
                exact, single, c,
            )  # fmt: skip


@register_jitable  # type: ignore[untyped-decorator]
def _scale(values: Any, gain: Any, offset: Any, row: Any) -> Any:
    for i in range(len(row)):
        row[i] = gain * values[i] + offset


@numba.njit(error_model="numpy")  # type: ignore[untyped-decorator]
def _channel(
    row: Any, first: Any, stop: Any, a: Any, b: Any, origin: Any, levels: Any, in_sd: Any, wings: Any, near: Any,
    away: Any, drawn: Any, crossings: Any, exact: Any, single: Any, c: Any,
) -> Any:  # fmt: skip
    """Measure one channel, a matrix of one row."""
    x = row[0]
    for i in range(exact.shape[0]):
        exact[i, c] = 0.0
    for i in range(single.shape[0]):
        single[i, c] = _EMPTY[i]
    summed, least, most = extent(row, a, b)
    whole = np.isfinite(summed + extent(row, 0, a)[0] + extent(row, b, row.shape[1])[0])
    if not whole:
        mark_missing(x)
        summed, least, most = extent(row, a, b)
    count, mean, squares = moments(row, summed, a, b, whole)
    if count == 0:
        return
    single[N, c], exact[MEAN, c], exact[M2, c] = count, mean, squares
    single[MIN, c], single[AT_MIN, c] = least, first_of(row, np.float32(least), a, b) - origin
    single[MAX, c], single[AT_MAX, c] = most, first_of(row, np.float32(most), a, b) - origin
    sd = np.sqrt(squares / count)
    mad = median_deviation(row, a, b, whole, mean, sd, near, away, drawn)
    single[MAD, c] = mad
    if a != first or b != stop:
        mad = median_deviation(row, first, stop, whole, mean, sd, near, away, drawn)
    noise = np.float64(mad) / MAD_OF_NORMAL
    negative = _level(levels[0], in_sd[0], noise, -_INF)
    positive = _level(levels[1], in_sd[0], noise, _INF)
    if negative == -_INF and positive == _INF:
        return
    pre, post = wings[0], wings[1]
    events = row_crossings(row, negative, positive, max(wings[2], post), crossings)
    single[SEEN, c] = count
    weak_negative = _level(levels[2], in_sd[1], noise, -_INF)
    weak_positive = _level(levels[3], in_sd[1], noise, _INF)
    for e in range(events):
        if a <= crossings[e] < b:
            _event(x, crossings[e], pre, post, origin, weak_negative, weak_positive, exact, single, c)
    _between(row, a, b, crossings, events, pre, post, exact, single, c)


@register_jitable  # type: ignore[untyped-decorator]
def _level(level: Any, scaled: Any, noise: Any, off: Any) -> Any:
    """Return a level in uV; off where there is no noise to measure it in."""
    if scaled == 0:
        return level
    if not (noise > 0.0) or not np.isfinite(level):
        return off
    return np.float32(np.float64(level) * noise)


@register_jitable  # type: ignore[untyped-decorator]
def _event(
    row: Any, t: Any, pre: Any, post: Any, origin: Any, weak_negative: Any, weak_positive: Any, exact: Any,
    single: Any, c: Any,
) -> Any:  # fmt: skip
    """Add one event to a packet."""
    most, least, at_most, at_least = -_INF, _INF, t, t
    for i in range(max(0, t - pre), min(len(row), t + post + 1)):
        x = row[i]
        if x > most:
            most, at_most = x, i
        if x < least:
            least, at_least = x, i
    if least <= weak_negative or most >= weak_positive:
        single[DROPPED, c] += np.float32(1.0)
        return
    up = most > -least or (most == -least and at_most < at_least)
    large, peak = (np.abs(most), at_most) if up else (np.abs(least), at_least)
    if np.abs(most) > large:
        large, peak = np.abs(most), at_most
    range_ = most - least
    single[EVENTS, c] += np.float32(1.0)
    exact[SUM_MAX, c] += most
    exact[SUM_MIN, c] += least
    exact[SUM_ABS, c] += large
    exact[SUM_PP, c] += range_
    if most > single[EV_MAX, c]:
        single[EV_MAX, c], single[EV_AT_MAX, c] = most, at_most - origin
    if least < single[EV_MIN, c]:
        single[EV_MIN, c], single[EV_AT_MIN, c] = least, at_least - origin
    if large > single[EV_ABS, c]:
        single[EV_ABS, c], single[EV_AT_ABS, c] = large, peak - origin
    if range_ > single[EV_PP, c]:
        single[EV_PP, c], single[EV_AT_PP, c] = range_, peak - origin


@register_jitable  # type: ignore[untyped-decorator]
def _between(
    samples: Any, a: Any, b: Any, crossings: Any, events: Any, pre: Any, post: Any, exact: Any, single: Any, c: Any
) -> Any:
    """Fill what lies outside event windows: the packet less what lies in them."""
    row, mean = samples[0], exact[MEAN, c]
    inside, first, second = 0, 0.0, 0.0
    lowest, highest = _INF, -_INF
    cursor = a
    for e in range(events):
        end = min(b, crossings[e] + post + 1)
        for i in range(max(cursor, min(b, crossings[e] - pre)), end):
            value = row[i]
            if not np.isnan(value):
                x = np.float64(value) - mean
                inside += 1
                first += x
                second += x * x
                lowest, highest = min(lowest, value), max(highest, value)
        cursor = max(cursor, end)
    least, most = single[MIN, c], single[MAX, c]
    if least == lowest or most == highest:  # else they do not lie in windows
        least, most = _extent_between(samples, a, b, crossings, events, pre, post)
    n = np.int64(single[N, c]) - inside
    single[ISI_N, c], single[ISI_MIN, c], single[ISI_MAX, c] = n, least, most
    if n == 0:
        return
    squares = exact[M2, c] - second - first * first / n
    shift = -first / n
    if inside > 0 and squares < 1e-3 * exact[M2, c]:  # too little is left of a difference of large numbers
        shift, squares = _between_directly(row, a, b, crossings, events, pre, post, mean, n)
    exact[ISI_MEAN, c], exact[ISI_M2, c] = mean + shift, squares


@register_jitable  # type: ignore[untyped-decorator]
def _extent_between(samples: Any, a: Any, b: Any, crossings: Any, events: Any, pre: Any, post: Any) -> Any:
    least, most = np.float64(np.inf), np.float64(-np.inf)
    cursor = a
    for e in range(events + 1):
        begin = min(b, crossings[e] - pre) if e < events else b
        if begin > cursor:
            _, bottom, top = extent(samples, cursor, begin)
            least, most = min(least, bottom), max(most, top)
        cursor = max(cursor, min(b, crossings[e] + post + 1)) if e < events else b
    return np.float32(least), np.float32(most)


@register_jitable  # type: ignore[untyped-decorator]
def _between_directly(
    row: Any, a: Any, b: Any, crossings: Any, events: Any, pre: Any, post: Any, mean: Any, n: Any
) -> Any:
    shift, squares = 0.0, 0.0
    for round_ in range(2):
        cursor = a
        for e in range(events + 1):
            begin = min(b, max(a, crossings[e] - pre)) if e < events else b
            for i in range(cursor, begin):
                if not np.isnan(row[i]):
                    x = np.float64(row[i]) - mean
                    if round_ == 0:
                        shift += x / n
                    else:
                        squares += (x - shift) * (x - shift)
            cursor = max(cursor, min(b, crossings[e] + post + 1)) if e < events else b
    return shift, squares
