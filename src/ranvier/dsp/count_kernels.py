"""The median reference of stored counts of one gain, straight to the counts of an output.

Scaling keeps the order of counts, so the median of scaled samples is that of the counts, scaled: it is found among
integers, by halving, from that of the row before on. The result has the bits of scaling to float32, subtracting the
median and rounding. Where both gains are one, both offsets 0, and the median is a whole count, that is the difference
of the counts: what float32 rounds away on the way there is less than 0.01 counts (3 roundings of up to 2**15 counts and
one of up to 2**16, by 2**-24 of them each), and a whole number away from it stays what it is. Half the rows of an even
number of channels have a median between two counts: they go the long way, where those roundings decide.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ranvier.dsp import references
from ranvier.kernels import kernel
from ranvier.kernels.lanes import BITS, at_most, ones
from ranvier.recordings.kernels import round_row

Counts = npt.NDArray[np.int16]

#: The smallest and the largest count.
LEAST, MOST = -32768, 32767


@numba.njit
def _up_to(x, t, columns, tail, bound):  # type: ignore[no-untyped-def]
    """How many counts of a row are no larger than a bound below MOST."""
    count = ones(at_most(tail, 0, 0, bound))
    for c in range(0, columns - columns % BITS, BITS):
        count += ones(at_most(x, t, c, bound))
    return count


@numba.njit
def _ranked(x, t, columns, tail, rank, low):  # type: ignore[no-untyped-def]
    """The count of a row that has a rank, from 0 on; looked for around ``low``, which it need not lie at."""
    step, high = 1, low
    if _up_to(x, t, columns, tail, np.int16(low)) > rank:  # it lies at ``low`` or below
        low -= 1
        while low >= LEAST and _up_to(x, t, columns, tail, np.int16(low)) > rank:
            high, low, step = low, low - step, 2 * step
        low = max(low, LEAST - 1)
    else:
        high += 1
        while high < MOST and _up_to(x, t, columns, tail, np.int16(high)) <= rank:
            low, high, step = high, high + step, 2 * step
        high = min(high, MOST)
    while high - low > 1:  # it lies in (low, high]
        middle = (low + high) // 2
        if _up_to(x, t, columns, tail, np.int16(middle)) > rank:
            high = middle
        else:
            low = middle
    return high


@numba.njit
def _subtract_whole(row, reference, out):  # type: ignore[no-untyped-def]
    """Subtract a whole count; return how many values saturated."""
    over = np.int16(0)
    for c in range(len(out)):
        difference = np.int16(row[c] - reference)
        over |= (row[c] ^ reference) & (row[c] ^ difference)  # its sign is set where the difference has the wrong one
        out[c] = difference
    clipped = 0
    if over < 0:
        for c in range(len(out)):
            exact = np.int64(row[c]) - np.int64(reference)
            clipped += exact != np.int64(out[c])
            out[c] = min(max(exact, LEAST), MOST)
    return clipped


@kernel(
    "int64(int16[:,::1], float64, float64, float64[::1], float64[::1], boolean, int16[:,::1])",
    reference=references.subtract_median_of_counts,
)
def subtract_median_of_counts(
    x: Counts,
    gain: float,
    offset: float,
    out_gain: npt.NDArray[np.float64],
    out_offset: npt.NDArray[np.float64],
    same: bool,
    out: Counts,
) -> int:
    """Subtract from the first columns of each row, as many as ``out`` has, their median; return how many saturate.

    ``gain`` and ``offset`` belong to all of them, ``out_gain`` and ``out_offset`` to those of ``out``; ``same`` says
    that the gains are one, and the offsets 0.
    """
    columns = out.shape[1]
    tail, physical = np.full((1, BITS), MOST, np.int16), np.empty(columns, np.float32)
    rank, clipped, lower = (columns - 1) // 2, 0, 0
    for t in range(len(x)):
        row, y = x[t], out[t]
        for c in range(columns - columns % BITS, columns):
            tail[0, c % BITS] = row[c]
        lower = _ranked(x, t, columns, tail, rank, min(max(lower, LEAST), MOST - 1))
        upper = lower
        if columns % 2 == 0 and lower < MOST and _up_to(x, t, columns, tail, np.int16(lower)) <= columns // 2:
            upper = _ranked(x, t, columns, tail, columns // 2, lower)
        if same and (lower + upper) % 2 == 0:
            clipped += _subtract_whole(row, np.int16((lower + upper) // 2), y)
            continue
        low, high = np.float32(gain * lower + offset), np.float32(gain * upper + offset)
        middle = np.float32(0.5 * (np.float64(low) + np.float64(high)))
        for c in range(columns):
            physical[c] = np.float32(gain * row[c] + offset) - middle
        if round_row(physical, out_gain, out_offset, y):
            for c in range(columns):
                rounded = np.rint((physical[c] - out_offset[c]) / out_gain[c])
                if abs(rounded + 0.5) >= 32768.0:
                    y[c] = MOST if rounded > 0 else LEAST
                    clipped += 1
    return clipped
