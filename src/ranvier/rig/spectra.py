"""Spectra of the live stream, from what the cache holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ranvier.dsp.view import FilteredRecording
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.dsp import DSPParams
from ranvier.models.spectra import BandPowerTable, CoherenceResult, PsdQuery, PsdResult
from ranvier.models.spectral import SpectralQuery, SpectralResult
from ranvier.recordings import Recording
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.selection import amplifier_columns
from ranvier.recordings.timing import resolve_counters
from ranvier.rig.core import Core
from ranvier.rig.signals import LiveSignals
from ranvier.rig.view import CacheRecording
from ranvier.spectral.bands import check_bands
from ranvier.spectral.results import band_table, coherence_result, psd_result, spectral_result


class LiveSpectra:
    """Service ``RigSpectra``. It works in the caller's thread and one core: acquisition keeps the other."""

    def __init__(self, core: Core, signals: LiveSignals) -> None:
        self._core = core
        self._signals = signals

    def get(self, query: SpectralQuery) -> SpectralResult:
        """Compute a query on the cache; see the Protocol."""
        source, channels, applied = self._source(query.apply_dsp)
        amplifier_columns(channels, query.ntv_chan_idxs)
        return spectral_result(source, channels, query, applied)

    def psd(
        self, query: PsdQuery, time_range: TimeRangeSpec | None = None, channels: Sequence[int] | None = None
    ) -> PsdResult:
        """Estimate a spectrum per channel; see the Protocol."""
        source, table, _ = self._source(query.apply_dsp)
        start, stop = self._range(source, time_range)
        served = self._signals.time_range(start, stop)
        return psd_result(source, table, amplifier_columns(table, channels), start, stop, query, served)

    def band_power(
        self,
        bands_hz: Mapping[str, tuple[float, float]],
        query: PsdQuery,
        time_range: TimeRangeSpec | None = None,
        channels: Sequence[int] | None = None,
    ) -> BandPowerTable:
        """Return the power in bands; see the Protocol."""
        nyquist = float(self._core.source.fs) / 2
        check_bands(bands_hz, nyquist)
        found = self.psd(query.model_copy(update={"f_range_hz": None}), time_range, channels)
        return band_table(found, bands_hz, nyquist)

    def coherence(
        self, pairs: Sequence[tuple[int, int]], query: PsdQuery, time_range: TimeRangeSpec | None = None
    ) -> CoherenceResult:
        """Return coherence and phase of pairs of channels; see the Protocol."""
        source, table, _ = self._source(query.apply_dsp)
        amplifier_columns(table, [i for pair in pairs for i in pair])
        start, stop = self._range(source, time_range)
        return coherence_result(source, table, pairs, start, stop, query, self._signals.time_range(start, stop))

    def _source(self, apply_dsp: bool) -> tuple[Recording, ChannelTable, list[DSPParams]]:
        """Return what the cache holds now, seen through stage 2 where asked."""
        core = self._core
        held = self._signals.held()
        recording: Recording = CacheRecording(core.cache, held, core.source.fs, core.source.channels)
        applied: list[DSPParams] = []
        view = core.dsp.view
        if apply_dsp and view is not None:
            recording = FilteredRecording(recording, view)
            applied = list(core.dsp.get().software_stage2)
        return recording, core.selection.apply(core.source.channels), applied

    def _range(self, source: Recording, time_range: TimeRangeSpec | None) -> tuple[int, int]:
        spec = TimeRangeSpec.full() if time_range is None else time_range
        return resolve_counters(spec, source.start, source.stop, source.fs, "the live cache")
