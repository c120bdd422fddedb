"""Elements of a sorter's dashboard: its ports, sites and neurons in numbers (additions to the API's models)."""

from __future__ import annotations

import math

from pydantic import Field

from ranvier.models._base import Model
from ranvier.models.ports import Port

__all__ = ["SorterNeuronStats", "SorterPortStats", "SorterSiteStats"]


class SorterPortStats(Model):
    """The spikes of one port.

    Attributes
    ----------
    snr, noise_uv, neuron_yield
        Of its neurons; of its enabled sites (what is known); neurons on each of these. Twelve each: mean, sd,
        mode, min, max, mode count, median, q25, q75, skew, kurtosis, N; NaN where there are too few.
    """

    port: Port
    num_enabled_sites: int
    num_active_sites: int
    num_neurons: int
    num_spikes: int
    snr: list[float] = Field(default_factory=list)
    noise_uv: list[float] = Field(default_factory=list)
    neuron_yield: list[float] = Field(default_factory=list)


class SorterSiteStats(Model):
    """The spikes of one site: NTV index, noise (uV), thresholds in force (uV; None: off or not known yet)."""

    ntv_chan_idx: int
    port: Port | None = None
    is_enabled: bool = True
    noise_sd_uv: float | None = None
    thr_uv: tuple[float | None, float | None] = (None, None)
    num_spikes: int = 0
    neuron_labels: list[str] = Field(default_factory=list)


class SorterNeuronStats(Model):
    """One neuron, and what the criterion says of it.

    Attributes
    ----------
    quality, reason
        ``good``, ``mua``, ``noise``, ``pending`` at the level of the task ``sort``, and the measure that decided.
    isi_violations_ratio, presence_ratio
        As for spikes of recordings, presence in whole bins of 10 s; NaN where nothing is known.
    template_uv
        On its site, for the panel; empty otherwise.
    position_um
        Mean x and y of its spikes in the probe's coordinates; NaN where nothing is known.
    """

    spike_label: str
    ntv_chan_idx: int
    num_spikes: int
    spike_rate: float
    snr: float
    mean_abs_peak_uv: float
    isi_violations_ratio: float
    presence_ratio: float
    quality: str
    reason: str = ""
    template_uv: list[float] = Field(default_factory=list)
    position_um: tuple[float, float] = (math.nan, math.nan)
