"""The DSP groups of datasets: filters that reads apply on request."""

from __future__ import annotations

from collections.abc import Sequence

from ranvier.curation.groups import chain_of
from ranvier.curation.nodes import operation_of
from ranvier.curation.response import filter_response
from ranvier.exceptions import CapabilityError
from ranvier.hub.datasets import Datasets
from ranvier.models.dataset import TransformNode
from ranvier.models.dsp import DSPGroup, DSPParams, FilterResponse, FilterStage
from ranvier.store import Store


class DspGroups:
    """Service ``HubDsp``. A dataset has stage 2 only: what ``get_signals(apply_dsp=True)`` sees."""

    def __init__(self, datasets: Datasets, store: Store) -> None:
        self._datasets = datasets
        self._store = store

    def get(self, dataset_id: str) -> DSPGroup:
        """Return the filters of a dataset, per stage."""
        linked = self._datasets.linked(dataset_id)
        record = self._store.datasets.find(linked.id)
        saved = record.dsp if record is not None and record.dsp else []
        return DSPGroup(
            hardware=[],
            software_stage1=[],
            software_stage2=[DSPParams.model_validate(item) for item in saved],
            spike_sorter=[],
        )

    def set(self, dataset_id: str, stage: FilterStage, params: Sequence[DSPParams]) -> None:
        """Replace the filters of one stage; they are tried on the dataset's rate and channels first.

        Raises
        ------
        CapabilityError
            For a stage other than stage 2, or zero phase.
        FilterDesignError
            For a filter that cannot exist at this rate.
        """
        if stage != FilterStage.STAGE2:
            raise CapabilityError(
                f"{stage.name} filters belong to acquisition; a dataset takes stage2 filters only (stage='stage2')"
            )
        zero_phase = [p.type.name for p in params if p.zero_phase]
        if zero_phase:
            raise CapabilityError(
                f"{zero_phase[0]}: DSP groups are causal; for zero phase write a filtered file with zero_phase=True"
            )
        linked = self._datasets.linked(dataset_id)
        if params:
            chain_of(params, linked.recording.fs, linked.channels)
        self._store.datasets.set_dsp(linked.id, [p.model_dump(mode="json") for p in params])

    def response(self, dataset_id: str, node: TransformNode, *, zero_phase: bool = False) -> FilterResponse:
        """Return what a filter node achieves at the dataset's rate; see the Protocol."""
        linked = self._datasets.linked(dataset_id)
        return filter_response(operation_of(node, zero_phase=zero_phase), linked.recording.fs, linked.channels)
