"""From ids of datasets and spikes to the open spikes that are meant, and the recording they belong to."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.dsp import Chain, HighPass
from ranvier.exceptions import CapabilityError, DatasetError
from ranvier.hub.datasets import Datasets
from ranvier.hub.linked import Linked
from ranvier.hub.sidecars import holds_spikes
from ranvier.interop.kilosort import store_of_folder
from ranvier.models.dataset import RadiensFileType, TimeRangeSpec
from ranvier.models.signals import SignalType
from ranvier.recordings.signalless import NoSignals
from ranvier.recordings.timing import resolve_counters
from ranvier.spikes import SiteRecord, SpikeStore, UnitRecord, sites_of
from ranvier.spikes.columns import SNIPPETS
from ranvier.spikes.curation import NO_UNITS
from ranvier.spikes.waveforms import WaveformReader

#: Waveforms that tell a unit's size where the sorter did not.
MEASURED_SPIKES = 100
#: Corner of the filter for waveforms of spikes that came without saying which filters they were found behind.
HIGHPASS_HZ = 300.0


@dataclass
class SpikeSet:
    """Open spikes.

    Attributes
    ----------
    id
        What a client calls them.
    recording
        The dataset they belong to; a dataset of spikes alone is its own.
    """

    id: str
    store: SpikeStore
    recording: Linked

    @property
    def fs(self) -> float:
        """Counters per second."""
        return float(self.store.info.fs)

    @property
    def sites(self) -> dict[int, SiteRecord]:
        """The sites on which spikes were detected, by NTV."""
        if self.store.info.sites:
            return {site.ntv: site for site in self.store.info.sites}
        known = {site.ntv: site for site in sites_of(self.recording.channels)}
        others = [n for n in self.store.site_ids() if n >= 0 and n not in known]  # of another stream of the session
        return {**known, **{n: SiteRecord(n) for n in others}}

    @property
    def extent(self) -> tuple[int, int]:
        """Counters ``[start, stop)`` that were looked at, and all spikes."""
        info, signals = self.store.info, self.recording.recording
        if info.stop > info.start and info.recording is not None:
            start, stop = info.start, info.stop
        else:
            start, stop = signals.start, signals.stop
        if len(self.store):
            start, stop = min(start, self.store.first_sample), max(stop, self.store.last_sample + 1)
        return start, stop

    def window(self, spec: TimeRangeSpec | None) -> tuple[int, int]:
        """Return the counters that a request means; TimeRangeError where nothing of it lies in what was looked at."""
        start, stop = self.extent
        return resolve_counters(spec, start, max(stop, start + 1), self.store.info.fs, f"the spikes {self.id}")

    def seconds(self, start: int, stop: int) -> tuple[float, float]:
        """Return counters as stream seconds."""
        return float(start / self.store.info.fs), float(stop / self.store.info.fs)

    def without_gaps(self, counters: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return counters as if time stood still in the gaps of the recording, where that is known."""
        return self.recording.recording.segments.without_gaps(np.asarray(counters, np.int64))

    def recorded_sec(self, start: int, stop: int) -> float:
        """Return for how long there is signal in counters ``[start, stop)``."""
        first, last = self.without_gaps([start, stop])
        return float(last - first) / self.fs

    def chosen(self, units: list[int] | None) -> list[int]:
        """Return units that exist; for None those that are not labelled as no units."""
        if units is None:
            return [u for u, record in self.store.units.items() if record.label.lower() not in NO_UNITS]
        self.store.need(units)
        return list(dict.fromkeys(units))

    def on_channels(self, channels: list[int] | None) -> list[int]:
        """Return channels that there are; DatasetError names those that are not. None: all."""
        known = self.sites
        if channels is None:
            return list(known)
        unknown = [c for c in channels if c not in known]
        if unknown:
            raise DatasetError(
                f"the spikes {self.id} have no channel {', '.join(map(str, unknown[:8]))}; spikes were detected on "
                f"{len(known)} channels" + (f" from {min(known)} to {max(known)}" if known else "")
            )
        return channels

    def reader(self) -> WaveformReader:
        """Return what reads waveforms; CapabilityError where the recording is not there."""
        signals = self.recording.recording
        if isinstance(signals, NoSignals):
            raise CapabilityError(
                f"the spikes {self.id} were stored without waveforms; link the recording they belong to"
                + (f" ({self.store.info.recording.name})" if self.store.info.recording is not None else "")
            )
        return WaveformReader(signals, self.store.info)


class SpikeSets:
    """Opens spikes and keeps them open."""

    def __init__(self, datasets: Datasets) -> None:
        self._datasets = datasets
        self._stores: dict[str, SpikeStore] = {}
        self._trains: dict[str, tuple[int, SpikeStore]] = {}
        self._measured: dict[tuple[str, int, int], dict[int, UnitRecord]] = {}
        self._lock = threading.RLock()

    def ids(self, dataset_id: str) -> list[str]:
        """Return the ids of the spikes of a dataset, as of now."""
        return self._datasets.link_spikes(self._datasets.linked(dataset_id))

    def get(self, dataset_id: str, spikes_id: str | None = None) -> SpikeSet:
        """Return open spikes; DatasetError where there are none, or those named are not among them."""
        linked = self._datasets.linked(dataset_id)
        known = self._datasets.link_spikes(linked)
        wanted = known[0] if spikes_id is None and known else spikes_id
        if wanted is None or wanted not in known:
            beside = [i for i in self._datasets.get(dataset_id).notes if "another recording" in i or "any more" in i]
            listing = ", ".join(known) or "none"
            asked = "" if spikes_id is None else f" called {spikes_id!r}"
            raise DatasetError(
                f"{linked.base_name} has no spikes{asked}; it has: {listing}"
                + "".join(f"; {note}" for note in beside)
                + ("" if known else "; sort it, or link a file of spikes")
            )
        with self._lock:
            if not holds_spikes(linked) and wanted.startswith(f"{linked.id}_"):
                name = wanted.removeprefix(f"{linked.id}_")
                if name in linked.session.spike_trains:
                    return SpikeSet(wanted, self._from_trains(linked, name), linked)
            spikes = self._datasets.linked(wanted)
            owner = linked if not holds_spikes(linked) else self._datasets.parent_of(linked) or linked
            return SpikeSet(wanted, self._from_file(spikes), owner)

    def units(self, spikes: SpikeSet) -> dict[int, UnitRecord]:
        """Return the units with their size, measured on the recording where the sorter did not tell it.

        Without templates and without a recording what is not known stays None.
        """
        store = spikes.store
        key = (spikes.id, len(store), len(store.edits))
        with self._lock:
            if key not in self._measured:
                self._measured.clear()
                self._measured[key] = {u: _placed(r, spikes) for u, r in measured(spikes, store.units).items()}
            return self._measured[key]

    def _from_file(self, linked: Linked) -> SpikeStore:
        key = str(linked.canonical)
        store = self._stores.get(key)
        self._stores[key] = SpikeStore.open(linked.canonical) if store is None else store.renewed()
        return self._stores[key]

    def _from_trains(self, linked: Linked, name: str) -> SpikeStore:
        trains = linked.session.spike_trains[name]
        known = self._trains.get(f"{linked.id}_{name}")
        if known is not None and known[0] == id(trains):
            return known[1]
        if linked.format.file_type == RadiensFileType.SPKS_PHY2:  # it holds more than spike trains do
            signals = None if isinstance(linked.recording, NoSignals) else linked.recording
            store = store_of_folder(linked.canonical, linked.recording.fs, linked.channels, signals, name=name)
        else:
            store = SpikeStore.from_trains(trains, linked.recording.fs, linked.canonical, name=name)
        store.info = replace(store.info, filters=_usual_filters(linked))
        self._trains[f"{linked.id}_{name}"] = (id(trains), store)
        return store


def _usual_filters(linked: Linked) -> tuple[dict[str, Any], ...]:
    """Return what waveforms are read behind where nobody says what spikes were found behind."""
    recording = linked.recording
    if (
        isinstance(recording, NoSignals)
        or not recording.channels.count(SignalType.AMP)
        or recording.fs <= 4 * HIGHPASS_HZ
    ):
        return ()
    return tuple(
        Chain.bind([HighPass(HIGHPASS_HZ, zero_phase=True)], recording.fs, recording.channels).describe_stages()
    )


def nearest_sites(spikes: SpikeSet, main: int, known: set[int], n: int) -> list[int]:
    """Return the sites nearest to one of them, itself first; only itself where its place is not known."""
    sites = {ntv: s for ntv, s in spikes.sites.items() if ntv in known}
    home = sites.get(main)
    if home is None:
        return sorted(known)[:n]
    if home.x_um is None or home.y_um is None:
        return [main]
    apart = {ntv: math.hypot((s.x_um or 0.0) - home.x_um, (s.y_um or 0.0) - home.y_um) for ntv, s in sites.items()}
    return sorted(apart, key=lambda ntv: (apart[ntv], ntv))[:n]


def measured(spikes: SpikeSet, units: dict[int, UnitRecord]) -> dict[int, UnitRecord]:
    """Return units with SNR and mean peak: the sorter's, else from templates, else from waveforms."""
    noise = {site.ntv: site.noise_sd_uv for site in spikes.sites.values() if site.noise_sd_uv}
    found = dict(units)
    missing = []
    for unit, record in units.items():
        if record.snr is not None and record.mean_abs_peak_uv is not None:
            continue
        templates = spikes.store.templates
        template = None if spikes.store.is_divided(unit) else spikes.store.template(unit)
        if template is not None and templates is not None and record.site in templates.sites:
            row = int(np.flatnonzero(templates.sites == record.site)[0])
            peak = float(np.nanmax(np.abs(template[row]))) if np.isfinite(template[row]).any() else None
            sd = noise.get(record.site)
            snr = record.snr if record.snr is not None else (peak / sd if peak is not None and sd else None)
            found[unit] = replace(record, snr=snr, mean_abs_peak_uv=record.mean_abs_peak_uv or peak)
        if found[unit].snr is None:
            missing.append(unit)
    if not missing or spikes.store.info.waveforms == "none":
        return found
    if spikes.store.info.waveforms == "stored":  # snippets tell no noise, so no SNR
        return {u: _sized(spikes, r) if u in missing else r for u, r in found.items()}
    try:
        reader = spikes.reader()
        known = set(reader.ntv)
        missing = [u for u in missing if found[u].site in known]
        waveforms = _few_waveforms(spikes, reader, missing, found)
        sites = sorted({found[u].site for u in missing})
        noise_sd = dict(zip(sites, reader.noise_sd_uv(sites), strict=True)) if sites else {}
    except CapabilityError:
        return found
    for unit, read in waveforms.items():
        wfm = read[np.isfinite(read).all(axis=1)]  # the recording may have been cut
        if len(wfm):
            peak = float(np.abs(wfm).max(axis=1).mean())
            size = float(np.abs(wfm.mean(axis=0)).max())
            sd = float(noise_sd[found[unit].site])
            found[unit] = replace(found[unit], snr=size / sd if sd > 0 else None, mean_abs_peak_uv=peak)
    return found


def _sized(spikes: SpikeSet, record: UnitRecord) -> UnitRecord:
    """Return a unit with the mean of its snippets' largest absolute values."""
    snippets = spikes.store.select(units=[record.unit], columns=(SNIPPETS,)).columns[SNIPPETS][:MEASURED_SPIKES]
    if not snippets.size or not np.isfinite(snippets).any():
        return record
    return replace(record, mean_abs_peak_uv=float(np.nanmean(np.nanmax(np.abs(snippets), axis=(1, 2)))))


def _few_waveforms(
    spikes: SpikeSet, reader: WaveformReader, units: list[int], records: dict[int, UnitRecord]
) -> dict[int, npt.NDArray[np.float32]]:
    """Return some waveforms of each unit on its main site ``(n, points)``, in one pass over the recording."""
    picked = {}
    for unit in units:
        samples = spikes.store.unit_samples(unit)
        picked[unit] = samples[np.linspace(0, max(len(samples) - 1, 0), min(len(samples), MEASURED_SPIKES)).astype(int)]
    every = np.concatenate([*picked.values(), np.empty(0, np.int64)])
    owner = np.concatenate([*(np.full(len(s), u) for u, s in picked.items()), np.empty(0, np.int64)])
    order = np.argsort(every, kind="stable")
    site = np.array([records[int(u)].site for u in owner], np.int64)
    found = reader.read_own(every[order], site[order])
    return {u: found[owner[order] == u] for u in units}


def _placed(record: UnitRecord, spikes: SpikeSet) -> UnitRecord:
    """Return a unit with the place of its site, where its own is not known."""
    site = spikes.sites.get(record.site)
    if record.x_um is not None or site is None or site.x_um is None:
        return record
    return replace(record, x_um=site.x_um, y_um=site.y_um, z_um=site.z_um)
