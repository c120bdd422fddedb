"""Physical samples to the int16 counts of an output: rounded half to even, saturated, NaN as 0, and told how often.

An infinity is a value beyond the range, and saturated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ranvier.recordings.block import Block
from ranvier.recordings.buffers import aligned_empty


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows as an output of counts stores them.

    Attributes
    ----------
    samples
        ``(n, stored columns)`` int16, C order, in memory of their own.
    start
        Sample counter of the first row.
    clipped, unknown
        How many values were saturated, and how many were NaN.
    """

    samples: npt.NDArray[np.int16]
    start: int
    clipped: int = 0
    unknown: int = 0


def loss_notes(clipped: int, unknown: int) -> list[str]:
    """Return what a reader of counts is told of values that were not stored as they were."""
    saturated = f"{clipped} values were saturated (beyond what its counts can hold) when this file was written"
    as_zero = f"{unknown} values that were not known (NaN) are stored as 0"
    return [*([saturated] if clipped else []), *([as_zero] if unknown else [])]


@dataclass(frozen=True, eq=False)
class Quantiser:
    """The counts that an output stores: ``round((sample - offset) / gain)`` of some columns.

    Any number of threads may use it at once.

    Attributes
    ----------
    columns
        Which columns of a block are stored; None for all.
    gain, offset
        Per stored column: physical = gain * count + offset.
    """

    columns: npt.NDArray[np.int64] | None
    gain: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64]

    def empty(self, rows: int) -> npt.NDArray[np.int16]:
        """Return memory for the counts of so many rows."""
        return aligned_empty((rows, len(self.gain)), np.int16)

    def round(self, samples: npt.NDArray[np.float32], out: npt.NDArray[np.int16]) -> tuple[int, int]:
        """Fill ``out`` with the counts of physical rows; return how many saturated and how many were NaN."""
        from ranvier.recordings import kernels  # Numba: only where something is rounded

        taken = samples if self.columns is None else samples[:, self.columns]
        return kernels.round_to_counts(np.require(taken, np.float32, ["C", "W"]), self.gain, self.offset, out)

    def counts(self, block: Block) -> Counts:
        """Return the counts of a block: its own memory where it holds these very counts, else new memory."""
        if self._are_own(block):
            own = block.samples if self.columns is None else block.samples[:, self.columns]
            return Counts(np.ascontiguousarray(own), block.start)
        out = self.empty(len(block))
        return Counts(out, block.start, *self.round(block.physical(), out))

    def _are_own(self, block: Block) -> bool:
        if block.gain is None or block.offset is None or block.samples.dtype != np.int16:
            return False
        stored = slice(None) if self.columns is None else self.columns
        return np.array_equal(block.gain[stored], self.gain) and np.array_equal(block.offset[stored], self.offset)
