"""``radiens.utils.constants``: constants, aliases of sensors, and the documented named tuples.

Ports and addresses are those of the documented backend; this engine listens on none of them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ranvier.classic.utils.enums import KeyIndex, MetricID, RadiensFileType

__all__ = [
    "ALLEGO_CORE_ADDR",
    "ALLEGO_CORE_PORT",
    "ALL_SITES",
    "BYTES_PER_SAMPLE",
    "CONVERTIBLE_RADIENS_FILE_TYPES",
    "DEFAULT_HUB_ID",
    "DEFAULT_IP",
    "DEFAULT_STIM_PARAMS",
    "ERROR_COLOR_BG",
    "ERROR_COLOR_FG",
    "HEADSTAGE_ALIAS",
    "KPI_ADDR",
    "KPI_PORT",
    "MAX_GRPC_MSG_BYTES",
    "MAX_PB_MSG_SIZE_BYTES",
    "MAX_SIG_CHUNK_SIZE_BYTES",
    "MSG_OVERHEAD_BYTES",
    "NEURONS1_ADDR",
    "NEURONS1_PORT",
    "NEURONS_SINK_DSOURCE_ID",
    "PCACHE_ADDR",
    "PCACHE_PORT",
    "PRIMARY_CACHE_STREAM_GROUP_ID",
    "PROBE_ALIAS",
    "SELECTED_SITES",
    "SERVER_NAME_WINDOWS",
    "SPIKE_SORTER_ID",
    "TIME_SPEC",
    "KeyIdxs",
    "MetricID",
    "MetricStats",
    "NeighborsDesc",
    "NeuronDesc",
    "NeuronExtendedMetadata",
    "SigSelect",
    "SignalArrays",
    "SitePosition",
    "TimeRange",
]

SERVER_NAME_WINDOWS = "radiensserver.exe"
ERROR_COLOR_BG = "black"
ERROR_COLOR_FG = "red"
MAX_GRPC_MSG_BYTES = 4194304
MSG_OVERHEAD_BYTES = 10240
BYTES_PER_SAMPLE = 4
MAX_SIG_CHUNK_SIZE_BYTES = 4184064
TIME_SPEC = "%Y-%m-%d %H:%M:%S"
DEFAULT_IP = "localhost"
DEFAULT_HUB_ID = "default"
ALLEGO_CORE_PORT = 50051
PCACHE_PORT = 50052
KPI_PORT = 50053
NEURONS1_PORT = 50054
ALLEGO_CORE_ADDR = f"{DEFAULT_IP}:{ALLEGO_CORE_PORT}"
PCACHE_ADDR = f"{DEFAULT_IP}:{PCACHE_PORT}"
KPI_ADDR = f"{DEFAULT_IP}:{KPI_PORT}"
NEURONS1_ADDR = f"{DEFAULT_IP}:{NEURONS1_PORT}"
MAX_PB_MSG_SIZE_BYTES = 60e6
PRIMARY_CACHE_STREAM_GROUP_ID = "Live Signals"
NEURONS_SINK_DSOURCE_ID = "sorter-sink:primary_cache"
SPIKE_SORTER_ID = "Live Signals"
#: Stand for all, and for the selected, channels in lists of indices.
ALL_SITES = -2
SELECTED_SITES = -3

HEADSTAGE_ALIAS: dict[str, str] = {
    "smart-16": "acute_smartlink_A16",
    "smart-32": "chronic_smartlink_CM32",
    "pass-32": "passthrough_32",
    "pass-64": "passthrough_64",
    "chronic-64": "chronic_smartlink_H64",
}

#: One documented key has a leading blank; ``set_sensor`` takes it with and without.
PROBE_ALIAS: dict[str, str] = {
    "v1x16-16": "v1x16_edge_10mm200_177",
    "4x8-32": "a4x8_5mm100_200_177",
    "8x1tet-32": "a8x1_tet_7mm_200_121",
    "buz-32": "buz32",
    "poly3-32": "a1x32_poly3_8mm50s_177",
    " poly5-32": "a1x32_poly5_6mm35s_100",
    "8x8-64": "a8x8_5mm200_200_413",
    "poly3-64": "v1x64_poly3_10mm25s_177",
    "buz-64": "buz64",
}

#: What ``set_stim_params`` takes for a channel that has no parameters yet.
DEFAULT_STIM_PARAMS: dict[str, Any] = {
    "stim_shape": "BIPHASIC",
    "stim_polarity": "CATHODIC_FIRST",
    "first_phase_duration_us": 100,
    "second_phase_duration_us": 100,
    "interphase_delay_us": 100,
    "first_phase_amplitude_uA": 0,
    "second_phase_amplitude_uA": 0,
    "baseline_voltage": 0,
    "trigger_edge_or_level": "ST_EDGE",
    "trigger_high_or_low": "ST_HIGH",
    "enabled": False,
    "post_trigger_delay_us": 0,
    "pulse_or_train": "SINGLE_PULSE",
    "number_of_stim_pulses": 2,
    "pulse_train_period_us": 10000,
    "refactory_period_ms": 1,
    "pre_stim_amp_settle_us": 0,
    "post_stim_amp_settle_us": 0,
    "maintain_amp_settle_us": False,
    "enable_amp_settle": False,
    "post_stim_charge_recovery_on_us": 0,
    "post_stim_charge_recovery_off_us": 0,
    "enable_charge_recovery": False,
    "trigger_source_is_keypress": False,
    "trigger_source_idx": 0,
}

CONVERTIBLE_RADIENS_FILE_TYPES = [
    RadiensFileType.CSV,
    RadiensFileType.XDAT,
    RadiensFileType.KILOSORT2,
    RadiensFileType.NWB,
    RadiensFileType.NEX5,
]


class SitePosition(NamedTuple):
    """Centre of a site in probe and tissue coordinates, um."""

    probe_x: float
    probe_y: float
    probe_z: float
    tissue_x: float
    tissue_y: float
    tissue_z: float


class TimeRange(NamedTuple):
    """A half-open range of samples.

    Attributes
    ----------
    sec
        Start and end in stream seconds, float64 ``(2,)``.
    timestamp
        Start and end as sample counters, int64 ``(2,)``.
    fs
        Samples per second.
    dur_sec
        Length in seconds.
    walltime
        Wall-clock time of the start; ``datetime.min`` where it is not known.
    N
        Length in samples.
    """

    sec: npt.NDArray[np.float64]
    timestamp: npt.NDArray[np.int64]
    fs: float
    dur_sec: float
    walltime: datetime
    N: int


class NeighborsDesc(NamedTuple):
    """The sites around a site: distances in um, angles in degrees."""

    radius_um: float
    ntv_idxs: Any
    distance_um: Any
    theta_deg: Any
    phi_deg: Any
    N: int
    pos: Any


class NeuronDesc(NamedTuple):
    """A neuron."""

    id: int
    ntv_idx: int
    label: Any
    pos: Any
    spike_count: int
    spike_rate: float
    mean_abs_peak_waveform: float
    snr: float
    metadata: Any


class NeuronExtendedMetadata(NamedTuple):
    """Identities of a neuron."""

    neuron_uid: str
    ensemble_uid: str
    func_assembly_uid: str
    dataset_uid: str
    probe_uid: str


class SignalArrays(NamedTuple):
    """Signals by type, float64 ``(channels, samples)``: uV, V, 0/1, 0/1; a type not asked for has no rows."""

    amp: npt.NDArray[np.float64]
    gpio_ain: npt.NDArray[np.float64]
    gpio_din: npt.NDArray[np.float64]
    gpio_dout: npt.NDArray[np.float64]


class KeyIdxs(NamedTuple):
    """Channels in the three index spaces, in parallel: native, dataset, system."""

    ntv: list[int]
    dset: list[int]
    sys: list[int]


class SigSelect(NamedTuple):
    """Channels by type, as lists of indices; ``util.make_signal_selector`` makes one."""

    amp: Any
    gpio_ain: Any
    gpio_din: Any
    gpio_dout: Any
    key_idx: KeyIndex


class MetricStats(NamedTuple):
    """Statistics of a metric."""

    mean: Any
    sd: Any
    max: Any
    min: Any
