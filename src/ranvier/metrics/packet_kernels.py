"""One packet of all channels: moments, extremes, exact median deviation, events; a few passes over what is in cache."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable

from ranvier.kernels import kernel
from ranvier.kernels.lanes import BITS, WIDTH, greater, lesser, load, lowest_bit, spread, total, turn, within
from ranvier.kernels.lanes import least as least_of
from ranvier.kernels.lanes import most as most_of
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

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.float32] | npt.NDArray[np.int16]

#: Columns that are turned into rows together: a cache line of int16 counts, two of float32.
GROUP = 32
#: So few values are gathered and ranked rather than counted again.
FEW = 700
#: How far, as a share of a range, interpolation in it may err because densities are not flat.
CURVED = 0.02
#: Values drawn to guess where a median lies, and how many of them around it are the guess (3.5 standard deviations).
DRAWN = 64
_AROUND = 14
#: Where medians are looked for first, in standard deviations: around the mean, and of the absolute deviation.
NEAR_MEAN = 0.1
MAD_RANGE = (0.5, 0.72)

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
        exact[MEAN, c], exact[M2, c] = _moments_reference(good)
        single[MIN, c], single[AT_MIN, c] = np.nanmin(inner), a + np.nanargmin(inner) - origin
        single[MAX, c], single[AT_MAX, c] = np.nanmax(inner), a + np.nanargmax(inner) - origin
        single[MAD, c] = _mad_reference(inner)
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
            exact[ISI_MEAN, c], exact[ISI_M2, c] = _moments_reference(between)
            single[ISI_MIN, c], single[ISI_MAX, c] = between.min(), between.max()


def _moments_reference(x: F32) -> tuple[Any, Any]:
    mean = np.mean(x, dtype=np.float64)
    return mean, np.sum((x.astype(np.float64) - mean) ** 2)


def _mad_reference(x: F32) -> Any:
    x = x[np.isfinite(x)]
    return _median_reference(np.abs(x - _median_reference(x))) if len(x) else _NAN


def _median_reference(x: F32) -> Any:
    ranked = np.sort(x)
    return np.float32((float(ranked[(len(x) - 1) // 2]) + float(ranked[len(x) // 2])) / 2)


def _levels_reference(packet: F32, levels: F32, in_sd: U8) -> list[Any]:
    noise = float(_mad_reference(packet)) / MAD_OF_NORMAL
    found = [float(levels[0]), float(levels[1]), float(levels[2]), float(levels[3])]
    for pair, scaled in enumerate(in_sd):
        if scaled:
            for i in (2 * pair, 2 * pair + 1):
                off = -np.inf if i % 2 == 0 else np.inf
                found[i] = found[i] * noise if noise > 0 and np.isfinite(found[i]) else off
    return [np.float32(level) for level in found]


def _crossings_reference(x: F32, negative: Any, positive: Any, dead: int) -> list[int]:
    before = np.concatenate(([_NAN], x[:-1]))
    crosses = ((x <= negative) & (before > negative)) | ((x >= positive) & (before < positive))
    found: list[int] = []
    for t in np.flatnonzero(crosses):
        if not found or t >= found[-1] + 1 + dead:
            found.append(int(t))
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
    Events cross as :func:`ranvier.detect.kernels.threshold_events` says, with window 0 and the longer of dead time and
    window as its shadow. One belongs where its crossing lies; one beyond an artifact level is dropped, but what lies
    in its window is no more between events than that of others.
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
        _turn(samples, group, width, turned)
        for k in range(width):
            c = group + k
            _scale(turned[k], gain[c], offset[c], row[0])
            _channel(
                row, first, stop, a, b, origin, levels[c], in_sd[c], wings[c], near, away, drawn, crossings,
                exact, single, c,
            )  # fmt: skip


@register_jitable  # type: ignore[untyped-decorator]
def _turn(samples: Any, left: Any, width: Any, turned: Any) -> Any:
    """Turn columns into rows: each line of the cache is read once (columns of a power of two share cache sets)."""
    n = samples.shape[0]
    inner, across = n // WIDTH * WIDTH, width // WIDTH * WIDTH
    for i in range(0, inner, WIDTH):
        for k in range(0, across, WIDTH):
            turn(samples, i, left + k, turned, k, i)
    for i in range(n):
        for k in range(across if i < inner else 0, width):
            turned[k, i] = samples[i, left + k]


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
    summed, least, most = _extent(row, a, b)
    whole = np.isfinite(summed + _extent(row, 0, a)[0] + _extent(row, b, row.shape[1])[0])
    if not whole:
        _mark_missing(x)
        summed, least, most = _extent(row, a, b)
    count, mean, squares = _moments(row, summed, a, b, whole)
    if count == 0:
        return
    single[N, c], exact[MEAN, c], exact[M2, c] = count, mean, squares
    single[MIN, c], single[AT_MIN, c] = least, _first_of(row, np.float32(least), a, b) - origin
    single[MAX, c], single[AT_MAX, c] = most, _first_of(row, np.float32(most), a, b) - origin
    sd = np.sqrt(squares / count)
    mad = _mad(row, a, b, whole, mean, sd, near, away, drawn)
    single[MAD, c] = mad
    if a != first or b != stop:
        mad = _mad(row, first, stop, whole, mean, sd, near, away, drawn)
    noise = np.float64(mad) / MAD_OF_NORMAL
    negative = _level(levels[0], in_sd[0], noise, -_INF)
    positive = _level(levels[1], in_sd[0], noise, _INF)
    if negative == -_INF and positive == _INF:
        return
    pre, post = wings[0], wings[1]
    events = _crossings(row, negative, positive, max(wings[2], post), crossings)
    single[SEEN, c] = count
    weak_negative = _level(levels[2], in_sd[1], noise, -_INF)
    weak_positive = _level(levels[3], in_sd[1], noise, _INF)
    for e in range(events):
        if a <= crossings[e] < b:
            _event(x, crossings[e], pre, post, origin, weak_negative, weak_positive, exact, single, c)
    _between(row, a, b, crossings, events, pre, post, exact, single, c)


@register_jitable  # type: ignore[untyped-decorator]
def _extent(row: Any, a: Any, b: Any) -> Any:
    """Return the sum, the least and the most of ``row[0, a:b]``; NaN is neither least nor most."""
    one, two, low, high = spread(0.0), spread(0.0), spread(np.inf), spread(-np.inf)
    low_2, high_2 = low, high
    end = a + (b - a) // (2 * WIDTH) * (2 * WIDTH)
    for i in range(a, end, 2 * WIDTH):
        first, second = load(row, 0, i), load(row, 0, i + WIDTH)
        one += first
        two += second
        low, low_2 = lesser(first, low), lesser(second, low_2)
        high, high_2 = greater(first, high), greater(second, high_2)
    summed, bottom, top = total(one + two), least_of(lesser(low, low_2)), most_of(greater(high, high_2))
    for i in range(end, b):
        value = np.float64(row[0, i])
        summed += value
        bottom = value if value < bottom else bottom
        top = value if value > top else top
    return summed, bottom, top


@register_jitable  # type: ignore[untyped-decorator]
def _mark_missing(x: Any) -> Any:
    """Make all that is not finite NaN, which no comparison finds."""
    for i in range(len(x)):
        if not np.isfinite(x[i]):
            x[i] = _NAN


@register_jitable  # type: ignore[untyped-decorator]
def _squares(row: Any, a: Any, b: Any, mean: Any) -> Any:
    one, two = spread(0.0), spread(0.0)
    end = a + (b - a) // (2 * WIDTH) * (2 * WIDTH)
    for i in range(a, end, 2 * WIDTH):
        first = load(row, 0, i) - mean
        second = load(row, 0, i + WIDTH) - mean
        one += first * first
        two += second * second
    result = total(one + two)
    for i in range(end, b):
        rest = np.float64(row[0, i]) - mean
        result += rest * rest
    return result


@register_jitable  # type: ignore[untyped-decorator]
def _moments(row: Any, summed: Any, a: Any, b: Any, whole: Any) -> Any:
    """Return how many samples are there, their mean and their sum of squares about it, by two passes."""
    if whole:
        mean = summed / (b - a)
        return b - a, mean, _squares(row, a, b, mean)
    n, summed, squares = 0, 0.0, 0.0
    for i in range(a, b):
        if not np.isnan(row[0, i]):
            n += 1
            summed += np.float64(row[0, i])
    mean = summed / max(n, 1)
    for i in range(a, b):
        if not np.isnan(row[0, i]):
            squares += (np.float64(row[0, i]) - mean) ** 2
    return n, mean, squares


@register_jitable  # type: ignore[untyped-decorator]
def _first_of(row: Any, value: Any, a: Any, b: Any) -> Any:
    """Return where in ``[a, b)`` a value that is there is first."""
    i = a
    while i + BITS <= b:
        found = within(row, 0, i, value, value)
        if found != 0:
            return i + lowest_bit(found)
        i += BITS
    while row[0, i] != value:
        i += 1
    return i


@register_jitable  # type: ignore[untyped-decorator]
def _mad(row: Any, a: Any, b: Any, whole: Any, mean: Any, sd: Any, near: Any, away: Any, drawn: Any) -> Any:
    """Return the median of ``|x - median(x)|``, exactly; mean and standard deviation only tell where to look first."""
    least, most = np.float32(mean - NEAR_MEAN * sd), np.float32(mean + NEAR_MEAN * sd)
    n, x = b - a, row[0, a:b]
    if whole:
        middle = _middle(row, a, b, least, most, near, drawn)
        for i in range(n):
            away[0, i] = np.abs(x[i] - middle)
    else:
        n = 0
        for i in range(a, b):
            away[0, n] = row[0, i]
            n += not np.isnan(row[0, i])
        if n == 0:
            return _NAN
        middle = _middle(away, 0, n, least, most, near, drawn)
        for i in range(n):
            away[0, i] = np.abs(away[0, i] - middle)
    return _middle(away, 0, n, np.float32(MAD_RANGE[0] * sd), np.float32(MAD_RANGE[1] * sd), near, drawn)


@register_jitable  # type: ignore[untyped-decorator]
def _middle(row: Any, a: Any, b: Any, least: Any, most: Any, near: Any, drawn: Any) -> Any:
    """Return the median of ``row[0, a:b]``, as float32, which may lie in ``[least, most]``.

    If it does not, a sample says between which values it lies (Floyd and Rivest 1975); counting narrows that by
    interpolation, and what is left between is ranked. Counts prove the bounds: where both guesses were wrong, all is
    ranked.
    """
    n = b - a
    lower, upper = (n - 1) // 2, n // 2
    x = row[0, a:b]
    below, kept = 0, n
    if n > 4 * DRAWN:
        under, upto = _number_up_to(x, least, most)
        if not (under <= lower and upper < upto):
            least, most = _drawn_range(x, drawn)
            under, upto = _number_up_to(x, least, most)
        if under <= lower and upper < upto:
            least, most, under, upto = _narrowed(x, least, most, under, upto, lower, upper)
            if least == most:
                return least
            below, kept = under, _gather(row, a, b, least, most, near)
    if kept == n:
        near[:n] = x
    one, not_above, two = _ranked(near, kept, lower - below)
    if upper - below < not_above:
        two = one
    return np.float32((np.float64(one) + np.float64(two)) / 2.0)


@register_jitable  # type: ignore[untyped-decorator]
def _ranked(x: Any, n: Any, rank: Any) -> Any:
    """Return the value of a rank (0 = least) of the first ``n``, how many are not above it, and the next larger.

    Hoare's selection; each turn counts first and then moves what is left to the front, without branches.
    """
    dropped, following = 0, _INF
    while True:
        one, two, three = x[0], x[n // 2], x[n - 1]
        pivot = max(min(one, two), min(max(one, two), three))
        below, upto = _number_up_to(x[:n], pivot, pivot)
        k = 0
        if rank < below:
            following = pivot
            for i in range(n):
                value = x[i]
                x[k] = value
                k += value < pivot
            n = below
        elif rank >= upto:
            for i in range(n):
                value = x[i]
                x[k] = value
                k += value > pivot
            dropped, n, rank = dropped + upto, n - upto, rank - upto
        else:
            for i in range(n):
                following = x[i] if x[i] > pivot and x[i] < following else following
            return pivot, dropped + upto, following


@register_jitable  # type: ignore[untyped-decorator]
def _drawn_range(x: Any, drawn: Any) -> Any:
    """Return between which values the median lies, by a sample."""
    step = len(x) // DRAWN
    for i in range(DRAWN):
        drawn[i] = x[i * step + step // 2]
    drawn.sort()
    return drawn[DRAWN // 2 - _AROUND], drawn[DRAWN // 2 + _AROUND]


@register_jitable  # type: ignore[untyped-decorator]
def _narrowed(x: Any, least: Any, most: Any, under: Any, upto: Any, lower: Any, upper: Any) -> Any:
    """Narrow ``[least, most]``, which holds the ranks ``lower`` and ``upper``, while both stay on one side."""
    for _ in range(8):
        inside = upto - under
        if inside <= FEW or least == most:
            break
        share = (lower - under + 0.5) / inside
        half = 2.0 / np.sqrt(np.float64(inside)) + CURVED
        width = np.float64(most) - np.float64(least)
        low = max(least, np.float32(least + width * (share - half)))
        high = min(most, np.float32(least + width * (share + half)))
        to_low, to_high = _number_up_to(x, low, high)
        if to_low <= lower and upper < to_high:
            if to_high - to_low == inside:
                break
            least, most, under, upto = low, high, to_low, to_high
        elif upper < to_low:
            most, upto = np.nextafter(low, -_INF), to_low
        elif lower >= to_high:
            least, under = np.nextafter(high, _INF), to_high
        else:
            break
    return least, most, under, upto


@register_jitable  # type: ignore[untyped-decorator]
def _number_up_to(x: Any, low: Any, high: Any) -> Any:
    """Return how many values are below ``low``, and how many are not above ``high``; none is NaN."""
    below, above = np.int32(0), np.int32(0)
    for i in range(len(x)):
        below += np.int32(x[i] < low)
        above += np.int32(x[i] > high)
    return np.int64(below), np.int64(len(x) - above)


@register_jitable  # type: ignore[untyped-decorator]
def _gather(row: Any, a: Any, b: Any, least: Any, most: Any, near: Any) -> Any:
    """Copy what lies in ``[least, most]``; return how many."""
    k = 0
    end = a + (b - a) // BITS * BITS
    for begin in range(a, end, BITS):
        found = within(row, 0, begin, least, most)
        while found != 0:
            near[k] = row[0, begin + lowest_bit(found)]
            k += 1
            found &= found - np.uint64(1)
    for i in range(end, b):
        if row[0, i] >= least and row[0, i] <= most:
            near[k] = row[0, i]
            k += 1
    return k


@register_jitable  # type: ignore[untyped-decorator]
def _level(level: Any, scaled: Any, noise: Any, off: Any) -> Any:
    """Return a level in uV; off where there is no noise to measure it in."""
    if scaled == 0:
        return level
    if not (noise > 0.0) or not np.isfinite(level):
        return off
    return np.float32(np.float64(level) * noise)


@register_jitable  # type: ignore[untyped-decorator]
def _crossings(row: Any, negative: Any, positive: Any, dead: Any, out: Any) -> Any:
    """Write the rows at which a threshold is crossed; return how many. What lies within them is passed over."""
    n, ready, length = 0, 0, row.shape[1]
    for begin in range(0, length, BITS):
        if begin + BITS <= length and (
            within(row, 0, begin, -_INF, negative) | within(row, 0, begin, positive, _INF)
        ) == np.uint64(0):
            continue
        before = row[0, begin - 1] if begin > 0 else _NAN
        for i in range(begin, min(length, begin + BITS)):
            x = row[0, i]
            if i >= ready and ((x <= negative and before > negative) or (x >= positive and before < positive)):
                out[n] = i
                n += 1
                ready = i + 1 + dead
            before = x
    return n


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
    least, most = np.inf, -np.inf
    cursor = a
    for e in range(events + 1):
        begin = min(b, max(a, crossings[e] - pre)) if e < events else b
        end = min(b, crossings[e] + post + 1) if e < events else b
        if begin > cursor:
            _, bottom, top = _extent(samples, cursor, begin)
            least, most = min(least, bottom), max(most, top)
        for i in range(max(cursor, begin), end):
            if not np.isnan(row[i]):
                x = np.float64(row[i]) - mean
                inside += 1
                first += x
                second += x * x
        cursor = max(cursor, end)
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
