"""The spike sorter: detection, features, clustering, its state and dashboard."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from ranvier.models._base import Model
from ranvier.models._coerce import EnumInput
from ranvier.models.ports import Port
from ranvier.models.sorter_stats import SorterNeuronStats, SorterPortStats, SorterSiteStats

__all__ = [
    "DashElement",
    "InputFeatureType",
    "SorterDynamics",
    "SorterTask",
    "SpikeDetectParams",
    "SpikeSorterClustererParams",
    "SpikeSorterCommand",
    "SpikeSorterCriterionLevel",
    "SpikeSorterDashboard",
    "SpikeSorterDashboardGeneral",
    "SpikeSorterDynamicConfig",
    "SpikeSorterDynamicCriteria",
    "SpikeSorterDynamicUpdatePeriod",
    "SpikeSorterFeatureParams",
    "SpikeSorterLaunchParams",
    "SpikeSorterLaunchResult",
    "SpikeSorterParamCommand",
    "SpikeSorterPhase",
    "SpikeSorterState",
    "SpikeSorterStateSystem",
    "SpikeSorterSubCommand",
    "SpikeSorterType",
]


class SpikeSorterType(IntEnum):
    """Which sorter: on a stream or a file, over all stages or from detected spikes."""

    NULL = 0
    VEX_STREAM = 1
    SPIKES_STREAM = 2
    VEX_FILE = 3
    SPIKES_FILE = 4


class SpikeSorterCommand(IntEnum):
    """What a sorter is told to do."""

    ON = 0
    OFF = 1
    CLEAR_SORT = 2
    REBASE = 4
    INIT = 5


class SpikeSorterSubCommand(IntEnum):
    """How far a sorter goes."""

    NULL = 0
    DETECT_ONLY = 2


class SpikeSorterParamCommand(IntEnum):
    """Which detection parameter is set."""

    THR_LEVEL = 1
    THR_LEVEL_SD = 4
    THR_WDW = 8
    WEAK_THR_LEVEL = 10
    WEAK_THR_LEVEL_SD = 13
    SHADOW = 17
    THR_ACTIVATE = 19
    WEAK_THR_ACTIVATE = 21
    SPIKE_WIDTH = 23


class SpikeSorterStateSystem(IntEnum):
    """Whether a sorter is there and runs."""

    ON = 0
    OFF = 1
    NOT_CONFIGURED = 2


class SpikeSorterPhase(IntEnum):
    """What a sorter is busy with."""

    UNSPECIFIED = 0
    DETECTING = 1
    TRAINING = 2
    SORTING = 3
    FINALIZING = 4
    COMPLETE = 5


class SpikeSorterCriterionLevel(IntEnum):
    """How strict a criterion is."""

    LEAST = 0
    LESS = 1
    BALANCED = 2
    MORE = 3
    MOST = 4


class InputFeatureType(IntEnum):
    """What a sorter clusters: waveforms or their spectra, without or with positions."""

    WFM = 0
    SPD = 1
    WFM_POS = 2
    SPD_POS = 3


class DashElement(IntEnum):
    """A part of the sorter's dashboard."""

    ENABLED_PORTS = 1
    GENERAL = 2
    PORT_STATS = 3
    SITE_STATS = 4
    SITE_PANEL = 5
    NEURON_STATS = 6
    NEURON_PANEL = 7
    AI = 8


coerce_spike_sorter_command = EnumInput(SpikeSorterCommand, "a spike sorter command")
coerce_spike_sorter_sub_command = EnumInput(SpikeSorterSubCommand, "a spike sorter sub-command")
coerce_dash_element = EnumInput(DashElement, "a dashboard element", ints=True)
coerce_input_feature_type = EnumInput(InputFeatureType, "a feature type", ints=True)
_level = EnumInput(SpikeSorterCriterionLevel, "a criterion level", ints=True)


def coerce_spike_sorter_criterion_level(value: object) -> SpikeSorterCriterionLevel | None:
    """Return the level that ``value`` means; None stays None (unchanged)."""
    return None if value is None else _level(value)


class SpikeDetectParams(Model):
    """Spike detection on one channel, or what to change of it; None = not set. Pairs are ``[negative, positive]``.

    Attributes
    ----------
    ntv_chan_idx
        Native index of the channel.
    thr, thr_sd
        Thresholds in uV, and in standard deviations of the noise.
    thr_wdw, thr_wdw_pts
        Window around a crossing, ``[before, after]`` and possibly the total, in seconds and in samples.
    shadow, shadow_pts
        Dead time behind a spike, in seconds and in samples.
    is_set_thr, is_set_weak_thr
        Which of the two thresholds are in force.
    weak_thr, weak_thr_sd
        Artifact-rejection levels in uV and noise SD: an event beyond them is dropped.
    spike_width_sec
        Accepted width, ``[min, max]`` in seconds.
    """

    is_enabled: bool | None = None
    ntv_chan_idx: int | None = None
    thr: list[float] | None = None
    thr_sd: list[float] | None = None
    thr_wdw_pts: list[int] | None = None
    thr_wdw: list[float] | None = None
    shadow: float | None = None
    shadow_pts: int | None = None
    is_set_thr: list[bool] | None = None
    weak_thr: list[float] | None = None
    weak_thr_sd: list[float] | None = None
    is_set_weak_thr: list[bool] | None = None
    spike_width_sec: list[float] | None = None


class SpikeSorterClustererParams(Model):
    """Clustering; None = the engine's default.

    Attributes
    ----------
    pos_influence_frac, wfm_shape_influence_frac
        Weights of position and of waveform shape, 0 to 1.
    eps, min_pts
        Neighbourhood radius in feature space, and how many spikes make a core.
    """

    pos_influence_frac: float | None = None
    wfm_shape_influence_frac: float | None = None
    eps: float | None = None
    min_pts: int | None = None
    disabled: bool = False


class SpikeSorterFeatureParams(Model):
    """Features of spikes; ``feature_type`` also takes names and numbers. None = the engine's default.

    Attributes
    ----------
    num_features
        How many features a spike has.
    latent_dim
        Dimensions of the embedding.
    resample_wfm_len
        Points per waveform after resampling.
    """

    num_features: int
    feature_type: Annotated[InputFeatureType, coerce_input_feature_type.field] = InputFeatureType.WFM
    latent_dim: int | None = None
    resample_wfm_len: int | None = None


class SpikeSorterLaunchParams(Model):
    """How a sort is started.

    Attributes
    ----------
    dsource_id, sink_dsrc_id
        The dataset that is sorted, and the one that takes the spikes.
    sub_cmd
        How far it goes; also a name or number.
    nbr_pattern
        Neighbourhood pattern of the documented release; newer ones use radius and count.
    neighbor_radius_um, max_num_site_neighbors
        Which sites count as neighbours: within this many um, at most so many.
    seed
        Seed of everything random; None = one is drawn and written down.
    """

    dsource_id: str | None = None
    discover_noise: bool = True
    is_auto_on: bool = True
    sink_dsrc_id: str | None = None
    sub_cmd: Annotated[SpikeSorterSubCommand, coerce_spike_sorter_sub_command.field] = SpikeSorterSubCommand.NULL
    clusterer_params: SpikeSorterClustererParams | None = None
    feature_params: SpikeSorterFeatureParams | None = None
    nbr_pattern: int | None = None
    neighbor_radius_um: float | None = None
    max_num_site_neighbors: int | None = None
    seed: int | None = None


class SpikeSorterLaunchResult(Model):
    """The sorter that was started."""

    spike_sorter_id: str
    sorter_type: SpikeSorterType
    msg: str = ""


class SpikeSorterState(Model):
    """How a sorter stands; ``frac_complete`` is 0 to 1 of the current phase and restarts with each phase."""

    sys: SpikeSorterStateSystem
    frac_complete: float = 0.0
    is_on: bool = False
    msg: str = ""
    error_msg: str = ""
    warn_msg: str = ""
    phase: SpikeSorterPhase = SpikeSorterPhase.UNSPECIFIED


Level = Annotated[SpikeSorterCriterionLevel | None, BeforeValidator(coerce_spike_sorter_criterion_level)]


class SpikeSorterDynamicCriteria(Model):
    """How strict each step of a live sorter is; members, names, numbers 0-4, None = unchanged."""

    detect: Level = None
    train: Level = None
    sort: Level = None


class SpikeSorterDynamicUpdatePeriod(Model):
    """How often each step of a live sorter runs, in seconds; None = unchanged."""

    detect: float | None = None
    train: float | None = None
    sort: float | None = None


class SpikeSorterDynamicConfig(Model):
    """How a live sorter adapts; None = unchanged."""

    is_enabled: bool | None = None
    update_period_sec: SpikeSorterDynamicUpdatePeriod | None = None
    criteria: SpikeSorterDynamicCriteria | None = None


class SorterTask(Model):
    """One task of dynamic tracking; times are stream seconds, None before the first and while tracking is off.

    Attributes
    ----------
    rounds, accepted, rejected
        How often it ran; changes of units (or noise) that it made, and that it refused to make.
    """

    last_sec: float | None = None
    next_sec: float | None = None
    rounds: int = 0
    accepted: int = 0
    rejected: int = 0


class SorterDynamics(Model):
    """How a live sorter adapts: what is set, how its tasks stand, what they changed.

    Attributes
    ----------
    tasks
        ``detect``, ``train`` and ``sort``.
    log
        What the sorter did by itself, oldest first, JSON data.
    not_spikes
        Events refused or flagged as noise since the sorter began, by reason: ``by_neighbour`` (a near site has it
        larger), ``artifacts`` (beyond the limits), ``wrong_width``, ``common`` (on much of a port at once),
        ``afterwaves`` (of a larger one just before).
    """

    config: SpikeSorterDynamicConfig
    tasks: dict[str, SorterTask]
    log: list[dict[str, Any]] = Field(default_factory=list)
    not_spikes: dict[str, int] = Field(default_factory=dict)


class SorterLog(Model):
    """What the sorter of some spikes did by itself.

    Attributes
    ----------
    entries
        Oldest first, JSON data; ``event`` says what.
    """

    entries: list[dict[str, Any]] = Field(default_factory=list)


class SpikeSorterDashboardGeneral(Model):
    """A sort at a glance.

    Attributes
    ----------
    time_range
        Sorted so far, in stream seconds.
    num_total_sites, num_enabled_sites, num_active_sites
        Sites of the probe, those that are sorted, those with spikes.
    probe_yield, site_yield
        Neurons per enabled site, and fraction of enabled sites that have neurons.
    sort_efficiency
        Labelled fraction of the processed spikes.
    """

    state: SpikeSorterState
    sorter_type: SpikeSorterType
    sorter_id: str
    datasource_id: str
    time_range: tuple[float, float]
    num_total_sites: int
    num_enabled_sites: int
    num_active_sites: int
    num_neurons: int
    probe_yield: float
    site_yield: float
    num_spikes_processed: int
    num_spikes_labeled: int
    sort_efficiency: float


class SpikeSorterDashboard(Model):
    """The sorter's dashboard: the elements that were asked for. Those behind ``general`` are additions.

    Attributes
    ----------
    ports, sites, neurons
        ``PORT_STATS``, ``SITE_STATS`` or ``SITE_PANEL`` (with labels of neurons), ``NEURON_STATS`` or ``NEURON_PANEL``
        (with templates).
    dynamics
        ``AI``: how it adapts by itself, by statistics.
    """

    enabled_ports: list[Port] = Field(default_factory=list)
    general: SpikeSorterDashboardGeneral | None = None
    ports: list[SorterPortStats] = Field(default_factory=list)
    sites: list[SorterSiteStats] = Field(default_factory=list)
    neurons: list[SorterNeuronStats] = Field(default_factory=list)
    dynamics: SorterDynamics | None = None
