"""Spike sorters of recordings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ranvier.models.sorting import SortOptions
from ranvier.models.spikesorter import (
    DashElement,
    SpikeDetectParams,
    SpikeSorterClustererParams,
    SpikeSorterCommand,
    SpikeSorterDashboard,
    SpikeSorterFeatureParams,
    SpikeSorterLaunchParams,
    SpikeSorterLaunchResult,
    SpikeSorterState,
    SpikeSorterSubCommand,
)
from ranvier.services.progress import Progress


class HubSorters(Protocol):
    """Sorts of recordings, each a job that writes a ``.spikes`` file, whole or not at all.

    A sorter's id is the id of the spikes that it writes. Detection parameters belong to a dataset: they hold for every
    sort of it that begins later, and a sorter's id stands for its (first) dataset. Channels are native (NTV) amplifier
    indices. Sorters of other processes are known by the files that they have written.
    """

    def ids(self, dataset_id: str) -> list[str]:
        """Return the ids of a dataset's sorters: those of this hub, and of sorts that were written."""
        ...

    def launch(
        self, dataset_ids: Sequence[str], params: SpikeSorterLaunchParams, options: SortOptions | None = None
    ) -> SpikeSorterLaunchResult:
        """Make a sorter and, with ``params.is_auto_on``, begin; return at once.

        Several datasets are sorted jointly, as one recording after the other: units have the same numbers in all of
        them, and each gets its own file. A sorter of the same file that is not at work is replaced.

        Raises
        ------
        ConfigurationError
            A parameter out of range, channels in the same place, recordings that do not fit together, a sorter of
            the same file that is at work.
        DatasetError, SignalSelectionError, TimeRangeError
            No such dataset, channels or time.
        DataProcessingError
            Too short to be sorted.
        OutputExistsError, OutputError
            The file is there and force was not given; it cannot be written.
        """
        ...

    def sort(
        self,
        dataset_ids: Sequence[str],
        params: SpikeSorterLaunchParams,
        options: SortOptions | None = None,
        *,
        stall_sec: float = 120.0,
        progress: Progress | None = None,
    ) -> list[str]:
        """Launch, wait, and return the ids of the spikes, one per dataset.

        Raises
        ------
        What ``launch`` raises.
        DataProcessingError
            Nothing there that can be sorted: silent, saturated, artifacts only.
        SortStalledError
            No progress for ``stall_sec`` (a TimeoutError too); the sort was cancelled.
        JobCancelledError
            Cancelled; nothing was written.
        """
        ...

    def command(
        self,
        sorter_id: str,
        command: SpikeSorterCommand,
        *,
        sub_command: SpikeSorterSubCommand = SpikeSorterSubCommand.NULL,
        clusterer: SpikeSorterClustererParams | None = None,
        features: SpikeSorterFeatureParams | None = None,
        neighbor_radius_um: float | None = None,
        max_num_site_neighbors: int | None = None,
    ) -> None:
        """Begin, end, or begin anew.

        ON begins, where it is not at work. OFF cancels and forgets the sorter. CLEAR_SORT gives up what was sorted so
        far and begins again; REBASE does so with the parameters that come with it; INIT goes back to the parameters of
        the launch and to the defaults of detection, and waits for ON. A file that was written stays; beginning again
        replaces it only where force was given at the launch.

        Raises
        ------
        DatasetError
            An unknown or forgotten id.
        ConfigurationError
            A parameter out of range.
        OutputExistsError
            The file is there and force was not given.
        """
        ...

    def state(self, sorter_id: str) -> SpikeSorterState:
        """Return phase, fraction of the phase, and what went wrong; DatasetError for an unknown or cancelled sorter."""
        ...

    def dashboard(self, sorter_id: str, elements: Sequence[DashElement]) -> SpikeSorterDashboard:
        """Return the elements that are asked for; counts are those of the file, 0 before it is there.

        Neurons are judged by the balanced criterion, after curation. Noise and thresholds of sites are what the sorter
        kept of them. ``AI`` stays None: a sort of a recording does not adapt.
        """
        ...

    def params(self, sorter_id: str) -> list[SpikeDetectParams]:
        """Return how events are detected, per amplifier channel, of a sorter or a dataset."""
        ...

    def set_params(self, sorter_id: str, changes: Sequence[SpikeDetectParams]) -> list[SpikeDetectParams]:
        """Change how events are detected by sorts that begin from now on; return the changed channels.

        Channels that are not enabled are not sorted. Thresholds decide which events a sort with DETECT_ONLY tells; of
        a whole sort, the lowest negative threshold in SD decides which spikes are learned from. The other rules, and
        the errors, are those of ``RigSorter.set_params``.
        """
        ...

    def delete(self, sorter_id: str) -> None:
        """Forget a sorter, cancelling it where it is at work; the file stays. An unknown id is no error."""
        ...
