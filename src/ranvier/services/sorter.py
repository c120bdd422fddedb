"""The contract of a rig's spike sorter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.spikes import LiveSpikes, NeuronsResult
from ranvier.models.spikesorter import (
    DashElement,
    SorterDynamics,
    SpikeDetectParams,
    SpikeSorterClustererParams,
    SpikeSorterCommand,
    SpikeSorterDashboard,
    SpikeSorterDynamicConfig,
    SpikeSorterFeatureParams,
    SpikeSorterState,
    SpikeSorterSubCommand,
)


class RigSorter(Protocol):
    """Spikes of the live stream, behind stage 2 and the filters of the sorter.

    A rig has one sorter. Work that it has no time for is left out and counted; acquisition and recording never wait.
    Channels are native (NTV) amplifier indices, times are in stream seconds.
    """

    def ids(self) -> list[str]:
        """Return the id of the sorter, whether or not it runs."""
        ...

    def state(self, sorter_id: str) -> SpikeSorterState:
        """Return whether it is on, what it is busy with, and what went wrong. DatasetError for an unknown id."""
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
        """Turn it on or off, or make it forget.

        ON begins with the next sample, or with the next stream where none runs. OFF keeps spikes and units. CLEAR_SORT
        forgets the spikes, REBASE spikes and units and takes the parameters of clusterer and features over, INIT all of
        it and the detection parameters too, and turns it off; the neighbourhood is taken by INIT, REBASE and ON.

        Raises
        ------
        DatasetError
            An unknown id.
        ConfigurationError
            A parameter out of range.
        """
        ...

    def dashboard(self, sorter_id: str, elements: Sequence[DashElement]) -> SpikeSorterDashboard:
        """Return the elements that are asked for."""
        ...

    def dynamics(self, sorter_id: str) -> SorterDynamics:
        """Return how it adapts by itself, and what it changed."""
        ...

    def set_dynamics(self, sorter_id: str, config: SpikeSorterDynamicConfig) -> SorterDynamics:
        """Change how it adapts, and how strict it is, from the next block on; None stays.

        Raises
        ------
        DatasetError
            An unknown id.
        ConfigurationError
            A period out of range.
        """
        ...

    def neurons(self) -> NeuronsResult:
        """Return the units with spikes since these were last cleared, by the channel with their largest peak."""
        ...

    def save_units(self, path: Path, *, force: bool = False) -> None:
        """Write the units to a file on the rig's machine, whole or not at all; ``force`` replaces one that is there.

        Raises
        ------
        OutputExistsError
            There is such a file, and force was not given; or it is another kind of file, which is never replaced.
        ConfigurationError
            Nothing was learned yet, or the file cannot be written.
        """
        ...

    def load_units(self, path: Path) -> None:
        """Give spikes to the units of such a file from the next block on; what is learned later does not replace them.

        Raises
        ------
        DatasetError
            No such file, another kind of file, a damaged one, one of a newer version.
        ConfigurationError
            The units were learned on another rate, other channels or other filters.
        """
        ...

    def params(self, sorter_id: str) -> list[SpikeDetectParams]:
        """Return how spikes are detected, per amplifier channel."""
        ...

    def set_params(self, sorter_id: str, changes: Sequence[SpikeDetectParams]) -> list[SpikeDetectParams]:
        """Change how spikes are detected, all or nothing, from the next block on; return the changed channels.

        A change without ``ntv_chan_idx`` is for all channels. Fields that are None, and elements that are NaN, stay. A
        threshold in uV replaces one in SD, and the other way round.

        Raises
        ------
        SignalSelectionError
            A channel that is not there.
        ConfigurationError
            A threshold on the wrong side of 0, a time out of range.
        """
        ...

    def recent_spikes(
        self,
        time_range: TimeRangeSpec,
        channels: Sequence[int] | None = None,
        *,
        waveforms: bool = False,
        max_per_channel: int | None = None,
    ) -> LiveSpikes:
        """Return the spikes of a range that are still kept (see ``LiveSpikes.kept_from_sec``).

        Parameters
        ----------
        channels
            Of the sites; all where None.
        waveforms
            With the waveform of each spike on its site, read from the live cache; NaN where that has forgotten.
        max_per_channel
            The newest ones of each channel.
        """
        ...
