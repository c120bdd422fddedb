"""A recording at a lower rate, filtered as it is read."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ranvier.dsp import Chain, Downsample
from ranvier.dsp.decimation import PASS_EDGE
from ranvier.exceptions import ConfigurationError, FilterDesignError
from ranvier.recordings import Block, Recording, Segments, plain_channels
from ranvier.recordings.recording import Columns

_NO_CHANNELS = plain_channels()


def factor_for(fs: Fraction, samp_freq_hz: float) -> int:
    """Return the largest factor after which frequencies below ``samp_freq_hz / 2`` still pass unchanged; 1 for none.

    Raises
    ------
    ConfigurationError
        ``samp_freq_hz`` is above the recording's own rate.
    """
    if samp_freq_hz > float(fs):
        raise ConfigurationError(f"samp_freq_hz={samp_freq_hz:g} is above the recording's own rate, {float(fs):g} Hz")
    factor = max(1, int(PASS_EDGE * float(fs) / samp_freq_hz))
    while factor > 1:
        try:
            Downsample(factor).bind(fs, _NO_CHANNELS)
        except FilterDesignError:  # a large prime factor
            factor -= 1
            continue
        return factor
    return 1


class DownsampledRecording(Recording):
    """One of ``factor`` samples of the amplifier channels, without aliasing; counters are divided by ``factor``.

    Each read takes as much of the recording around its range as the filter is long, so that a sample does not depend on
    where a read begins.
    """

    def __init__(self, recording: Recording, factor: int) -> None:
        self._recording = recording
        self._factor = factor
        self._chain = Chain.bind([Downsample(factor)], recording.fs, recording.channels)
        self.fs = self._chain.out_fs
        self.channels = recording.channels
        self.segments = Segments.from_runs(_divided(recording.segments.runs(), factor))
        self.path, self.name, self.walltime = recording.path, recording.name, recording.walltime
        self.simulated = recording.simulated

    def read(
        self, start: int, stop: int, columns: Columns = None, *, out: npt.NDArray[np.float32] | None = None
    ) -> Block:
        """Read as ``Recording.read`` does, through the filter."""
        start, stop = self.clip(start, stop)
        wanted = self._columns(columns)
        samples = np.empty((stop - start, len(wanted)), dtype=np.float32) if out is None else out[: stop - start]
        self._fill_missing(samples, self.channels.is_digital[wanted])
        for block in self._filtered(max(1, int(self._recording.fs)), start, stop, wanted):
            _place(block, start, samples)
        return Block(samples, start)

    def blocks(
        self, rows: int, start: int | None = None, stop: int | None = None, columns: Columns = None
    ) -> Iterator[Block]:
        """Yield as ``Recording.blocks`` does, in blocks of about ``rows``; the filter runs through."""
        first = self.start if start is None else max(start, self.start)
        last = self.stop if stop is None else min(stop, self.stop)
        if last <= first:
            return
        for block in self._filtered(rows * self._factor, first, last, self._columns(columns)):
            a, b = max(first, block.start), min(last, block.stop)
            if b > a:
                yield Block(block.samples[a - block.start : b - block.start].copy(), a)

    def _filtered(self, rows: int, start: int, stop: int, wanted: npt.NDArray[np.int64]) -> Iterator[Block]:
        """Yield the output of the filter, from about ``start`` to about ``stop``, of ``rows`` samples of the source."""
        chain = Chain.bind([Downsample(self._factor)], self._recording.fs, self.channels.take(wanted))
        state = chain.start()
        reach = chain.latency + self._factor
        first = max(self._recording.start, start * self._factor - reach)
        last = min(self._recording.stop, (stop - 1) * self._factor + reach + 1)
        for source in self._recording.blocks(rows, first, last, wanted):
            yield from chain.process(source, state)
        yield from chain.finish(state)

    def _read_rows(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        raise NotImplementedError("reads go through the filter, by counter")


def _place(block: Block, start: int, samples: npt.NDArray[np.float32]) -> None:
    a, b = max(start, block.start), min(start + len(samples), block.stop)
    if b > a:
        samples[a - start : b - start] = block.samples[a - block.start : b - block.start]


def _divided(runs: list[tuple[int, int]], factor: int) -> list[tuple[int, int]]:
    """Return runs of the counters that are multiples of ``factor``, divided by it."""
    ends = [(-(-counter // factor), -(-(counter + n) // factor)) for counter, n in runs]
    return [(first, stop - first) for first, stop in ends if stop > first]
