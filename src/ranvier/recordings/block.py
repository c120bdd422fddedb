"""A piece of one recording: what flows along the spine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.recordings.buffers import aligned_empty


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive samples of some columns.

    Attributes
    ----------
    samples
        ``(n, columns)``, C order, time-major: float32 in physical units (uV, V, 0/1), or int16 counts.
    start
        Sample counter of the first row.
    gain, offset
        Per column, where ``samples`` are counts: physical = gain * count + offset. None for physical samples.
    """

    samples: npt.NDArray[Any]
    start: int
    gain: npt.NDArray[np.float64] | None = None
    offset: npt.NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return int(self.samples.shape[0])

    @property
    def stop(self) -> int:
        """Counter after the last row."""
        return self.start + int(self.samples.shape[0])

    @property
    def is_counts(self) -> bool:
        """Whether the samples are int16 counts rather than physical float32."""
        return self.gain is not None

    def physical(self) -> npt.NDArray[np.float32]:
        """Return the samples as float32 in physical units, ``(n, columns)``."""
        if self.gain is None or self.offset is None:
            return self.samples
        from ranvier.recordings import kernels  # Numba: only where something is scaled

        scaled: npt.NDArray[np.float32] = aligned_empty(self.samples.shape)
        gain, offset = (np.ascontiguousarray(v, np.float64) for v in (self.gain, self.offset))
        kernels.scale(np.require(self.samples, np.int16, ["C", "W"]), gain, offset, scaled)
        return scaled
