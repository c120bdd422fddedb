"""Filters kept with a dataset and applied when it is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ranvier.models.dataset import TransformNode
from ranvier.models.dsp import DSPGroup, DSPParams, FilterResponse, FilterStage


class HubDsp(Protocol):
    """The DSP group of each dataset. Files are never changed by it; curation ignores it."""

    def get(self, dataset_id: str) -> DSPGroup:
        """Return the filters per stage, in order of application; empty lists where none are set."""
        ...

    def set(self, dataset_id: str, stage: FilterStage, params: Sequence[DSPParams]) -> None:
        """Replace the whole list of one stage; an empty list removes its filters. Other stages stay.

        A dataset accepts software stage 2 only: that is what ``apply_dsp=True`` and the metrics see. The list is
        checked against the dataset's sampling rate and channels before anything changes.

        Raises
        ------
        CapabilityError
            Another stage, or a filter that live groups reject (zero phase).
        FilterDesignError
            A filter that cannot exist at this rate.
        SignalSelectionError
            A reference or target channel (NTV) that the dataset does not have.
        """
        ...

    def response(self, dataset_id: str, node: TransformNode, *, zero_phase: bool = False) -> FilterResponse:
        """Return what a filter node achieves at the sampling rate of a dataset; nothing is read or changed.

        Raises
        ------
        FilterDesignError
            A filter that cannot exist at this rate.
        CapabilityError
            A node that is no filter.
        """
        ...
