"""What a sort works on, with which parameters and where to: looked through before anything begins."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.curation.groups import chain_of
from ranvier.dsp.chain import Chain
from ranvier.dsp.slicing import describe_slice
from ranvier.dsp.view import FilteredRecording
from ranvier.exceptions import (
    CapabilityError,
    ConfigurationError,
    DataProcessingError,
    OutputError,
    OutputExistsError,
    RadiensError,
)
from ranvier.hub.curation import source_record
from ranvier.hub.datasets import Datasets
from ranvier.hub.dsp import DspGroups
from ranvier.hub.linked import Linked
from ranvier.hub.sessions import joined
from ranvier.hub.sidecars import holds_spikes
from ranvier.hub.timing import resolve
from ranvier.models._coerce import output_path
from ranvier.models.dsp import DSPParams
from ranvier.models.signals import SignalType
from ranvier.models.sorting import SortOptions
from ranvier.models.spikesorter import (
    SpikeDetectParams,
    SpikeSorterLaunchParams,
    SpikeSorterSubCommand,
)
from ranvier.recordings import ChannelTable, Recording
from ranvier.recordings.channels import Channel
from ranvier.recordings.pieces import PieceTable, SourcePiece
from ranvier.recordings.selection import amplifier_columns
from ranvier.recordings.views import JoinedRecording
from ranvier.sorting.geometry import geometry_of
from ranvier.sorting.offline import SHORTEST_SEC
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.requested import EVENT_NEIGHBORS, EVENT_RADIUS_UM, check_neighborhood, requested, with_neighborhood
from ranvier.sorting.source import done_in_front, filters
from ranvier.sorting.suitable import check_places
from ranvier.spikes.file import SpikesFile
from ranvier.spikes.writer import SUFFIX

I64 = npt.NDArray[np.int64]

#: Recordings sorted jointly are this far apart, so that filters and waveforms do not reach from one into the next.
APART_SEC = 0.1
#: No spike can be seen below this rate.
SLOWEST_HZ = 5000.0


@dataclass(frozen=True)
class Target:
    """One recording of a sort, the file that its spikes go to, and which counters of the whole are its own."""

    linked: Linked
    path: Path
    start: int
    stop: int
    shift: int


@dataclass(frozen=True, eq=False)
class SortView:
    """What a sorter sees.

    Attributes
    ----------
    signal, columns
        In front of the sorter's own filters, and which of its columns are sorted.
    behind
        Behind them.
    filters
        Descriptions of all that the recording went through.
    """

    signal: Recording
    columns: I64
    behind: Recording
    filters: tuple[Mapping[str, Any], ...]

    @property
    def channels(self) -> ChannelTable:
        """Channels of the signal."""
        return self.signal.channels


@dataclass(frozen=True, eq=False)
class SortPlan:
    """A sort that can begin.

    Attributes
    ----------
    recording
        What is sorted: a recording, or several as one; its channels as the user sees them.
    columns, start, stop
        Amplifier columns and counters of it.
    stage2
        The dataset's filters; None where it has none.
    parameters, seed
        Of the sorter.
    detect
        Detection parameters by NTV.
    event_radius_um, event_neighbors
        Sites that threshold events are compared with.
    """

    targets: tuple[Target, ...]
    recording: Recording
    columns: I64
    start: int
    stop: int
    stage2: Chain | None
    parameters: SorterParameters
    launch: SpikeSorterLaunchParams
    seed: int
    detect: Mapping[int, SpikeDetectParams]
    event_radius_um: float
    event_neighbors: int
    force: bool = False
    notes: tuple[str, ...] = field(default=())

    def view(self, columns: I64) -> SortView:
        """Return what a sorter sees of some amplifier columns.

        Channels that are not sorted do not enter its common reference, unless stage 2 refers to all of them anyway.
        """
        raw, filters_ = self.recording, []
        signal, sorted_columns = raw, columns
        if self.stage2 is not None:
            signal, filters_ = FilteredRecording(raw, self.stage2), self.stage2.describe_stages()
        elif len(columns) < raw.channels.count(SignalType.AMP):
            signal, sorted_columns = _only(raw, columns), np.arange(len(columns), dtype=np.int64)
            filters_ = [describe_slice(raw.channels, signal.channels)]
        operations = filters(self.parameters, float(raw.fs), len(columns))
        if not operations:
            return SortView(signal, sorted_columns, signal, tuple(filters_))
        own = Chain.bind(operations, raw.fs, signal.channels)
        return SortView(signal, sorted_columns, FilteredRecording(signal, own), (*filters_, *own.describe_stages()))

    @property
    def detects_only(self) -> bool:
        """Whether threshold events are told, and no units."""
        return self.launch.sub_cmd == SpikeSorterSubCommand.DETECT_ONLY

    @property
    def ntv(self) -> list[int]:
        """Native indices of the columns."""
        return [self.recording.channels[int(c)].ntv for c in self.columns]

    def sources(self) -> list[dict[str, Any]]:
        """Return what provenance says about the recordings."""
        return [source_record(target.linked) for target in self.targets]

    def stage(self) -> dict[str, Any]:
        """Return what provenance says about the sort."""
        launch = self.launch.model_dump(mode="json", exclude_none=True)
        asked: dict[str, Any] = {
            k: launch[k] for k in ("clusterer_params", "feature_params", "sub_cmd", "discover_noise") if k in launch
        }
        parameters: dict[str, Any] = {
            **asdict(self.parameters),
            "seed": self.seed,
            "range": [self.start, self.stop],
            "ntv": self.ntv,
            **asked,
        }
        return {"kind": "spike_sort", "parameters": parameters}

    def check_outputs(self) -> None:
        """Raise OutputExistsError where a file is there that must not be replaced, OutputError where none can be."""
        check_targets(self.targets, self.force)


def check_targets(targets: Sequence[Target], force: bool) -> None:
    """Raise OutputExistsError where a file is there that must not be replaced, OutputError where none can be."""
    for target in targets:
        if target.path.exists() and not force:
            raise OutputExistsError(
                f"{target.path} is there already{_changes_of(target.path)}; force=True replaces it, and another "
                f"output (or sink_dsrc_id, which names it {target.linked.base_name}.NAME{SUFFIX}) leaves it"
            )
        if not target.path.parent.is_dir():
            raise OutputError(f"{target.path.parent} is no folder; make it first, or name another output")


def _changes_of(path: Path) -> str:
    """Return in words what people did to the units of a file, which a new sort would not have."""
    try:
        edits = len(SpikesFile(path).edits)
    except RadiensError:
        return ""
    return f", with {edits} changes of its units by people" if edits else ""


def plan_sort(
    datasets: Datasets,
    dsp: DspGroups,
    dataset_ids: Sequence[str],
    launch: SpikeSorterLaunchParams,
    options: SortOptions,
    detect: Mapping[int, SpikeDetectParams],
) -> SortPlan:
    """Look a sort through; raises what ``HubSorters.launch`` raises."""
    linked = [_recording(datasets.linked(i)) for i in dict.fromkeys(dataset_ids)]
    if not linked:
        raise ConfigurationError("name a dataset to sort: dsource_id is its id, or its path")
    stage2 = list(dsp.get(linked[0].id).software_stage2)
    if any(list(dsp.get(one.id).software_stage2) != stage2 for one in linked[1:]):
        raise ConfigurationError("recordings that are sorted jointly need the same stage-2 filters; set them so")
    paths = [output_of(one, launch, options, len(linked), datasets) for one in linked]
    raw, targets = _whole(linked, paths)
    start, stop = _range(raw, options, len(linked))
    columns = _columns(raw, options, detect)
    check_places(raw.channels, columns)
    parameters, notes = _parameters(launch, stage2, detect, [raw.channels[int(c)] for c in columns])
    parameters = with_neighborhood(
        parameters, geometry_of(raw.channels, columns), launch.neighbor_radius_um, launch.max_num_site_neighbors
    )
    plan = SortPlan(
        targets=targets,
        recording=raw,
        columns=columns,
        start=start,
        stop=stop,
        stage2=chain_of(stage2, raw.fs, raw.channels) if stage2 else None,
        parameters=parameters,
        launch=launch,
        seed=secrets.randbits(31) if launch.seed is None else check_seed(launch.seed),
        detect=detect,
        event_radius_um=EVENT_RADIUS_UM if launch.neighbor_radius_um is None else launch.neighbor_radius_um,
        event_neighbors=EVENT_NEIGHBORS if launch.max_num_site_neighbors is None else launch.max_num_site_neighbors,
        force=options.force,
        notes=(*notes, *_growing(targets, stop)),
    )
    plan.view(columns)  # filters that cannot exist at this rate are told now
    plan.check_outputs()
    return plan


def _growing(targets: Sequence[Target], stop: int) -> list[str]:
    """Return in words which recordings may have more samples by the time they are sorted."""
    notes = []
    for target in targets:
        recording = target.linked.recording
        if recording.is_being_written():
            until = float((min(stop, target.stop) + target.shift) / recording.fs)
            notes.append(f"{target.linked.base_name} is still being written: sorted up to {until:.7g} s")
    return notes


def _recording(linked: Linked) -> Linked:
    if holds_spikes(linked):
        raise CapabilityError(
            f"{linked.base_name} holds spikes: recordings and files of spikes are not sorted together; name one kind"
        )
    amplifiers = linked.channels.count(SignalType.AMP)
    if not amplifiers:
        raise ConfigurationError(f"{linked.base_name} has no amplifier channels: there is nothing to sort")
    return linked


def check_seed(seed: int) -> int:
    """Return a seed; ConfigurationError where it is none."""
    if not 0 <= seed < 2**63:
        raise ConfigurationError(f"seed={seed}: a whole number from 0 to 2**63 - 1")
    return seed


def output_of(
    linked: Linked,
    launch: SpikeSorterLaunchParams,
    options: SortOptions,
    of: int,
    datasets: Datasets,
    *,
    default: str | None = None,
) -> Path:
    """Return where the spikes of one dataset go; ``default``: the file's name (without suffix) where none is asked."""
    folder = linked.canonical.parent
    if options.output is not None:
        if of > 1:
            raise ConfigurationError(
                "recordings that are sorted jointly get a file each, beside them; leave output out"
            )
        given = output_path(options.output)
        if given.is_dir():
            raise ConfigurationError(f"{given} is a folder; name the file in it, as {given / linked.base_name}{SUFFIX}")
        return given.with_name(given.name.removesuffix(SUFFIX) + SUFFIX)
    name = launch.sink_dsrc_id
    if not name:
        return folder / ((default or linked.base_name) + SUFFIX)
    if of == 1:
        for other_id, other in datasets.items():
            if other_id == name and holds_spikes(other):
                return other.canonical
    if (
        any(sign in name for sign in "/\\:")
        or name.startswith(".")
        or name != name.strip()
        or not name.isprintable()
        or len(name) > 100
    ):
        raise ConfigurationError(f"sink_dsrc_id={name!r:.120}: the id of linked spikes, or a name to add to the file's")
    return folder / f"{linked.base_name}.{name.removesuffix(SUFFIX)}{SUFFIX}"


def _whole(linked: Sequence[Linked], paths: Sequence[Path]) -> tuple[Recording, tuple[Target, ...]]:
    """Return recordings as one, channels as the user sees them, and where each lies in it."""
    if len(linked) > 1:
        whole, _, table, _ = joined(linked, "same", APART_SEC, False, paths[0])
        targets = [
            Target(one, path, p.output_start, p.output_stop, p.start - p.output_start)
            for one, path, p in zip(linked, paths, table.pieces, strict=True)
        ]
        return whole.recording, tuple(targets)
    one, r = linked[0], linked[0].recording
    if r.stop <= r.start:
        raise DataProcessingError(f"{one.base_name} holds no samples")
    every = np.arange(len(one.channels), dtype=np.int64)
    return _only(r, every, one.channels), (Target(one, paths[0], r.start, r.stop, 0),)


def _only(recording: Recording, columns: I64, channels: ChannelTable | None = None) -> Recording:
    """Return some columns of a recording, as channels that may have other places than its file says."""
    r = recording
    table = PieceTable((SourcePiece(str(r.path), r.name, r.start, r.stop, r.start),))
    seen = (r.channels if channels is None else channels).take(columns)
    return JoinedRecording([r], table, [columns], seen, path=r.path, name=r.name)


def _range(raw: Recording, options: SortOptions, of: int) -> tuple[int, int]:
    if raw.fs < SLOWEST_HZ:
        raise ConfigurationError(
            f"{raw.path.name} was sampled at {float(raw.fs):g} Hz: spikes cannot be seen below {SLOWEST_HZ:g} Hz"
        )
    if of > 1 and options.time_range is not None and not options.time_range.is_full():
        raise ConfigurationError("a time range is of one recording; sort jointly what slice_time has cut")
    start, stop = resolve(options.time_range, raw)
    seconds = float((stop - start) / raw.fs)
    if seconds < SHORTEST_SEC:
        raise DataProcessingError(
            f"{raw.path.name}: {seconds:.7g} s are too short to sort; at least {SHORTEST_SEC:g} s. Give a longer time "
            f"range, or sort several recordings jointly"
        )
    return start, stop


def _columns(raw: Recording, options: SortOptions, detect: Mapping[int, SpikeDetectParams]) -> I64:
    if options.channels is not None and len(set(options.channels)) != len(options.channels):
        twice = sorted({c for c in options.channels if options.channels.count(c) > 1})
        raise ConfigurationError(f"channels {twice[:8]} are named twice; name each once")
    columns = np.sort(amplifier_columns(raw.channels, options.channels))
    off = {ntv for ntv, p in detect.items() if p.is_enabled is False}
    kept = np.array([c for c in columns if raw.channels[int(c)].ntv not in off], np.int64)
    if not len(kept):
        raise ConfigurationError(
            "every channel to sort is disabled; update_detect_params(..., SpikeDetectParams(is_enabled=True), channels)"
        )
    return kept


def _parameters(
    launch: SpikeSorterLaunchParams,
    stage2: Sequence[DSPParams],
    detect: Mapping[int, SpikeDetectParams],
    sorted_channels: Sequence[Channel],
) -> tuple[SorterParameters, list[str]]:
    """Return what the sorter is told; what stage 2 does already it leaves out."""
    check_neighborhood(launch.neighbor_radius_um, launch.max_num_site_neighbors)
    given = done_in_front(stage2, {c.port for c in sorted_channels})
    notes = []
    ntv = [c.ntv for c in sorted_channels]
    levels = [p.thr_sd[0] for i in ntv if (p := detect.get(i)) is not None and p.thr_sd and _is_on(p)]
    levels = [abs(level) for level in levels if np.isfinite(level)]
    if levels:
        given["detection_threshold"] = min(levels)
    if launch.nbr_pattern:
        notes.append("nbr_pattern has no meaning here; neighbor_radius_um and max_num_site_neighbors say which sites")
    made = requested(launch.clusterer_params, launch.feature_params, **given)
    if not launch.discover_noise:
        least = np.finfo(np.float64).tiny
        made = replace(made, min_snr=least, min_excess_sd=least)
    return made, notes


def _is_on(params: SpikeDetectParams) -> bool:
    return params.is_set_thr is None or bool(params.is_set_thr[0])
