"""Spikes and neurons. Times in stream seconds, waveforms in uV, channels by native (NTV) index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ranvier.models._base import ArrayModel, Float32Array, FloatArray, Int32Array, IntArray, Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ranvier.models.channels import ChannelMetadata
    from ranvier.models.dataset import DatasetMetadata

__all__ = [
    "ChannelSpikeData",
    "LiveSpikes",
    "NeuronInfo",
    "NeuronSpikeData",
    "NeuronsResult",
    "SpikesSiteSpec",
    "SpikesSpec",
    "Unit",
]


class ChannelSpikeData(ArrayModel):
    """Spikes that were detected on one channel.

    Attributes
    ----------
    timestamps
        Seconds, float64 ``(n,)``.
    labels
        Neuron of each spike, int32 ``(n,)``; 0 = unclustered; None where not told.
    waveforms
        float32 uV, ``(n, points)`` of the channel or ``(n, sites, points)``; None unless asked for.
    site_ntv_chan_idx
        The sites of ``waveforms``.
    """

    ntv_chan_idx: int
    timestamps: FloatArray
    labels: Int32Array | None
    waveforms: Float32Array | None
    site_ntv_chan_idx: list[int] | None = None


class LiveSpikes(ArrayModel):
    """Spikes of a live stream, in order of time; ``n`` of them.

    Attributes
    ----------
    time_range
        That was asked for, in stream seconds.
    kept_from_sec
        Older spikes are forgotten; NaN where none was found yet.
    timestamps
        Seconds, float64 ``(n,)``.
    samples
        Sample counters, int64 ``(n,)``.
    ntv_chan_idx
        The channel with the peak, int32 ``(n,)``.
    labels
        Neuron of each spike, int32 ``(n,)``; 0 = unclustered.
    amplitudes_uv
        Signed value at the peak behind the filters of the sorter, float32 ``(n,)``.
    scales
        Amplitude in units of the neuron's template, float32 ``(n,)``; NaN without a label.
    positions_um
        ``[x, y]`` on the probe, float32 ``(n, 2)``; NaN where not known.
    is_noise
        1 where a spike is taken for noise: by its width, because it came on much of a port at once, or within 2 ms of
        one twice as large (the afterwave of filters); int32 ``(n,)``.
    waveforms
        float32 uV ``(n, points)`` of the channel behind the filters of the sorter; None unless asked for.
    points_before
        Points of a waveform before the peak.
    """

    time_range: tuple[float, float]
    kept_from_sec: float
    timestamps: FloatArray
    samples: IntArray
    ntv_chan_idx: Int32Array
    labels: Int32Array
    amplitudes_uv: Float32Array
    scales: Float32Array
    positions_um: Float32Array
    is_noise: Int32Array
    waveforms: Float32Array | None = None
    points_before: int = 0


class NeuronInfo(Model):
    """A neuron that the sorter found.

    Attributes
    ----------
    site_ntv_chan_idx
        The channel with its largest peak.
    spike_label
        Its label as decimal text.
    spike_rate
        In Hz, over recorded time.
    mean_abs_peak_wfm
        Mean absolute peak in uV.
    snr
        Peak over noise.
    pos_probe, pos_tissue
        Estimated position ``[x, y, z]`` in um, in probe and in tissue coordinates.
    quality, quality_reason
        Live: ``good``, ``mua``, ``noise`` or ``pending``, and the measure that decided. Of files: what people (or the
        program that sorted) called it. "" where nothing judged it (an addition).
    """

    neuron_id: str
    site_ntv_chan_idx: int
    spike_label: str
    spike_count: int
    spike_rate: float
    mean_abs_peak_wfm: float
    snr: float
    pos_probe: list[float]
    pos_tissue: list[float]
    quality: str = ""
    quality_reason: str = ""


class NeuronsResult(Model):
    """Neurons by the channel with their largest peak."""

    neurons_by_channel: dict[int, list[NeuronInfo]]

    def plot(self, where: ChannelMetadata | DatasetMetadata | None = None, ax: Axes | None = None) -> Axes:
        """Draw the neurons at their places, on the sites of a dataset (``where``); area grows with the rate."""
        from ranvier.models._pictures_units import draw_neurons

        return draw_neurons(self, where, ax)


class NeuronSpikeData(ArrayModel):
    """Spikes of one neuron.

    Attributes
    ----------
    ntv_chan_idx
        The channel with its largest peak; -1 unknown.
    timestamps
        Seconds, float64 ``(n,)``.
    waveforms
        float32 uV, ``(n, points)`` or ``(n, sites, points)`` with NaN where a site was not recorded; None unless asked
        for.
    site_ntv_chan_idx
        The sites of ``waveforms``.
    detect_ntv_chan_idx
        The channel on which each spike was detected, int32 ``(n,)``.
    """

    label: int
    ntv_chan_idx: int
    timestamps: FloatArray
    waveforms: Float32Array | None
    site_ntv_chan_idx: list[int] | None = None
    detect_ntv_chan_idx: Int32Array | None = None


class SpikesSiteSpec(Model):
    """How spikes were detected on one channel; thresholds in uV and in standard deviations of the noise, None = off.

    Neighbours are channels, with their distances in um, within ``neighbor_radius_um``. ``noise_sd_uv`` (an addition) is
    None where nobody measured it.
    """

    ntv_chan_idx: int
    pos_threshold_uv: float | None
    pos_threshold_sd: float | None
    neg_threshold_uv: float | None
    neg_threshold_sd: float | None
    neighbor_ntv_chan_idx: list[int] = Field(default_factory=list)
    neighbor_distance_um: list[float] = Field(default_factory=list)
    neighbor_radius_um: float = 0.0
    noise_sd_uv: float | None = None


class SpikesSpec(Model):
    """A set of spikes: which recording it belongs to, and how it was made.

    Attributes
    ----------
    biointerface_id, dataset_uid
        The spikes, and the recording.
    enabled_channel_indices
        Channels on which spikes were detected.
    time_range, spike_time_range
        What was sorted, and from first to last spike, in stream seconds.
    req_num_neighbors, neighborhood_radius_um
        Neighbours that were asked for, and within which distance in um.
    """

    biointerface_id: str
    dataset_uid: str
    num_neurons: int
    num_sites: int
    enabled_channel_indices: list[int]
    time_range: tuple[float, float]
    spike_time_range: tuple[float, float]
    req_num_neighbors: int = 0
    neighborhood_radius_um: float = 0.0
    sites: list[SpikesSiteSpec] = Field(default_factory=list)


class Unit(Model):
    """A neuron in short; ``spike_rate`` in Hz, ``probe_y`` in um."""

    label: int
    neuron_id: str
    site_ntv_chan_idx: int
    spike_count: int
    spike_rate: float
    snr: float
    probe_y: float
