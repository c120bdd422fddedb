"""Windows for spectral estimates: periodic sums of cosines, as scipy.signal.get_window gives them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.models.spectral import SpectralWindowType

#: ``w[t] = sum_k (-1)^k a_k cos(2 pi k t / n)`` (Harris 1978, Proc. IEEE 66:51).
COEFFICIENTS: dict[SpectralWindowType, tuple[float, ...]] = {
    SpectralWindowType.RECT: (1.0,),
    SpectralWindowType.HANN: (0.5, 0.5),
    SpectralWindowType.HAMMING: (0.54, 0.46),
    SpectralWindowType.BLACKMAN: (0.42, 0.5, 0.08),
}

#: Overlap of neighbouring segments where none is asked for: a rectangle weighs all samples alike and needs none.
DEFAULT_OVERLAP: dict[SpectralWindowType, float] = {
    SpectralWindowType.RECT: 0.0,
    SpectralWindowType.HANN: 0.5,
    SpectralWindowType.HAMMING: 0.5,
    SpectralWindowType.BLACKMAN: 0.5,
}


def window(kind: SpectralWindowType, n: int) -> npt.NDArray[np.float64]:
    """Return a window of ``n`` points, float64 ``(n,)``, periodic."""
    angle = 2 * np.pi * np.arange(n) / n
    terms = [(-1) ** k * a * np.cos(k * angle) for k, a in enumerate(COEFFICIENTS[kind])]
    return np.asarray(np.sum(terms, axis=0), dtype=np.float64)


def variance_reduction(w: npt.NDArray[np.float64], hop: int, segments: int) -> float:
    """Return by how much averaging overlapping segments of white noise lowers the variance of a Welch estimate.

    ``segments / (1 + 2 sum_k (1 - k / segments) rho(k))`` with ``rho(k) = (sum_t w[t] w[t + k hop])^2 / (sum w^2)^2``
    (Welch 1967, IEEE Trans. Audio Electroacoust. 15:70).
    """
    if segments < 1:
        return 0.0
    total = float(np.sum(w * w)) ** 2
    shared = 0.0
    for k in range(1, min(segments, -(-len(w) // hop))):
        rho = float(np.sum(w[k * hop :] * w[: len(w) - k * hop])) ** 2 / total
        shared += (1 - k / segments) * rho
    return segments / (1 + 2 * shared)
