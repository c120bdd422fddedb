"""One packet of all channels: moments, extremes, exact median deviation, events; a few passes over what is in cache."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable

from ranvier.kernels import kernel
from ranvier.kernels.lanes import WIDTH, load, spread, total
from ranvier.metrics.kernels import _ordered, _select, _value
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

#: Columns that are turned into rows together: a cache line.
GROUP = 32
#: Samples whose extremes are kept: what lies within the thresholds is not looked at again.
BLOCK = 64
#: Values drawn to guess where a median lies, and how many of them around it are the guess (3.5 standard deviations).
DRAWN = 64
_AROUND = 14

_EMPTY = np.array(EMPTY_SINGLE, dtype=np.float32)
_NAN = np.float32(np.nan)
_INF = np.float32(np.inf)


def packet_rows_reference(
    samples: F32, left: int, right: int, first: int, stop: int, a: int, b: int, origin: int, levels: F32, in_sd: U8,
    wings: I64, exact: F64, single: F32,
) -> None:  # fmt: skip
    """Define :func:`packet_rows`."""
    for c in range(left, right):
        x = np.where(np.isfinite(samples[:, c]), samples[:, c], _NAN)
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


@kernel(
    "void(Array(float32, 2, 'C', readonly=True), int64, int64, int64, int64, int64, int64, int64,"
    " float32[:,::1], uint8[:,::1], int64[:,::1], float64[:,::1], float32[:,::1])",
    reference=packet_rows_reference,
)
def packet_rows(
    samples: F32, left: int, right: int, first: int, stop: int, a: int, b: int, origin: int, levels: F32, in_sd: U8,
    wings: I64, exact: F64, single: F32,
) -> None:  # fmt: skip
    """Fill a packet's arrays for columns ``[left, right)`` of a time-major stretch of signal around the packet.

    Parameters
    ----------
    samples
        ``(n, channels)``; what is not finite is missing.
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
    blocks = (n + BLOCK - 1) // BLOCK
    rows = np.empty((GROUP, n), np.float32)
    low = np.empty((blocks, GROUP), np.float32)
    high = np.empty((blocks, GROUP), np.float32)
    near = np.empty(n + 1, np.float32)  # one more: _gather writes before it knows
    away = np.empty(n + 1, np.float32)
    keys = np.empty(n, np.uint32)
    spare = np.empty(n, np.uint32)
    histogram = np.empty(2048, np.int64)
    drawn = np.empty(DRAWN, np.float32)
    crossings = np.empty(n, np.int64)
    for group in range(left, right, GROUP):
        width = min(GROUP, right - group)
        _turn(samples, group, width, rows, low, high)
        for k in range(width):
            c = group + k
            row = rows[k]
            for i in range(exact.shape[0]):
                exact[i, c] = 0.0
            for i in range(single.shape[0]):
                single[i, c] = _EMPTY[i]
            whole = np.isfinite(_sum(rows, k, 0, n))
            if not whole:
                _mark_missing(row, low, high, k)
            count, mean, squares = _moments(rows, k, a, b, whole)
            if count == 0:
                continue
            single[N, c], exact[MEAN, c], exact[M2, c] = count, mean, squares
            least, at_least = _lowest(row, low, k, a, b)
            most, at_most = _highest(row, high, k, a, b)
            single[MIN, c], single[AT_MIN, c] = least, at_least - origin
            single[MAX, c], single[AT_MAX, c] = most, at_most - origin
            mad = _mad(row[a:b], whole, near, away, keys, spare, histogram, drawn)
            single[MAD, c] = mad
            if a != first or b != stop:
                mad = _mad(row[first:stop], whole, near, away, keys, spare, histogram, drawn)
            noise = np.float64(mad) / MAD_OF_NORMAL
            negative = _level(levels[c, 0], in_sd[c, 0], noise, -_INF)
            positive = _level(levels[c, 1], in_sd[c, 0], noise, _INF)
            if negative == -_INF and positive == _INF:
                continue
            pre, post = wings[c, 0], wings[c, 1]
            events = _crossings(row, low, high, k, negative, positive, max(wings[c, 2], post), crossings)
            single[SEEN, c] = count
            weak_negative = _level(levels[c, 2], in_sd[c, 1], noise, -_INF)
            weak_positive = _level(levels[c, 3], in_sd[c, 1], noise, _INF)
            for e in range(events):
                if a <= crossings[e] < b:
                    _event(row, crossings[e], pre, post, origin, weak_negative, weak_positive, exact, single, c)
            _between(row, low, high, k, a, b, crossings, events, pre, post, exact, single, c)


@register_jitable  # type: ignore[untyped-decorator]
def _turn(samples: Any, left: Any, width: Any, rows: Any, low: Any, high: Any) -> Any:
    """Turn columns into rows, and note the extremes of every block."""
    n = samples.shape[0]
    for block in range(low.shape[0]):
        begin = block * BLOCK
        end = min(n, begin + BLOCK)
        least, most = low[block], high[block]
        for k in range(GROUP):
            least[k] = _INF
            most[k] = -_INF
        for i in range(begin, end):  # each line is read once: columns of a power of two lie in the same cache sets
            line = samples[i, left : left + width]
            for k in range(width):
                value = line[k]
                least[k] = value if value < least[k] else least[k]
                most[k] = value if value > most[k] else most[k]
            for k in range(width):
                rows[k, i] = line[k]


@register_jitable  # type: ignore[untyped-decorator]
def _mark_missing(row: Any, low: Any, high: Any, k: Any) -> Any:
    """Make all that is not finite NaN, which no comparison finds."""
    for block in range(low.shape[0]):
        least, most = _INF, -_INF
        for i in range(block * BLOCK, min(len(row), (block + 1) * BLOCK)):
            value = row[i]
            if not np.isfinite(value):
                row[i] = _NAN
                continue
            least = value if value < least else least
            most = value if value > most else most
        low[block, k], high[block, k] = least, most


@register_jitable  # type: ignore[untyped-decorator]
def _sum(rows: Any, k: Any, a: Any, b: Any) -> Any:
    one, two = spread(0.0), spread(0.0)
    end = a + (b - a) // (2 * WIDTH) * (2 * WIDTH)
    for i in range(a, end, 2 * WIDTH):
        one += load(rows, k, i)
        two += load(rows, k, i + WIDTH)
    result = total(one + two)
    for i in range(end, b):
        result += np.float64(rows[k, i])
    return result


@register_jitable  # type: ignore[untyped-decorator]
def _squares(rows: Any, k: Any, a: Any, b: Any, mean: Any) -> Any:
    one, two = spread(0.0), spread(0.0)
    end = a + (b - a) // (2 * WIDTH) * (2 * WIDTH)
    for i in range(a, end, 2 * WIDTH):
        first = load(rows, k, i) - mean
        second = load(rows, k, i + WIDTH) - mean
        one += first * first
        two += second * second
    result = total(one + two)
    for i in range(end, b):
        rest = np.float64(rows[k, i]) - mean
        result += rest * rest
    return result


@register_jitable  # type: ignore[untyped-decorator]
def _moments(rows: Any, k: Any, a: Any, b: Any, whole: Any) -> Any:
    """Return how many samples are there, their mean and their sum of squares about it, by two passes."""
    if whole:
        mean = _sum(rows, k, a, b) / (b - a)
        return b - a, mean, _squares(rows, k, a, b, mean)
    n, summed, squares = 0, 0.0, 0.0
    for i in range(a, b):
        if not np.isnan(rows[k, i]):
            n += 1
            summed += np.float64(rows[k, i])
    mean = summed / max(n, 1)
    for i in range(a, b):
        if not np.isnan(rows[k, i]):
            squares += (np.float64(rows[k, i]) - mean) ** 2
    return n, mean, squares


@register_jitable  # type: ignore[untyped-decorator]
def _lowest(row: Any, low: Any, k: Any, a: Any, b: Any) -> Any:
    """Return the least of ``row[a:b]`` and where it is first."""
    best, at, i = _INF, np.int64(a), a
    in_block = False
    while i < b:
        if i % BLOCK == 0 and i + BLOCK <= b:
            if low[i // BLOCK, k] < best:
                best, at, in_block = low[i // BLOCK, k], i, True
            i += BLOCK
        else:
            if row[i] < best:
                best, at, in_block = row[i], i, False
            i += 1
    if in_block:
        while row[at] != best:
            at += 1
    return best, at


@register_jitable  # type: ignore[untyped-decorator]
def _highest(row: Any, high: Any, k: Any, a: Any, b: Any) -> Any:
    best, at, i = -_INF, np.int64(a), a
    in_block = False
    while i < b:
        if i % BLOCK == 0 and i + BLOCK <= b:
            if high[i // BLOCK, k] > best:
                best, at, in_block = high[i // BLOCK, k], i, True
            i += BLOCK
        else:
            if row[i] > best:
                best, at, in_block = row[i], i, False
            i += 1
    if in_block:
        while row[at] != best:
            at += 1
    return best, at


@register_jitable  # type: ignore[untyped-decorator]
def _mad(x: Any, whole: Any, near: Any, away: Any, keys: Any, spare: Any, histogram: Any, drawn: Any) -> Any:
    """Return the median of ``|x - median(x)|``, exactly."""
    n = len(x)
    if whole:
        middle = _middle(x, n, near, keys, spare, histogram, drawn)
        for i in range(n):
            away[i] = np.abs(x[i] - middle)
    else:
        n = 0
        for i in range(len(x)):
            away[n] = x[i]
            n += not np.isnan(x[i])
        if n == 0:
            return _NAN
        middle = _middle(away, n, near, keys, spare, histogram, drawn)
        for i in range(n):
            away[i] = np.abs(away[i] - middle)
    return _middle(away, n, near, keys, spare, histogram, drawn)


@register_jitable  # type: ignore[untyped-decorator]
def _middle(x: Any, n: Any, near: Any, keys: Any, spare: Any, histogram: Any, drawn: Any) -> Any:
    """Return the median of the first ``n`` values, as float32.

    A sample says between which values it lies (Floyd and Rivest 1975), counting narrows that by interpolation, and
    what is left between is ranked. Counts prove the bounds: where the guess was wrong, all is ranked.
    """
    lower, upper = (n - 1) // 2, n // 2
    x = x[:n]
    below, kept = 0, n
    if n > 4 * DRAWN:
        step = n // DRAWN
        for i in range(DRAWN):
            drawn[i] = x[i * step + step // 2]
        drawn.sort()
        least, most = drawn[DRAWN // 2 - _AROUND], drawn[DRAWN // 2 + _AROUND]
        under, upto = _number_below(x, least), n - _number_above(x, most)
        if under <= lower and upper < upto:
            least, most, under, upto = _narrowed(x, least, most, under, upto, lower, upper)
            if least == most:
                return least
            below, kept = under, _gather(x, least, most, near)
    if kept == n:
        near[:n] = x
    if kept <= 2 * DRAWN:
        near[:kept].sort()
        return np.float32((np.float64(near[lower - below]) + np.float64(near[upper - below])) / 2.0)
    bits = near[:kept].view(np.uint32)
    for i in range(kept):
        keys[i] = _ordered(bits[i])
    one, not_above = _select(keys, kept, lower - below, spare, histogram)
    two = one
    if upper - below >= not_above:
        two = np.uint32(0xFFFFFFFF)
        for i in range(kept):
            if keys[i] > one and keys[i] < two:
                two = keys[i]
    return np.float32((np.float64(_value(one)) + np.float64(_value(two))) / 2.0)


@register_jitable  # type: ignore[untyped-decorator]
def _narrowed(x: Any, least: Any, most: Any, under: Any, upto: Any, lower: Any, upper: Any) -> Any:
    """Narrow ``[least, most]``, which holds the ranks ``lower`` and ``upper``, while both stay on one side."""
    for _ in range(8):
        inside = upto - under
        if inside <= DRAWN or least == most:
            break
        share = (lower - under + 0.5) / inside
        half = 2.0 / np.sqrt(np.float64(inside))
        width = np.float64(most) - np.float64(least)
        low = max(least, np.float32(least + width * (share - half)))
        high = min(most, np.float32(least + width * (share + half)))
        to_low, to_high = _number_below(x, low), len(x) - _number_above(x, high)
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
def _number_below(x: Any, level: Any) -> Any:
    found = np.int32(0)
    for i in range(len(x)):
        found += np.int32(x[i] < level)
    return np.int64(found)


@register_jitable  # type: ignore[untyped-decorator]
def _number_above(x: Any, level: Any) -> Any:
    found = np.int32(0)
    for i in range(len(x)):
        found += np.int32(x[i] > level)
    return np.int64(found)


@register_jitable  # type: ignore[untyped-decorator]
def _gather(x: Any, least: Any, most: Any, near: Any) -> Any:
    """Copy what lies in ``[least, most]``; return how many. Stretches without any are passed over."""
    k = 0
    for begin in range(0, len(x), BLOCK):
        part = x[begin : begin + BLOCK]
        found = np.int32(0)
        for i in range(len(part)):
            found += np.int32((part[i] >= least) & (part[i] <= most))
        if found > 0:
            for i in range(len(part)):
                near[k] = part[i]
                k += (part[i] >= least) & (part[i] <= most)
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
def _crossings(row: Any, low: Any, high: Any, k: Any, negative: Any, positive: Any, dead: Any, out: Any) -> Any:
    """Write the rows at which a threshold is crossed; return how many."""
    n, ready = 0, 0
    for block in range(low.shape[0]):
        if not (low[block, k] <= negative or high[block, k] >= positive):
            continue
        begin = block * BLOCK
        before = row[begin - 1] if begin > 0 else _NAN
        for i in range(begin, min(len(row), begin + BLOCK)):
            x = row[i]
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
    row: Any, low: Any, high: Any, k: Any, a: Any, b: Any, crossings: Any, events: Any, pre: Any, post: Any,
    exact: Any, single: Any, c: Any,
) -> Any:  # fmt: skip
    """Fill what lies outside event windows: the packet less what lies in them."""
    mean = exact[MEAN, c]
    inside, first, second = 0, 0.0, 0.0
    least, most = _INF, -_INF
    cursor = a
    for e in range(events + 1):
        begin = min(b, max(a, crossings[e] - pre)) if e < events else b
        end = min(b, crossings[e] + post + 1) if e < events else b
        if begin > cursor:
            value, _ = _lowest(row, low, k, cursor, begin)
            least = value if value < least else least
            value, _ = _highest(row, high, k, cursor, begin)
            most = value if value > most else most
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
    for turn in range(2):
        cursor = a
        for e in range(events + 1):
            begin = min(b, max(a, crossings[e] - pre)) if e < events else b
            for i in range(cursor, begin):
                if not np.isnan(row[i]):
                    x = np.float64(row[i]) - mean
                    if turn == 0:
                        shift += x / n
                    else:
                        squares += (x - shift) * (x - shift)
            cursor = max(cursor, min(b, crossings[e] + post + 1)) if e < events else b
    return shift, squares
