"""The live spike sorter as a service."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranvier.dsp.view import FilteredRecording
from ranvier.exceptions import (
    CapabilityError,
    ConfigurationError,
    DatasetError,
    OutputExistsError,
    RadiensError,
    SignalSelectionError,
    TimeRangeError,
)
from ranvier.metrics.event_levels import changed_params
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.signals import SignalType
from ranvier.models.sorter_stats import SorterPortStats
from ranvier.models.spikes import LiveSpikes, NeuronInfo, NeuronsResult
from ranvier.models.spikesorter import (
    DashElement,
    SorterDynamics,
    SpikeDetectParams,
    SpikeSorterClustererParams,
    SpikeSorterCommand,
    SpikeSorterDashboard,
    SpikeSorterDashboardGeneral,
    SpikeSorterDynamicConfig,
    SpikeSorterFeatureParams,
    SpikeSorterPhase,
    SpikeSorterState,
    SpikeSorterStateSystem,
    SpikeSorterSubCommand,
    SpikeSorterType,
)
from ranvier.recordings.channels import Channel
from ranvier.recordings.timing import resolve_counters
from ranvier.rig import sorter_board as board
from ranvier.rig.core import Core
from ranvier.rig.recording_file import RecordingFile
from ranvier.rig.signals import LIVE_ID
from ranvier.rig.sorter_settings import SorterSettings, amplifier_ntv, known_only
from ranvier.rig.sorting import Sorting
from ranvier.rig.view import CacheRecording
from ranvier.sorting.apart import remove_stale_folders
from ranvier.sorting.online import OnlineSorter, is_noise
from ranvier.sorting.port_stats import port_stats
from ranvier.sorting.spike_table import SpikeTable
from ranvier.sorting.trained import are_units, load_units

#: The sorter of the rig's detected spikes (type SPIKES_STREAM), beside that of its signal.
EVENTS_ID = f"{LIVE_ID}:spikes"
#: Widest waveform window that spikes are given with.
_MOST_POINTS = 2048


class LiveSorter:
    """Service ``RigSorter``."""

    def __init__(self, core: Core) -> None:
        remove_stale_folders()
        self._core = core
        self._settings = SorterSettings.load(core.store)
        self._sorting = Sorting(core, self._settings)

    # --- what is ------------------------------------------------------------------------------------------------

    def ids(self) -> list[str]:
        """Return the id of the sorter; see the Protocol."""
        return [LIVE_ID, EVENTS_ID]

    def state(self, sorter_id: str) -> SpikeSorterState:
        """Return how it stands; see the Protocol."""
        self._check(sorter_id)
        if not self._is_current(sorter_id):
            return SpikeSorterState(sys=SpikeSorterStateSystem.OFF, msg=f"the rig sorts as {self._current_id!r}")
        sorting = self._sorting
        engine, phase, fraction = sorting.engine, SpikeSorterPhase.UNSPECIFIED, 0.0
        if sorting.is_on:
            phase, fraction = SpikeSorterPhase.DETECTING, 0.0
            progress = sorting.progress
            if progress is not None:
                phase, fraction = SpikeSorterPhase.TRAINING, progress
            elif engine is not None and engine.knows_units:
                phase, fraction = SpikeSorterPhase.SORTING, 1.0
        warnings = [sorting.training_failure, *sorting.notes]
        if sorting.shed_samples:
            warnings.append(f"{sorting.shed_samples} samples were not sorted: this machine is too slow for them")
        on = SpikeSorterStateSystem.ON if sorting.is_on else SpikeSorterStateSystem.OFF
        if not amplifier_ntv(self._core.source.channels):
            on = SpikeSorterStateSystem.NOT_CONFIGURED
        return SpikeSorterState(
            sys=on,
            frac_complete=fraction,
            is_on=sorting.is_on,
            msg=self._message(engine),
            error_msg=sorting.failure,
            warn_msg="; ".join(w for w in warnings if w),
            phase=phase,
        )

    def dashboard(self, sorter_id: str, elements: Sequence[DashElement]) -> SpikeSorterDashboard:
        """Return the elements that are asked for; see the Protocol."""
        self._check(sorter_id)
        sorting = self._of(sorter_id)
        ports = sorted({c.port for c in self._enabled() if c.port is not None})
        sites = DashElement.SITE_STATS in elements or DashElement.SITE_PANEL in elements
        units = DashElement.NEURON_STATS in elements or DashElement.NEURON_PANEL in elements
        return SpikeSorterDashboard(
            enabled_ports=list(ports) if DashElement.ENABLED_PORTS in elements else [],
            general=self._general(sorter_id, sorting) if DashElement.GENERAL in elements else None,
            ports=_port_stats(sorting) if DashElement.PORT_STATS in elements else [],
            sites=board.site_stats(sorting, labels=DashElement.SITE_PANEL in elements) if sites else [],
            neurons=board.neuron_stats(sorting, templates=DashElement.NEURON_PANEL in elements) if units else [],
            dynamics=board.dynamics_of(sorting) if DashElement.AI in elements else None,
        )

    def dynamics(self, sorter_id: str) -> SorterDynamics:
        """Return how it adapts; see the Protocol."""
        self._check(sorter_id)
        return board.dynamics_of(self._of(sorter_id))

    def set_dynamics(self, sorter_id: str, config: SpikeSorterDynamicConfig) -> SorterDynamics:
        """Change how it adapts; see the Protocol."""
        self._check(sorter_id)
        with self._core.machine.control:
            settings = replace(self._settings, dynamics=self._settings.dynamics.take(config))
            self._use(settings)
            self._sorting.change(settings)
        return board.dynamics_of(self._of(sorter_id))

    def neurons(self) -> NeuronsResult:
        """Return the units with spikes; see the Protocol."""
        engine = self._sorting.engine
        result: dict[int, list[NeuronInfo]] = {}
        if engine is None:
            return NeuronsResult(neurons_by_channel={})
        channels = {c.ntv: c for c in (engine.sites.channels[int(column)] for column in engine.sites.columns)}
        for unit in board.neuron_stats(self._sorting):
            channel = channels.get(unit.ntv_chan_idx)  # None where another source has come just now
            site = None if channel is None else channel.site
            at = [*unit.position_um, 0.0 if site is None else site.z_um]
            moved = (0.0, 0.0, 0.0) if site is None else site.scs_to_tcs_um
            result.setdefault(unit.ntv_chan_idx, []).append(
                NeuronInfo(
                    neuron_id=f"{LIVE_ID}:{unit.spike_label}",
                    site_ntv_chan_idx=unit.ntv_chan_idx,
                    spike_label=unit.spike_label,
                    spike_count=unit.num_spikes,
                    spike_rate=unit.spike_rate,
                    mean_abs_peak_wfm=unit.mean_abs_peak_uv,
                    snr=unit.snr,
                    pos_probe=at,
                    pos_tissue=[a + b for a, b in zip(at, moved, strict=True)],
                    quality=unit.quality,
                    quality_reason=unit.reason,
                )
            )
        return NeuronsResult(neurons_by_channel=result)

    # --- what changes -------------------------------------------------------------------------------------------

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
        """Turn it on or off, or make it forget; see the Protocol."""
        self._check(sorter_id)
        with self._core.machine.control:
            other = not self._is_current(sorter_id)
            if other and command in (SpikeSorterCommand.OFF, SpikeSorterCommand.CLEAR_SORT):
                return
            if command == SpikeSorterCommand.OFF:
                self._sorting.turn_off()
                return
            if command == SpikeSorterCommand.CLEAR_SORT:
                self._sorting.clear_spikes()
                return
            fresh = command == SpikeSorterCommand.INIT
            before = SorterSettings() if fresh else self._settings
            settings = before.take(sub_command, clusterer, features, neighbor_radius_um, max_num_site_neighbors)
            settings.by_events = sorter_id == EVENTS_ID
            if other:
                self._sorting.turn_off()
            if command == SpikeSorterCommand.ON:
                self._turn_on(settings)
                return
            if fresh:
                self._sorting.turn_off()
            self._use(settings)
            self._sorting.rebase(settings)

    def params(self, sorter_id: str) -> list[SpikeDetectParams]:
        """Return how spikes are detected; see the Protocol."""
        self._check(sorter_id)
        return self._changed_params([SpikeDetectParams()])

    def set_params(self, sorter_id: str, changes: Sequence[SpikeDetectParams]) -> list[SpikeDetectParams]:
        """Change how spikes are detected; see the Protocol."""
        self._check(sorter_id)
        with self._core.machine.control:
            result = self._changed_params(changes)
            touched = {c.ntv_chan_idx for c in changes}
            told = [p for p in result if None in touched or p.ntv_chan_idx in touched]
            changed = {p.ntv_chan_idx: p for p in told if p.ntv_chan_idx is not None}
            self._settings.params = {**self._settings.params, **changed}
            self._use(self._settings)
            self._sorting.change(self._settings)
        return told

    def save_units(self, path: Path, *, force: bool = False) -> None:
        """Write the units to a file; see the Protocol."""
        trained = self._sorting.trained
        if self._settings.by_events:
            raise CapabilityError(f"{EVENTS_ID!r} has no units that a file can keep; {LIVE_ID!r} has")
        if trained is None:
            raise ConfigurationError("no units were learned yet; the state tells when the sorter is SORTING")
        if path.exists():
            if not are_units(path):
                raise OutputExistsError(f"{path} is there, and no file of units; name another")
            if not force:
                raise OutputExistsError(f"{path} is there already; force=True replaces it")
        try:
            trained.save(Path(path))
        except OSError as error:
            raise ConfigurationError(f"cannot write {path}: {error.strerror or error}") from error

    def load_units(self, path: Path) -> None:
        """Take units from a file; see the Protocol."""
        trained = load_units(Path(path))
        if self._settings.by_events:
            raise CapabilityError(f"{EVENTS_ID!r} takes no units from a file; turn {LIVE_ID!r} on")
        with self._core.machine.control:
            reason = self._sorting.put_in(trained)
        if reason:
            raise ConfigurationError(f"the units of {Path(path).name} cannot be used: {reason}")

    # --- spikes -------------------------------------------------------------------------------------------------

    def recent_spikes(
        self,
        time_range: TimeRangeSpec,
        channels: Sequence[int] | None = None,
        *,
        waveforms: bool = False,
        max_per_channel: int | None = None,
    ) -> LiveSpikes:
        """Return spikes that are kept; see the Protocol."""
        engine = self._sorting.engine
        if engine is None or engine.first is None or engine.next is None:
            raise TimeRangeError("nothing was sorted yet; turn the sorter on while the rig streams")
        fs = engine.sites.fs
        start, stop = resolve_counters(time_range, engine.first, engine.next, fs, "what was sorted")
        table = engine.ring.read(start, stop)
        oldest = engine.ring.read().counter[:1]
        ntv = np.array(engine.sites.ntv, np.int32)
        if channels is not None:
            unknown = sorted(set(channels) - set(ntv.tolist()))
            if unknown:
                raise SignalSelectionError(f"no amplifier channel {unknown[:8]}; there are {len(ntv)}")
            table = table.take(np.isin(ntv[table.site], np.asarray(list(channels), np.int64)))
        if max_per_channel is not None:
            table = table.take(_newest(table.site, max_per_channel))
        cut, before = self._waveforms(engine, table) if waveforms else (None, 0)
        return LiveSpikes(
            time_range=(float(start / fs), float(stop / fs)),
            kept_from_sec=float(oldest[0] / fs) if len(oldest) else math.nan,
            timestamps=table.counter / float(fs),
            samples=table.counter,
            ntv_chan_idx=ntv[table.site],
            labels=table.label,
            amplitudes_uv=table.amplitude_uv,
            scales=table.scale,
            positions_um=np.stack([table.x_um, table.y_um], axis=1),
            is_noise=is_noise(table).astype(np.int32),
            waveforms=cut,
            points_before=before,
        )

    def recording_began(self, file: RecordingFile, simulated: bool, *, waveforms: bool) -> None:
        """Write spikes beside a recording."""
        self._sorting.record(file, simulated=simulated, waveforms=waveforms)

    def recording_ended(self) -> str:
        """Finish them; return "" or what went wrong."""
        return self._sorting.end_record()

    # --- the rig --------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Begin anew with another source: parameters of channels that are not there are forgotten."""
        was_on, detect_only, by_events = self._sorting.is_on, self._settings.detect_only, self._settings.by_events
        self._sorting.turn_off()
        self._settings.params = known_only(self._settings.params, amplifier_ntv(self._core.source.channels))
        self._settings.detect_only, self._settings.by_events = detect_only, by_events
        self._sorting = Sorting(self._core, self._settings)
        if was_on:
            self._sorting.turn_on()

    def close(self) -> None:
        """End."""
        self._sorting.turn_off()

    # --- inside -------------------------------------------------------------------------------------------------

    def _check(self, sorter_id: str) -> None:
        if sorter_id not in (LIVE_ID, EVENTS_ID):
            raise DatasetError(f"no spike sorter {sorter_id!r}; this rig has {LIVE_ID!r} and {EVENTS_ID!r}")

    @property
    def _current_id(self) -> str:
        return EVENTS_ID if self._settings.by_events else LIVE_ID

    def _is_current(self, sorter_id: str) -> bool:
        """Whether the rig sorts as this one (signal or detected spikes); there is one sorter at a time."""
        return sorter_id == self._current_id

    def _of(self, sorter_id: str) -> Sorting:
        """Return what a sorter has: nothing where the rig sorts as the other one, which begins anew."""
        return self._sorting if self._is_current(sorter_id) else Sorting(self._core, self._settings)

    def _use(self, settings: SorterSettings) -> None:
        settings.save(self._core.store)
        self._settings = settings

    def _turn_on(self, settings: SorterSettings) -> None:
        before = self._settings
        again = (settings.detect_only, settings.by_events) != (before.detect_only, before.by_events)
        self._use(settings)
        if again:
            self._sorting.rebase(settings)
        else:
            self._sorting.change(settings)
        self._sorting.turn_on()

    def _changed_params(self, changes: Sequence[SpikeDetectParams]) -> list[SpikeDetectParams]:
        source = self._core.source
        ntv = amplifier_ntv(source.channels)
        shown = {i: self._settings.of_site(i) for i in ntv}
        changed = changed_params(
            shown, changes, ntv, float(source.fs), default=self._settings.default_params, widths=True
        )
        return [changed[i] for i in ntv]

    def _enabled(self) -> list[Channel]:
        source = self._core.source
        off = {i for i, p in self._settings.params.items() if p.is_enabled is False}
        return [c for c in source.channels if c.type == SignalType.AMP and c.ntv not in off]

    def _message(self, engine: OnlineSorter | None) -> str:
        if engine is None or engine.first is None:
            return "waits for the stream" if self._sorting.is_on else ""
        return f"{engine.ring.total} spikes, {engine.unit_count} units"

    def _general(self, sorter_id: str, sorting: Sorting) -> SpikeSorterDashboardGeneral:
        engine = sorting.engine
        enabled = len(self._enabled())
        neurons = [] if engine is None else engine.units.numbers()
        sites = len({n.site for n in neurons})
        fs = float(self._core.source.fs)
        total, labelled = (0, 0) if engine is None else (engine.ring.total, engine.ring.labelled)
        first = 0 if engine is None or engine.first is None else engine.first
        last = first if engine is None or engine.next is None else engine.next
        return SpikeSorterDashboardGeneral(
            state=self.state(sorter_id),
            sorter_type=SpikeSorterType.SPIKES_STREAM if sorter_id == EVENTS_ID else SpikeSorterType.VEX_STREAM,
            sorter_id=sorter_id,
            datasource_id=LIVE_ID,
            time_range=(first / fs, last / fs),
            num_total_sites=len(amplifier_ntv(self._core.source.channels)),
            num_enabled_sites=enabled,
            num_active_sites=0 if engine is None else int(np.count_nonzero(engine.ring.by_site)),
            num_neurons=len(neurons),
            probe_yield=len(neurons) / enabled if enabled else 0.0,
            site_yield=sites / enabled if enabled else 0.0,
            num_spikes_processed=total,
            num_spikes_labeled=labelled,
            sort_efficiency=labelled / total if total else 0.0,
        )

    def _waveforms(self, engine: OnlineSorter, table: SpikeTable) -> tuple[npt.NDArray[np.float32], int]:
        """Cut the waveforms out of what the cache holds, behind the filters of the sorter."""
        wings = engine.finder.settings.levels.wings
        before, after = int(wings[:, 0].max(initial=0)), int(wings[:, 1].max(initial=0))
        points = min(_MOST_POINTS, before + after + 1)
        cut = np.full((len(table), points), np.nan, np.float32)
        if not len(table):
            return cut, before
        core = self._core
        held = CacheRecording(core.cache, core.cache.span(), engine.sites.fs, engine.sites.channels)
        chain = engine.chain
        view = held if chain is None else FilteredRecording(held, chain)
        first = max(int(table.counter[0]) - before, held.start)
        last = min(int(table.counter[-1]) + after + 1, held.stop)
        if last <= first:
            return cut, before
        try:
            block = view.read(first, last, engine.sites.columns)
        except RadiensError:  # the cache went on meanwhile
            return cut, before
        rows = table.counter[:, None] - before + np.arange(points)[None] - block.start
        inside = (rows >= 0) & (rows < len(block))
        values = block.samples[np.clip(rows, 0, len(block) - 1), table.site[:, None]]
        return np.where(inside, values, cut).astype(np.float32), before


def _port_stats(sorting: Sorting) -> list[SorterPortStats]:
    return port_stats(board.site_stats(sorting), board.neuron_stats(sorting))


def _newest(sites: npt.NDArray[np.int32], most: int) -> npt.NDArray[np.int64]:
    """Return the last ``most`` rows of each site, in order."""
    if most < 1:
        raise ConfigurationError(f"max_per_channel must be at least 1, not {most}")
    order = np.argsort(sites, kind="stable")
    ordered = sites[order]
    last = np.searchsorted(ordered, ordered, side="right")
    return np.sort(order[last - np.arange(len(order)) <= most])
