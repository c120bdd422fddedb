"""``radiens.lib.spikes``: spikes with their waveforms, and what a set of spikes is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ranvier.classic.lib._from_models import shown
from ranvier.classic.lib.channel_metadata import ChannelMetadata
from ranvier.classic.utils.constants import MetricStats, NeighborsDesc, TimeRange
from ranvier.classic.utils.util import make_site_pos
from ranvier.exceptions import ConfigurationError
from ranvier.models.spikes import NeuronInfo, SpikesSiteSpec

if TYPE_CHECKING:
    import pandas as pd

I64 = npt.NDArray[np.int64]

#: What is known of each spike; features are not told.
COMPONENTS = ("timestamps", "waveforms")
_SITE_COLUMNS = (
    "ntv_idx", "neighbor", "enabled", "pos_probe", "pos_tissue", "size_bytes", "TR", "spike_TR", "spike_count",
    "spike_rate", "noise", "snr", "neurons", "num_neurons", "spike_comp_len",
)  # fmt: skip
_KINDS = ("", "_labeled", "_unlabeled")


class SpikesSet:
    """Spikes of some channels, with waveforms.

    Attributes
    ----------
    envelope_time_range
        Range that was looked at, stream seconds, float64 ``(2,)``.
    num_pts_waveform
        Points of a waveform; 0 where there are none.
    num_spikes_total, num_channels
        Spikes, and channels that were looked at.
    """

    def __init__(
        self, time_range: tuple[float, float], channels: Mapping[int, dict[str, Any]], num_pts_waveform: int
    ) -> None:
        self.envelope_time_range = np.array(time_range, np.float64)
        self.num_pts_waveform = num_pts_waveform
        self._channels = dict(channels)
        self.num_channels = len(self._channels)
        self.num_spikes_total = sum(one["num_spikes"] for one in self._channels.values())

    def channels(self) -> dict[int, dict[str, Any]]:
        """Return what is known of each channel, by native index.

        ``labels`` (texts), ``num_spikes``, ``waveform_max`` and ``waveform_min`` (uV), ``comp`` (``timestamps``: sample
        counters, int64; ``waveforms``; ``ftrs`` and ``ftrs2`` are empty, as is ``neighbors``), and where there are
        spikes ``waveforms``: float32 uV ``(points, spikes)``.
        """
        return dict(self._channels)

    def has_component(self, comp: str) -> bool:
        """Return whether any spike has ``'timestamps'`` or ``'waveforms'``; other words are ConfigurationErrors."""
        if comp not in COMPONENTS:
            raise ConfigurationError(f"{comp!r} is no component of spikes; there are {', '.join(COMPONENTS)}")
        return self.num_spikes_total > 0 and (comp == "timestamps" or self.num_pts_waveform > 0)

    def component_len(self, comp: str) -> int:
        """Return how many values of a component a spike has: one timestamp, or the points of a waveform."""
        if not self.has_component(comp):
            return 0
        return 1 if comp == "timestamps" else self.num_pts_waveform

    def __repr__(self) -> str:
        return shown(self, spikes=self.num_spikes_total, channels=self.num_channels, points=self.num_pts_waveform)


@dataclass(frozen=True)
class SpikesMetadata:
    """What a set of spikes is: its channels, and its neurons.

    Attributes
    ----------
    time_range
        What was looked at.
    spike_range
        Sample counters of the first spike and behind the last.
    site_metadata
        The channels.
    counts
        Spikes of each channel by native index: all, those of neurons, all others.
    """

    time_range: TimeRange
    spike_range: TimeRange
    site_metadata: ChannelMetadata
    site_specs: tuple[SpikesSiteSpec, ...]
    neuron_infos: tuple[NeuronInfo, ...]
    counts: Mapping[int, tuple[int, int, int]]
    num_pts_waveform: int = 0
    sensor_ext_metadata: dict[str, str] = field(default_factory=lambda: {"instance_UID": ""})
    project_ext_metadata: dict[str, Any] = field(
        default_factory=lambda: {"project_UID": "", "case_UID": "", "trial_UID": "", "annotate_UID": []}
    )

    @cached_property
    def sites(self) -> pd.DataFrame:
        """A row per channel; counts and rates (Hz) are ``[all, labelled, unlabelled]``, noise is its SD in uV."""
        import pandas as pd

        rows = [self._site(spec) for spec in self.site_specs]
        return pd.DataFrame(rows, columns=list(_SITE_COLUMNS)).astype(object)

    @cached_property
    def neurons(self) -> pd.DataFrame:
        """A row per neuron: what :attr:`sites` has, of the neuron, and ``neuron`` (its label) and ``neuron_id``."""
        import pandas as pd

        sites = {row["ntv_idx"]: row for row in self.sites.to_dict("records")}
        rows = [
            {
                **sites.get(one.site_ntv_chan_idx, {"ntv_idx": one.site_ntv_chan_idx}),
                "pos_probe": list(one.pos_probe),
                "pos_tissue": list(one.pos_tissue),
                "spike_count": one.spike_count,
                "spike_rate": one.spike_rate,
                "snr": one.snr,
                "neuron": one.spike_label,
                "neuron_id": one.neuron_id,
            }
            for one in self.neuron_infos
        ]
        return pd.DataFrame(rows, columns=[*_SITE_COLUMNS, "neuron", "neuron_id"]).astype(object)

    @cached_property
    def site_summary_stats(self) -> pd.DataFrame:
        """Mean, SD, maximum and minimum over channels of counts, rates (Hz), noise (uV), SNR and number of neurons."""
        import pandas as pd

        each: dict[str, list[float]] = {
            f"spike_{what}{kind}": [row[f"spike_{what}"][k] for row in self.sites.to_dict("records")]
            for what in ("count", "rate")
            for k, kind in enumerate(_KINDS)
        }
        each |= {"noise": list(self.sites["noise"]), "snr": list(self.sites["snr"])}
        each["neurons"] = list(self.sites["num_neurons"])
        return pd.DataFrame({name: _stats(values) for name, values in each.items()}, index=list(MetricStats._fields))

    def _site(self, spec: SpikesSiteSpec) -> dict[str, Any]:
        mine = [one for one in self.neuron_infos if one.site_ntv_chan_idx == spec.ntv_chan_idx]
        count = list(self.counts.get(spec.ntv_chan_idx, (0, 0, 0)))
        seconds = self.time_range.dur_sec
        place = self.site_metadata.site_positions().get(spec.ntv_chan_idx)
        neighbors = _neighbors(spec)
        return {
            "ntv_idx": spec.ntv_chan_idx,
            "neighbor": neighbors,
            "enabled": True,
            "pos_probe": None if place is None else [place.probe_x, place.probe_y, place.probe_z],
            "pos_tissue": None if place is None else [place.tissue_x, place.tissue_y, place.tissue_z],
            "size_bytes": count[0] * (8 + 4 * self.num_pts_waveform),
            "TR": self.time_range,
            "spike_TR": self.spike_range,
            "spike_count": count,
            "spike_rate": [n / seconds if seconds > 0 else np.nan for n in count],
            "noise": np.nan if spec.noise_sd_uv is None else spec.noise_sd_uv,
            "snr": max((one.snr for one in mine if np.isfinite(one.snr)), default=np.nan),
            "neurons": [one.spike_label for one in mine],
            "num_neurons": len(mine),
            "spike_comp_len": {"timestamps": 1, "waveforms": self.num_pts_waveform},
        }


def _neighbors(spec: SpikesSiteSpec) -> NeighborsDesc:
    return NeighborsDesc(
        radius_um=spec.neighbor_radius_um,
        ntv_idxs=list(spec.neighbor_ntv_chan_idx),
        distance_um=list(spec.neighbor_distance_um),
        theta_deg=[],
        phi_deg=[],
        N=len(spec.neighbor_ntv_chan_idx),
        pos=make_site_pos([0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
    )


def _stats(values: list[float]) -> list[float]:
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    return [float(f(known)) for f in (np.mean, np.std, np.max, np.min)] if known.size else [np.nan] * 4
