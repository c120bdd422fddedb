"""What spikes are of: a dataset of a hub, or the live stream of a rig."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ranvier.classic._errors import NoDatasetError, NotLiveError
from ranvier.classic._times import spec_of
from ranvier.classic.lib import _from_models as convert
from ranvier.classic.lib.channel_metadata import ChannelMetadata
from ranvier.classic.lib.spikes import SpikesMetadata, SpikesSet
from ranvier.clients.allego import AllegoClient as TypedRig
from ranvier.clients.videre import VidereClient as TypedHub
from ranvier.exceptions import CapabilityError
from ranvier.models import channels as models
from ranvier.models.dataset import DatasetMetadata
from ranvier.models.signals import SignalType
from ranvier.models.spikes import LiveSpikes, NeuronInfo, NeuronsResult, SpikesSiteSpec
from ranvier.models.time_range import TimeRange, TimeRangeSpec

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]

#: What stands for all, and for the selected, channels in lists of indices.
_ALL, _SELECTED = -2, -3


class SpikeColumns(NamedTuple):
    """Spikes in time order: sample counter, channel (native) with the peak, label (0: none), and the range told."""

    samples: I64
    ntv: I32
    labels: I32
    time_range: TimeRange


class Spiking(Protocol):
    """Where spikes are kept."""

    @property
    def channels(self) -> models.ChannelMetadata:
        """The channels."""
        ...

    def columns(self, time_range: Any = None) -> SpikeColumns:
        """Return spikes without their waveforms; None: all."""
        ...

    def waveforms(self, time_range: Any = None) -> F32:
        """Return waveforms ``(spikes, points)``, channel after channel; None: all."""
        ...

    def recent(self, seconds: float, channels: Sequence[int] | None, most: int) -> SpikesSet:
        """Return the newest spikes of the last seconds, with waveforms."""
        ...

    def neurons(self) -> list[NeuronInfo]:
        """Return the neurons, by label."""
        ...

    def metadata(self) -> SpikesMetadata:
        """Return what the spikes are of."""
        ...


class DatasetSpikes:
    """Spikes of a linked dataset (None: the only one that has some); its first ones, where it has several."""

    def __init__(self, typed: TypedHub, dataset_id: str | None) -> None:
        self._typed, self._wanted = typed, dataset_id

    @cached_property
    def _dataset(self) -> DatasetMetadata:
        datasets = self._typed._hub.datasets
        wanted = _only_one_with_spikes(self._typed) if self._wanted is None else self._wanted
        if wanted not in datasets.ids():
            raise NoDatasetError(f"No dataset found: {wanted!r} is not linked; get_dataset_ids() tells which are")
        return datasets.get(wanted)

    @property
    def channels(self) -> models.ChannelMetadata:
        return self._dataset.channel_metadata

    def columns(self, time_range: Any = None) -> SpikeColumns:
        spec = None if time_range is None else spec_of(time_range)
        found = self._typed.get_spike_raster(self._dataset, time_range=spec)
        fs = self._dataset.time_range.fs
        told = _samples(found.time_range, fs)
        return SpikeColumns(np.rint(found.sec * fs).astype(np.int64), found.site, found.unit, told)

    def waveforms(self, time_range: Any = None) -> F32:
        spec = None if time_range is None else spec_of(time_range)
        found = self._typed.get_spikes_by_channel(self._dataset, time_range=spec, include_waveforms=True)
        parts = [one.waveforms for one in found.values() if one.waveforms is not None and len(one.waveforms)]
        if any(part.ndim != 2 for part in parts):
            raise CapabilityError(
                "these spikes have waveforms on several channels each; the typed get_spikes_by_channel gives them"
            )
        return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)

    def recent(self, seconds: float, channels: Sequence[int] | None, most: int) -> SpikesSet:
        raise CapabilityError(
            "get_recent_spikes is of the live stream; of a dataset, get_spike_waveforms and get_spike_timestamps tell "
            "the spikes of any time range"
        )

    def neurons(self) -> list[NeuronInfo]:
        return _by_label(self._typed.get_neurons(self._dataset))

    def metadata(self) -> SpikesMetadata:
        spec, fs = self._typed.get_spikes_spec(self._dataset), self._dataset.time_range.fs
        whole, spikes = (convert.time_range(_samples(one, fs)) for one in (spec.time_range, spec.spike_time_range))
        counts = _counts(self.columns())
        channels = ChannelMetadata(self.channels)
        return SpikesMetadata(whole, spikes, channels, tuple(spec.sites), tuple(self.neurons()), counts)


class StreamSpikes:
    """Spikes of the live stream that are still kept."""

    def __init__(self, typed: TypedRig) -> None:
        self._typed = typed

    @property
    def channels(self) -> models.ChannelMetadata:
        return self._typed.get_channel_metadata()

    def columns(self, time_range: Any = None) -> SpikeColumns:
        spec = TimeRangeSpec.full() if time_range is None else spec_of(time_range)
        found = self._typed.get_live_spikes(spec)
        told = _samples(found.time_range, self.channels.fs)
        return SpikeColumns(found.samples, found.ntv_chan_idx, found.labels, told)

    def waveforms(self, time_range: Any = None) -> F32:
        raise NotLiveError(
            "get_spike_waveforms is of linked datasets; of the live stream, get_recent_spikes gives waveforms"
        )

    def recent(self, seconds: float, channels: Sequence[int] | None, most: int) -> SpikesSet:
        known = list(self.channels.index(SignalType.AMP).ntv)
        if channels is not None and list(channels) == [_SELECTED]:
            known = list(self.channels.selected_index(SignalType.AMP).ntv)
        elif channels is not None and list(channels) != [_ALL]:
            known = [int(c) for c in channels]
        found = self._typed.get_live_spikes(
            TimeRangeSpec.lookback(seconds), known, include_waveforms=True, max_per_channel=most
        )
        return _spikes_set(found, known)

    def neurons(self) -> list[NeuronInfo]:
        return _by_label(self._typed.get_live_neurons())

    def metadata(self) -> SpikesMetadata:
        found, neurons = self.columns(), self.neurons()
        noise = {one.site_ntv_chan_idx: one.mean_abs_peak_wfm / one.snr for one in neurons if one.snr > 0}
        sites = [self._site(ntv, noise.get(ntv)) for ntv in self.channels.index(SignalType.AMP).ntv]
        first, last = (int(found.samples[0]), int(found.samples[-1]) + 1) if len(found.samples) else (0, 0)
        spikes = TimeRange.from_samples(first, last, self.channels.fs)
        return SpikesMetadata(
            convert.time_range(found.time_range),
            convert.time_range(spikes),
            ChannelMetadata(self.channels),
            tuple(sites),
            tuple(neurons),
            _counts(found),
        )

    def _site(self, ntv: int, noise_sd_uv: float | None) -> SpikesSiteSpec:
        return SpikesSiteSpec(
            ntv_chan_idx=ntv, pos_threshold_uv=None, pos_threshold_sd=None, neg_threshold_uv=None,
            neg_threshold_sd=None, noise_sd_uv=noise_sd_uv,
        )  # fmt: skip


def _only_one_with_spikes(typed: TypedHub) -> str:
    """Return the linked dataset that has spikes; NoDatasetError where that is none, or not only one."""
    hub = typed._hub
    spikes = {one: hub.spikes.ids(one) for one in hub.datasets.ids()}
    beside = {inner for one, ids in spikes.items() for inner in ids if inner != one}
    found = [one for one, ids in spikes.items() if ids and one not in beside]
    if len(found) != 1:
        listing = ", ".join(found) or "none"
        raise NoDatasetError(f"name a dataset: linked datasets with spikes are {listing}")
    return found[0]


def _samples(seconds: tuple[float, float], fs: float) -> TimeRange:
    return TimeRange.from_samples(round(seconds[0] * fs), round(seconds[1] * fs), fs)


def _by_label(found: NeuronsResult) -> list[NeuronInfo]:
    neurons = [one for some in found.neurons_by_channel.values() for one in some]
    return sorted(neurons, key=lambda one: (not one.spike_label.isdecimal(), len(one.spike_label), one.spike_label))


def _counts(found: SpikeColumns) -> dict[int, tuple[int, int, int]]:
    """Return spikes by channel: all, labelled, unlabelled."""
    ntv, number = np.unique(found.ntv, return_counts=True)
    labelled = np.array([np.count_nonzero(found.labels[found.ntv == one]) for one in ntv], np.int64)
    return {int(c): (int(n), int(k), int(n - k)) for c, n, k in zip(ntv, number, labelled, strict=True)}


def _spikes_set(found: LiveSpikes, known: Sequence[int]) -> SpikesSet:
    every = found.waveforms if found.waveforms is not None else np.empty((len(found.samples), 0), np.float32)
    channels: dict[int, dict[str, Any]] = {}
    for ntv in known:
        mine = np.flatnonzero(found.ntv_chan_idx == ntv)
        cut = every[mine]
        seen = cut[np.isfinite(cut)]
        one: dict[str, Any] = {
            "labels": [str(label) for label in found.labels[mine].tolist()],
            "waveform_max": float(seen.max()) if seen.size else np.nan,
            "waveform_min": float(seen.min()) if seen.size else np.nan,
            "num_spikes": len(mine),
            "comp": {"timestamps": found.samples[mine], "waveforms": cut.T, "ftrs": [], "ftrs2": []},
            "neighbors": [],
        }
        if len(mine):
            one["waveforms"] = cut.T
        channels[ntv] = one
    return SpikesSet(found.time_range, channels, every.shape[1])
