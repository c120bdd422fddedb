"""Spectra of linked datasets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from ranvier._platform import worker_count
from ranvier.dsp.parallel import Team
from ranvier.exceptions import ConfigurationError
from ranvier.hub.datasets import Datasets
from ranvier.hub.dsp import DspGroups
from ranvier.hub.jobs import JobContext, JobManager
from ranvier.hub.linked import Linked
from ranvier.hub.signals import filtered
from ranvier.hub.timing import resolve, time_range
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.dsp import DSPParams
from ranvier.models.spectra import BandPowerTable, CoherenceResult, CsdResult, PsdQuery, PsdResult
from ranvier.models.spectral import BatchSpectralResult, SpectralInfoResult, SpectralQuery, SpectralResult
from ranvier.recordings import Recording
from ranvier.recordings.selection import amplifier_columns
from ranvier.services.progress import Progress
from ranvier.spectral.current_source import current_source_density, line_of_sites
from ranvier.spectral.estimate import Watch
from ranvier.spectral.info import spectral_info
from ranvier.spectral.query import plan
from ranvier.spectral.results import band_table, coherence_result, psd_result, spectral_result

T = TypeVar("T")

#: Values of a current-source density, at most (80 MB).
MOST_CSD_VALUES = 10_000_000


class Spectra:
    """Service ``HubSpectra``."""

    def __init__(self, datasets: Datasets, dsp: DspGroups, jobs: JobManager) -> None:
        self._datasets = datasets
        self._dsp = dsp
        self._jobs = jobs

    def get(self, dataset_id: str, query: SpectralQuery, *, progress: Progress | None = None) -> SpectralResult:
        """Compute a query; see the Protocol."""
        return self.get_many([(dataset_id, query)], progress=progress).results[0]

    def get_many(
        self, items: Sequence[tuple[str, SpectralQuery]], *, progress: Progress | None = None
    ) -> BatchSpectralResult:
        """Compute queries in their order, as one job."""
        asked = [(self._datasets.linked(i), query) for i, query in items]
        if not asked:
            return BatchSpectralResult(results=())
        for linked, query in asked:
            for start, stop in plan(query, linked.recording.fs).ranges:
                linked.recording.clip(start, stop)
            amplifier_columns(linked.channels, query.ntv_chan_idxs)

        def work(job: JobContext) -> list[SpectralResult]:
            return [self._compute(linked, query, job, i, len(asked)) for i, (linked, query) in enumerate(asked)]

        name = asked[0][0].base_name + (f" and {len(asked) - 1} more" if len(asked) > 1 else "")
        return BatchSpectralResult(results=tuple(self._run(f"spectrum of {name}", work, progress)))

    def info(
        self, query: SpectralQuery, fs: float, duration_sec: float, num_channels: int, *, dataset_id: str | None = None
    ) -> SpectralInfoResult:
        """Return what a query would give; see the Protocol."""
        applied: Sequence[DSPParams] = ()
        if dataset_id is not None and query.apply_dsp:
            applied = self._dsp.get(dataset_id).software_stage2
        return spectral_info(query, fs, duration_sec, num_channels, applied, worker_count())

    def psd(
        self,
        dataset_id: str,
        query: PsdQuery,
        time_range_spec: TimeRangeSpec | None = None,
        channels: Sequence[int] | None = None,
        *,
        progress: Progress | None = None,
    ) -> PsdResult:
        """Estimate a spectrum per channel; see the Protocol."""
        linked = self._datasets.linked(dataset_id)
        columns = amplifier_columns(linked.channels, channels)
        start, stop = resolve(time_range_spec, linked.recording)
        source, _ = self._source(linked, query.apply_dsp)
        served = time_range(linked.recording, start, stop)

        def work(job: JobContext) -> PsdResult:
            return psd_result(
                source, linked.channels, columns, start, stop, query, served, watch=_watch(job), team=_team()
            )

        return self._run(f"spectrum of {linked.base_name}", work, progress)

    def band_power(
        self,
        dataset_id: str,
        bands_hz: Mapping[str, tuple[float, float]],
        query: PsdQuery,
        time_range_spec: TimeRangeSpec | None = None,
        channels: Sequence[int] | None = None,
        *,
        progress: Progress | None = None,
    ) -> BandPowerTable:
        """Return the power in bands; see the Protocol."""
        from ranvier.spectral.bands import check_bands

        nyquist = float(self._datasets.linked(dataset_id).recording.fs) / 2
        check_bands(bands_hz, nyquist)
        whole = query.model_copy(update={"f_range_hz": None})
        found = self.psd(dataset_id, whole, time_range_spec, channels, progress=progress)
        return band_table(found, bands_hz, nyquist)

    def coherence(
        self,
        dataset_id: str,
        pairs: Sequence[tuple[int, int]],
        query: PsdQuery,
        time_range_spec: TimeRangeSpec | None = None,
        *,
        progress: Progress | None = None,
    ) -> CoherenceResult:
        """Return coherence and phase of pairs of channels; see the Protocol."""
        linked = self._datasets.linked(dataset_id)
        amplifier_columns(linked.channels, [i for pair in pairs for i in pair])
        start, stop = resolve(time_range_spec, linked.recording)
        source, _ = self._source(linked, query.apply_dsp)
        served = time_range(linked.recording, start, stop)

        def work(job: JobContext) -> CoherenceResult:
            return coherence_result(
                source, linked.channels, pairs, start, stop, query, served, watch=_watch(job), team=_team()
            )

        return self._run(f"coherence of {linked.base_name}", work, progress)

    def csd(
        self,
        dataset_id: str,
        time_range_spec: TimeRangeSpec | None = None,
        channels: Sequence[int] | None = None,
        *,
        conductivity_s_per_m: float = 0.3,
        apply_dsp: bool = False,
    ) -> CsdResult:
        """Return the current-source density over a time range; see the Protocol."""
        linked = self._datasets.linked(dataset_id)
        columns, depth = line_of_sites(linked.channels, amplifier_columns(linked.channels, channels))
        start, stop = resolve(time_range_spec, linked.recording)
        if len(columns) * (stop - start) > MOST_CSD_VALUES:
            raise ConfigurationError(
                f"{len(columns)} sites x {stop - start} samples are more than {MOST_CSD_VALUES} values; take a shorter "
                f"range, or write a decimated recording first"
            )
        source, _ = self._source(linked, apply_dsp)
        potential = source.read(start, stop, columns).samples.T.astype(np.float64)
        spacing = float(np.diff(depth).mean()) if len(depth) > 1 else 1.0
        return CsdResult(
            channel_indices=tuple(linked.channels[int(c)].ntv for c in columns),
            depth_um=depth,
            sec=np.arange(start, stop) / float(linked.recording.fs),
            csd_na_mm3=current_source_density(potential, spacing, conductivity_s_per_m),
            potential_uv=potential,
            spacing_um=spacing,
            conductivity_s_per_m=conductivity_s_per_m,
        )

    def _compute(self, linked: Linked, query: SpectralQuery, job: JobContext, done: int, of: int) -> SpectralResult:
        source, applied = self._source(linked, query.apply_dsp)

        def progress(now: int, total: int) -> None:
            job.progress((done + now / max(1, total)) / of)

        watch = Watch(progress, job.cancelled)
        return spectral_result(source, linked.channels, query, applied, watch=watch, team=_team())

    def _source(self, linked: Linked, apply_dsp: bool) -> tuple[Recording, list[DSPParams]]:
        """Return what is transformed: the recording, or what its stage-2 filters make of it."""
        filters = list(self._dsp.get(linked.id).software_stage2) if apply_dsp else []
        return (filtered(linked, self._dsp) if filters else linked.recording), filters

    def _run(self, label: str, work: Callable[[JobContext], T], progress: Progress | None) -> T:
        return self._jobs.run("spectrum", label, work, progress=progress)


def _watch(job: JobContext) -> Watch:
    return Watch(job.samples, job.cancelled)


def _team() -> Team:
    return Team(worker_count())
