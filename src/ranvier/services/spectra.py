"""Spectra of a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.spectra import BandPowerTable, CoherenceResult, CsdResult, PsdQuery, PsdResult
from ranvier.models.spectral import BatchSpectralResult, SpectralInfoResult, SpectralQuery, SpectralResult
from ranvier.services.progress import Progress


class HubSpectra(Protocol):
    """Power spectra, spectrograms, band power, coherence, current sources; uV^2/Hz, channels AMP NTV.

    Densities are one-sided, of segments whose mean is removed, as ``scipy.signal.welch`` defines them. Segments with a
    missing sample are left out for that channel, and warnings say so; NaN where none is left.
    """

    def get(self, dataset_id: str, query: SpectralQuery, *, progress: Progress | None = None) -> SpectralResult:
        """Compute a query.

        A range partly outside the recording gives what is inside, with a warning.

        Raises
        ------
        ConfigurationError
            The query is impossible; the message lists all its faults.
        SignalSelectionError, TimeRangeError
            A channel that the dataset does not have; a range wholly outside (of a periodogram: partly outside).
        """
        ...

    def get_many(
        self, items: Sequence[tuple[str, SpectralQuery]], *, progress: Progress | None = None
    ) -> BatchSpectralResult:
        """Compute queries on datasets, in their order, as one job; all are checked before the first begins."""
        ...

    def info(
        self, query: SpectralQuery, fs: float, duration_sec: float, num_channels: int, *, dataset_id: str | None = None
    ) -> SpectralInfoResult:
        """Return resolution, size and time of a query without computing it; ``errors`` say what is impossible."""
        ...

    def psd(
        self,
        dataset_id: str,
        query: PsdQuery,
        time_range: TimeRangeSpec | None = None,
        channels: Sequence[int] | None = None,
        *,
        progress: Progress | None = None,
    ) -> PsdResult:
        """Estimate a spectrum per channel over a time range (None = all); ``channels`` None = the selected ones.

        A range shorter than a segment shortens it, with a warning.
        """
        ...

    def band_power(
        self,
        dataset_id: str,
        bands_hz: Mapping[str, tuple[float, float]],
        query: PsdQuery,
        time_range: TimeRangeSpec | None = None,
        channels: Sequence[int] | None = None,
        *,
        progress: Progress | None = None,
    ) -> BandPowerTable:
        """Return the power in bands, uV^2, per channel; the query's ``f_range_hz`` is not used."""
        ...

    def coherence(
        self,
        dataset_id: str,
        pairs: Sequence[tuple[int, int]],
        query: PsdQuery,
        time_range: TimeRangeSpec | None = None,
        *,
        progress: Progress | None = None,
    ) -> CoherenceResult:
        """Return the magnitude-squared coherence and the phase of pairs of channels."""
        ...

    def csd(
        self,
        dataset_id: str,
        time_range: TimeRangeSpec | None = None,
        channels: Sequence[int] | None = None,
        *,
        conductivity_s_per_m: float = 0.3,
        apply_dsp: bool = False,
    ) -> CsdResult:
        """Return the current-source density over a time range of at most 10 million samples in all.

        Raises
        ------
        ProbeError
            Sites whose position is not known, or that are not one evenly spaced line.
        """
        ...
