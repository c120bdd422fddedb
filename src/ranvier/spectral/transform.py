"""Transforms of frames in memory: our kernels where the length allows, SciPy's transform elsewhere."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.dsp.parallel import ALONE, Team
from ranvier.spectral.fft_kernels import CONSTANT, GROUP, add_frame_powers, frame_transform
from ranvier.spectral.frames import Framing

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


def add_powers(x: F32, rows: I64, framing: Framing, taper: int, power: F64, used: I64, *, team: Team = ALONE) -> None:
    """Add ``|transform|^2`` of the frames at ``rows`` to ``power`` ``(bins, channels)``; count them in ``used``.

    Frames with a missing sample are left out, per channel. Threads share the channels.
    """
    window = np.ascontiguousarray(framing.windows[taper])
    radices = framing.radices

    def share(first: int, stop: int) -> None:
        if radices is not None:
            cosines, sines = framing.twiddles
            add_frame_powers(x, rows, window, framing.detrend, cosines, sines, radices, first, stop, power, used)
            return
        for row in rows:
            re, im = _any_length(x, int(row), framing, window, first, stop)
            whole = np.isfinite(re[0])
            columns = first + np.flatnonzero(whole)
            power[:, columns] += (re * re + im * im)[:, whole]
            used[columns] += 1

    team.each(share, team.shares(x.shape[1], multiple=GROUP))


def transform(x: F32, row: int, framing: Framing, taper: int = 0, *, team: Team = ALONE) -> tuple[F64, F64]:
    """Return real and imaginary part of one frame, ``(bins, channels)``; NaN in channels that lack a sample."""
    real, imaginary = np.empty((2, framing.bins, x.shape[1]))
    window = np.ascontiguousarray(framing.windows[taper])
    radices = framing.radices

    def share(first: int, stop: int) -> None:
        if radices is None:
            real[:, first:stop], imaginary[:, first:stop] = _any_length(x, row, framing, window, first, stop)
            return
        cosines, sines = framing.twiddles
        frame_transform(x, row, window, framing.detrend, cosines, sines, radices, first, stop, real, imaginary)

    team.each(share, team.shares(x.shape[1], multiple=GROUP))
    missing = ~np.isfinite(x[row : row + framing.n]).all(axis=0)
    real[:, missing] = imaginary[:, missing] = np.nan
    return real, imaginary


def _any_length(x: F32, row: int, framing: Framing, window: F64, first: int, stop: int) -> tuple[F64, F64]:
    """Transform a frame whose length has large prime factors (or is odd), a few channels at a time."""
    from scipy import fft

    re, im = np.empty((2, framing.bins, stop - first))
    for c in range(first, stop, GROUP):
        frame = x[row : row + framing.n, c : min(c + GROUP, stop)].T.astype(np.float64)
        missing = ~np.isfinite(frame).all(axis=1)
        frame[missing] = 0.0
        if framing.detrend == CONSTANT:
            frame -= frame.mean(axis=1, keepdims=True)
        spectrum = fft.rfft(frame * window, axis=1).T
        spectrum[:, missing] = np.nan
        re[:, c - first : c - first + len(frame)] = spectrum.real
        im[:, c - first : c - first + len(frame)] = spectrum.imag
    return re, im
