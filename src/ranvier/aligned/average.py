"""Averages of signals around events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ranvier.aligned.windows import TILE_VALUES, Window, trials
from ranvier.recordings.recording import Recording
from ranvier.spectral.estimate import Watch

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Average:
    """Mean and standard error over events, ``(channels, samples)``; events averaged per channel; trials, if kept."""

    mean: F64
    sem: F64
    n: I64
    trials: F32 | None = None


class RunningMean:
    """Mean and standard error over arrays ``(samples, channels)``, one by one (Welford 1962, Technometrics 4:419).

    A channel with a value that is not finite is left out of that array's turn.
    """

    def __init__(self, samples: int, channels: int) -> None:
        self.n = np.zeros(channels, dtype=np.int64)
        self._mean = np.zeros((samples, channels))
        self._squares = np.zeros((samples, channels))

    def add(self, x: F64) -> None:
        """Take one more in."""
        whole = np.isfinite(x).all(axis=0)
        self.n += whole
        with np.errstate(invalid="ignore"):
            delta = np.where(whole, x - self._mean, 0.0)
            self._mean += delta / np.maximum(1, self.n)
            self._squares += delta * np.where(whole, x - self._mean, 0.0)

    def result(self) -> tuple[F64, F64]:
        """Return mean and standard error, ``(channels, samples)``; NaN where there are too few."""
        n = self.n.astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(self.n > 0, self._mean, np.nan)
            sem = np.where(self.n > 1, np.sqrt(self._squares / (n - 1) / n), np.nan)
        return mean.T.copy(), sem.T.copy()


def average(
    recording: Recording,
    at: I64,
    window: Window,
    columns: I64,
    *,
    baseline: tuple[int, int] | None = None,
    keep: bool = False,
    reach: int = 0,
    watch: Watch | None = None,
    tile_values: int = TILE_VALUES,
) -> Average:
    """Average the windows around events.

    Parameters
    ----------
    at
        Counters of events whose windows the recording holds, in time order (``choose``).
    baseline
        Rows of the window whose mean is subtracted from each event and channel.
    keep
        Whether the windows themselves are returned, float32 ``(events, channels, samples)``.
    """
    watch = watch or Watch()
    running = RunningMean(window.n, len(columns))
    kept = np.empty((len(at), len(columns), window.n), dtype=np.float32) if keep else None
    for i, samples in trials(recording, at, window, columns, reach=reach, tile_values=tile_values):
        watch.at(i, len(at))
        x = samples.astype(np.float64)
        if baseline is not None:
            with np.errstate(invalid="ignore"):
                x -= x[baseline[0] : baseline[1]].mean(axis=0)
        running.add(x)
        if kept is not None:
            kept[i] = x.T
    watch.at(len(at), len(at))
    mean, sem = running.result()
    return Average(mean, sem, running.n, kept)
