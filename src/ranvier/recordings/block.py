"""A piece of one recording: what flows along the spine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


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
        scaled: npt.NDArray[np.float32] = (self.samples * self.gain + self.offset).astype(np.float32)
        return scaled
