"""Spectra of datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from ranvier.clients._progress import shown
from ranvier.clients._signals import SignalsClient
from ranvier.exceptions import ConfigurationError
from ranvier.models._coerce import faults_of
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.flex import FlexDataset, FlexTimeRange, coerce_time_range
from ranvier.models.spectra import BANDS_HZ, BandPowerTable, CoherenceResult, CsdResult, PsdQuery, PsdResult
from ranvier.models.spectral import (
    BatchSpectralResult,
    SpectralInfoResult,
    SpectralQuery,
    SpectralResult,
    SpectralWindowType,
    coerce_spectral_window_type,
)

Bands = Mapping[str, tuple[float, float]]
HANN = SpectralWindowType.HANN


class SpectraClient(SignalsClient):
    """Power spectra, spectrograms, band power, coherence, current sources.

    Densities are one-sided, uV^2/Hz, as ``scipy.signal.welch`` defines them; channels are amplifier channels by native
    index. Segments with a missing sample are left out, and ``warnings`` of the result says so.
    """

    def get_spectral(self, dataset: FlexDataset, query: SpectralQuery) -> SpectralResult:
        """Return spectra, or spectrograms, of the ranges of a query.

        ``power`` of each channel is ``(frequencies,)``, or ``(frequencies, times)`` with ``mode=TIME_RESOLVED``;
        ``time_axis`` is the centre of each window in seconds from ``ref_sec``.

        Raises
        ------
        ConfigurationError
            The query is impossible; the message lists all its faults.
        SignalSelectionError, TimeRangeError
            A channel that the dataset does not have; a range outside the recording.
        """
        with self._work("spectrum", dataset) as (source, progress):
            return self._hub.spectra.get(source.id, query, progress=progress)

    def get_batch_spectral(self, items: Sequence[tuple[FlexDataset, SpectralQuery]]) -> BatchSpectralResult:
        """Return the spectra of several queries, in their order; all are checked before the first begins."""
        wanted = [(self._id(dataset), query) for dataset, query in items]
        with shown(self._progress, f"{len(wanted)} spectra") as progress:
            return self._hub.spectra.get_many(wanted, progress=progress)

    def get_spectral_info(
        self, *, fs: float, duration_sec: float, num_channels: int, query: SpectralQuery,
        dataset: FlexDataset | None = None,
    ) -> SpectralInfoResult:  # fmt: skip
        """Return resolution, size and time that a query would have; ``errors`` says what makes it impossible."""
        dataset_id = None if dataset is None else self._id(dataset)
        return self._hub.spectra.info(query, fs, duration_sec, num_channels, dataset_id=dataset_id)

    def get_psd(
        self,
        dataset: FlexDataset,
        time_range: FlexTimeRange | None = None,
        channels: Sequence[int] | None = None,
        *,
        resolution_hz: float = 1.0,
        f_range_hz: tuple[float, float] | None = None,
        window: SpectralWindowType | str | int = HANN,
        overlap: float | None = None,
        time_bandwidth: float | None = None,
        samp_freq_hz: float | None = None,
        apply_dsp: bool = False,
    ) -> PsdResult:
        """Estimate the power spectrum of each channel by Welch's method, or with tapers (an addition).

        Parameters
        ----------
        channels
            Native indices; None = the selected ones.
        resolution_hz
            Distance between frequencies; segments last ``1 / resolution_hz`` seconds.
        time_bandwidth
            Multitaper segments with this half bandwidth times duration, 4 say; None for Welch's method.
        samp_freq_hz
            Only frequencies below half of this matter: the signal is decimated first, which is faster.
        """
        query = psd_query(
            resolution_hz, f_range_hz, window, overlap=overlap, time_bandwidth=time_bandwidth,
            samp_freq_hz=samp_freq_hz, apply_dsp=apply_dsp,
        )  # fmt: skip
        with self._work("spectrum", dataset) as (source, progress):
            return self._hub.spectra.psd(source.id, query, spec_of(time_range), channels, progress=progress)

    def get_band_power(
        self,
        dataset: FlexDataset,
        bands_hz: Bands | None = None,
        time_range: FlexTimeRange | None = None,
        channels: Sequence[int] | None = None,
        *,
        resolution_hz: float = 0.5,
        samp_freq_hz: float | None = None,
        apply_dsp: bool = False,
    ) -> BandPowerTable:
        """Return the power in bands of frequency, uV^2, per channel; by default delta to ripple (an addition)."""
        query = psd_query(resolution_hz, None, HANN, samp_freq_hz=samp_freq_hz, apply_dsp=apply_dsp)
        with self._work("band power", dataset) as (source, progress):
            return self._hub.spectra.band_power(
                source.id, dict(bands_hz or BANDS_HZ), query, spec_of(time_range), channels, progress=progress
            )

    def get_coherence(
        self,
        dataset: FlexDataset,
        pairs: Sequence[tuple[int, int]],
        time_range: FlexTimeRange | None = None,
        *,
        resolution_hz: float = 1.0,
        f_range_hz: tuple[float, float] | None = None,
        apply_dsp: bool = False,
    ) -> CoherenceResult:
        """Return magnitude-squared coherence and phase of pairs of channels, by Welch's method (an addition)."""
        query = psd_query(resolution_hz, f_range_hz, HANN, apply_dsp=apply_dsp)
        with self._work("coherence", dataset) as (source, progress):
            return self._hub.spectra.coherence(source.id, list(pairs), query, spec_of(time_range), progress=progress)

    def get_csd(
        self,
        dataset: FlexDataset,
        time_range: FlexTimeRange | None = None,
        channels: Sequence[int] | None = None,
        *,
        conductivity_s_per_m: float = 0.3,
        apply_dsp: bool = False,
    ) -> CsdResult:
        """Return the current-source density, nA/mm^3, along an evenly spaced line of sites (an addition).

        Raises ProbeError where the sites are not one; choose ``channels`` that are.
        """
        return self._hub.spectra.csd(
            self._id(dataset),
            spec_of(time_range),
            channels,
            conductivity_s_per_m=conductivity_s_per_m,
            apply_dsp=apply_dsp,
        )


def psd_query(
    resolution_hz: float, f_range_hz: tuple[float, float] | None, window: SpectralWindowType | str | int, **more: Any
) -> PsdQuery:
    """Return the query that friendly arguments mean; ConfigurationError says which of them cannot be."""
    try:
        return PsdQuery(
            resolution_hz=resolution_hz, f_range_hz=f_range_hz, window=coerce_spectral_window_type(window), **more
        )
    except ValidationError as error:
        raise ConfigurationError(f"no such spectrum: {faults_of(error)}") from error


def spec_of(time_range: FlexTimeRange | None) -> TimeRangeSpec | None:
    """Return what a friendly time range means; None stays None."""
    return None if time_range is None else coerce_time_range(time_range)
