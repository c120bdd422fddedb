"""Power in bands of frequency."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError

F64 = npt.NDArray[np.float64]


def check_bands(bands: Mapping[str, tuple[float, float]], nyquist_hz: float) -> None:
    """Raise ConfigurationError naming every band that cannot be."""
    faults = [
        f"{name}: {low:g} to {high:g} Hz"
        for name, (low, high) in bands.items()
        if not 0 <= low < high or low >= nyquist_hz
    ]
    if not bands or faults:
        raise ConfigurationError(
            f"bands go from low to high, in Hz, below {nyquist_hz:g} Hz: {'; '.join(faults) or 'none was given'}"
        )


def band_power(frequencies_hz: F64, density: F64, bands: Mapping[str, tuple[float, float]]) -> F64:
    """Return the power of each band, unit^2, ``(channels, bands)``: the sum of ``density df`` over low <= f < high.

    The sum over all bins is the mean square of the signal (Parseval). A band that no bin falls into is NaN.
    """
    df = frequencies_hz[1] - frequencies_hz[0]
    out = np.full((len(density), len(bands)), np.nan)
    for i, (low, high) in enumerate(bands.values()):
        inside = (frequencies_hz >= low) & (frequencies_hz < high)
        if inside.any():
            out[:, i] = density[:, inside].sum(axis=1) * df
    return out
