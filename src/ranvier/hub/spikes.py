"""Spikes and units of linked datasets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import CapabilityError, ConfigurationError, DatasetError, OutputError, RecordingError
from ranvier.hub.datasets import Datasets
from ranvier.hub.linked import Linked
from ranvier.hub.spike_sets import SpikeSet, SpikeSets
from ranvier.hub.unit_quality import quality_of
from ranvier.hub.unit_waveforms import waveforms_of_spikes, waveforms_of_unit
from ranvier.interop.nwb_units import export_nwb
from ranvier.interop.phy import export_phy
from ranvier.interop.sorted_spikes import SortedSpikes
from ranvier.interop.unitmatch import export_unitmatch
from ranvier.models._coerce import output_path
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
from ranvier.models.units import CurationEntry, SpikeRaster, UnitCorrelograms, UnitQualityTable, UnitWaveforms
from ranvier.recordings.provenance import new_record
from ranvier.recordings.signalless import NoSignals
from ranvier.spikes import RecordingIdentity, SiteRecord, SpikeWriter, StoreInfo, UnitRecord, curation, recover
from ranvier.spikes.columns import KNOWN, SNIPPETS
from ranvier.spikes.correlograms import Binning, correlograms
from ranvier.spikes.writer import SUFFIX

#: What spikes can be exported as.
EXPORTS = ("phy", "nwb", "unitmatch")


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
        shift = 0 if recording_id is None else _shift(spikes, owner)
        target = output if output is not None else owner.canonical.parent / (owner.base_name + SUFFIX)
        target = output_path(target)
        target = target.with_name(target.name.removesuffix(SUFFIX) + SUFFIX)
        _refuse_own_source(target, spikes, owner)
        with SpikeWriter(target, self._converted(spikes, owner, shift), force=force) as writer:
            names = tuple(KNOWN) + ((SNIPPETS,) if spikes.store.info.waveforms == "stored" else ())
            spikes.store.damaged_spikes()  # looked for now at the latest: it stands in the notes
            for note in spikes.store.notes:
                writer.note(f"{spikes.store.path.name}: {note}")
            for columns in spikes.store.walk(columns=names):
                writer.append(**{**columns, "sample_index": columns["sample_index"] + shift})
            units = self.sets.units(spikes)
            writer.set_units(list(units.values()))
            templates = spikes.store.templates
            if templates is not None and units:
                blank = np.full(templates.templates_uv.shape[1:], np.nan, np.float32)
                means = [blank if (t := spikes.store.template(u)) is None else t for u in units]
                writer.set_templates(list(units), templates.sites, np.stack(means), before=templates.before)
        return self._datasets.link(writer.path, RadiensFileType.SPIKES)

    def export(
        self, dataset_id: str, output: Path, file_format: str, *, recording_id: str | None = None,
        spikes_id: str | None = None, signals: bool = False, options: OutputOptions | None = None, force: bool = False,
    ) -> Path:  # fmt: skip
        """Write spikes for another program; see the Protocol."""
        if file_format not in EXPORTS:
            raise ConfigurationError(f"file_format={file_format!r}; spikes are exported as {', '.join(EXPORTS)}")
        if signals and file_format != "phy":
            raise ConfigurationError(f"signals are copied for phy only, not for {file_format}")
        spikes = self.sets.get(dataset_id, spikes_id)
        for damage in spikes.store.damaged_spikes():
            raise RecordingError(
                f"{spikes.store.path}: {damage}, so that some of its spikes are wrong; use a copy of the file, sort "
                f"again, or let convert_spikes write what is left to a new file, which says so"
            )
        owner = spikes.recording if recording_id is None else self._datasets.linked(recording_id)
        if recording_id is not None and _shift(spikes, owner):
            raise ConfigurationError(
                f"{spikes.store.path.name} counts from the first sample of {owner.base_name}, which is not sample 0; "
                f"convert_spikes makes a .spikes file of it, which can be exported"
            )
        output = output_path(output)
        if file_format == "nwb" and output.suffix != ".nwb":
            output = output.with_name(output.name + ".nwb")
        _refuse_own_source(output, spikes, owner)
        found = self._sorted(spikes, owner)
        if file_format == "phy":
            return export_phy(found, output, signals=signals, force=force)
        if file_format == "unitmatch":
            return export_unitmatch(found, output, force=force)
        kept = [found.units[unit] for unit in found.neurons()]
        quality = quality_of(spikes, kept, found.start, found.stop, isolation=False)
        return export_nwb(found, output, quality=quality, options=options, force=force)

    def _sorted(self, spikes: SpikeSet, owner: Linked) -> SortedSpikes:
        """Return spikes as exports take them."""
        recording = None if isinstance(owner.recording, NoSignals) else owner.recording
        known = spikes.store.info.recording
        first, stop = spikes.extent
        start = recording.start if recording is not None else first if known is None else known.start
        return SortedSpikes(
            store=spikes.store,
            units=self.sets.units(spikes),
            channels=owner.channels,
            recording=recording,
            start=start,
            stop=stop,
            name=owner.base_name,
            walltime=owner.recording.walltime,
        )

    def _converted(self, spikes: SpikeSet, owner: Linked, shift: int) -> StoreInfo:
        """Return what a converted file says about itself."""
        info, files = spikes.store.info, owner.format.files(owner.canonical)
        has_signals = owner.recording.stop > owner.recording.start and bool(owner.session.streams)
        identity = RecordingIdentity.of(
            owner.recording, files, name=owner.base_name, stream=owner.stream, dataset_id=owner.id
        )
        start, stop = (counter + shift for counter in spikes.extent)
        if has_signals and info.recording is None:  # nobody said what was looked at: all of it
            start, stop = owner.recording.start, owner.recording.stop
        return replace(
            info,
            start=start,
            stop=stop,
            sites=tuple(spikes.sites.values()),
            recording=identity if has_signals else info.recording,
            provenance=info.provenance
            or new_record(stages=[{"kind": "spikes", "parameters": {"from": str(spikes.store.path)}}]),
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


def _refuse_own_source(target: Path, spikes: SpikeSet, owner: Linked) -> None:
    """Raise OutputError where an output is a file (or folder) of the spikes themselves or of their recording."""
    sources = [spikes.store.path, *owner.format.files(owner.canonical), owner.canonical]
    if target.exists() and any(source.exists() and target.samefile(source) for source in sources):
        raise OutputError(f"{target} is of these spikes or of their recording, and never replaced; name another output")


def _shift(spikes: SpikeSet, owner: Linked) -> int:
    """Return what makes counters of spikes those of a recording: phy counts from its first sample.

    DatasetError where the spikes cannot be of that recording.
    """
    recording, store = owner.recording, spikes.store
    counts_from_first = spikes.recording.format.file_type == RadiensFileType.SPKS_PHY2
    own_start = spikes.recording.recording.start
    shift = recording.start - own_start if counts_from_first else 0
    if store.info.fs != recording.fs:
        raise DatasetError(
            f"{store.path.name} counts at {float(store.info.fs):g} Hz and {owner.base_name} was sampled at "
            f"{float(recording.fs):g} Hz: these are not its spikes"
        )
    first, last = store.first_sample + shift, store.last_sample + shift
    if len(store) and not recording.start <= first <= last < recording.stop:
        raise DatasetError(
            f"the spikes of {store.path.name} lie from sample {first:,} to {last:,}, and {owner.base_name} holds "
            f"[{recording.start:,}, {recording.stop:,}): these are not its spikes"
        )
    return shift


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
    )


def _tissue(spikes: SpikeSet, record: UnitRecord, probe: list[float]) -> list[float]:
    """Return a place in tissue coordinates: the probe's, moved as the unit's site is."""
    for channel in spikes.recording.channels:
        if channel.ntv == record.site and channel.site is not None:
            return [p + d for p, d in zip(probe, channel.site.scs_to_tcs_um, strict=True)]
    return probe
