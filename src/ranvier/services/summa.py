"""Analyses over many datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ranvier.models.kpi import KpiMetricId
from ranvier.models.summa import SummaResult, SummaState
from ranvier.services.progress import Progress


class HubSumma(Protocol):
    """Histograms of metrics per packet, over all datasets of an analysis and per dataset; kept in the store."""

    def launch(
        self,
        summa_id: str,
        dataset_ids: Sequence[str],
        metrics: Sequence[KpiMetricId],
        *,
        packet_dur_sec: float = 1.0,
        bins: int = 50,
        wait: bool = False,
        progress: Progress | None = None,
    ) -> SummaState:
        """Start an analysis of the selected amplifier channels as a job; with ``wait`` return when it is complete.

        An analysis of the same id is replaced.

        Raises
        ------
        ConfigurationError
            No datasets, a metric that summa does not have, more values than memory should hold; an analysis of that id
            that still runs.
        """
        ...

    def get(self, summa_id: str) -> SummaResult:
        """Return an analysis as it stands; DatasetError where there is none of that id. Histograms come at the end."""
        ...

    def list(self) -> Sequence[SummaState]:
        """Return how all analyses stand, oldest first, also those of earlier sessions."""
        ...

    def clear(self, ids: Sequence[str] | None = None) -> int:
        """Forget analyses (None = all) and return how many; one that runs is cancelled first."""
        ...
