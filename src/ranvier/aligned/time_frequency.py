"""Power over time and frequency around events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ranvier.aligned.windows import TILE_VALUES, Window, trials
from ranvier.dsp.parallel import ALONE, Team
from ranvier.exceptions import ConfigurationError
from ranvier.recordings.recording import Recording
from ranvier.spectral.estimate import Watch
from ranvier.spectral.frames import Framing
from ranvier.spectral.transform import transform

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the columns of a spectrogram lie around an event.

    Attributes
    ----------
    before
        Samples from the centre of the first column to the event.
    count
        How many columns there are, ``framing.hop`` samples apart.
    """

    framing: Framing
    before: int
    count: int

    @property
    def window(self) -> Window:
        """Samples that the columns need."""
        n = self.framing.n
        first = self.before + n // 2
        return Window(first, (self.count - 1) * self.framing.hop + n - first)

    @property
    def sec(self) -> F64:
        """Centre of each column, seconds from the event."""
        n = self.framing.n
        centers = np.arange(self.count) * self.framing.hop - self.before + (n / 2 - n // 2)
        return np.asarray(centers / float(self.framing.fs), dtype=np.float64)


def mean_power(
    recording: Recording,
    at: I64,
    where: Columns,
    columns: I64,
    *,
    keep: slice = slice(None),
    reach: int = 0,
    watch: Watch | None = None,
    team: Team = ALONE,
    tile_values: int = TILE_VALUES,
) -> tuple[F64, I64]:
    """Return the mean density over events, unit^2 / Hz ``(channels, kept bins, times)``, and events per channel.

    An event in whose window a channel lacks a sample is left out for that channel.
    """
    watch = watch or Watch()
    framing = where.framing
    bins = len(framing.frequencies_hz[keep])
    total = np.zeros((where.count, bins, len(columns)))
    n = np.zeros(len(columns), dtype=np.int64)
    for i, x in trials(recording, at, where.window, columns, reach=reach, tile_values=tile_values):
        watch.at(i, len(at))
        whole = np.isfinite(x).all(axis=0)
        n += whole
        samples = np.ascontiguousarray(x)
        for k in range(where.count):
            power = np.zeros((bins, len(columns)))
            for taper, scale in enumerate(framing.scale):
                re, im = transform(samples, k * framing.hop, framing, taper, team=team)
                power += ((re * re + im * im) * scale[:, None])[keep]
            total[k] += np.where(whole, power / len(framing.windows), 0.0)
    watch.at(len(at), len(at))
    with np.errstate(invalid="ignore"):
        return np.ascontiguousarray((total / n).transpose(2, 1, 0)), n


def relative(power: F64, baseline: npt.NDArray[np.bool_], normalization: str) -> F64:
    """Return power ``(channels, bins, times)`` relative to its mean over the columns of the baseline.

    ``"db"``: ``10 log10(P / B)``; ``"z"``: ``(P - B) / SD`` with the SD (n - 1) over those columns; ``"none"``: P.
    """
    if normalization == "none":
        return power
    needed = 2 if normalization == "z" else 1
    if baseline.sum() < needed:
        raise ConfigurationError(
            f"the baseline holds {int(baseline.sum())} column(s), {normalization} needs {needed}: take a longer "
            f"baseline_sec, a larger pre_sec or a smaller step_sec"
        )
    held = power[:, :, baseline]
    mean = held.mean(axis=2, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        if normalization == "db":
            return np.asarray(10 * np.log10(power / mean), dtype=np.float64)
        return np.asarray((power - mean) / held.std(axis=2, ddof=1, keepdims=True), dtype=np.float64)
