"""Measures of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.kpi import (
    BundleStatId,
    KpiBundleStatsResult,
    KpiMetricId,
    KpiMetricsResult,
    KpiMetricsSeriesResult,
    KpiServiceMode,
    KpiStatus,
)
from ranvier.models.quality import ChannelQualityTable
from ranvier.models.signals import SignalType, SigSelect
from ranvier.models.spikesorter import SpikeDetectParams
from ranvier.services.progress import Progress


class HubMetrics(Protocol):
    """Measures per channel.

    Metrics (KPI) are folds over packets: statistics of each second (``packet_dur``) of each channel behind the
    dataset's stage-2 filters, kept in ``<base>.kpi`` beside the recording, or in memory where that cannot be written.
    Channels are native indices; None or none of them means the selected ones. What cannot be computed is NaN.
    """

    def channel_quality(
        self,
        dataset_id: str,
        time_range: TimeRangeSpec | None = None,
        select: SigSelect | None = None,
        *,
        apply_dsp: bool = False,
        progress: Progress | None = None,
    ) -> ChannelQualityTable:
        """Return RMS (uV), noise (uV, from the median absolute deviation) and a verdict per amplifier channel.

        ``time_range`` None = the whole recording; ``select`` None = the selected AMP channels. Missing samples do not
        count. ``apply_dsp`` measures behind the dataset's stage-2 filters. The verdicts are good, dead, saturated,
        noisy, bridged and outside (the brain); the table says by which limits.
        """
        ...

    def get(
        self,
        dataset_id: str,
        metrics: Sequence[KpiMetricId],
        channels: Sequence[int] | None = None,
        time_range: TimeRangeSpec | None = None,
        signal_type: SignalType = SignalType.AMP,
        *,
        service_mode: KpiServiceMode = KpiServiceMode.RANGE,
        progress: Progress | None = None,
    ) -> KpiMetricsResult:
        """Return metrics over a time range (None = all): exact, also where it does not begin and end with packets.

        ``service_mode`` STREAM takes the newest whole packet instead of a range.

        Raises
        ------
        ConfigurationError
            No metric is named, or a range goes with STREAM.
        SignalSelectionError, TimeRangeError
            A channel that the dataset does not have; a range wholly outside the recording.
        """
        ...

    def series(
        self,
        dataset_id: str,
        metrics: Sequence[KpiMetricId],
        window_sec: float | None = None,
        channels: Sequence[int] | None = None,
        time_range: TimeRangeSpec | None = None,
        signal_type: SignalType = SignalType.AMP,
        *,
        progress: Progress | None = None,
    ) -> KpiMetricsSeriesResult:
        """Return metrics over successive windows from the start of the range on; ``window_sec`` None: the packets."""
        ...

    def bundle_stats(
        self,
        dataset_id: str,
        stats: Sequence[BundleStatId],
        window_sec: float | None = None,
        channels: Sequence[int] | None = None,
        time_range: TimeRangeSpec | None = None,
        signal_type: SignalType = SignalType.AMP,
        *,
        progress: Progress | None = None,
    ) -> KpiBundleStatsResult:
        """Return metrics of windows, reduced over channels; channels without a value do not count."""
        ...

    def status(self, dataset_id: str) -> KpiStatus:
        """Return how many packets are there, how long they are, and where they are kept."""
        ...

    def calculate(self, dataset_id: str, *, background: bool = False, progress: Progress | None = None) -> None:
        """Compute every packet of the amplifier channels, as a job; return when it is done, or at once."""
        ...

    def clear(self, dataset_id: str) -> None:
        """Forget the packets, and delete the file that keeps them."""
        ...

    def set_packet_duration(self, dataset_id: str, packet_sec: float) -> None:
        """Set how long packets are, 0.01 to 60 s; those of another length are not used any more."""
        ...

    def params(self, dataset_id: str) -> list[SpikeDetectParams]:
        """Return the event parameters of every amplifier channel."""
        ...

    def set_params(self, dataset_id: str, changes: Sequence[SpikeDetectParams]) -> list[SpikeDetectParams]:
        """Change event parameters, all or nothing; packets computed with others are not used any more.

        A field that is None stays, as does an element of a pair that is NaN; without ``ntv_chan_idx`` a change is for
        all amplifier channels. Thresholds in uV replace those in noise SD and the other way round.
        """
        ...
