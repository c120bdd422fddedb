"""Spikes and units of linked datasets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import CapabilityError, ConfigurationError, RecordingError
from ranvier.hub.datasets import Datasets
from ranvier.hub.spike_exports import check_format, export_spikes, shift_of, write_spikes
from ranvier.hub.spike_sets import SpikeSet, SpikeSets
from ranvier.hub.unit_quality import quality_of
from ranvier.hub.unit_waveforms import waveforms_of_spikes, waveforms_of_unit
from ranvier.models.dataset import DatasetMetadata, RadiensFileType, TimeRangeSpec
from ranvier.models.output_options import OutputOptions
from ranvier.models.spikes import (
    ChannelSpikeData,
    NeuronInfo,
    NeuronSpikeData,
    NeuronsResult,
    SpikesSiteSpec,
    SpikesSpec,
)
from ranvier.models.spikesorter import SorterLog
from ranvier.models.units import CurationEntry, SpikeRaster, UnitCorrelograms, UnitQualityTable, UnitWaveforms
from ranvier.spikes import SiteRecord, UnitRecord, curation, recover
from ranvier.spikes.columns import SNIPPETS
from ranvier.spikes.correlograms import Binning, correlograms


class SpikesOf:
    """Service ``HubSpikes``."""

    def __init__(self, datasets: Datasets) -> None:
        self._datasets = datasets
        self.sets = SpikeSets(datasets)

    def ids(self, dataset_id: str) -> list[str]:
        """Return the ids of the spikes of a dataset; see the Protocol."""
        return self.sets.ids(dataset_id)

    def spec(self, dataset_id: str, spikes_id: str | None = None) -> SpikesSpec:
        """Return what the spikes are of; see the Protocol."""
        spikes = self.sets.get(dataset_id, spikes_id)
        store = spikes.store
        sites = spikes.sites
        first, last = (store.first_sample, store.last_sample + 1) if len(store) else (0, 0)
        return SpikesSpec(
            biointerface_id=spikes.id,
            dataset_uid=spikes.recording.id,
            num_neurons=len(spikes.chosen(None)),
            num_sites=len(sites),
            enabled_channel_indices=sorted(sites),
            time_range=spikes.seconds(*spikes.extent),
            spike_time_range=spikes.seconds(first, last),
            req_num_neighbors=max((len(s.neighbors) for s in sites.values()), default=0),
            neighborhood_radius_um=store.info.neighbor_radius_um,
            sites=[_site_spec(site, sites, store.info.neighbor_radius_um) for site in sites.values()],
        )

    def by_channel(
        self, dataset_id: str, channels: Sequence[int] | None = None, time_range: TimeRangeSpec | None = None, *,
        include_waveforms: bool = False, spikes_id: str | None = None,
    ) -> dict[int, ChannelSpikeData]:  # fmt: skip
        """Return the spikes of each channel; see the Protocol."""
        spikes = self.sets.get(dataset_id, spikes_id)
        wanted = spikes.on_channels(_listed(channels))
        start, stop = spikes.window(time_range)
        sites = None if channels is None else wanted
        found = spikes.store.select(start, stop, sites=sites, columns=_columns(spikes, include_waveforms))
        waveforms = waveforms_of_spikes(spikes, found, found.sites) if include_waveforms else None
        rows = _rows_by(found.sites)
        empty = np.empty(0, np.int64)
        return {
            ntv: ChannelSpikeData(
                ntv_chan_idx=ntv,
                timestamps=found.samples[at] / spikes.fs,
                labels=found.units[at],
                waveforms=None if waveforms is None else waveforms[at],
            )
            for ntv in wanted
            for at in [rows.get(ntv, empty)]
        }

    def by_neuron(
        self, dataset_id: str, channels: Sequence[int] | None = None, time_range: TimeRangeSpec | None = None, *,
        include_waveforms: bool = False, spikes_id: str | None = None,
    ) -> dict[int, NeuronSpikeData]:  # fmt: skip
        """Return the spikes of each unit; see the Protocol."""
        spikes = self.sets.get(dataset_id, spikes_id)
        units = self._units_on(spikes, channels)
        start, stop = spikes.window(time_range)
        found = spikes.store.select(start, stop, units=list(units), columns=_columns(spikes, include_waveforms))
        waveforms = None
        if include_waveforms:
            strange = set(np.unique(found.units).tolist()) - set(units)
            if strange:
                raise RecordingError(
                    f"{spikes.store.path} is damaged: its index of units leads to spikes of {sorted(strange)[:8]}; "
                    f"use a copy of it, or sort again"
                )
            main = np.array([units[int(u)].site for u in found.units], np.int64)
            waveforms = waveforms_of_spikes(spikes, found, main)
        rows = _rows_by(found.units)
        empty = np.empty(0, np.int64)
        return {
            unit: NeuronSpikeData(
                label=unit,
                ntv_chan_idx=record.site,
                timestamps=found.samples[at] / spikes.fs,
                waveforms=None if waveforms is None else waveforms[at],
                detect_ntv_chan_idx=found.sites[at],
            )
            for unit, record in units.items()
            for at in [rows.get(unit, empty)]
        }

    def neurons(
        self, dataset_id: str, channels: Sequence[int] | None = None, time_range: TimeRangeSpec | None = None, *,
        spikes_id: str | None = None,
    ) -> NeuronsResult:  # fmt: skip
        """Return the units by their main channel; see the Protocol."""
        spikes = self.sets.get(dataset_id, spikes_id)
        units = self._units_on(spikes, channels)
        start, stop = spikes.window(time_range)
        whole = time_range is None or time_range.is_full()
        counts = spikes.store.counts() if whole else spikes.store.counts(start, stop)
        known, seconds = self.sets.units(spikes), spikes.recorded_sec(start, stop)
        found: dict[int, list[NeuronInfo]] = {}
        for unit in units:
            record = known[unit]
            info = _neuron(spikes, record, counts.get(unit, 0), seconds)
            found.setdefault(record.site, []).append(info)
        return NeuronsResult(neurons_by_channel=dict(sorted(found.items())))

    def raster(
        self, dataset_id: str, units: Sequence[int] | None = None, channels: Sequence[int] | None = None,
        time_range: TimeRangeSpec | None = None, *, spikes_id: str | None = None,
    ) -> SpikeRaster:  # fmt: skip
        """Return spikes in time order; see the Protocol."""
        spikes = self.sets.get(dataset_id, spikes_id)
        start, stop = spikes.window(time_range)
        wanted = None if channels is None else spikes.on_channels(_listed(channels))
        names = ("sample_index", "unit", "site", "amplitude_uv", "x_um", "y_um")
        found = spikes.store.select(start, stop, units=_listed(units), sites=wanted, columns=names)
        columns = {name: found.columns[name] for name in names[1:]}
        return SpikeRaster(sec=found.samples / spikes.fs, time_range=spikes.seconds(start, stop), **columns)

    def waveforms(
        self, dataset_id: str, unit: int, channels: Sequence[int] | None = None,
        time_range: TimeRangeSpec | None = None, *, most: int = 200, spikes_id: str | None = None,
    ) -> UnitWaveforms:  # fmt: skip
        """Return waveforms of a unit; see the Protocol."""
        if most < 1:
            raise ConfigurationError(f"most={most}: ask for at least one waveform")
        spikes = self.sets.get(dataset_id, spikes_id)
        start, stop = spikes.window(time_range)
        return waveforms_of_unit(spikes, unit, _listed(channels), start, stop, most)

    def quality(
        self, dataset_id: str, units: Sequence[int] | None = None, time_range: TimeRangeSpec | None = None, *,
        isolation: bool = False, spikes_id: str | None = None,
    ) -> UnitQualityTable:  # fmt: skip
        """Return quality metrics; see the Protocol."""
        spikes = self.sets.get(dataset_id, spikes_id)
        start, stop = spikes.window(time_range)
        wanted, known = spikes.chosen(_listed(units)), self.sets.units(spikes)
        found = quality_of(spikes, [known[u] for u in wanted], start, stop, isolation=isolation)
        return UnitQualityTable(units=tuple(found), time_range=spikes.seconds(start, stop))

    def correlograms(
        self, dataset_id: str, units: Sequence[int] | None = None, time_range: TimeRangeSpec | None = None, *,
        bin_ms: float = 1.0, window_ms: float = 50.0, spikes_id: str | None = None,
    ) -> UnitCorrelograms:  # fmt: skip
        """Return auto- and cross-correlograms; see the Protocol."""
        spikes = self.sets.get(dataset_id, spikes_id)
        bins = Binning.of(spikes.fs, bin_ms, window_ms)
        start, stop = spikes.window(time_range)
        wanted = spikes.chosen(_listed(units))
        found = spikes.store.select(start, stop, units=wanted, columns=("unit",))
        pairs = correlograms(found.samples, found.units, wanted, bins)  # refuses more bins than there is memory for
        counts = spikes.store.counts(start, stop)
        return UnitCorrelograms(
            units=tuple(wanted),
            edges_ms=bins.edges_ms(spikes.fs),
            counts=pairs,
            spike_counts=np.array([counts[u] for u in wanted], np.int64),
            duration_sec=(stop - start) / spikes.fs,
        )

    def merge(self, dataset_id: str, units: Sequence[int], *, by: str = "", spikes_id: str | None = None) -> int:
        """Make one unit of several; see the Protocol."""
        return curation.merge(self._file(dataset_id, spikes_id), units, by=by)

    def split(
        self, dataset_id: str, unit: int, groups: npt.NDArray[np.int64], *, by: str = "", spikes_id: str | None = None
    ) -> list[int]:
        """Divide a unit; see the Protocol."""
        return curation.split(self._file(dataset_id, spikes_id), unit, groups, by=by)

    def label(
        self, dataset_id: str, units: Sequence[int], label: str, *, by: str = "", spikes_id: str | None = None
    ) -> None:
        """Call units something; see the Protocol."""
        curation.label(self._file(dataset_id, spikes_id), units, label, by=by)

    def undo(self, dataset_id: str, *, by: str = "", spikes_id: str | None = None) -> int:
        """Take back the latest change; see the Protocol."""
        return curation.undo(self._file(dataset_id, spikes_id), by=by)

    def sorter_log(self, dataset_id: str, *, spikes_id: str | None = None) -> SorterLog:
        """Return what the sorter did by itself; see the Protocol."""
        return SorterLog(entries=self.sets.get(dataset_id, spikes_id).store.sorter_log)

    def log(self, dataset_id: str, *, spikes_id: str | None = None) -> list[CurationEntry]:
        """Return every change ever made; see the Protocol."""
        store = self.sets.get(dataset_id, spikes_id).store
        return [
            CurationEntry(
                number=number,
                action=str(text.get("action")),
                utc=str(text.get("utc", "")),
                by=str(text.get("by", "")),
                units=tuple(text.get("units", ())),
                new_units=tuple(text.get("new", ())),
                label=str(text.get("label", "")),
                undoes=text.get("undoes"),
                in_force=in_force,
            )
            for number, text, in_force in store.edits
        ]

    def convert(
        self, dataset_id: str, output: Path | None = None, *, recording_id: str | None = None,
        spikes_id: str | None = None, force: bool = False,
    ) -> DatasetMetadata:  # fmt: skip
        """Write spikes as a ``.spikes`` file; see the Protocol."""
        spikes = self.sets.get(dataset_id, spikes_id)
        owner = spikes.recording if recording_id is None else self._datasets.linked(recording_id)
        shift = 0 if recording_id is None else shift_of(spikes, owner)
        written = write_spikes(self.sets, spikes, owner, output, shift=shift, force=force)
        return self._datasets.link(written, RadiensFileType.SPIKES)

    def export(
        self, dataset_id: str, output: Path, file_format: str, *, recording_id: str | None = None,
        spikes_id: str | None = None, signals: bool = False, options: OutputOptions | None = None, force: bool = False,
    ) -> Path:  # fmt: skip
        """Write spikes for another program; see the Protocol."""
        check_format(file_format, signals=signals)
        spikes = self.sets.get(dataset_id, spikes_id)
        owner = spikes.recording if recording_id is None else self._datasets.linked(recording_id)
        shift = 0 if recording_id is None else shift_of(spikes, owner)
        return export_spikes(
            self.sets, spikes, owner, output, file_format, shift=shift, signals=signals, options=options, force=force
        )

    def _file(self, dataset_id: str, spikes_id: str | None) -> Path:
        """Return the file to curate, finished where its writer was ended."""
        store = self.sets.get(dataset_id, spikes_id).store
        if not store.is_file:
            raise CapabilityError(
                f"the spikes of {store.path.name} are in another program's file, which is not changed; "
                f"convert_spikes writes a .spikes file of them, which can be curated"
            )
        if not store.finished:
            recover(store.path)
        return store.path

    def _units_on(self, spikes: SpikeSet, channels: Sequence[int] | None) -> dict[int, UnitRecord]:
        """Return the units whose main channel is one of these; unknown channels are refused."""
        asked = None if channels is None else set(spikes.on_channels(_listed(channels)))
        units = {u: spikes.store.units[u] for u in spikes.chosen(None)}
        return {u: record for u, record in units.items() if asked is None or record.site in asked}


def _listed(numbers: Sequence[int] | None) -> list[int] | None:
    return None if numbers is None else [int(n) for n in numbers]


def _columns(spikes: SpikeSet, waveforms: bool) -> tuple[str, ...]:
    stored = waveforms and spikes.store.info.waveforms == "stored"
    return ("sample_index", "unit", "site", *((SNIPPETS,) if stored else ()))


def _rows_by(keys: npt.NDArray[np.int32]) -> dict[int, npt.NDArray[np.int64]]:
    """Return the positions of each key, ascending."""
    order = np.argsort(keys, kind="stable")
    found, first = np.unique(keys[order], return_index=True)
    return dict(zip(found.tolist(), np.split(order, first[1:]), strict=True)) if len(found) else {}


def _site_spec(site: SiteRecord, sites: dict[int, SiteRecord], radius_um: float) -> SpikesSiteSpec:
    neighbors = [n for n in site.neighbors if n in sites]
    return SpikesSiteSpec(
        ntv_chan_idx=site.ntv,
        pos_threshold_uv=site.pos_threshold_uv,
        pos_threshold_sd=site.pos_threshold_sd,
        neg_threshold_uv=site.neg_threshold_uv,
        neg_threshold_sd=site.neg_threshold_sd,
        neighbor_ntv_chan_idx=neighbors,
        neighbor_distance_um=[_apart(site, sites[n]) for n in neighbors],
        neighbor_radius_um=radius_um,
        noise_sd_uv=site.noise_sd_uv,
    )


def _apart(a: SiteRecord, b: SiteRecord) -> float:
    if a.x_um is None or a.y_um is None or b.x_um is None or b.y_um is None:
        return math.nan
    return math.hypot(a.x_um - b.x_um, a.y_um - b.y_um)


def _neuron(spikes: SpikeSet, record: UnitRecord, count: int, seconds: float) -> NeuronInfo:
    probe = [math.nan if v is None else v for v in (record.x_um, record.y_um, record.z_um)]
    if record.x_um is not None and record.z_um is None:
        probe[2] = 0.0
    return NeuronInfo(
        neuron_id=f"{spikes.store.info.uid}:{record.unit}",
        site_ntv_chan_idx=record.site,
        spike_label=str(record.unit),
        spike_count=count,
        spike_rate=count / seconds if seconds > 0 else math.nan,
        mean_abs_peak_wfm=math.nan if record.mean_abs_peak_uv is None else record.mean_abs_peak_uv,
        snr=math.nan if record.snr is None else record.snr,
        pos_probe=probe,
        pos_tissue=list(record.tissue_um) if record.tissue_um is not None else _tissue(spikes, record, probe),
        quality=record.label,
    )


def _tissue(spikes: SpikeSet, record: UnitRecord, probe: list[float]) -> list[float]:
    """Return a place in tissue coordinates: the probe's, moved as the unit's site is."""
    for channel in spikes.recording.channels:
        if channel.ntv == record.site and channel.site is not None:
            return [p + d for p, d in zip(probe, channel.site.scs_to_tcs_um, strict=True)]
    return probe
