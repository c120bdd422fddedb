"""Stored counts through a memoryless chain into the counts of an output, in pieces that stay in the CPU's cache.

What a reference does to a sample costs less than bringing it, as float32, to memory and back three times: scaled,
referenced, rounded. So a thread takes a few hundred rows of a block through all of it before it goes on. The bits are
those of whole blocks: rows have nothing to do with each other, and stored counts scale to what is read as physical.
"""

from __future__ import annotations

from ranvier.dsp.chain import Chain, ChainState
from ranvier.dsp.reference import CommonReference
from ranvier.exceptions import ConfigurationError
from ranvier.recordings.block import Block
from ranvier.recordings.buffers import aligned_empty
from ranvier.recordings.flat import Scaler
from ranvier.recordings.quantiser import Counts, Quantiser
from ranvier.recordings.recording import Recording
from ranvier.recordings.sink import Sink

#: Bytes of a piece as float32, which caches hold together with its counts; each piece costs some 30 us of Python.
PIECE_BYTES = 1 << 20


class CountedPath:
    """From counts to counts through a chain whose stages are all independent; for any number of threads at once."""

    def __init__(self, chain: Chain, quantiser: Quantiser) -> None:
        self._chain = chain
        self._state: ChainState = chain.start()
        self._quantiser = quantiser
        self._width = len(chain.in_channels)

    @classmethod
    def of(cls, recording: Recording, chain: Chain | None, sink: Sink) -> CountedPath | None:
        """Return the path from a recording through a chain into a sink; None where there is none of counts."""
        quantiser = sink.quantiser
        if chain is None or quantiser is None or not (chain.independent and recording.stores_counts):
            return None
        return cls(chain, quantiser)

    def through(self, block: Block) -> Counts:
        """Take a block of counts through the chain; ConfigurationError where it holds something else."""
        if block.gain is None or block.offset is None:
            raise ConfigurationError("a path from counts to counts was given a block of physical samples")
        scaler = Scaler(block.gain, block.offset, None, is_physical=False)
        rows = max(1, PIECE_BYTES // (4 * self._width))
        out = self._quantiser.empty(len(block))
        stage = self._chain.stages[0]
        whole = stage.round_counts(block, self._quantiser, out) if isinstance(stage, CommonReference) else None
        if whole is not None:  # an independent chain has one stage
            return Counts(out, block.start, whole)
        scratch = aligned_empty((min(rows, len(block)), self._width))
        clipped = unknown = 0
        for at in range(0, len(block), rows):
            counts = block.samples[at : at + rows]
            physical = scratch[: len(counts)]
            scaler.scale(counts, physical)
            for done in self._chain.consume(Block(physical, block.start + at), self._state):
                lost = self._quantiser.round(done.samples, out[at : at + rows])
                clipped, unknown = clipped + lost[0], unknown + lost[1]
        return Counts(out, block.start, clipped, unknown)
