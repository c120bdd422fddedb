"""Waveforms of spikes, read from the recording through the filters that they were found behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ranvier.dsp.chain import Chain
from ranvier.dsp.rebuild import rebuild
from ranvier.models.signals import SignalType
from ranvier.recordings import Recording
from ranvier.spikes.info import StoreInfo

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

#: Samples of all channels that are read at a time, in seconds of recording; and the most that filters get to settle.
_READ_SEC = 2.0
_MOST_SETTLING_SEC = 10.0
#: The noise is measured on this many pieces of the recording.
_NOISE_PIECES, _PIECE_SEC = 10, 0.5


class WaveformReader:
    """Cuts waveforms out of a recording.

    Parameters
    ----------
    recording
        The one in which the spikes were found.
    info
        Says which filters, and how long a waveform is.

    Raises
    ------
    CapabilityError, ConfigurationError
        A filter that this version does not have, or that does not fit the recording.
    """

    def __init__(self, recording: Recording, info: StoreInfo) -> None:
        self._recording = recording
        self.before, self.after = info.before, info.after
        operations = [rebuild(stage) for stage in info.filters]
        self._chain = Chain.bind(operations, recording.fs, recording.channels) if operations else None
        self._channels = recording.channels if self._chain is None else self._chain.out_channels

    @property
    def ntv(self) -> list[int]:
        """Native indices of the channels that waveforms can be read of."""
        return [self._channels[int(c)].ntv for c in self._channels.columns_of(SignalType.AMP)]

    def read(self, samples: I64, ntv: Sequence[int]) -> F32:
        """Return float32 uV ``(spikes, channels, points)``; NaN beyond an end of the recording and in gaps.

        ``samples`` ascend; DatasetError for a channel that is not there.
        """
        columns = self._channels.columns_for_ntv(SignalType.AMP, ntv)
        out = np.full((len(samples), len(columns), self.before + self.after), np.nan, np.float32)
        for rows, windows in self._windows(samples, columns):
            out[rows] = windows.transpose(0, 2, 1)
        return out

    def read_own(self, samples: I64, ntv: I64) -> F32:
        """Return waveforms of spikes, each on one channel of its own: float32 uV ``(spikes, points)``."""
        sites, own = np.unique(ntv, return_inverse=True)
        columns = self._channels.columns_for_ntv(SignalType.AMP, sites.tolist())
        out = np.full((len(samples), self.before + self.after), np.nan, np.float32)
        for rows, windows in self._windows(samples, columns):
            out[rows] = windows[np.arange(len(windows)), :, own[rows]]
        return out

    def _windows(self, samples: I64, columns: I64) -> Iterator[tuple[slice, F32]]:
        """Yield spikes and their samples ``(spikes, points, channels)``, those near each other from one read."""
        points = self.before + self.after
        reach = max(points, int(_READ_SEC * self._recording.fs))
        first = 0
        while first < len(samples):
            behind = int(np.searchsorted(samples, samples[first] + reach, side="right"))
            start, stop = int(samples[first]) - self.before, int(samples[behind - 1]) + self.after
            signal = self._signal(start, stop, columns)
            windows = np.lib.stride_tricks.sliding_window_view(signal, points, axis=0)
            yield slice(first, behind), windows[samples[first:behind] - self.before - start].transpose(0, 2, 1)
            first = behind

    def noise_sd_uv(self, ntv: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the SD of the noise per channel: median absolute deviation / 0.6745 over pieces spread evenly."""
        columns = self._channels.columns_for_ntv(SignalType.AMP, ntv)
        length = min(int(_PIECE_SEC * self._recording.fs), self._recording.stop - self._recording.start)
        last = self._recording.stop - length
        starts = np.unique(np.linspace(self._recording.start, last, _NOISE_PIECES).astype(np.int64))
        found = np.concatenate([self._signal(int(s), int(s) + length, columns) for s in starts])
        finite = found[np.isfinite(found).all(axis=1)]
        if not len(finite):
            return np.full(len(columns), np.nan)
        deviation = np.abs(finite - np.median(finite, axis=0))
        return np.asarray(np.median(deviation, axis=0) / 0.6745, np.float64)

    def _signal(self, start: int, stop: int, columns: I64) -> F32:
        """Return filtered samples ``[start, stop)``, NaN where there are none."""
        out = np.full((stop - start, len(columns)), np.nan, np.float32)
        recording = self._recording
        chain = self._chain
        warm = 0 if chain is None else min(chain.settling_samples, int(_MOST_SETTLING_SEC * recording.fs))
        a, b = max(recording.start, start - warm), min(recording.stop, stop + (0 if chain is None else warm))
        if a >= b:
            return out
        if chain is None:
            blocks = [recording.read(a, b, columns)]
            columns = np.arange(len(columns))
        else:
            state = chain.start()
            blocks = [*chain.process(recording.read(a, b), state), *chain.finish(state)]
        for block in blocks:
            low, high = max(start, block.start), min(stop, block.stop)
            if low < high:
                out[low - start : high - start] = block.samples[low - block.start : high - block.start][:, columns]
        return out
