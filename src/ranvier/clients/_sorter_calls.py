"""Calls on a spike sorter that are the same for recordings and for the live stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from ranvier.exceptions import SignalSelectionError
from ranvier.models.flex import coerce_indices
from ranvier.models.spikesorter import DashElement, SpikeDetectParams, SpikeSorterDashboard, coerce_dash_element
from ranvier.services.sorter import RigSorter
from ranvier.services.sorters import HubSorters

#: What names a sorter: an id, or for recordings the dataset too.
WhichSorter = TypeVar("WhichSorter")


class SorterCalls(Generic[WhichSorter]):
    """What both clients ask of their sorter service."""

    @property
    def _sorters(self) -> RigSorter | HubSorters:
        """The service."""
        raise NotImplementedError

    def _sorter_id(self, which: WhichSorter) -> str:
        """Return the id that the service knows."""
        raise NotImplementedError

    def get_spike_sorter_dashboard(
        self, spike_sorter_id: str, elements: Sequence[DashElement | int | str] | None = None
    ) -> SpikeSorterDashboard:
        """Return elements of the dashboard; None: ports and general.

        The other elements fill fields that are additions, of the live sorter; a recording's counts are 0 before its
        spikes are written.
        """
        asked: Sequence[DashElement | int | str]
        asked = (DashElement.ENABLED_PORTS, DashElement.GENERAL) if elements is None else elements
        return self._sorters.dashboard(spike_sorter_id, [coerce_dash_element(e) for e in asked])

    def get_detect_params(
        self, spike_sorter_id: WhichSorter, channels: Sequence[int] | None = None
    ) -> dict[int, SpikeDetectParams]:
        """Return how spikes are detected, by native channel index; all amplifier channels where None.

        SignalSelectionError for channels that are not there.
        """
        found = {p.ntv_chan_idx: p for p in self._sorters.params(self._sorter_id(spike_sorter_id))}
        known = {i: p for i, p in found.items() if i is not None}
        asked = list(known) if channels is None else coerce_indices(channels)
        unknown = [i for i in asked if i not in known]
        if unknown:
            raise SignalSelectionError(
                f"no amplifier channel {', '.join(map(str, unknown[:8]))}; there are {len(known)}"
                + (f" from {min(known)} to {max(known)}" if known else "")
            )
        return {i: known[i] for i in asked}

    def update_detect_params(
        self, spike_sorter_id: WhichSorter, params: SpikeDetectParams, channels: Sequence[int]
    ) -> None:
        """Change how spikes are detected on some channels; fields that are None stay."""
        changes = [params.model_copy(update={"ntv_chan_idx": i}) for i in coerce_indices(channels)]
        self._sorters.set_params(self._sorter_id(spike_sorter_id), changes)

    def set_detect_params(
        self, spike_sorter_id: WhichSorter, params: SpikeDetectParams, channels: Sequence[int]
    ) -> None:
        """Change how spikes are detected: the older name of :meth:`update_detect_params`."""
        self.update_detect_params(spike_sorter_id, params, channels)
