"""State of an acquisition system: instrument, streaming, recording."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

from pydantic import BeforeValidator

from ranvier.models._base import Model
from ranvier.models._coerce import EnumInput
from ranvier.models.ports import GPIOChannelCount, Port, PortChannelCount, optional_port

__all__ = [
    "BackboneMode",
    "BackboneStatus",
    "DataRecordingType",
    "RecordMode",
    "RecordStateRequest",
    "RecordingConfig",
    "RecordingStatus",
    "RestartRequest",
    "SinapsStatusRegisters",
    "StreamMode",
    "StreamStateRequest",
    "StreamingStatus",
]


class BackboneMode(IntEnum):
    """Which instrument or simulation the acquisition system runs."""

    SMARTBOX_PRO = 0
    SMARTBOX_SIM_GEN_SINE = 1
    SMARTBOX_SIM_GEN_SPIKES = 2
    SMARTBOX_SIM_DATASOURCE = 3
    OPEN_EPHYS_USB3 = 4
    INTAN_RECORDING_CONTROLLER_1024 = 5
    SMARTBOX_CLASSIC = 6
    INTAN_RECORDING_CONTROLLER_512 = 7
    OPEN_EPHYS_USB2 = 8
    INTAN_USB2 = 9
    SMARTBOX_SIM_GEN_SINE_MAPPED = 10
    SMARTBOX_SIM_GEN_SINE_HIGH_FREQ = 11
    SMARTBOX_SIM_GEN_SINE_MULTI_BAND = 12
    SMARTBOX_PRO_SINAPS_256 = 13
    SMARTBOX_PRO_SINAPS_1024 = 14
    XDAQ_ONE_REC = 15
    XDAQ_ONE_STIM = 16
    XDAQ_CORE_REC = 17
    XDAQ_CORE_STIM = 18
    SMARTBOX_PRO_SINAPS_512 = 19
    XDAQ_GEN2_ONE_STIM = 20
    XDAQ_GEN2_CORE_STIM = 21
    XDAQ_GEN2_ONE_REC = 22
    XDAQ_GEN2_CORE_REC = 23
    SMARTBOX_SIM_GEN_LFP = 24
    SMARTBOX_SIM_GEN_BROADBAND = 25


class StreamMode(IntEnum):
    """Whether samples stream."""

    OFF = 0
    ON = 1


class RecordMode(IntEnum):
    """Whether samples are recorded."""

    OFF = 0
    ON = 1


class DataRecordingType(IntEnum):
    """What is recorded."""

    CONTINUOUS = 0
    SPIKES = 1
    CONTINUOUS_AND_SPIKES = 2


coerce_backbone_mode = EnumInput(BackboneMode, "a backbone mode")
coerce_data_recording_type = EnumInput(DataRecordingType, "a kind of recording", ints=True)


class StreamingStatus(Model):
    """How streaming stands.

    Attributes
    ----------
    primary_cache_t_range
        Stream seconds that the signal cache holds, ``[start, end]``.
    hardware_memory_level
        How full the instrument's buffer is, 0 to 1.
    """

    stream_mode: StreamMode
    primary_cache_t_range: list[float]
    hardware_memory_level: float


class RecordingStatus(Model):
    """How recording stands; ``duration`` in seconds, modes per port where files are split by port."""

    record_mode: RecordMode
    active_filename: str
    duration: float
    error: str
    record_mode_port_a: RecordMode | None = None
    record_mode_port_b: RecordMode | None = None
    record_mode_port_c: RecordMode | None = None
    record_mode_port_d: RecordMode | None = None
    record_mode_port_e: RecordMode | None = None
    record_mode_port_f: RecordMode | None = None
    record_mode_port_g: RecordMode | None = None
    record_mode_port_h: RecordMode | None = None


class BackboneStatus(Model):
    """How an acquisition system stands; ``simulated`` (an addition) where its source is no instrument."""

    streaming: StreamingStatus
    recording: RecordingStatus
    ports: list[PortChannelCount]
    is_connected: bool
    gpio_channel_count: GPIOChannelCount
    simulated: bool = False


class RecordingConfig(Model):
    """Where and what to record; ``recording_type`` also takes names and numbers.

    Attributes
    ----------
    base_file_name, base_file_path
        Name and directory of the files.
    time_stamp
        Whether the date and time are appended to the name.
    split_files_by_port
        Whether each port gets files of its own.
    force_start_at_tstamp_0
        Whether counters in the file start at 0 instead of the stream's counter.
    """

    base_file_name: str
    base_file_path: str
    datasource_idx: int = 0
    time_stamp: bool = True
    split_files_by_port: bool = False
    force_start_at_tstamp_0: bool = False
    recording_type: Annotated[DataRecordingType, coerce_data_recording_type.field] = DataRecordingType.CONTINUOUS


class RecordStateRequest(Model):
    """Asks to start or stop recording; ``port`` None = all."""

    mode: Annotated[RecordMode, EnumInput(RecordMode, "a record mode").field]
    port: Annotated[Port | None, BeforeValidator(optional_port)] = None


class StreamStateRequest(Model):
    """Asks to start or stop streaming."""

    mode: Annotated[StreamMode, EnumInput(StreamMode, "a stream mode").field]


class RestartRequest(Model):
    """Asks to restart the acquisition system with another instrument or simulation."""

    mode: Annotated[BackboneMode, coerce_backbone_mode.field]


class SinapsStatusRegisters(Model):
    """Registers of a SiNAPS probe; ``calibration_progress`` is 0 to 1."""

    calibration_state: bool
    calibration_progress: float
    num_active_pixels_shank0: int
    num_active_pixels_shank1: int
    num_active_pixels_shank2: int
    num_active_pixels_shank3: int
    v_ref_ffa: float
    v_ref_ffb: float
    v_ref_ffc: float
    v_ref_ffd: float
    is_error0: bool
    is_error1: bool
    is_error2: bool
    is_error3: bool
    host_counter: int
    fpga_counter: int
    firmware_version: str
    probe_generation: int
    probe_model: int
