"""Analyses over many datasets."""

from __future__ import annotations

from collections.abc import Sequence

from ranvier.clients._base import several
from ranvier.clients._progress import shown
from ranvier.clients._signals import SignalsClient
from ranvier.models.flex import FlexDataset
from ranvier.models.kpi import KpiMetric, KpiMetricId, coerce_kpi_metric
from ranvier.models.summa import SummaResult, SummaState

FlexMetric = KpiMetricId | KpiMetric | str | int
DEFAULT_METRICS = (KpiMetric.RMS, KpiMetric.NOISE_UV, KpiMetric.MAX_MIN_DIFF_ABS)


class SummaClient(SignalsClient):
    """Signal metrics of many datasets as histograms; all of it an addition to the typed API."""

    def launch_summa(
        self,
        *,
        datasets: Sequence[FlexDataset],
        summa_id: str = "default",
        metrics: Sequence[FlexMetric] = DEFAULT_METRICS,
        packet_dur_sec: float = 1.0,
        bins: int = 50,
        wait: bool = True,
    ) -> SummaState:
        """Measure the selected amplifier channels of datasets, packet by packet, and keep the histograms.

        Parameters
        ----------
        summa_id
            Its name; an earlier analysis of that name is replaced.
        packet_dur_sec
            Each metric has one value per packet of this length and channel.
        wait
            False returns at once; ``get_summa`` tells how far it is.
        """
        ids = [self._id(dataset) for dataset in several(datasets)]
        chosen = [m if isinstance(m, KpiMetricId) else KpiMetricId(name=coerce_kpi_metric(m)) for m in metrics]
        with shown(self._progress, f"summa of {len(ids)} datasets") as progress:
            return self._hub.summa.launch(
                summa_id, ids, chosen, packet_dur_sec=packet_dur_sec, bins=bins, wait=wait, progress=progress
            )

    def get_summa(self, *, summa_id: str = "default") -> SummaResult:
        """Return an analysis: its state, the histograms over all datasets, and those of each."""
        return self._hub.summa.get(summa_id)

    def list_summa(self) -> list[SummaState]:
        """Return how all analyses stand, oldest first, also those of earlier sessions."""
        return list(self._hub.summa.list())

    def clear_summa(self, *, summa_ids: Sequence[str] | None = None) -> int:
        """Forget analyses, all or some, and return how many; one that runs is cancelled."""
        return self._hub.summa.clear(summa_ids)
