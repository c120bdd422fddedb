"""Fourier transforms of overlapping frames of many channels, straight from time-major blocks.

A frame of ``n`` real samples is transformed as ``n / 2`` complex ones (even samples real, odd ones imaginary) and
unravelled; the complex transform is Stockham's self-sorting one with radices 4, 2, 3 and 5. All of it runs on a group
of channels at a time, which is the innermost, vectorised loop: a time-major block needs no transposing. Float64
throughout.

References: P. N. Swarztrauber, "FFT algorithms for vector computers", Parallel Computing 1 (1984) 45; H. V. Sorensen et
al., "Real-valued fast Fourier transform algorithms", IEEE Trans. ASSP 35 (1987) 849.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel

#: Channels that are transformed together: two vectors of eight float64.
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
def _radix_2(xr, xi, yr, yi, n, s, cosines, sines, step):  # type: ignore[no-untyped-def]
    half = n // 2
    for p in range(half):
        wr, wi = cosines[p * step], sines[p * step]
        a, b, o = s * p, s * (p + half), 2 * s * p
        for q in range(s):
            dr, di = xr[a + q] - xr[b + q], xi[a + q] - xi[b + q]
            yr[o + q], yi[o + q] = xr[a + q] + xr[b + q], xi[a + q] + xi[b + q]
            yr[o + s + q], yi[o + s + q] = dr * wr - di * wi, dr * wi + di * wr


@numba.njit
def _radix_4(xr, xi, yr, yi, n, s, cosines, sines, step):  # type: ignore[no-untyped-def]
    m = n // 4
    for p in range(m):
        w1r, w1i = cosines[p * step], sines[p * step]
        w2r, w2i = cosines[2 * p * step], sines[2 * p * step]
        w3r, w3i = cosines[3 * p * step], sines[3 * p * step]
        ar, ai = xr[s * p : s * (p + 1)], xi[s * p : s * (p + 1)]
        br, bi = xr[s * (p + m) : s * (p + m + 1)], xi[s * (p + m) : s * (p + m + 1)]
        cr, ci = xr[s * (p + 2 * m) : s * (p + 2 * m + 1)], xi[s * (p + 2 * m) : s * (p + 2 * m + 1)]
        dr, di = xr[s * (p + 3 * m) : s * (p + 3 * m + 1)], xi[s * (p + 3 * m) : s * (p + 3 * m + 1)]
        o = 4 * s * p
        y0r, y1r, y2r, y3r = yr[o : o + s], yr[o + s : o + 2 * s], yr[o + 2 * s : o + 3 * s], yr[o + 3 * s : o + 4 * s]
        y0i, y1i, y2i, y3i = yi[o : o + s], yi[o + s : o + 2 * s], yi[o + 2 * s : o + 3 * s], yi[o + 3 * s : o + 4 * s]
        for q in range(s):
            sum_r, sum_i, difference_r, difference_i = ar[q] + cr[q], ai[q] + ci[q], ar[q] - cr[q], ai[q] - ci[q]
            odd_r, odd_i, turned_r, turned_i = br[q] + dr[q], bi[q] + di[q], bi[q] - di[q], dr[q] - br[q]  # -i (b - d)
            y0r[q], y0i[q] = sum_r + odd_r, sum_i + odd_i
            t1r, t1i = difference_r + turned_r, difference_i + turned_i
            t2r, t2i = sum_r - odd_r, sum_i - odd_i
            t3r, t3i = difference_r - turned_r, difference_i - turned_i
            y1r[q], y1i[q] = t1r * w1r - t1i * w1i, t1r * w1i + t1i * w1r
            y2r[q], y2i[q] = t2r * w2r - t2i * w2i, t2r * w2i + t2i * w2r
            y3r[q], y3i[q] = t3r * w3r - t3i * w3i, t3r * w3i + t3i * w3r


@numba.njit
def _radix_3(xr, xi, yr, yi, n, s, cosines, sines, step):  # type: ignore[no-untyped-def]
    m = n // 3
    for p in range(m):
        w1r, w1i, w2r, w2i = cosines[p * step], sines[p * step], cosines[2 * p * step], sines[2 * p * step]
        a, b, c, o = s * p, s * (p + m), s * (p + 2 * m), 3 * s * p
        for q in range(s):
            sum_r, sum_i = xr[b + q] + xr[c + q], xi[b + q] + xi[c + q]
            t_r, t_i = xr[a + q] - 0.5 * sum_r, xi[a + q] - 0.5 * sum_i
            u_r, u_i = SIN_3 * (xi[b + q] - xi[c + q]), -SIN_3 * (xr[b + q] - xr[c + q])  # -i sin (b - c)
            yr[o + q], yi[o + q] = xr[a + q] + sum_r, xi[a + q] + sum_i
            y1r, y1i, y2r, y2i = t_r + u_r, t_i + u_i, t_r - u_r, t_i - u_i
            yr[o + s + q], yi[o + s + q] = y1r * w1r - y1i * w1i, y1r * w1i + y1i * w1r
            yr[o + 2 * s + q], yi[o + 2 * s + q] = y2r * w2r - y2i * w2i, y2r * w2i + y2i * w2r


@numba.njit
def _radix_5(xr, xi, yr, yi, n, s, cosines, sines, step):  # type: ignore[no-untyped-def]
    m = n // 5
    for p in range(m):
        w1r, w1i, w2r, w2i = cosines[p * step], sines[p * step], cosines[2 * p * step], sines[2 * p * step]
        w3r, w3i, w4r, w4i = cosines[3 * p * step], sines[3 * p * step], cosines[4 * p * step], sines[4 * p * step]
        ar, ai = xr[s * p : s * (p + 1)], xi[s * p : s * (p + 1)]
        br, bi = xr[s * (p + m) : s * (p + m + 1)], xi[s * (p + m) : s * (p + m + 1)]
        cr, ci = xr[s * (p + 2 * m) : s * (p + 2 * m + 1)], xi[s * (p + 2 * m) : s * (p + 2 * m + 1)]
        dr, di = xr[s * (p + 3 * m) : s * (p + 3 * m + 1)], xi[s * (p + 3 * m) : s * (p + 3 * m + 1)]
        er, ei = xr[s * (p + 4 * m) : s * (p + 4 * m + 1)], xi[s * (p + 4 * m) : s * (p + 4 * m + 1)]
        o = 5 * s * p
        y0r, y1r, y2r, y3r = yr[o : o + s], yr[o + s : o + 2 * s], yr[o + 2 * s : o + 3 * s], yr[o + 3 * s : o + 4 * s]
        y0i, y1i, y2i, y3i = yi[o : o + s], yi[o + s : o + 2 * s], yi[o + 2 * s : o + 3 * s], yi[o + 3 * s : o + 4 * s]
        y4r, y4i = yr[o + 4 * s : o + 5 * s], yi[o + 4 * s : o + 5 * s]
        for q in range(s):
            t1r, t1i, t2r, t2i = br[q] + er[q], bi[q] + ei[q], cr[q] + dr[q], ci[q] + di[q]
            t3r, t3i, t4r, t4i = br[q] - er[q], bi[q] - ei[q], cr[q] - dr[q], ci[q] - di[q]
            y0r[q], y0i[q] = ar[q] + t1r + t2r, ai[q] + t1i + t2i
            m1r, m1i = ar[q] + COS_5 * t1r + COS_5_2 * t2r, ai[q] + COS_5 * t1i + COS_5_2 * t2i
            m2r, m2i = ar[q] + COS_5_2 * t1r + COS_5 * t2r, ai[q] + COS_5_2 * t1i + COS_5 * t2i
            n1r, n1i = SIN_5 * t3i + SIN_5_2 * t4i, -SIN_5 * t3r - SIN_5_2 * t4r  # -i (sin t3 + ...)
            n2r, n2i = SIN_5_2 * t3i - SIN_5 * t4i, -SIN_5_2 * t3r + SIN_5 * t4r
            ur, ui, vr, vi = m1r + n1r, m1i + n1i, m2r + n2r, m2i + n2i
            gr, gi, hr, hi = m2r - n2r, m2i - n2i, m1r - n1r, m1i - n1i
            y1r[q], y1i[q] = ur * w1r - ui * w1i, ur * w1i + ui * w1r
            y2r[q], y2i[q] = vr * w2r - vi * w2i, vr * w2i + vi * w2r
            y3r[q], y3i[q] = gr * w3r - gi * w3i, gr * w3i + gi * w3r
            y4r[q], y4i[q] = hr * w4r - hi * w4i, hr * w4i + hi * w4r


@numba.njit
def _load(x, row, first, width, window, detrend, mean, xr, xi):  # type: ignore[no-untyped-def]
    """Put a windowed frame into memory, even samples real and odd ones imaginary; ``mean`` is NaN where one lacks."""
    n = len(window)
    mean[:] = 0.0
    for i in range(n // 2):
        even, odd = x[row + 2 * i, first : first + width], x[row + 2 * i + 1, first : first + width]
        re, im = xr[i * width : (i + 1) * width], xi[i * width : (i + 1) * width]
        for c in range(width):
            re[c], im[c] = even[c], odd[c]
            mean[c] += np.float64(even[c]) + np.float64(odd[c])
    for c in range(width):
        mean[c] = mean[c] / n if np.isfinite(mean[c]) else np.nan
    level = mean * detrend
    for i in range(n // 2):
        re, im = xr[i * width : (i + 1) * width], xi[i * width : (i + 1) * width]
        w_even, w_odd = window[2 * i], window[2 * i + 1]
        for c in range(width):
            re[c], im[c] = (re[c] - level[c]) * w_even, (im[c] - level[c]) * w_odd


@numba.njit
def _transform(xr, xi, yr, yi, n, width, radices, cosines, sines):  # type: ignore[no-untyped-def]
    """Transform ``n`` complex points; return the arrays that hold the result."""
    s, step = width, 2
    ar, ai, br, bi = xr, xi, yr, yi
    for radix in radices:
        if radix == 4:
            _radix_4(ar, ai, br, bi, n, s, cosines, sines, step)
        elif radix == 2:
            _radix_2(ar, ai, br, bi, n, s, cosines, sines, step)
        elif radix == 3:
            _radix_3(ar, ai, br, bi, n, s, cosines, sines, step)
        else:
            _radix_5(ar, ai, br, bi, n, s, cosines, sines, step)
        n //= radix
        s *= radix
        step *= radix
        ar, ai, br, bi = br, bi, ar, ai
    return ar, ai


@numba.njit
def _unravel(ar, ai, k, half, width, cosines, sines, re, im):  # type: ignore[no-untyped-def]
    """Write bin ``k`` of the real transform: ``E[k] + w^k O[k]``, from those of the even and the odd samples."""
    a, b = (k % half) * width, ((half - k) % half) * width
    c = cosines[k] if k < half else -1.0
    s = sines[k] if k < half else 0.0
    zr, zi, vr, vi = ar[a : a + width], ai[a : a + width], ar[b : b + width], ai[b : b + width]
    for w in range(width):
        even_r, even_i = 0.5 * (zr[w] + vr[w]), 0.5 * (zi[w] - vi[w])
        odd_r, odd_i = 0.5 * (zi[w] + vi[w]), 0.5 * (vr[w] - zr[w])
        re[w] = even_r + odd_r * c - odd_i * s
        im[w] = even_i + odd_r * s + odd_i * c


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
    most = min(GROUP, stop - first)
    size = half * most
    xr, xi, yr, yi = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    for c in range(first, stop, most):
        width = min(most, stop - c)
        mean = np.empty(width)
        _load(x, row, c, width, window, detrend, mean, xr, xi)
        ar, ai = _transform(xr, xi, yr, yi, half, width, radices, cosines, sines)
        for k in range(half + 1):
            _unravel(ar, ai, k, half, width, cosines, sines, real[k, c : c + width], imaginary[k, c : c + width])


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
    most = min(GROUP, stop - first)
    size = half * most
    xr, xi, yr, yi = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    total = np.empty((half + 1, most))
    re, im = np.empty(most), np.empty(most)
    for c in range(first, stop, most):
        width = min(most, stop - c)
        mean, keep = np.empty(width), np.empty(width)
        total[:, :width] = power[:, c : c + width]
        for row in rows:
            _load(x, row, c, width, window, detrend, mean, xr, xi)
            for w in range(width):
                missing = np.isnan(mean[w])
                keep[w] = 0.0 if missing else 1.0
                used[c + w] += not missing
                if missing:
                    for i in range(half):
                        xr[i * width + w] = xi[i * width + w] = 0.0
            ar, ai = _transform(xr, xi, yr, yi, half, width, radices, cosines, sines)
            for k in range(half + 1):
                _unravel(ar, ai, k, half, width, cosines, sines, re, im)
                for w in range(width):
                    total[k, w] += (re[w] * re[w] + im[w] * im[w]) * keep[w]
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
