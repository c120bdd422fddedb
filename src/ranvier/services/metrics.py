"""Measures of a dataset."""

from __future__ import annotations

from typing import Protocol

from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.quality import ChannelQualityTable
from ranvier.models.signals import SigSelect
from ranvier.services.progress import Progress


class HubMetrics(Protocol):
    """Measures per channel."""

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
