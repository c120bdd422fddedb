"""Fourier transforms of overlapping frames of many channels, straight from time-major blocks.

A frame of ``n`` real samples is transformed as ``n / 2`` complex ones (even samples real, odd ones imaginary) and
unravelled. The complex transform is taken apart into columns and rows of about the square root of its length, which
stay in the L1 cache (Bailey's four steps); each of these is Stockham's self-sorting one with radices 4, 2, 3 and 5. All
of it runs on WIDTH channels at a time (:mod:`ranvier.kernels.lanes`): a time-major block needs no transposing. Float64
throughout.

References: D. H. Bailey, "FFTs in external or hierarchical memory", J. Supercomputing 4 (1990) 23; P. N. Swarztrauber,
"FFT algorithms for vector computers", Parallel Computing 1 (1984) 45; H. V. Sorensen et al., "Real-valued fast Fourier
transform algorithms", IEEE Trans. ASSP 35 (1987) 849.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable

from ranvier.kernels import kernel
from ranvier.kernels.lanes import WIDTH, load, spread, store

#: Threads share channels in multiples of this: a cache line of float32.
GROUP = 16

#: ``detrend`` of the kernels: leave a frame as it is, or subtract its mean.
RAW, CONSTANT = 0, 1

SIN_3 = np.sin(2 * np.pi / 3)
COS_5, SIN_5, COS_5_2, SIN_5_2 = (f(k * 2 * np.pi / 5) for k in (1, 2) for f in (np.cos, np.sin))

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


def frame_transform_reference(
    x: F32,
    row: int,
    window: F64,
    detrend: int,
    cosines: F64,
    sines: F64,
    radices: I64,
    first: int,
    stop: int,
    real: F64,
    imaginary: F64,
) -> None:
    """Define :func:`frame_transform`."""
    frame = x[row : row + len(window), first:stop].astype(np.float64)
    if detrend == CONSTANT:
        frame -= frame.mean(axis=0)
    spectrum = np.fft.rfft(frame * window[:, None], axis=0)
    real[:, first:stop], imaginary[:, first:stop] = spectrum.real, spectrum.imag


def add_frame_powers_reference(
    x: F32,
    rows: I64,
    window: F64,
    detrend: int,
    cosines: F64,
    sines: F64,
    radices: I64,
    first: int,
    stop: int,
    power: F64,
    used: I64,
) -> None:
    """Define :func:`add_frame_powers`."""
    for row in rows:
        frame = x[row : row + len(window), first:stop].astype(np.float64)
        whole = np.isfinite(frame).all(axis=0)
        frame = frame[:, whole]
        if detrend == CONSTANT:
            frame -= frame.mean(axis=0)
        columns = first + np.flatnonzero(whole)
        power[:, columns] += np.abs(np.fft.rfft(frame * window[:, None], axis=0)) ** 2
        used[columns] += 1


@numba.njit
def _radix_2(xr, xi, at, yr, yi, n, s, cosines, sines, step):  # type: ignore[no-untyped-def]
    half = n // 2
    for p in range(half):
        wr, wi = cosines[p * step], sines[p * step]
        for q in range(s):
            a, b, o = at + q + s * p, at + q + s * (p + half), q + 2 * s * p
            ar, ai, br, bi = load(xr, a, 0), load(xi, a, 0), load(xr, b, 0), load(xi, b, 0)
            _put(yr, yi, o, ar + br, ai + bi)
            _put_turned(yr, yi, o + s, ar - br, ai - bi, wr, wi)


@numba.njit
def _radix_4(xr, xi, at, yr, yi, n, s, cosines, sines, step):  # type: ignore[no-untyped-def]
    m = n // 4
    for p in range(m):
        w1r, w1i = cosines[p * step], sines[p * step]
        w2r, w2i = cosines[2 * p * step], sines[2 * p * step]
        w3r, w3i = cosines[3 * p * step], sines[3 * p * step]
        for q in range(s):
            a, o = at + q + s * p, q + 4 * s * p
            b, c, d = a + s * m, a + 2 * s * m, a + 3 * s * m
            ar, ai, br, bi = load(xr, a, 0), load(xi, a, 0), load(xr, b, 0), load(xi, b, 0)
            cr, ci, dr, di = load(xr, c, 0), load(xi, c, 0), load(xr, d, 0), load(xi, d, 0)
            sum_r, sum_i, difference_r, difference_i = ar + cr, ai + ci, ar - cr, ai - ci
            odd_r, odd_i, turned_r, turned_i = br + dr, bi + di, bi - di, dr - br  # -i (b - d)
            _put(yr, yi, o, sum_r + odd_r, sum_i + odd_i)
            _put_turned(yr, yi, o + s, difference_r + turned_r, difference_i + turned_i, w1r, w1i)
            _put_turned(yr, yi, o + 2 * s, sum_r - odd_r, sum_i - odd_i, w2r, w2i)
            _put_turned(yr, yi, o + 3 * s, difference_r - turned_r, difference_i - turned_i, w3r, w3i)


@numba.njit
def _radix_3(xr, xi, at, yr, yi, n, s, cosines, sines, step):  # type: ignore[no-untyped-def]
    m = n // 3
    for p in range(m):
        w1r, w1i, w2r, w2i = cosines[p * step], sines[p * step], cosines[2 * p * step], sines[2 * p * step]
        for q in range(s):
            a, o = at + q + s * p, q + 3 * s * p
            b, c = a + s * m, a + 2 * s * m
            ar, ai, br, bi = load(xr, a, 0), load(xi, a, 0), load(xr, b, 0), load(xi, b, 0)
            cr, ci = load(xr, c, 0), load(xi, c, 0)
            sum_r, sum_i = br + cr, bi + ci
            t_r, t_i = ar - 0.5 * sum_r, ai - 0.5 * sum_i
            u_r, u_i = SIN_3 * (bi - ci), SIN_3 * (cr - br)  # -i sin (b - c)
            _put(yr, yi, o, ar + sum_r, ai + sum_i)
            _put_turned(yr, yi, o + s, t_r + u_r, t_i + u_i, w1r, w1i)
            _put_turned(yr, yi, o + 2 * s, t_r - u_r, t_i - u_i, w2r, w2i)


@numba.njit
def _radix_5(xr, xi, at, yr, yi, n, s, cosines, sines, step):  # type: ignore[no-untyped-def]
    m = n // 5
    for p in range(m):
        w1r, w1i, w2r, w2i = cosines[p * step], sines[p * step], cosines[2 * p * step], sines[2 * p * step]
        w3r, w3i, w4r, w4i = cosines[3 * p * step], sines[3 * p * step], cosines[4 * p * step], sines[4 * p * step]
        for q in range(s):
            a, o = at + q + s * p, q + 5 * s * p
            b, c, d, e = a + s * m, a + 2 * s * m, a + 3 * s * m, a + 4 * s * m
            ar, ai, br, bi = load(xr, a, 0), load(xi, a, 0), load(xr, b, 0), load(xi, b, 0)
            cr, ci, dr, di = load(xr, c, 0), load(xi, c, 0), load(xr, d, 0), load(xi, d, 0)
            er, ei = load(xr, e, 0), load(xi, e, 0)
            t1r, t1i, t2r, t2i = br + er, bi + ei, cr + dr, ci + di
            t3r, t3i, t4r, t4i = br - er, bi - ei, cr - dr, ci - di
            _put(yr, yi, o, ar + t1r + t2r, ai + t1i + t2i)
            m1r, m1i = ar + COS_5 * t1r + COS_5_2 * t2r, ai + COS_5 * t1i + COS_5_2 * t2i
            m2r, m2i = ar + COS_5_2 * t1r + COS_5 * t2r, ai + COS_5_2 * t1i + COS_5 * t2i
            n1r, n1i = SIN_5 * t3i + SIN_5_2 * t4i, SIN_5 * t3r + SIN_5_2 * t4r  # -i (sin t3 + ...): i part subtracted
            n2r, n2i = SIN_5_2 * t3i - SIN_5 * t4i, SIN_5_2 * t3r - SIN_5 * t4r
            _put_turned(yr, yi, o + s, m1r + n1r, m1i - n1i, w1r, w1i)
            _put_turned(yr, yi, o + 2 * s, m2r + n2r, m2i - n2i, w2r, w2i)
            _put_turned(yr, yi, o + 3 * s, m2r - n2r, m2i + n2i, w3r, w3i)
            _put_turned(yr, yi, o + 4 * s, m1r - n1r, m1i + n1i, w4r, w4i)


@register_jitable  # type: ignore[untyped-decorator]
def _put(yr: Any, yi: Any, o: Any, re: Any, im: Any) -> Any:
    store(yr, o, 0, re)
    store(yi, o, 0, im)


@register_jitable  # type: ignore[untyped-decorator]
def _put_turned(yr: Any, yi: Any, o: Any, re: Any, im: Any, wr: Any, wi: Any) -> Any:
    store(yr, o, 0, re * wr - im * wi)
    store(yi, o, 0, re * wi + im * wr)


@numba.njit
def _short(xr, xi, at, ar, ai, br, bi, n, radices, cosines, sines):  # type: ignore[no-untyped-def]
    """Transform the ``n`` complex points from ``at`` on; return the arrays, of the two pairs, that hold the result."""
    s, step = 1, len(cosines) // n
    for i in range(len(radices)):
        radix = radices[i]
        if radix == 4:
            _radix_4(xr, xi, at, ar, ai, n, s, cosines, sines, step)
        elif radix == 2:
            _radix_2(xr, xi, at, ar, ai, n, s, cosines, sines, step)
        elif radix == 3:
            _radix_3(xr, xi, at, ar, ai, n, s, cosines, sines, step)
        else:
            _radix_5(xr, xi, at, ar, ai, n, s, cosines, sines, step)
        n //= radix
        s *= radix
        step *= radix
        xr, xi, at, ar, ai, br, bi = ar, ai, 0, br, bi, ar, ai
    if len(radices) == 0:
        _put(ar, ai, 0, load(xr, at, 0), load(xi, at, 0))
        return ar, ai
    return xr, xi


@numba.njit
def _split(half, radices):  # type: ignore[no-untyped-def]
    """Return how many radices make the first of two factors, and that factor, about the square root."""
    one, count = 1, 0
    while count < len(radices) and one * one * radices[count] <= half:
        one *= radices[count]
        count += 1
    return count, one


@numba.njit
def _columns(x, row, c, window, level, yr, yi, short, radices, one, two, cosines, sines):  # type: ignore[no-untyped-def]
    """Window a frame (even samples real, odd ones imaginary), transform its ``two`` columns of ``one`` points; turn."""
    apart = two | 1  # odd: lines in other cache sets
    for j in range(two):
        for i in range(one):
            t = 2 * (i * two + j)
            re, im = load(x, row + t, c) - level, load(x, row + t + 1, c) - level
            _put(short[0], short[1], i, re * window[t], im * window[t + 1])
        ar, ai = _short(short[0], short[1], 0, short[2], short[3], short[0], short[1], one, radices, cosines, sines)
        for k in range(one):
            w = 2 * j * k
            _put_turned(yr, yi, k * apart + j, load(ar, k, 0), load(ai, k, 0), cosines[w], sines[w])


@numba.njit
def _rows(yr, yi, short, radices, one, two, cosines, sines, powers, out_r, out_i):  # type: ignore[no-untyped-def]
    """Transform the rows, and unravel: bins ``k`` and ``half - k`` are ``E + w^k O`` and ``conj(E - w^k O)``.

    ``E`` and ``O`` are the transforms of the even and of the odd samples. Adds powers to ``out_r``, or writes the bins.
    """
    half, apart = one * two, two | 1
    for k1 in range(one // 2 + 1):
        mirror = (one - k1) % one
        if mirror < k1:
            break
        ar, ai = _short(yr, yi, k1 * apart, short[0], short[1], short[2], short[3], two, radices, cosines, sines)
        br, bi = ar, ai
        if mirror != k1:
            br, bi = _short(
                yr, yi, mirror * apart, short[4], short[5], short[6], short[7], two, radices, cosines, sines
            )
        for k2 in range(two):
            k = k1 + one * k2
            other = (two - k2) % two if k1 == 0 else two - 1 - k2
            if mirror == k1 and other < k2:
                break
            zr, zi, vr, vi = load(ar, k2, 0), load(ai, k2, 0), load(br, other, 0), load(bi, other, 0)
            even_r, even_i, odd_r, odd_i = zr + vr, zi - vi, zi + vi, vr - zr
            c, s = 0.5 * cosines[k], 0.5 * sines[k]
            even_r, even_i = 0.5 * even_r, 0.5 * even_i
            turned_r, turned_i = odd_r * c - odd_i * s, odd_r * s + odd_i * c
            re, im = even_r + turned_r, even_i + turned_i
            re_2, im_2 = even_r - turned_r, turned_i - even_i
            if powers:
                store(out_r, k, 0, load(out_r, k, 0) + (re * re + im * im))
                if k != half - k:
                    store(out_r, half - k, 0, load(out_r, half - k, 0) + (re_2 * re_2 + im_2 * im_2))
            else:
                _put(out_r, out_i, k, re, im)
                _put(out_r, out_i, half - k, re_2, im_2)


@numba.njit
def _mean(x, row, c, n, out):  # type: ignore[no-untyped-def]
    """Write the mean of a frame per lane, NaN where a sample is missing."""
    one, two = spread(0.0), spread(0.0)
    for i in range(row, row + n // 2 * 2, 2):
        one += load(x, i, c)
        two += load(x, i + 1, c)
    store(out, 0, 0, one + two)
    for lane in range(WIDTH):
        out[0, lane] = out[0, lane] / n if np.isfinite(out[0, lane]) else np.nan


@numba.njit
def _framed(x, row, c, width, n, means, padded):  # type: ignore[no-untyped-def]
    """Return where WIDTH columns of a frame lie: in place, or in a copy with zeros for what is not there or missing."""
    whole = width == WIDTH
    if whole:
        _mean(x, row, c, n, means)
        for lane in range(WIDTH):
            whole = whole and not np.isnan(means[0, lane])
    if whole:
        return x, row, c
    padded[:] = 0.0
    for i in range(n):
        for lane in range(width):
            padded[i, lane] = x[row + i, c + lane]
    _mean(padded, 0, 0, n, means)
    for lane in range(width):
        if np.isnan(means[0, lane]):
            padded[:, lane] = 0.0
    return padded, 0, 0


@kernel(
    "void(Array(float32, 2, 'C', readonly=True), int64, float64[::1], int64, float64[::1], float64[::1], int64[::1],"
    " int64, int64, float64[:,::1], float64[:,::1])",
    reference=frame_transform_reference,
)
def frame_transform(
    x: F32,
    row: int,
    window: F64,
    detrend: int,
    cosines: F64,
    sines: F64,
    radices: I64,
    first: int,
    stop: int,
    real: F64,
    imaginary: F64,
) -> None:
    """Transform one frame of the columns ``[first, stop)``: ``sum_t w[t] (x[t] - mean) exp(-2 pi i k t / n)``.

    Parameters
    ----------
    x
        ``(rows, channels)``; the frame begins at ``row``.
    window
        ``(n,)``, n even and n / 2 a product of the radices.
    detrend
        CONSTANT subtracts the frame's mean, RAW does not.
    cosines, sines
        ``cos`` and ``-sin`` of ``2 pi k / n``, k = 0 .. n - 1.
    radices
        2, 3, 4 or 5; their product is n / 2.
    real, imaginary
        ``(n / 2 + 1, channels)``, filled in those columns; NaN where a sample is missing.
    """
    n = len(window)
    half = n // 2
    count, one = _split(half, radices)
    two = half // one
    yr, yi = np.empty((2, one * (two | 1), WIDTH))
    short = np.empty((8, max(one, two), WIDTH))
    means, padded = np.zeros((1, WIDTH)), np.zeros((n, WIDTH), np.float32)
    re, im = np.empty((2, half + 1, WIDTH))
    for c in range(first, stop, WIDTH):
        width = min(WIDTH, stop - c)
        held, at, column = _framed(x, row, c, width, n, means, padded)
        level = load(means, 0, 0) * np.float64(detrend)
        _columns(held, at, column, window, level, yr, yi, short, radices[:count], one, two, cosines, sines)
        _rows(yr, yi, short, radices[count:], one, two, cosines, sines, False, re, im)
        real[:, c : c + width], imaginary[:, c : c + width] = re[:, :width], im[:, :width]


@kernel(
    "void(Array(float32, 2, 'C', readonly=True), int64[::1], float64[::1], int64, float64[::1], float64[::1],"
    " int64[::1], int64, int64, float64[:,::1], int64[::1])",
    reference=add_frame_powers_reference,
)
def add_frame_powers(
    x: F32,
    rows: I64,
    window: F64,
    detrend: int,
    cosines: F64,
    sines: F64,
    radices: I64,
    first: int,
    stop: int,
    power: F64,
    used: I64,
) -> None:
    """Add ``|transform|^2`` of frames, one after the other, to ``power``; count the frames of each channel.

    A frame in which a sample of a channel is missing (NaN, infinite) is left out for that channel.

    Parameters
    ----------
    rows
        First rows of the frames.
    power, used
        ``(n / 2 + 1, channels)`` and ``(channels,)``, added to in the columns ``[first, stop)``; the others are as in
        :func:`frame_transform`.
    """
    n = len(window)
    half = n // 2
    count, one = _split(half, radices)
    two = half // one
    yr, yi = np.empty((2, one * (two | 1), WIDTH))
    short = np.empty((8, max(one, two), WIDTH))
    means, padded = np.zeros((1, WIDTH)), np.zeros((n, WIDTH), np.float32)
    total = np.zeros((half + 1, WIDTH))
    for c in range(first, stop, WIDTH):
        width = min(WIDTH, stop - c)
        total[:, :width] = power[:, c : c + width]
        for row in rows:
            held, at, column = _framed(x, row, c, width, n, means, padded)
            for lane in range(WIDTH):
                missing = np.isnan(means[0, lane])
                if missing:
                    means[0, lane] = 0.0
                elif lane < width:
                    used[c + lane] += 1
            level = load(means, 0, 0) * np.float64(detrend)
            _columns(held, at, column, window, level, yr, yi, short, radices[:count], one, two, cosines, sines)
            _rows(yr, yi, short, radices[count:], one, two, cosines, sines, True, total, total)
        power[:, c : c + width] = total[:, :width]


def radices_of(half: int) -> list[int] | None:
    """Return radices whose product is ``half``, or None where it has a prime factor above 5."""
    found: list[int] = []
    for radix in (4, 2, 3, 5):
        while half % radix == 0 and half > 1:
            found.append(radix)
            half //= radix
    return found if half == 1 else None


def twiddles(n: int) -> tuple[Any, Any]:
    """Return ``cos(2 pi k / n)`` and ``-sin(2 pi k / n)`` for k = 0 .. n - 1."""
    angle = 2 * np.pi * np.arange(n) / n
    return np.cos(angle), -np.sin(angle)
