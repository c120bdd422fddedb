"""Sorting recordings: the documented ``spike_sorter_...`` calls of files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ranvier.clients._base import several
from ranvier.clients._progress import shown
from ranvier.clients._signals import SignalsClient
from ranvier.clients._sorter_calls import SorterCalls
from ranvier.exceptions import ConfigurationError
from ranvier.models._coerce import output_path as named
from ranvier.models.dataset import DatasetMetadata
from ranvier.models.flex import FlexDataset, FlexSignalSpec, FlexTimeRange, coerce_signal_spec, coerce_time_range
from ranvier.models.sorting import SortOptions
from ranvier.models.spikesorter import (
    SpikeDetectParams,
    SpikeSorterClustererParams,
    SpikeSorterCommand,
    SpikeSorterFeatureParams,
    SpikeSorterLaunchParams,
    SpikeSorterLaunchResult,
    SpikeSorterState,
    SpikeSorterSubCommand,
    coerce_spike_sorter_command,
    coerce_spike_sorter_sub_command,
)
from ranvier.services.sorters import HubSorters

#: What a sort is asked with: the documented parameters, or only the dataset, with all defaults.
WhatToSort = SpikeSorterLaunchParams | DatasetMetadata | str | Path


class SortersClient(SorterCalls[FlexDataset], SignalsClient):
    """Sort recordings: a sort is a job, and its result a ``.spikes`` file beside the recording."""

    def spike_sort(
        self,
        params: WhatToSort,
        *,
        stall_sec: float = 120.0,
        jointly: FlexDataset | Sequence[FlexDataset] = (),
        time_range: FlexTimeRange | None = None,
        channels: FlexSignalSpec | None = None,
        output_path: str | Path | None = None,
        force: bool = False,
    ) -> str:
        """Sort a recording, wait, and return the id of its spikes (one of its ``associated_spikes_ids``).

        Ctrl-C, ``cancel_job`` and ``spike_sorter_cancel`` from elsewhere end it; nothing half-written stays.

        Parameters
        ----------
        params
            ``SpikeSorterLaunchParams(dsource_id=...)``, whose ``dsource_id`` is an id or a path; or a dataset
            (metadata, id, path), for all defaults. (An addition to the documented API, as are the arguments below.)
        stall_sec
            Give up where there is no progress for so long (documented).
        jointly
            Further recordings, sorted as if they followed: units have the same numbers in all of them, and each gets
            its own file.
        time_range, channels
            As in ``get_signals``; all of the recording, and its selected amplifier channels.
        output_path
            The ``.spikes`` file; ``<base>.spikes`` beside the recording, with ``sink_dsrc_id`` ``<base>.NAME.spikes``.
        force
            Replace a file that is there.

        Raises
        ------
        OutputExistsError, OutputError
            The file is there and force was not given; it cannot be written.
        ConfigurationError
            A parameter out of range; channels in one place; recordings that do not fit together.
        DataProcessingError
            Too short, silent, saturated, or nothing but artifacts.
        SortStalledError
            No progress for ``stall_sec`` (a TimeoutError too).
        JobCancelledError
            It was cancelled.
        """
        ids, asked, options = self._asked_sort(params, jointly, time_range, channels, output_path, force)
        with shown(self._progress, "sorting") as progress:
            made = self._sorters.sort(ids, asked, options, stall_sec=stall_sec, progress=progress)
        for spikes_id in made:
            self._mine[spikes_id] = None
        return made[0]

    def spike_sorter_launch(
        self,
        params: WhatToSort,
        *,
        jointly: FlexDataset | Sequence[FlexDataset] = (),
        time_range: FlexTimeRange | None = None,
        channels: FlexSignalSpec | None = None,
        output_path: str | Path | None = None,
        force: bool = False,
    ) -> SpikeSorterLaunchResult:
        """Begin to sort in the background (with ``is_auto_on=False`` only at ``on``); return the sorter.

        ``get_spike_sorter_state`` tells how far it is; its id becomes that of the spikes. Arguments and errors are
        those of ``spike_sort``; what is wrong with the samples themselves stands in the state's ``error_msg``.
        """
        ids, asked, options = self._asked_sort(params, jointly, time_range, channels, output_path, force)
        return self._sorters.launch(ids, asked, options)

    def spike_sorter_command(
        self,
        spike_sorter_id: str,
        cmd: SpikeSorterCommand | str,
        *,
        sub_cmd: SpikeSorterSubCommand | str = SpikeSorterSubCommand.NULL,
        clusterer_params: SpikeSorterClustererParams | None = None,
        feature_params: SpikeSorterFeatureParams | None = None,
        neighbor_radius_um: float | None = None,
        max_num_site_neighbors: int | None = None,
    ) -> None:
        """Begin (``on``), cancel (``off``), or begin anew: ``clear_sort``, ``rebase`` with other parameters, ``init``.

        ``init`` goes back to the parameters of the launch and to the defaults of detection, and waits for ``on``. A
        file that was written is replaced only where the launch had ``force``.

        Parameters
        ----------
        cmd, sub_cmd
            Members or names in any case; ``detect_only``: threshold events, no units.
        clusterer_params, feature_params, neighbor_radius_um, max_num_site_neighbors
            Taken by ``on``, ``rebase`` and ``init``.

        Raises
        ------
        DatasetError
            A sorter that is not there (any more).
        ConfigurationError
            A parameter out of range.
        """
        self._sorters.command(
            spike_sorter_id,
            coerce_spike_sorter_command(cmd),
            sub_command=coerce_spike_sorter_sub_command(sub_cmd),
            clusterer=clusterer_params,
            features=feature_params,
            neighbor_radius_um=neighbor_radius_um,
            max_num_site_neighbors=max_num_site_neighbors,
        )

    def spike_sorter_cancel(self, spike_sorter_id: str) -> None:
        """Cancel a sort and forget the sorter; nothing was written then. DatasetError for an unknown one."""
        self._sorters.command(spike_sorter_id, SpikeSorterCommand.OFF)

    def spike_sorter_delete(self, spike_sorter_id: str) -> None:
        """Forget a sorter, cancelling it where it is at work; a file that was written stays. Unknown ids are ignored.

        ConfigurationError for an empty id.
        """
        if not spike_sorter_id:
            raise ConfigurationError("spike_sorter_delete() needs the id of a sorter, not ''")
        self._sorters.delete(spike_sorter_id)

    def get_spike_sorter_ids(self, dataset: FlexDataset) -> list[str]:
        """Return the ids of a dataset's sorters: those at work, and those that have written spikes."""
        return list(self._sorters.ids(self._id(dataset)))

    def get_spike_sorter_state(self, spike_sorter_id: str) -> SpikeSorterState:
        """Return phase, fraction of that phase, and what went wrong.

        A finished sorter stays at COMPLETE, off; DatasetError for one that was cancelled or never was.
        """
        return self._sorters.state(spike_sorter_id)

    def update_detect_params(
        self, spike_sorter_id: FlexDataset, params: SpikeDetectParams, channels: Sequence[int]
    ) -> None:
        """Change how spikes are detected on some channels, by sorts that begin from now on; fields that are None stay.

        They belong to the dataset: the id is that of a sorter or a dataset. Channels with ``is_enabled=False`` are not
        sorted; thresholds tell which events ``detect_only`` finds, and the lowest negative one in SD which spikes are
        learned from.

        Raises
        ------
        SignalSelectionError
            A channel that is not there.
        ConfigurationError
            A threshold on the wrong side of 0, a time out of range.
        """
        super().update_detect_params(spike_sorter_id, params, channels)

    # --- inside -----------------------------------------------------------------------------------------------------

    @property
    def _sorters(self) -> HubSorters:
        return self._hub.sorters

    def _sorter_id(self, which: FlexDataset) -> str:
        """Return the id of a sorter as it is, of a dataset its own."""
        return which if isinstance(which, str) and "/" not in which and "\\" not in which else self._id(which)

    def _asked_sort(
        self,
        params: WhatToSort,
        jointly: FlexDataset | Sequence[FlexDataset],
        time_range: FlexTimeRange | None,
        channels: FlexSignalSpec | None,
        output_path: str | Path | None,
        force: bool,
    ) -> tuple[list[str], SpikeSorterLaunchParams, SortOptions]:
        asked = params if isinstance(params, SpikeSorterLaunchParams) else SpikeSorterLaunchParams()
        first: FlexDataset = params.dsource_id or "" if isinstance(params, SpikeSorterLaunchParams) else params
        if first == "":
            raise ConfigurationError("dsource_id is missing: the id or the path of the recording to sort")
        found = [self._metadata(one) for one in (first, *several(jointly))]
        chosen = None
        if channels is not None:
            select = coerce_signal_spec(channels).to_sig_select(found[0].channel_metadata)
            chosen = tuple(int(n) for n in select.amp)
        return (
            [one.id for one in found],
            asked,
            SortOptions(
                time_range=None if time_range is None else coerce_time_range(time_range),
                channels=chosen,
                output=None if output_path is None else str(named(output_path)),
                force=force,
            ),
        )
