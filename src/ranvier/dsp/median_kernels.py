"""The exact median over channels, row by row, for common references.

Values at or below a bound are counted BITS at a time (:func:`ranvier.kernels.lanes.within`). From row to row the median
moves little: a window around the last one nearly always holds the next one, and a few values beside it, among which it
is found by its rank. Where the window does not, it is moved, and where it holds too many it is halved, by counting.
Where a search begins decides how long it takes and nothing else: the result is the median, whatever came before.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ranvier.dsp import references
from ranvier.kernels import kernel
from ranvier.kernels.lanes import BITS, lowest_bit, ones, within

F32 = npt.NDArray[np.float32]

#: The largest float32.
LARGEST = np.float32(np.finfo(np.float32).max)

#: Half the width of the first window, which lies around 0, in the unit of the signal.
FIRST_REACH = 1.0


@numba.njit
def _count(x, t, columns, tail, bound):  # type: ignore[no-untyped-def]
    """How many finite values are at or below a bound."""
    whole = columns - columns % BITS
    count = ones(within(tail, 0, 0, -LARGEST, bound))
    for c in range(0, whole, BITS):
        count += ones(within(x, t, c, -LARGEST, bound))
    return count


@numba.njit
def _count_at_three(x, t, columns, tail, low, high):  # type: ignore[no-untyped-def]
    """How many finite values are at or below ``low``, at or below ``high``, and there at all."""
    whole = columns - columns % BITS
    below = ones(within(tail, 0, 0, -LARGEST, low))
    up_to = ones(within(tail, 0, 0, -LARGEST, high))
    finite = ones(within(tail, 0, 0, -LARGEST, LARGEST))
    for c in range(0, whole, BITS):
        below += ones(within(x, t, c, -LARGEST, low))
        up_to += ones(within(x, t, c, -LARGEST, high))
        finite += ones(within(x, t, c, -LARGEST, LARGEST))
    return below, up_to, finite


@numba.njit
def _gather(x, t, columns, tail, low, high, near):  # type: ignore[no-untyped-def]
    """Copy the values in ``(low, high]``, which are at most BITS, to ``near``; return how many they are."""
    whole = columns - columns % BITS
    n = 0
    for c in range(0, columns, BITS):
        if c < whole:
            bits = within(x, t, c, -LARGEST, high) & ~within(x, t, c, -LARGEST, low)
        else:
            bits = within(tail, 0, 0, -LARGEST, high) & ~within(tail, 0, 0, -LARGEST, low)
        while bits:
            near[0, n] = x[t, c + lowest_bit(bits)]
            bits &= bits - np.uint64(1)
            n += 1
    return n


@numba.njit
def _ranked(near, n, first, second):  # type: ignore[no-untyped-def]
    """The values number ``first`` and ``second``, from 0, of the ``n`` in ``near`` in their order."""
    near[0, n:] = np.nan
    one = two = LARGEST
    for i in range(n):
        v = near[0, i]
        up_to = ones(within(near, 0, 0, -LARGEST, v))
        if up_to > first and v < one:
            one = v
        if up_to > second and v < two:
            two = v
    return one, two


@numba.njit
def _around(x, t, columns, bound):  # type: ignore[no-untyped-def]
    """The largest finite value at or below a bound, and the smallest above it."""
    one, two = -LARGEST, LARGEST
    for c in range(columns):
        v = x[t, c]
        if one < v <= bound:
            one = v
        if bound < v < two:
            two = v
    return one, two


@numba.njit
def _ends(x, t, columns, low, high):  # type: ignore[no-untyped-def]
    """The smallest and the largest value in ``(low, high]``."""
    smallest, largest = high, low
    for c in range(columns):
        v = x[t, c]
        if low < v < smallest:
            smallest = v
        if largest < v <= high:
            largest = v
    return smallest, largest


@numba.njit
def _middle(x, t, columns, tail, near, centre, reach):  # type: ignore[no-untyped-def]
    """The one or two values in the middle, and how far to look around them in the next row."""
    low, high = np.float32(centre - reach), np.float32(centre + reach)
    below, up_to, finite = _count_at_three(x, t, columns, tail, low, high)
    if finite == 0:
        return np.float32(0), np.float32(0), reach
    first, second = (finite - 1) // 2, finite // 2
    step = reach
    while below > first or up_to <= second:
        if first < below <= second:
            return *_around(x, t, columns, low), reach
        if first < up_to <= second:
            return *_around(x, t, columns, high), reach
        if below > first:
            high, up_to = low, below
            low = np.float32(np.float64(high) - step)
            below = _count(x, t, columns, tail, low)
        else:
            low, below = high, up_to
            high = np.float32(np.float64(low) + step)
            up_to = _count(x, t, columns, tail, high)
        step *= 2.0
    if step > reach:
        reach *= 1.25
    elif up_to - below > BITS // 3:
        reach *= 0.9
    elif up_to - below < min(BITS // 8, finite // 4):
        reach *= 1.5
    while up_to - below > BITS:
        smallest, largest = _ends(x, t, columns, low, high)
        if smallest == largest:
            return smallest, smallest, reach
        bound = np.float32(0.5 * (np.float64(smallest) + np.float64(largest)))
        if bound >= largest:
            bound = smallest
        count = _count(x, t, columns, tail, bound)
        if first < count <= second:
            return *_around(x, t, columns, bound), reach
        if count > first:
            high, up_to = bound, count
        else:
            low, below = bound, count
    n = _gather(x, t, columns, tail, low, high, near)
    return *_ranked(near, n, first - below, second - below), reach


@numba.njit
def _row_median(x, t, columns, tail, near, centre, reach):  # type: ignore[no-untyped-def]
    """The median of a row, and how far to look around it in the next one."""
    whole = columns - columns % BITS
    for c in range(whole, columns):
        tail[0, c - whole] = x[t, c]
    lower, upper, reach = _middle(x, t, columns, tail, near, centre, reach)
    middle = np.float32(0.5 * (np.float64(lower) + np.float64(upper)))
    return middle + np.float32(0), reach  # never the negative zero


@kernel("void(float32[:,::1], int64, float32[::1])", reference=references.row_median)
def row_median(x: F32, columns: int, out: F32) -> None:
    """Exact median of the finite values of the first ``columns`` of each row (mean of the two in the middle).

    0 where none is finite.
    """
    tail, near = np.full((1, BITS), np.nan, np.float32), np.empty((1, BITS), np.float32)
    centre, reach = np.float32(0), FIRST_REACH
    for t in range(len(x)):
        centre, reach = _row_median(x, t, columns, tail, near, centre, reach)
        out[t] = centre


@kernel("void(float32[:,::1], int64, float32[:,::1])", reference=references.subtract_median)
def subtract_median(x: F32, columns: int, out: F32) -> None:
    """Subtract the median of the finite values of the first ``columns`` from them, row by row; copy the others."""
    tail, near = np.full((1, BITS), np.nan, np.float32), np.empty((1, BITS), np.float32)
    centre, reach = np.float32(0), FIRST_REACH
    for t in range(len(x)):
        centre, reach = _row_median(x, t, columns, tail, near, centre, reach)
        row, y = x[t], out[t]
        for c in range(columns):
            y[c] = row[c] - centre
        for c in range(columns, len(row)):
            y[c] = row[c]


@kernel("void(float32[:,::1], int64)", reference=references.subtract_median_in_place)
def subtract_median_in_place(x: F32, columns: int) -> None:
    """``subtract_median`` in the memory of ``x``."""
    tail, near = np.full((1, BITS), np.nan, np.float32), np.empty((1, BITS), np.float32)
    centre, reach = np.float32(0), FIRST_REACH
    for t in range(len(x)):
        centre, reach = _row_median(x, t, columns, tail, near, centre, reach)
        row = x[t]
        for c in range(columns):
            row[c] -= centre
