"""What a spike sorter is of: a dataset of a hub, or the live stream of a rig."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ranvier.classic._errors import NoDatasetError, NotLiveError
from ranvier.clients.allego import AllegoClient as TypedRig
from ranvier.clients.videre import VidereClient as TypedHub
from ranvier.exceptions import DatasetError
from ranvier.models.dataset import RadiensFileType
from ranvier.models.sorting import SortOptions
from ranvier.models.spikesorter import (
    DashElement,
    SpikeDetectParams,
    SpikeSorterCommand,
    SpikeSorterDashboard,
    SpikeSorterLaunchParams,
    SpikeSorterState,
    SpikeSorterStateSystem,
)


class Sorting(Protocol):
    """A sorter, whatever it is of."""

    def command(self, command: SpikeSorterCommand) -> None:
        """Begin, end or forget."""
        ...

    def launch(self, dataset_id: str) -> None:
        """Begin to sort a dataset."""
        ...

    def params(self) -> list[SpikeDetectParams]:
        """Return how events are detected, per channel."""
        ...

    def set_params(self, changes: Sequence[SpikeDetectParams]) -> list[SpikeDetectParams]:
        """Change it; return the changed channels."""
        ...

    def state(self) -> SpikeSorterState:
        """Return how it stands."""
        ...

    def dashboard(self) -> SpikeSorterDashboard:
        """Return ports, general and statistics of ports."""
        ...

    def spikes_file(self) -> tuple[str, str]:
        """Return folder and base name of the spikes; empty while there are none."""
        ...


_ELEMENTS = (DashElement.ENABLED_PORTS, DashElement.GENERAL, DashElement.PORT_STATS)


class StreamSorting:
    """The sorter of the live stream."""

    def __init__(self, typed: TypedRig) -> None:
        self._typed, self._rig = typed, typed._rig

    @property
    def _id(self) -> str:
        return self._typed.get_default_spike_sorter_id()

    def command(self, command: SpikeSorterCommand) -> None:
        self._typed.spike_sorter_command(self._id, command)

    def launch(self, dataset_id: str) -> None:
        raise NotLiveError("the sorter of a rig sorts the live stream; videre.spike_sorter() sorts datasets")

    def params(self) -> list[SpikeDetectParams]:
        return self._rig.sorter.params(self._id)

    def set_params(self, changes: Sequence[SpikeDetectParams]) -> list[SpikeDetectParams]:
        return self._rig.sorter.set_params(self._id, changes)

    def state(self) -> SpikeSorterState:
        return self._rig.sorter.state(self._id)

    def dashboard(self) -> SpikeSorterDashboard:
        return self._rig.sorter.dashboard(self._id, _ELEMENTS)

    def spikes_file(self) -> tuple[str, str]:
        found = next((path for path in self._typed.get_recording_files() if str(path).endswith(".spikes")), None)
        return ("", "") if found is None else (str(Path(found).parent), Path(found).name.removesuffix(".spikes"))


class DatasetSorting:
    """Sorts of a linked dataset (None: the only recording that is linked)."""

    def __init__(self, typed: TypedHub, dataset_id: str | None, *, force: bool = False) -> None:
        self._typed, self._hub, self._wanted, self._force = typed, typed._hub, dataset_id, force
        self._sorter: str | None = None

    @property
    def _dataset(self) -> str:
        if self._wanted is None:
            known = self._hub.datasets.list(None)
            found = [i for i, ds in known.items() if ds.file_type != RadiensFileType.SPIKES]
            if len(found) != 1:
                listing = ", ".join(found) or "none"
                raise NoDatasetError(f"name a dataset: spike_sorter(dataset_metadata=...); linked are {listing}")
            return found[0]
        return self._wanted

    def command(self, command: SpikeSorterCommand) -> None:
        sorter = self._sorter_id()
        begins = command in (SpikeSorterCommand.ON, SpikeSorterCommand.REBASE)
        if sorter is not None and begins and sorter != self._sorter and not self._hub.sorters.state(sorter).is_on:
            sorter = None  # what another client began is at its end: begin with what this one was told
        try:
            if sorter is not None:
                self._hub.sorters.command(sorter, command)
                return
        except DatasetError:  # its spikes were written by another program
            self._sorter = None
        if begins:
            self._begin(at_once=True)
        elif command == SpikeSorterCommand.INIT:
            self._hub.sorters.command(self._begin(at_once=False), command)

    def launch(self, dataset_id: str) -> None:
        self._wanted = dataset_id
        self._begin(at_once=True)

    def params(self) -> list[SpikeDetectParams]:
        return self._hub.sorters.params(self._dataset)

    def set_params(self, changes: Sequence[SpikeDetectParams]) -> list[SpikeDetectParams]:
        return self._hub.sorters.set_params(self._dataset, changes)

    def state(self) -> SpikeSorterState:
        sorter = self._sorter_id()
        if sorter is None:
            return SpikeSorterState(sys=SpikeSorterStateSystem.NOT_CONFIGURED, msg="no sort was begun")
        return self._hub.sorters.state(sorter)

    def dashboard(self) -> SpikeSorterDashboard:
        sorter = self._sorter_id()
        return SpikeSorterDashboard() if sorter is None else self._hub.sorters.dashboard(sorter, _ELEMENTS)

    def spikes_file(self) -> tuple[str, str]:
        sorter = self._sorter_id()
        if sorter is None or sorter not in self._hub.datasets.ids():
            return "", ""
        found = self._hub.datasets.get(sorter)
        return found.path, found.base_name

    def _sorter_id(self) -> str | None:
        """Return the sorter that this client began, else the dataset's first one; None where there is none."""
        known = self._hub.sorters.ids(self._dataset)
        return self._sorter if self._sorter in known else next(iter(known), None)

    def _begin(self, *, at_once: bool) -> str:
        dataset = self._dataset
        launch = SpikeSorterLaunchParams(dsource_id=dataset, is_auto_on=at_once)
        self._sorter = self._hub.sorters.launch([dataset], launch, SortOptions(force=self._force)).spike_sorter_id
        return self._sorter
