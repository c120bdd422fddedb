"""What a rig measures of its stream: spectra, quality of channels, metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.kpi import KpiMetricId, KpiMetricsResult, KpiMetricsSeriesResult, KpiServiceMode, KpiStatus
from ranvier.models.quality import ChannelQualityTable
from ranvier.models.signals import SignalType
from ranvier.models.spectra import BandPowerTable, CoherenceResult, PsdQuery, PsdResult
from ranvier.models.spectral import SpectralQuery, SpectralResult
from ranvier.models.spikesorter import SpikeDetectParams


class RigSpectra(Protocol):
    """Spectra of what the live cache holds; results as those of :class:`ranvier.services.HubSpectra`.

    ``time_range`` None = everything in the cache; ``channels`` (AMP NTV) None = the selected ones.
    """

    def get(self, query: SpectralQuery) -> SpectralResult:
        """Compute a query; times are stream seconds. What has left the cache raises TimeRangeError."""
        ...

    def psd(
        self, query: PsdQuery, time_range: TimeRangeSpec | None = None, channels: Sequence[int] | None = None
    ) -> PsdResult:
        """Estimate a spectrum per channel."""
        ...

    def band_power(
        self,
        bands_hz: Mapping[str, tuple[float, float]],
        query: PsdQuery,
        time_range: TimeRangeSpec | None = None,
        channels: Sequence[int] | None = None,
    ) -> BandPowerTable:
        """Return the power in bands, uV^2, per channel."""
        ...

    def coherence(
        self, pairs: Sequence[tuple[int, int]], query: PsdQuery, time_range: TimeRangeSpec | None = None
    ) -> CoherenceResult:
        """Return the magnitude-squared coherence and the phase of pairs of channels."""
        ...


class RigQuality(Protocol):
    """Quality of the channels, from what the live cache holds."""

    def get(
        self, time_range: TimeRangeSpec | None = None, channels: Sequence[int] | None = None
    ) -> ChannelQualityTable:
        """Return noise, RMS and verdict of amplifier channels (NTV, in the order asked; None = the selected ones).

        ``time_range`` None = everything in the cache. Verdicts as those of :class:`ranvier.services.HubMetrics`.
        """
        ...


class RigMetrics(Protocol):
    """Metrics of the live stream behind stage 2: every packet is measured from the first request on.

    Packets that this engine has no time for are left out and counted; acquisition never waits. The ring of packets is
    bounded: the mode STREAM of a metric is over what it holds.
    """

    def get(
        self,
        metrics: Sequence[KpiMetricId],
        channels: Sequence[int] | None = None,
        time_range: TimeRangeSpec | None = None,
        signal_type: SignalType = SignalType.AMP,
        *,
        service_mode: KpiServiceMode = KpiServiceMode.STREAM,
        lookback_sec: float | None = None,
    ) -> KpiMetricsResult:
        """Return metrics of the newest whole packets (STREAM; ``lookback_sec`` None = 5 s), or of a range.

        A range is exact within the cache and rounded to whole packets before it. TimeRangeError where nothing of it is
        kept, or no packet is whole yet.
        """
        ...

    def series(
        self,
        metrics: Sequence[KpiMetricId],
        channels: Sequence[int] | None = None,
        time_range: TimeRangeSpec | None = None,
        signal_type: SignalType = SignalType.AMP,
        *,
        lookback_sec: float | None = None,
    ) -> KpiMetricsSeriesResult:
        """Return metrics of each packet: of the newest whole ones (``lookback_sec`` None = 5 s), or of a range.

        Ranges and errors as those of :meth:`get`; the first and last packet of a range are cut to it.
        """
        ...

    def status(self) -> KpiStatus:
        """Return packets, memory, what was left out, and the measured headroom."""
        ...

    def set_packet_duration(self, packet_sec: float) -> None:
        """Set how long packets are, 0.01 to 60 s; measuring begins anew."""
        ...

    def set_update_period(self, update_sec: float) -> None:
        """Set how often packets are measured while nobody asks, 0.01 to 60 s."""
        ...

    def params(self) -> list[SpikeDetectParams]:
        """Return the event parameters of every amplifier channel."""
        ...

    def set_params(self, changes: Sequence[SpikeDetectParams]) -> list[SpikeDetectParams]:
        """Change event parameters, all or nothing, as ``HubMetrics.set_params``; measuring begins anew."""
        ...
