"""Random spikes."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

FS = Fraction(30000)


def columns(n: int, seed: int = 1, units: int = 5, sites: int = 8, span: int = 300_000) -> dict[str, npt.NDArray[Any]]:
    """Return random spikes in time order; unit 0 (none) occurs."""
    rng = np.random.default_rng(seed)
    unit = rng.integers(0, units + 1, n).astype(np.int32)
    return {
        "sample_index": np.sort(rng.integers(1000, 1000 + span, n)),
        "unit": unit,
        "site": ((unit + rng.integers(0, 2, n)) % sites).astype(np.int32),
        "amplitude_uv": rng.normal(-80, 10, n).astype(np.float32),
        "margin": rng.random(n).astype(np.float32),
        "x_um": rng.normal(0, 1, n).astype(np.float32),
        "y_um": (unit * 20 + rng.normal(0, 1, n)).astype(np.float32),
        "flags": rng.integers(0, 4, n).astype(np.uint32),
    }
