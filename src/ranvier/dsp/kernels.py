"""The cascade of second-order sections, over time-major blocks.

One section in transposed direct form II (Oppenheim & Schafer, *Discrete-Time Signal Processing*, section 6.3.4), with
``b0`` taken out into one gain for the whole cascade::

    y[n]  = v[n] + p[n]
    p[n+1] = b1 v[n] + q[n] - a1 y[n]
    q[n+1] = b2 v[n] - a2 y[n]

Samples are float32, the state is float64 (with a float32 state a 1 Hz high-pass is off by tens of uV and a 0.1 Hz one
diverges). WIDTH channels go through time together, side by side in vector registers (:mod:`ranvier.kernels.lanes`),
with the state of all sections, and the next WIDTH follow over the same rows while these are in the cache. Every channel
sees the same operations in the same order whatever the number of channels, the chunking or the number of threads, and
no fused multiply-add is formed (no fast-math): results are bit-identical.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ranvier.dsp import references
from ranvier.dsp.design import MAX_SECTIONS, PASS_SECTIONS, FilterDesign
from ranvier.kernels import kernel
from ranvier.kernels.lanes import WIDTH, load, load_less, store

#: Every so many samples, counted from sample counter 0, states below TINY become 0: a filter that rings down on a
#: silent channel never reaches the denormal numbers, which are slow on many CPUs. Also the rows that WIDTH channels go
#: through before it is the next channels' turn: in and out they fit into the L2 cache.
FLUSH_ROWS = 256
TINY = 1e-100

#: IEEE-754 bits of float32 infinity; every larger pattern is a NaN.
INFINITY_BITS = 0x7F800000

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

#: Nothing to subtract: a reference of one value holds for all rows.
NO_REFERENCE: F32 = np.zeros(1, dtype=np.float32)


@numba.njit
def _biquad(v, held, section):  # type: ignore[no-untyped-def]
    p, q = held
    b1, b2, a1, a2 = section
    y = v + p
    return y, (b1 * v + q - a1 * y, b2 * v - a2 * y)


@numba.njit
def _section(coef, k):  # type: ignore[no-untyped-def]
    return coef[k, 0], coef[k, 1], coef[k, 2], coef[k, 3]


@numba.njit
def _held(s, k, c):  # type: ignore[no-untyped-def]
    return load(s, 2 * k, c), load(s, 2 * k + 1, c)


@numba.njit
def _hold(s, k, c, held):  # type: ignore[no-untyped-def]
    p, q = held
    store(s, 2 * k, c, p)
    store(s, 2 * k + 1, c, q)


@numba.njit
def _run1(x, i, dx, xc, out, o, dy, oc, n, ref, per_row, gain, coef, k, s, sc):  # type: ignore[no-untyped-def]
    one = _section(coef, k)
    h1 = _held(s, k, sc)
    for t in range(n):
        v = gain * load_less(x, i + t * dx, xc, ref[(i + t * dx) * per_row])
        v, h1 = _biquad(v, h1, one)
        store(out, o + t * dy, oc, v)
    _hold(s, k, sc, h1)


@numba.njit
def _run2(x, i, dx, xc, out, o, dy, oc, n, ref, per_row, gain, coef, k, s, sc):  # type: ignore[no-untyped-def]
    one, two = _section(coef, k), _section(coef, k + 1)
    h1, h2 = _held(s, k, sc), _held(s, k + 1, sc)
    for t in range(n):
        v = gain * load_less(x, i + t * dx, xc, ref[(i + t * dx) * per_row])
        v, h1 = _biquad(v, h1, one)
        v, h2 = _biquad(v, h2, two)
        store(out, o + t * dy, oc, v)
    _hold(s, k, sc, h1)
    _hold(s, k + 1, sc, h2)


@numba.njit
def _run3(x, i, dx, xc, out, o, dy, oc, n, ref, per_row, gain, coef, k, s, sc):  # type: ignore[no-untyped-def]
    one, two, three = _section(coef, k), _section(coef, k + 1), _section(coef, k + 2)
    h1, h2, h3 = _held(s, k, sc), _held(s, k + 1, sc), _held(s, k + 2, sc)
    for t in range(n):
        v = gain * load_less(x, i + t * dx, xc, ref[(i + t * dx) * per_row])
        v, h1 = _biquad(v, h1, one)
        v, h2 = _biquad(v, h2, two)
        v, h3 = _biquad(v, h3, three)
        store(out, o + t * dy, oc, v)
    _hold(s, k, sc, h1)
    _hold(s, k + 1, sc, h2)
    _hold(s, k + 2, sc, h3)


@numba.njit
def _run4(x, i, dx, xc, out, o, dy, oc, n, ref, per_row, gain, coef, k, s, sc):  # type: ignore[no-untyped-def]
    one, two, three, four = _section(coef, k), _section(coef, k + 1), _section(coef, k + 2), _section(coef, k + 3)
    h1, h2, h3, h4 = _held(s, k, sc), _held(s, k + 1, sc), _held(s, k + 2, sc), _held(s, k + 3, sc)
    for t in range(n):
        v = gain * load_less(x, i + t * dx, xc, ref[(i + t * dx) * per_row])
        v, h1 = _biquad(v, h1, one)
        v, h2 = _biquad(v, h2, two)
        v, h3 = _biquad(v, h3, three)
        v, h4 = _biquad(v, h4, four)
        store(out, o + t * dy, oc, v)
    _hold(s, k, sc, h1)
    _hold(s, k + 1, sc, h2)
    _hold(s, k + 2, sc, h3)
    _hold(s, k + 3, sc, h4)


@numba.njit
def _run5(x, i, dx, xc, out, o, dy, oc, n, ref, per_row, gain, coef, k, s, sc):  # type: ignore[no-untyped-def]
    one, two, three, four = _section(coef, k), _section(coef, k + 1), _section(coef, k + 2), _section(coef, k + 3)
    five = _section(coef, k + 4)
    h1, h2, h3, h4 = _held(s, k, sc), _held(s, k + 1, sc), _held(s, k + 2, sc), _held(s, k + 3, sc)
    h5 = _held(s, k + 4, sc)
    for t in range(n):
        v = gain * load_less(x, i + t * dx, xc, ref[(i + t * dx) * per_row])
        v, h1 = _biquad(v, h1, one)
        v, h2 = _biquad(v, h2, two)
        v, h3 = _biquad(v, h3, three)
        v, h4 = _biquad(v, h4, four)
        v, h5 = _biquad(v, h5, five)
        store(out, o + t * dy, oc, v)
    _hold(s, k, sc, h1)
    _hold(s, k + 1, sc, h2)
    _hold(s, k + 2, sc, h3)
    _hold(s, k + 3, sc, h4)
    _hold(s, k + 4, sc, h5)


@numba.njit
def _run6(x, i, dx, xc, out, o, dy, oc, n, ref, per_row, gain, coef, k, s, sc):  # type: ignore[no-untyped-def]
    one, two, three, four = _section(coef, k), _section(coef, k + 1), _section(coef, k + 2), _section(coef, k + 3)
    five, six = _section(coef, k + 4), _section(coef, k + 5)
    h1, h2, h3, h4 = _held(s, k, sc), _held(s, k + 1, sc), _held(s, k + 2, sc), _held(s, k + 3, sc)
    h5, h6 = _held(s, k + 4, sc), _held(s, k + 5, sc)
    for t in range(n):
        v = gain * load_less(x, i + t * dx, xc, ref[(i + t * dx) * per_row])
        v, h1 = _biquad(v, h1, one)
        v, h2 = _biquad(v, h2, two)
        v, h3 = _biquad(v, h3, three)
        v, h4 = _biquad(v, h4, four)
        v, h5 = _biquad(v, h5, five)
        v, h6 = _biquad(v, h6, six)
        store(out, o + t * dy, oc, v)
    _hold(s, k, sc, h1)
    _hold(s, k + 1, sc, h2)
    _hold(s, k + 2, sc, h3)
    _hold(s, k + 3, sc, h4)
    _hold(s, k + 4, sc, h5)
    _hold(s, k + 5, sc, h6)


@numba.njit
def _run(x, i, dx, xc, out, o, dy, oc, n, ref, per_row, gain, coef, k, sections, s, sc):  # type: ignore[no-untyped-def]
    """Take ``n`` rows (``i``, ``i + dx``, ...) of WIDTH columns through ``sections`` sections, from number ``k`` on."""
    if sections == 1:
        _run1(x, i, dx, xc, out, o, dy, oc, n, ref, per_row, gain, coef, k, s, sc)
    elif sections == 2:
        _run2(x, i, dx, xc, out, o, dy, oc, n, ref, per_row, gain, coef, k, s, sc)
    elif sections == 3:
        _run3(x, i, dx, xc, out, o, dy, oc, n, ref, per_row, gain, coef, k, s, sc)
    elif sections == 4:
        _run4(x, i, dx, xc, out, o, dy, oc, n, ref, per_row, gain, coef, k, s, sc)
    elif sections == 5:
        _run5(x, i, dx, xc, out, o, dy, oc, n, ref, per_row, gain, coef, k, s, sc)
    else:
        _run6(x, i, dx, xc, out, o, dy, oc, n, ref, per_row, gain, coef, k, s, sc)


@numba.njit
def _run_any(x, i, dx, xc, out, o, dy, oc, n, ref, per_row, gain, coef, s, sc, ours, theirs):  # type: ignore[no-untyped-def]
    """Take ``n`` rows of WIDTH columns through all sections; a long cascade in passes, in float64 between them."""
    if len(coef) <= MAX_SECTIONS:
        _run(x, i, dx, xc, out, o, dy, oc, n, ref, per_row, gain, coef, 0, len(coef), s, sc)
        return
    zero = np.zeros(1)
    last = len(coef) - PASS_SECTIONS
    _run4(x, i, dx, xc, ours, 0, 1, 0, n, ref, per_row, gain, coef, 0, s, sc)
    for k in range(PASS_SECTIONS, last, PASS_SECTIONS):
        _run4(ours, 0, 1, 0, theirs, 0, 1, 0, n, zero, 0, 1.0, coef, k, s, sc)
        ours, theirs = theirs, ours
    _run4(ours, 0, 1, 0, out, o, dy, oc, n, zero, 0, 1.0, coef, last, s, sc)


@numba.njit
def _run_narrow(x, i, dx, out, o, c, w, n, ref, per_row, gain, coef, state, narrow, held, ours, theirs):  # type: ignore[no-untyped-def]
    """Take ``n`` rows of fewer than WIDTH columns, through memory that has WIDTH."""
    for t in range(n):
        r = ref[(i + t * dx) * per_row]
        for j in range(w):
            narrow[t, j] = x[i + t * dx, c + j] - r
    held[:, :w] = state[:, c : c + w]
    none = np.zeros(1, np.float32)
    _run_any(narrow, 0, 1, 0, narrow, 0, 1, 0, n, none, 0, gain, coef, held, 0, ours, theirs)
    state[:, c : c + w] = held[:, :w]
    for t in range(n):
        for j in range(w):
            out[o + t * dx, c + j] = narrow[t, j]


@numba.njit
def _flush(state, first, stop):  # type: ignore[no-untyped-def]
    for k in range(len(state)):
        for c in range(first, stop):
            if abs(state[k, c]) < TINY:
                state[k, c] = 0.0


@kernel(
    "void(float32[:,::1], int64, float32[:,::1], int64, int64, int64, int64, int64, float32[::1], float64,"
    " float64[:,::1], float64[:,::1], int64)",
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
        row, or one for all.
    gain, coef
        ``(sections, 4)``: b1/b0, b2/b0, a1, a2 of each section; the gain is the product of all b0.
    state
        ``(2 sections, columns)``: p and q of each section; read and updated. A sample that is not finite leaves its
        channel's state so, for good.
    counter
        Sample counter of the first row that is processed.
    """
    per_row = 0 if len(ref) == 1 else 1
    narrow, held = np.zeros((FLUSH_ROWS, WIDTH), np.float32), np.zeros((2 * len(coef), WIDTH))
    ours, theirs = np.empty((FLUSH_ROWS, WIDTH)), np.empty((FLUSH_ROWS, WIDTH))
    stop = column + width
    left = width % WIDTH
    done = 0
    while done < rows:
        n = min(rows - done, FLUSH_ROWS - (counter + done) % FLUSH_ROWS)
        i, o = x_row + done * step, out_row + done * step
        for c in range(column, stop - left, WIDTH):
            _run_any(x, i, step, c, out, o, step, c, n, ref, per_row, gain, coef, state, c, ours, theirs)
        if left:
            c = stop - left
            _run_narrow(x, i, step, out, o, c, left, n, ref, per_row, gain, coef, state, narrow, held, ours, theirs)
        done += n
        if (counter + done) % FLUSH_ROWS == 0:
            _flush(state, column, stop)


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
                    v, (s[2 * k], s[2 * k + 1]) = _biquad(v, (s[2 * k], s[2 * k + 1]), _section(coef, k))
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
                held = state[2 * k, c], state[2 * k + 1, c]
                v, (state[2 * k, c], state[2 * k + 1, c]) = _biquad(v, held, _section(coef, k))
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
    """Run ``cascade`` with a design's coefficients over the columns ``[first, stop)``."""
    first, stop = columns
    cascade(
        x, x_row, out, out_row, rows, step, first, stop - first, ref, design.gain, design.coefficients, state, counter
    )
