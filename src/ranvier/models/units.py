"""Sorted units looked at closely: our own models, an addition to the API.

Times are stream seconds, channels native indices (NTV), units the numbers after curation; 0 stands for spikes without
a unit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from ranvier.models._base import ArrayModel, Float32Array, FloatArray, Int32Array, IntArray, OwnModel

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from ranvier.models.channels import ChannelMetadata
    from ranvier.models.dataset import DatasetMetadata

__all__ = [
    "CurationEntry",
    "SpikeRaster",
    "UnitCorrelograms",
    "UnitQuality",
    "UnitQualityTable",
    "UnitWaveforms",
]


class SpikeRaster(ArrayModel, OwnModel):
    """Spikes of a time range, in time order; columns of equal length.

    Attributes
    ----------
    sec
        Stream seconds, float64.
    unit, site
        Unit (0 = none) and the channel on which each was largest (-1 unknown), int32.
    amplitude_uv, x_um, y_um
        Amplitude and estimated position, float32; NaN where the source does not tell.
    time_range
        What was served, stream seconds.
    """

    sec: FloatArray
    unit: Int32Array
    site: Int32Array
    amplitude_uv: Float32Array
    x_um: Float32Array
    y_um: Float32Array
    time_range: tuple[float, float]

    def __len__(self) -> int:
        return len(self.sec)

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per spike."""
        import pandas as pd

        names = ("sec", "unit", "site", "amplitude_uv", "x_um", "y_um")
        return pd.DataFrame({name: getattr(self, name) for name in names})

    def plot(self, ax: Axes | None = None, *, by: str = "unit") -> Axes:
        """Draw one mark per spike over time; rows are units, sites, or depth (``by="y_um"``)."""
        from ranvier.models._pictures_units import draw_raster

        return draw_raster(self, ax, by=by)


class UnitQuality(OwnModel):
    """How far a unit can be trusted; NaN where a number cannot be computed. The guide to spikes gives the formulas.

    Attributes
    ----------
    spike_rate_hz, presence_ratio
        Spikes per second, and the fraction of minutes with a spike; gaps of the recording do not count.
    isi_violations_ratio
        Rate of intervals below 1.5 ms over the unit's own rate (Hill et al. 2011); 0 is clean.
    contamination, sliding_contamination
        Estimated fraction of foreign spikes (Llobet et al. 2022), and the smallest that the spikes exclude to be
        exceeded with 90 % confidence (sliding refractory period, IBL).
    amplitude_cutoff
        Estimated fraction of spikes below the detection threshold (Hill et al. 2011), at most 0.5.
    snr, mean_abs_peak_uv
        Peak of the mean waveform over the noise, and in uV.
    drift_ptp_um
        Range of the median depth over minutes, um.
    isolation_distance, l_ratio
        How far foreign spikes are (Schmitzer-Torbert et al. 2005); only where they were asked for.
    """

    unit: int
    label: str = ""
    site_ntv_chan_idx: int
    spike_count: int
    spike_rate_hz: float
    presence_ratio: float
    isi_violations_ratio: float
    contamination: float
    sliding_contamination: float
    amplitude_cutoff: float
    snr: float
    mean_abs_peak_uv: float
    drift_ptp_um: float
    isolation_distance: float = float("nan")
    l_ratio: float = float("nan")


class UnitQualityTable(OwnModel):
    """Quality of units over a time range (stream seconds)."""

    units: tuple[UnitQuality, ...]
    time_range: tuple[float, float]

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per unit."""
        import pandas as pd

        rows = [unit.model_dump() for unit in self.units]
        return pd.DataFrame(rows, columns=list(UnitQuality.model_fields)).set_index("unit")


class UnitCorrelograms(ArrayModel, OwnModel):
    """Pairs of spikes by lag, for every pair of units.

    Attributes
    ----------
    units
        Rows and columns.
    edges_ms
        Of the bins, float64 ``(bins + 1,)``, symmetric about 0.
    counts
        int64 ``(units, units, bins)``: pairs whose spike of the second unit comes so much after that of the first; no
        spike is paired with itself.
    spike_counts
        Spikes of each unit, int64 ``(units,)``.
    duration_sec
        Length of the time range.
    """

    units: tuple[int, ...]
    edges_ms: FloatArray
    counts: IntArray
    spike_counts: IntArray
    duration_sec: float

    def rate_hz(self, first: int, second: int) -> FloatArray:
        """Return how often the second unit fires around a spike of the first, spikes per second, per bin."""
        a, b = self.units.index(first), self.units.index(second)
        width_sec = np.diff(self.edges_ms) * 1e-3
        return np.asarray(self.counts[a, b] / np.maximum(self.spike_counts[a], 1) / width_sec, np.float64)

    def plot(self, ax: Axes | None = None, *, units: tuple[int, int] | None = None) -> Axes:
        """Draw the auto-correlograms of all units in one picture, or the correlogram of a pair (``units``)."""
        from ranvier.models._pictures_units import draw_correlograms

        return draw_correlograms(self, ax, units=units)


class UnitWaveforms(ArrayModel, OwnModel):
    """Waveforms of one unit.

    Attributes
    ----------
    ms
        Time from the spike, float64 ``(points,)``.
    site_ntv_chan_idx
        Sites, the one with the largest peak first.
    mean_uv, sd_uv
        float32 ``(sites, points)``; NaN where nothing is known.
    waveforms_uv
        Those that they are of, float32 ``(spikes, sites, points)``; NaN in gaps and beyond an end of the recording.
    sec
        Stream seconds of these spikes, float64 ``(spikes,)``.
    source
        ``"recording"`` (read through the filters that the sorter used), ``"stored"`` (came with the spikes) or
        ``"template"`` (only the sorter's mean is known, no single waveform).
    """

    unit: int
    label: str = ""
    ms: FloatArray
    site_ntv_chan_idx: tuple[int, ...]
    mean_uv: Float32Array
    sd_uv: Float32Array
    waveforms_uv: Float32Array
    sec: FloatArray
    source: str

    def plot(self, ax: Axes | None = None, *, most: int = 100) -> Axes:
        """Draw single waveforms (at most so many) and their mean, site by site."""
        from ranvier.models._pictures_units import draw_waveforms

        return draw_waveforms(self, ax, most=most)

    def plot_on_probe(self, where: ChannelMetadata | DatasetMetadata, ax: Axes | None = None) -> Axes:
        """Draw the mean at the place of each site."""
        from ranvier.models._pictures_units import draw_waveforms_on_probe

        return draw_waveforms_on_probe(self, where, ax)


class CurationEntry(OwnModel):
    """One change of units that somebody made.

    Attributes
    ----------
    action
        ``"merge"``, ``"split"``, ``"label"`` or ``"undo"``.
    units, new_units
        The units it was done to, and those it made.
    undoes
        Number of the change that an undo took back.
    in_force
        False where it was taken back.
    """

    number: int
    action: str
    utc: str
    by: str = ""
    units: tuple[int, ...] = ()
    new_units: tuple[int, ...] = ()
    label: str = ""
    undoes: int | None = None
    in_force: bool = Field(default=True)
