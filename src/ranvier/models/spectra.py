"""Power spectra, band power, coherence and current sources: our own models, an addition to the API.

Channels are amplifier channels by native index (NTV), frequencies Hz, times stream seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ranvier.models._base import ArrayModel, FloatArray, IntArray, OwnModel
from ranvier.models.spectral import SpectralWindowType
from ranvier.models.time_range import TimeRange

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from ranvier.models.channels import ChannelMetadata
    from ranvier.models.dataset import DatasetMetadata

__all__ = ["BANDS_HZ", "BandPowerTable", "CoherenceResult", "CsdResult", "PsdQuery", "PsdResult"]

#: Rhythms of the field's textbooks, Hz (limits differ between authors by some Hz; pass your own where it matters).
BANDS_HZ: dict[str, tuple[float, float]] = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 12.0),
    "beta": (12.0, 30.0),
    "low_gamma": (30.0, 60.0),
    "high_gamma": (60.0, 150.0),
    "ripple": (150.0, 250.0),
}


class PsdQuery(OwnModel):
    """How a spectrum is estimated.

    Attributes
    ----------
    resolution_hz
        Distance between frequencies: segments last ``1 / resolution_hz`` seconds.
    overlap
        Of neighbouring segments, in [0, 1); None = 0.5, and 0 for RECT.
    f_range_hz
        Frequencies that are returned; None = all.
    time_bandwidth
        None for Welch's method; a number for multitaper segments with that half bandwidth times duration
        (``2 time_bandwidth - 1`` tapers; the window is not used then).
    samp_freq_hz
        Look at frequencies below half of this only, at a lower cost: the rate is first divided by a whole number, with
        a filter against aliasing. None = the recording's own rate.
    apply_dsp
        Whether stage-2 filters are applied first.
    """

    resolution_hz: Annotated[float, Field(gt=0)] = 1.0
    window: SpectralWindowType = SpectralWindowType.HANN
    overlap: Annotated[float, Field(ge=0, lt=1)] | None = None
    f_range_hz: tuple[float, float] | None = None
    time_bandwidth: Annotated[float, Field(ge=1)] | None = None
    samp_freq_hz: Annotated[float, Field(gt=0)] | None = None
    apply_dsp: bool = False


class PsdResult(ArrayModel, OwnModel):
    """Power spectral density per channel.

    Attributes
    ----------
    frequencies_hz
        float64 ``(frequencies,)``.
    density_uv2_hz
        One-sided, float64 ``(channels, frequencies)``; NaN where a channel has no whole segment.
    segments
        How many segments were averaged, int64 ``(channels,)``; segments with a missing sample are left out.
    depth_um
        Height of each site above the tip, float64 ``(channels,)``; NaN where the site is not known.
    """

    channel_indices: tuple[int, ...]
    time_range: TimeRange
    frequencies_hz: FloatArray
    density_uv2_hz: FloatArray
    segments: IntArray
    resolution_hz: float
    depth_um: FloatArray
    query: PsdQuery
    warnings: tuple[str, ...] = ()

    def db(self) -> npt.NDArray[np.float64]:
        """Return the density in dB relative to 1 uV^2/Hz, ``(channels, frequencies)``; -inf where it is 0."""
        with np.errstate(divide="ignore"):
            return np.asarray(10 * np.log10(self.density_uv2_hz), dtype=np.float64)

    def collapsed(self) -> npt.NDArray[np.float64]:
        """Return the power over the frequencies of the result, uV^2, ``(channels,)``: sum of density times spacing."""
        return np.asarray(self.density_uv2_hz.sum(axis=1) * self.resolution_hz, dtype=np.float64)

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per frequency and one column per channel (native index), uV^2/Hz."""
        import pandas as pd

        index = pd.Index(self.frequencies_hz, name="frequency_hz")
        return pd.DataFrame(self.density_uv2_hz.T, index=index, columns=list(self.channel_indices))

    def plot(self, ax: Axes | None = None, *, log_frequency: bool = True) -> Axes:
        """Draw one line per channel; with more than 8 channels a map of frequency by depth (or by channel)."""
        from ranvier.models._pictures import draw_psd

        return draw_psd(self, ax, log_frequency=log_frequency)


class BandPowerTable(ArrayModel, OwnModel):
    """Power in bands.

    Attributes
    ----------
    bands_hz
        ``{name: (low, high)}``, low <= f < high.
    power_uv2
        float64 ``(channels, bands)``; NaN where no frequency of the estimate falls into a band.
    relative
        Share of the power between the lowest and the highest frequency of all bands, ``(channels, bands)``.
    """

    channel_indices: tuple[int, ...]
    time_range: TimeRange
    bands_hz: dict[str, tuple[float, float]]
    power_uv2: FloatArray
    relative: FloatArray
    resolution_hz: float
    warnings: tuple[str, ...] = ()

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per channel (native index) and one column per band, uV^2."""
        import pandas as pd

        index = pd.Index(self.channel_indices, name="ntv_idx")
        return pd.DataFrame(self.power_uv2, index=index, columns=list(self.bands_hz))

    def plot(
        self, channels: ChannelMetadata | DatasetMetadata, ax: Axes | None = None, *, band: str | None = None
    ) -> Axes:
        """Draw the power in one band (the first by default), in dB, on the sites of the probe."""
        from ranvier.models._pictures_probe import column_of, draw_on_probe

        name = next(iter(self.bands_hz)) if band is None else band
        power = self.power_uv2[:, column_of(name, list(self.bands_hz))]
        low, high = self.bands_hz[name]
        with np.errstate(divide="ignore"):
            db = np.asarray(10 * np.log10(power), dtype=np.float64)
        label = f"{name} ({low:g} to {high:g} Hz), dB re 1 µV²"
        return draw_on_probe(channels, self.channel_indices, db, label, ax)


class CoherenceResult(ArrayModel, OwnModel):
    """Magnitude-squared coherence of pairs of channels, 0 to 1.

    Attributes
    ----------
    pairs
        Native indices.
    coherence
        float64 ``(pairs, frequencies)``.
    phase_rad
        Phase of the second channel relative to the first, float64 ``(pairs, frequencies)``.
    segments
        Segments averaged. Of independent signals the expected coherence is ``1 / segments``.
    """

    pairs: tuple[tuple[int, int], ...]
    time_range: TimeRange
    frequencies_hz: FloatArray
    coherence: FloatArray
    phase_rad: FloatArray
    segments: int
    query: PsdQuery
    warnings: tuple[str, ...] = ()

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw one line per pair."""
        from ranvier.models._pictures import draw_coherence

        return draw_coherence(self, ax)


class CsdResult(ArrayModel, OwnModel):
    """Current-source density along a line of sites; sinks are negative.

    Attributes
    ----------
    channel_indices
        In order of depth, from the tip up.
    depth_um
        Height above the tip, float64 ``(sites,)``.
    sec
        Time of each sample, float64 ``(samples,)``: stream seconds, or seconds from the event.
    csd_na_mm3
        nA/mm^3, float64 ``(sites, samples)``.
    potential_uv
        What it was computed from, float64 ``(sites, samples)``.
    """

    channel_indices: tuple[int, ...]
    depth_um: FloatArray
    sec: FloatArray
    csd_na_mm3: FloatArray
    potential_uv: FloatArray
    spacing_um: float
    conductivity_s_per_m: float
    events: int | None = None
    warnings: tuple[str, ...] = ()

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the sources and sinks over time and depth, the potentials over them."""
        from ranvier.models._pictures import draw_csd

        return draw_csd(self, ax)
