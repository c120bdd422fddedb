"""The cascade of second-order sections, over time-major blocks.

One section in transposed direct form II (Oppenheim & Schafer, *Discrete-Time Signal Processing*, section 6.3.4), with
``b0`` taken out into one gain for the whole cascade::

    y[n]  = v[n] + p[n]
    p[n+1] = b1 v[n] + q[n] - a1 y[n]
    q[n+1] = b2 v[n] - a2 y[n]

Samples are float32, the state is float64 (with a float32 state a 1 Hz high-pass is off by tens of uV and a 0.1 Hz one
diverges). The loop over channels is the inner one and is what the compiler vectorises; up to ``GROUP`` channels go
through all sections of one row before the next row begins, and their state lies in one flat row at constant
distances, so that the compiler knows that nothing overlaps. Every channel sees the same operations in the same order
whatever the number of channels, the chunking or the number of threads, and no fused multiply-add is formed (no fast-
math): results are bit-identical.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ranvier.dsp import references
from ranvier.dsp.buffers import aligned_empty
from ranvier.dsp.design import MAX_SECTIONS, PASS_SECTIONS, FilterDesign
from ranvier.kernels import kernel

#: Channels that go through the cascade together; the state of one group (12 sections: 24 kB) stays in the L1/L2 cache.
GROUP = 128

#: Rows of the float64 tiles over which a cascade of more than MAX_SECTIONS runs in passes.
TILE_ROWS = 64

#: Rows that a backward pass turns round at a time; two such tiles fit into the L2 cache.
MIRROR_ROWS = 64

#: Every so many samples, counted from sample counter 0, states below TINY become 0: a filter that rings down on a
#: silent channel never reaches the denormal numbers, which are slow on many CPUs.
FLUSH_ROWS = 256
TINY = 1e-100

#: IEEE-754 bits of float32 infinity; every larger pattern is a NaN.
INFINITY_BITS = 0x7F800000

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

#: Nothing to subtract: a reference of one value holds for all rows.
NO_REFERENCE: F32 = np.zeros(1, dtype=np.float32)


@numba.njit
def _biquad(v, p, q, section):  # type: ignore[no-untyped-def]
    b1, b2, a1, a2 = section
    y = v + p
    return y, b1 * v + q - a1 * y, b2 * v - a2 * y


@numba.njit
def _section(coef, k):  # type: ignore[no-untyped-def]
    return coef[k, 0], coef[k, 1], coef[k, 2], coef[k, 3]


@numba.njit
def _run1(x, i, dx, xc, out, o, dy, oc, n, w, ref, per_row, gain, coef, k, s):  # type: ignore[no-untyped-def]
    g = GROUP
    one = _section(coef, k)
    for t in range(n):
        row = x[i + t * dx, xc : xc + w]
        y = out[o + t * dy, oc : oc + w]
        r = ref[(i + t * dx) * per_row]
        for c in range(w):
            v = gain * np.float64(row[c] - r)
            v, s[c], s[g + c] = _biquad(v, s[c], s[g + c], one)
            y[c] = v


@numba.njit
def _run2(x, i, dx, xc, out, o, dy, oc, n, w, ref, per_row, gain, coef, k, s):  # type: ignore[no-untyped-def]
    g = GROUP
    one, two = _section(coef, k), _section(coef, k + 1)
    for t in range(n):
        row = x[i + t * dx, xc : xc + w]
        y = out[o + t * dy, oc : oc + w]
        r = ref[(i + t * dx) * per_row]
        for c in range(w):
            v = gain * np.float64(row[c] - r)
            v, s[c], s[g + c] = _biquad(v, s[c], s[g + c], one)
            v, s[2 * g + c], s[3 * g + c] = _biquad(v, s[2 * g + c], s[3 * g + c], two)
            y[c] = v


@numba.njit
def _run3(x, i, dx, xc, out, o, dy, oc, n, w, ref, per_row, gain, coef, k, s):  # type: ignore[no-untyped-def]
    g = GROUP
    one, two, three = _section(coef, k), _section(coef, k + 1), _section(coef, k + 2)
    for t in range(n):
        row = x[i + t * dx, xc : xc + w]
        y = out[o + t * dy, oc : oc + w]
        r = ref[(i + t * dx) * per_row]
        for c in range(w):
            v = gain * np.float64(row[c] - r)
            v, s[c], s[g + c] = _biquad(v, s[c], s[g + c], one)
            v, s[2 * g + c], s[3 * g + c] = _biquad(v, s[2 * g + c], s[3 * g + c], two)
            v, s[4 * g + c], s[5 * g + c] = _biquad(v, s[4 * g + c], s[5 * g + c], three)
            y[c] = v


@numba.njit
def _run4(x, i, dx, xc, out, o, dy, oc, n, w, ref, per_row, gain, coef, k, s):  # type: ignore[no-untyped-def]
    g = GROUP
    one, two, three, four = _section(coef, k), _section(coef, k + 1), _section(coef, k + 2), _section(coef, k + 3)
    for t in range(n):
        row = x[i + t * dx, xc : xc + w]
        y = out[o + t * dy, oc : oc + w]
        r = ref[(i + t * dx) * per_row]
        for c in range(w):
            v = gain * np.float64(row[c] - r)
            v, s[c], s[g + c] = _biquad(v, s[c], s[g + c], one)
            v, s[2 * g + c], s[3 * g + c] = _biquad(v, s[2 * g + c], s[3 * g + c], two)
            v, s[4 * g + c], s[5 * g + c] = _biquad(v, s[4 * g + c], s[5 * g + c], three)
            v, s[6 * g + c], s[7 * g + c] = _biquad(v, s[6 * g + c], s[7 * g + c], four)
            y[c] = v


@numba.njit
def _run5(x, i, dx, xc, out, o, dy, oc, n, w, ref, per_row, gain, coef, k, s):  # type: ignore[no-untyped-def]
    g = GROUP
    one, two, three, four = _section(coef, k), _section(coef, k + 1), _section(coef, k + 2), _section(coef, k + 3)
    five = _section(coef, k + 4)
    for t in range(n):
        row = x[i + t * dx, xc : xc + w]
        y = out[o + t * dy, oc : oc + w]
        r = ref[(i + t * dx) * per_row]
        for c in range(w):
            v = gain * np.float64(row[c] - r)
            v, s[c], s[g + c] = _biquad(v, s[c], s[g + c], one)
            v, s[2 * g + c], s[3 * g + c] = _biquad(v, s[2 * g + c], s[3 * g + c], two)
            v, s[4 * g + c], s[5 * g + c] = _biquad(v, s[4 * g + c], s[5 * g + c], three)
            v, s[6 * g + c], s[7 * g + c] = _biquad(v, s[6 * g + c], s[7 * g + c], four)
            v, s[8 * g + c], s[9 * g + c] = _biquad(v, s[8 * g + c], s[9 * g + c], five)
            y[c] = v


@numba.njit
def _run6(x, i, dx, xc, out, o, dy, oc, n, w, ref, per_row, gain, coef, k, s):  # type: ignore[no-untyped-def]
    g = GROUP
    one, two, three, four = _section(coef, k), _section(coef, k + 1), _section(coef, k + 2), _section(coef, k + 3)
    five, six = _section(coef, k + 4), _section(coef, k + 5)
    for t in range(n):
        row = x[i + t * dx, xc : xc + w]
        y = out[o + t * dy, oc : oc + w]
        r = ref[(i + t * dx) * per_row]
        for c in range(w):
            v = gain * np.float64(row[c] - r)
            v, s[c], s[g + c] = _biquad(v, s[c], s[g + c], one)
            v, s[2 * g + c], s[3 * g + c] = _biquad(v, s[2 * g + c], s[3 * g + c], two)
            v, s[4 * g + c], s[5 * g + c] = _biquad(v, s[4 * g + c], s[5 * g + c], three)
            v, s[6 * g + c], s[7 * g + c] = _biquad(v, s[6 * g + c], s[7 * g + c], four)
            v, s[8 * g + c], s[9 * g + c] = _biquad(v, s[8 * g + c], s[9 * g + c], five)
            v, s[10 * g + c], s[11 * g + c] = _biquad(v, s[10 * g + c], s[11 * g + c], six)
            y[c] = v


@numba.njit
def _run(x, i, dx, xc, out, o, dy, oc, n, w, ref, per_row, gain, coef, k, sections, s):  # type: ignore[no-untyped-def]
    """Take ``n`` rows (``i``, ``i + dx``, ...) through ``sections`` sections, from number ``k`` on."""
    if sections == 1:
        _run1(x, i, dx, xc, out, o, dy, oc, n, w, ref, per_row, gain, coef, k, s)
    elif sections == 2:
        _run2(x, i, dx, xc, out, o, dy, oc, n, w, ref, per_row, gain, coef, k, s)
    elif sections == 3:
        _run3(x, i, dx, xc, out, o, dy, oc, n, w, ref, per_row, gain, coef, k, s)
    elif sections == 4:
        _run4(x, i, dx, xc, out, o, dy, oc, n, w, ref, per_row, gain, coef, k, s)
    elif sections == 5:
        _run5(x, i, dx, xc, out, o, dy, oc, n, w, ref, per_row, gain, coef, k, s)
    else:
        _run6(x, i, dx, xc, out, o, dy, oc, n, w, ref, per_row, gain, coef, k, s)


@numba.njit
def _run_passes(x, i, dx, xc, out, o, dy, oc, n, w, ref, per_row, gain, coef, s):  # type: ignore[no-untyped-def]
    """Take ``n`` rows through a long cascade: PASS_SECTIONS at a time, over short tiles in float64."""
    ours, theirs = np.empty((TILE_ROWS, GROUP)), np.empty((TILE_ROWS, GROUP))
    zero = np.zeros(1)
    last = len(coef) - PASS_SECTIONS
    for done in range(0, n, TILE_ROWS):
        m = min(TILE_ROWS, n - done)
        _run4(x, i + done * dx, dx, xc, ours, 0, 1, 0, m, w, ref, per_row, gain, coef, 0, s)
        for k in range(PASS_SECTIONS, last, PASS_SECTIONS):
            _run4(ours, 0, 1, 0, theirs, 0, 1, 0, m, w, zero, 0, 1.0, coef, k, s[2 * k * GROUP :])
            ours, theirs = theirs, ours
        left = s[2 * last * GROUP :]
        _run4(ours, 0, 1, 0, out, o + done * dy, dy, oc, m, w, zero, 0, 1.0, coef, last, left)


@numba.njit
def _copy_rows(x, i, xc, out, o, oc, n, w):  # type: ignore[no-untyped-def]
    for t in range(n):
        row, y = x[i + t, xc : xc + w], out[o + t, oc : oc + w]
        for c in range(w):
            y[c] = row[c]


@kernel(
    "void(float32[:,::1], int64, float32[:,::1], int64, int64, int64, int64, int64, float32[::1], float64,"
    " float64[:,::1], float64[:,::1], int64, float64[::1], float32[:,::1])",
    reference=references.cascade,
)
def cascade(
    x: F32,
    x_row: int,
    out: F32,
    out_row: int,
    rows: int,
    step: int,
    column: int,
    width: int,
    ref: F32,
    gain: float,
    coef: F64,
    state: F64,
    counter: int,
    work: F64,
    mirror: F32,
) -> None:
    """Filter rows of some columns: ``out[out_row + i step] = cascade(x[x_row + i step] - ref[x_row + i step])``.

    Parameters
    ----------
    x, out
        ``(n, columns)``; not the same memory.
    step
        1 forward, -1 backward in time.
    column, width
        The columns to filter; the others of ``out`` are left alone.
    ref
        What is subtracted from every channel of a row (rounded to float32, as a stage of its own would): one value per
        row, or one for all. Backward always one.
    gain, coef
        ``(sections, 4)``: b1/b0, b2/b0, a1, a2 of each section; the gain is the product of all b0.
    state
        ``(2 sections, columns)``: p and q of each section; read and updated.
    counter
        Sample counter of the first row that is processed.
    work
        Scratch, ``2 sections * GROUP`` numbers, aligned to 64 bytes for speed.
    mirror
        Scratch ``(2 MIRROR_ROWS, GROUP)``, aligned too; used backward only.
    """
    n = 2 * len(coef)
    per_row = 0 if len(ref) == 1 else 1
    back = step < 0  # memory is read and written upwards all the same, by tiles: CPUs fetch ahead in that direction
    rows_in, rows_out = mirror[:MIRROR_ROWS], mirror[MIRROR_ROWS:]
    for first in range(column, column + width, GROUP):
        w = min(GROUP, column + width - first)
        for k in range(n):
            work[k * GROUP : k * GROUP + w] = state[k, first : first + w]
        done = 0
        while done < rows:
            m = min(rows - done, FLUSH_ROWS - (counter + done) % FLUSH_ROWS)
            m = min(m, MIRROR_ROWS) if back else m
            i, o = x_row + done * step, out_row + done * step
            source, si, sc, target, ti, tc = x, i, first, out, o, first
            if back:
                _copy_rows(x, i - m + 1, first, rows_in, 0, 0, m, w)
                source, si, sc, target, ti, tc = rows_in, m - 1, 0, rows_out, m - 1, 0
            if len(coef) <= MAX_SECTIONS:
                _run(source, si, step, sc, target, ti, step, tc, m, w, ref, per_row, gain, coef, 0, len(coef), work)
            else:
                _run_passes(source, si, step, sc, target, ti, step, tc, m, w, ref, per_row, gain, coef, work)
            if back:
                _copy_rows(rows_out, 0, 0, out, o - m + 1, first, m, w)
            done += m
            if (counter + done) % FLUSH_ROWS == 0:
                for j in range(n * GROUP):
                    if abs(work[j]) < TINY:
                        work[j] = 0.0
        for k in range(n):
            state[k, first : first + w] = work[k * GROUP : k * GROUP + w]


@kernel(
    "void(float32[:,::1], float32[:,::1], int64, int64, float32[::1], float64, float64[:,::1], float64[:,::1], int64)",
    reference=references.cascade_restarting,
)
def cascade_restarting(
    x: F32, out: F32, column: int, width: int, ref: F32, gain: float, coef: F64, state: F64, counter: int
) -> None:
    """Filter forward like ``cascade``; where a sample is not finite, give NaN and restart that channel from zero."""
    n = 2 * len(coef)
    per_row = 0 if len(ref) == 1 else 1
    s = np.empty(n)
    for c in range(column, column + width):
        s[:] = state[:, c]
        for t in range(len(x)):
            v = gain * np.float64(x[t, c] - ref[t * per_row])
            if np.isfinite(v):
                for k in range(len(coef)):
                    v, s[2 * k], s[2 * k + 1] = _biquad(v, s[2 * k], s[2 * k + 1], _section(coef, k))
                out[t, c] = v
            else:
                out[t, c] = np.nan
                s[:] = 0.0
            if (counter + t + 1) % FLUSH_ROWS == 0:
                for k in range(n):
                    if abs(s[k]) < TINY:
                        s[k] = 0.0
        state[:, c] = s


@kernel(
    "void(float64[:,::1], float64[:,::1], float64, float64[:,::1], float64[:,::1])",
    reference=references.cascade_float64,
)
def cascade_float64(x: F64, out: F64, gain: float, coef: F64, state: F64) -> None:
    """Filter ``(n, columns)`` in float64: the few samples beyond the ends of a run."""
    for t in range(len(x)):
        for c in range(x.shape[1]):
            v = gain * x[t, c]
            for k in range(len(coef)):
                v, state[2 * k, c], state[2 * k + 1, c] = _biquad(
                    v, state[2 * k, c], state[2 * k + 1, c], _section(coef, k)
                )
            out[t, c] = v


@kernel("void(int32[:,::1], int64, int64, int32[::1])", reference=references.largest_bits)
def largest_bits(bits: npt.NDArray[np.int32], column: int, width: int, out: npt.NDArray[np.int32]) -> None:
    """Raise ``out[c]`` to the largest magnitude in a column, as float32 bits; INFINITY_BITS and more: not finite."""
    for t in range(len(bits)):
        row = bits[t, column : column + width]
        most = out[column : column + width]
        for c in range(width):
            most[c] = max(most[c], row[c] & 0x7FFFFFFF)


def filter_rows(
    design: FilterDesign,
    x: F32,
    x_row: int,
    out: F32,
    out_row: int,
    rows: int,
    step: int,
    columns: tuple[int, int],
    state: F64,
    counter: int,
    ref: F32 = NO_REFERENCE,
) -> None:
    """Run ``cascade`` with a design's coefficients over the columns ``[first, stop)``, in scratch memory of its own."""
    first, stop = columns
    work = aligned_empty(2 * len(design.coefficients) * GROUP, np.float64)
    mirror = aligned_empty((2 * MIRROR_ROWS, GROUP), np.float32)
    cascade(
        x, x_row, out, out_row, rows, step, first, stop - first, ref, design.gain, design.coefficients, state, counter,
        work, mirror,
    )  # fmt: skip
