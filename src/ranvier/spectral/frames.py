"""Which frames of a recording are transformed, and how."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError
from ranvier.spectral.fft_kernels import CONSTANT, radices_of, twiddles

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Framing:
    """Frames of ``n`` samples, every ``hop`` samples.

    Attributes
    ----------
    windows
        ``(tapers, n)``: one window, or the tapers of a multitaper estimate.
    detrend
        CONSTANT subtracts each frame's mean (as scipy.signal.welch does), RAW does not.
    """

    fs: Fraction
    windows: F64
    hop: int
    detrend: int = CONSTANT

    def __post_init__(self) -> None:
        if self.n < 2 or not 1 <= self.hop <= self.n:
            raise ConfigurationError(f"frames of {self.n} samples every {self.hop}: at least 2, and no gaps between")

    @property
    def n(self) -> int:
        """Samples per frame."""
        return int(self.windows.shape[1])

    @property
    def bins(self) -> int:
        """Frequencies, 0 to Nyquist."""
        return self.n // 2 + 1

    @property
    def frequencies_hz(self) -> F64:
        """Frequency of each bin."""
        return np.asarray(np.arange(self.bins) * (float(self.fs) / self.n), dtype=np.float64)

    @property
    def df_hz(self) -> float:
        """Distance between bins."""
        return float(self.fs) / self.n

    @cached_property
    def scale(self) -> F64:
        """Per taper and bin: what turns ``|transform|^2`` into one-sided density, unit^2 / Hz."""
        one_sided = np.full(self.bins, 2.0)
        one_sided[0] = 1.0
        if self.n % 2 == 0:
            one_sided[-1] = 1.0
        energy = np.sum(self.windows**2, axis=1, keepdims=True)
        return np.asarray(one_sided / (float(self.fs) * energy), dtype=np.float64)

    @cached_property
    def radices(self) -> npt.NDArray[np.int64] | None:
        """Radices of our own transform; None where another one must do it."""
        found = radices_of(self.n // 2) if self.n % 2 == 0 else None
        return None if found is None else np.array(found, dtype=np.int64)

    @cached_property
    def twiddles(self) -> tuple[F64, F64]:
        """Cosines and sines of our own transform."""
        return twiddles(self.n)

    def count(self, samples: int) -> int:
        """Return how many whole frames lie in so many samples."""
        return 0 if samples < self.n else (samples - self.n) // self.hop + 1

    def tiles(self, start: int, stop: int, rows: int) -> Iterator[tuple[int, int, npt.NDArray[np.int64]]]:
        """Yield ``(counter, counter after, first rows of frames)``: pieces of about ``rows`` samples.

        Frames begin at ``start + i hop``; each lies in exactly one piece.
        """
        total = self.count(stop - start)
        per_tile = max(1, (max(rows, self.n) - self.n) // self.hop + 1)
        for first in range(0, total, per_tile):
            n = min(per_tile, total - first)
            at = start + first * self.hop
            yield at, at + (n - 1) * self.hop + self.n, np.arange(n, dtype=np.int64) * self.hop
