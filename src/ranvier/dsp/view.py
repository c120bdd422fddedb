"""A recording seen through filters, filtered as it is read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ranvier.dsp.chain import Chain
from ranvier.recordings import Block, Recording
from ranvier.recordings.recording import Columns

#: The past that is read before a served range so that filters have settled there: at most this long.
_MAX_WARM_UP_SEC = 10.0


class FilteredRecording(Recording):
    """A causal chain between a recording and its reader; rate, channels and time stay.

    Each read starts early enough that what the filters remember from before has decayed (to 1e-7 of full scale, or
    10 s back), so that a sample hardly depends on where the read began. Nothing is stored.
    """

    def __init__(self, recording: Recording, chain: Chain) -> None:
        self._recording = recording
        self._chain = chain
        self._warm_up = min(chain.settling_samples, int(_MAX_WARM_UP_SEC * recording.fs))
        self.fs = recording.fs
        self.channels = recording.channels
        self.segments = recording.segments
        self.path = recording.path
        self.name = recording.name
        self.walltime = recording.walltime
        self.simulated = recording.simulated
        self.notes = recording.notes
        self.lost_samples = recording.lost_samples

    def read(
        self, start: int, stop: int, columns: Columns = None, *, out: npt.NDArray[np.float32] | None = None
    ) -> Block:
        """Read as ``Recording.read`` does, through the filters."""
        start, stop = self.clip(start, stop)
        wanted = self._columns(columns)
        samples = np.empty((stop - start, len(wanted)), dtype=np.float32) if out is None else out[: stop - start]
        self._fill_missing(samples, self.channels.is_digital[wanted])
        state = self._chain.start()
        early = max(self.start, start - self._warm_up)
        for source in self._recording.blocks(max(1, int(self.fs)), early, stop):
            for block in self._chain.process(source, state):
                first = max(start, block.start)
                if block.stop > first:
                    samples[first - start : block.stop - start] = block.samples[first - block.start :, wanted]
        return Block(samples, start)

    def blocks(
        self, rows: int, start: int | None = None, stop: int | None = None, columns: Columns = None
    ) -> Iterator[Block]:
        """Yield as ``Recording.blocks`` does; the filters settle once, before the first block, and then run through."""
        first = self.start if start is None else start
        last = self.stop if stop is None else stop
        wanted = None if columns is None else self._columns(columns)
        state = self._chain.start()
        for source in self._recording.blocks(rows, max(self.start, first - self._warm_up), last):
            for block in self._chain.process(source, state):
                skip = max(0, first - block.start)
                if skip < len(block.samples):
                    kept = block.samples[skip:]
                    yield Block(kept if wanted is None else kept.take(wanted, axis=1), block.start + skip)

    def _read_rows(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        raise NotImplementedError("reads go through the filters, by counter")
