"""A piece of one recording: what flows along the spine."""

from __future__ import annotations

from collections.abc import Sequence
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

    def is_followed_by(self, other: Block) -> bool:
        """Whether another block goes on where this one ends, with samples of the same kind and the same gains."""
        return (
            self.stop == other.start
            and self.samples.dtype == other.samples.dtype
            and self.samples.shape[1] == other.samples.shape[1]
            and _same(self.gain, other.gain)
            and _same(self.offset, other.offset)
        )

    def physical(self) -> npt.NDArray[np.float32]:
        """Return the samples as float32 in physical units, ``(n, columns)``."""
        if self.gain is None or self.offset is None:
            return self.samples
        from ranvier.recordings import kernels  # Numba: only where something is scaled

        scaled: npt.NDArray[np.float32] = aligned_empty(self.samples.shape)
        gain, offset = (np.ascontiguousarray(v, np.float64) for v in (self.gain, self.offset))
        kernels.scale(np.require(self.samples, np.int16, ["C", "W"]), gain, offset, scaled)
        return scaled


def joined(blocks: Sequence[Block]) -> Block:
    """Return blocks that follow one another (:meth:`Block.is_followed_by`) as one, in memory of its own."""
    first = blocks[0]
    samples = aligned_empty((sum(map(len, blocks)), first.samples.shape[1]), first.samples.dtype)
    np.concatenate([b.samples for b in blocks], out=samples)
    return Block(samples, first.start, first.gain, first.offset)


def _same(a: npt.NDArray[np.float64] | None, b: npt.NDArray[np.float64] | None) -> bool:
    return a is b or (a is not None and b is not None and np.array_equal(a, b))
