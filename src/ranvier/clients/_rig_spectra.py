"""Spectra of the live stream: additions to the documented API."""

from __future__ import annotations

from collections.abc import Sequence

from ranvier.clients._rig_base import RigClient
from ranvier.clients._spectra import HANN, Bands, psd_query, spec_of
from ranvier.models.flex import FlexTimeRange
from ranvier.models.spectra import BANDS_HZ, BandPowerTable, CoherenceResult, PsdResult
from ranvier.models.spectral import SpectralQuery, SpectralResult, SpectralWindowType


class LiveSpectraClient(RigClient):
    """Spectra of what the live cache holds; results as those of VidereClient.

    One core of the rig computes them, so ask for the seconds that matter: ``TimeRangeSpec.lookback(2)``.
    """

    def get_spectral(self, query: SpectralQuery) -> SpectralResult:
        """Return spectra or spectrograms of ranges of the stream, in stream seconds.

        Raises
        ------
        ConfigurationError
            The query is impossible; the message lists all its faults.
        TimeRangeError
            The cache does not hold it (any more, or yet).
        """
        self._check_hardware()
        return self._rig.spectra.get(query)

    def get_psd(
        self,
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
        """Estimate the power spectrum of each channel; parameters as those of ``VidereClient.get_psd``."""
        query = psd_query(
            resolution_hz, f_range_hz, window, overlap=overlap, time_bandwidth=time_bandwidth,
            samp_freq_hz=samp_freq_hz, apply_dsp=apply_dsp,
        )  # fmt: skip
        self._check_hardware()
        return self._rig.spectra.psd(query, spec_of(time_range), channels)

    def get_band_power(
        self,
        bands_hz: Bands | None = None,
        time_range: FlexTimeRange | None = None,
        channels: Sequence[int] | None = None,
        *,
        resolution_hz: float = 0.5,
        samp_freq_hz: float | None = None,
        apply_dsp: bool = False,
    ) -> BandPowerTable:
        """Return the power in bands of frequency, uV^2, per channel; by default delta to ripple."""
        query = psd_query(resolution_hz, None, HANN, samp_freq_hz=samp_freq_hz, apply_dsp=apply_dsp)
        self._check_hardware()
        return self._rig.spectra.band_power(dict(bands_hz or BANDS_HZ), query, spec_of(time_range), channels)

    def get_coherence(
        self,
        pairs: Sequence[tuple[int, int]],
        time_range: FlexTimeRange | None = None,
        *,
        resolution_hz: float = 1.0,
        f_range_hz: tuple[float, float] | None = None,
        apply_dsp: bool = False,
    ) -> CoherenceResult:
        """Return magnitude-squared coherence and phase of pairs of channels."""
        query = psd_query(resolution_hz, f_range_hz, HANN, apply_dsp=apply_dsp)
        self._check_hardware()
        return self._rig.spectra.coherence(list(pairs), query, spec_of(time_range))
