"""The live spike sorter: the documented ``spike_sorter_...`` calls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ranvier.clients._rig_base import RigClient
from ranvier.clients._sorter_calls import SorterCalls
from ranvier.clients._spectra import spec_of
from ranvier.exceptions import RadiensError
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.flex import FlexTimeRange
from ranvier.models.spikes import LiveSpikes, NeuronsResult
from ranvier.models.spikesorter import (
    SorterDynamics,
    SpikeDetectParams,
    SpikeSorterClustererParams,
    SpikeSorterCommand,
    SpikeSorterDynamicConfig,
    SpikeSorterFeatureParams,
    SpikeSorterState,
    SpikeSorterSubCommand,
    coerce_spike_sorter_command,
    coerce_spike_sorter_sub_command,
)
from ranvier.services.sorter import RigSorter


class LiveSorterClient(SorterCalls[str], RigClient):
    """Spikes of the stream: detected by threshold from the second second on, then given to neurons."""

    def get_spike_sorter_ids(self) -> list[str]:
        """Return the id of the rig's sorter, whether or not it runs."""
        return self._sorters.ids()

    def get_default_spike_sorter_id(self) -> str:
        """Return the first id; RadiensError where there is none."""
        ids = self.get_spike_sorter_ids()
        if not ids:
            raise RadiensError("this rig has no spike sorter")
        return ids[0]

    def get_spike_sorter_state(self, spike_sorter_id: str) -> SpikeSorterState:
        """Return whether it is on, its phase, and how far that is; DatasetError for an unknown id."""
        return self._sorters.state(spike_sorter_id)

    def spike_sorter_command(
        self,
        spike_sorter_id: str | None = None,
        cmd: SpikeSorterCommand | str | None = None,
        *,
        sub_cmd: SpikeSorterSubCommand | str = SpikeSorterSubCommand.NULL,
        clusterer_params: SpikeSorterClustererParams | None = None,
        feature_params: SpikeSorterFeatureParams | None = None,
        neighbor_radius_um: float | None = None,
        max_num_site_neighbors: int | None = None,
    ) -> None:
        """Turn the sorter ``on`` or ``off``, or let it forget: ``clear_sort`` spikes, ``rebase`` spikes and neurons,
        ``init`` parameters too.

        Parameters
        ----------
        spike_sorter_id
            None: the rig's sorter.
        cmd
            Member or name in any case.
        sub_cmd
            ``detect_only``: threshold events, no neurons.
        clusterer_params, feature_params
            Taken over by ``on`` (for what is learned from then on), ``rebase`` and ``init``.
        neighbor_radius_um, max_num_site_neighbors
            Sites of which the one with the largest peak has the event; 0: every site for itself.

        Raises
        ------
        TypeError
            No command.
        ConfigurationError
            A parameter out of range.
        """
        if cmd is None:
            raise TypeError("spike_sorter_command() needs cmd: 'on', 'off', 'clear_sort', 'rebase' or 'init'")
        self._check_hardware()
        self._sorters.command(
            self.get_default_spike_sorter_id() if spike_sorter_id is None else spike_sorter_id,
            coerce_spike_sorter_command(cmd),
            sub_command=coerce_spike_sorter_sub_command(sub_cmd),
            clusterer=clusterer_params,
            features=feature_params,
            neighbor_radius_um=neighbor_radius_um,
            max_num_site_neighbors=max_num_site_neighbors,
        )

    def update_detect_params(self, spike_sorter_id: str, params: SpikeDetectParams, channels: Sequence[int]) -> None:
        """Change how spikes are detected on some channels; fields that are None stay.

        ``thr`` and ``thr_sd`` are ``[negative, positive]``, NaN keeps one; times are in seconds; an event beyond
        ``weak_thr`` is an artifact.

        Raises
        ------
        SignalSelectionError
            A channel that is not there.
        ConfigurationError
            A threshold on the wrong side of 0, a time out of range.
        """
        super().update_detect_params(spike_sorter_id, params, channels)

    # --- additions to the documented API ------------------------------------------------------------------------

    def get_spike_sorter_dynamics(self, spike_sorter_id: str) -> SorterDynamics:
        """Return how the sorter adapts by itself, when its tasks run, and what they changed (an addition)."""
        return self._sorters.dynamics(spike_sorter_id)

    def set_spike_sorter_dynamics(self, spike_sorter_id: str, config: SpikeSorterDynamicConfig) -> SorterDynamics:
        """Let the sorter adapt, or not, and say how strict it is (an addition); fields that are None stay.

        Off by default. ``detect`` lets thresholds in SD follow the noise (every 10 s), ``sort`` lets templates follow
        their spikes (30 s), ``train`` learns the units anew (300 s); thresholds in uV never change by themselves.

        Raises
        ------
        ConfigurationError
            A period out of range: ``detect`` 1 to 600 s, ``sort`` 5 to 600 s, ``train`` 60 to 3600 s.
        """
        return self._sorters.set_dynamics(spike_sorter_id, config)

    def get_live_spikes(
        self,
        time_range: FlexTimeRange | None = None,
        channels: Sequence[int] | None = None,
        *,
        include_waveforms: bool = False,
        max_per_channel: int | None = None,
    ) -> LiveSpikes:
        """Return spikes that are still kept, the newest million (an addition).

        Parameters
        ----------
        time_range
            In stream seconds; None: the last second.
        include_waveforms
            With the waveform on the spike's channel, where the live cache still holds it.

        Raises
        ------
        TimeRangeError
            Nothing was sorted (of this range).
        """
        spec = spec_of(time_range) or TimeRangeSpec.lookback(1.0)
        return self._sorters.recent_spikes(
            spec,
            None if channels is None else list(channels),
            waveforms=include_waveforms,
            max_per_channel=max_per_channel,
        )

    def get_live_neurons(self) -> NeuronsResult:
        """Return the neurons that fired since spikes were last cleared (an addition)."""
        return self._sorters.neurons()

    def save_sorter_units(self, path: str | Path, *, force: bool = False) -> None:
        """Save what the sorter has learned, on the rig's machine (an addition); see :meth:`load_sorter_units`.

        OutputExistsError where the file is there and ``force`` was not given, or is of another kind (never replaced).
        """
        self._sorters.save_units(Path(path), force=force)

    def load_sorter_units(self, path: str | Path) -> None:
        """Give spikes to saved neurons from now on (an addition): rate, channels and filters must be the same."""
        self._sorters.load_units(Path(path))

    # --- inside -------------------------------------------------------------------------------------------------

    @property
    def _sorters(self) -> RigSorter:
        return self._rig.sorter

    def _sorter_id(self, which: str) -> str:
        return which
