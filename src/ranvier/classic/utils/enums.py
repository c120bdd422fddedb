"""``radiens.utils.enums``: every documented enum, and how words and numbers become members."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from operator import index
from typing import Any, NamedTuple, Self

from ranvier.classic._errors import ArgumentTypeError
from ranvier.exceptions import ConfigurationError


class GrpcEnum(Enum):
    """An enum whose members are also meant by their names (any case) and their numbers."""

    @property
    def pb_value(self) -> int:
        """The number of the member."""
        return int(self.value)

    @classmethod
    def all(cls) -> list[Self]:
        """Return the members."""
        return list(cls)

    @classmethod
    def all_string(cls) -> list[str]:
        """Return the names."""
        return [member.name for member in cls]

    @classmethod
    def all_enum(cls) -> list[int]:
        """Return the numbers."""
        return [member.pb_value for member in cls]

    @classmethod
    def parse(cls, x: object) -> Self:
        """Return the member that a member, a name in any case, or a number means.

        Members of other enums (those of ``ranvier.models``) are taken by name.

        Raises
        ------
        ConfigurationError
            An unknown name or number (a ValueError); the message lists the valid ones.
        ArgumentTypeError
            Anything else (a TypeError).
        """
        if isinstance(x, cls):
            return x
        if isinstance(x, (str, Enum)):
            return cls._from_string(x.name if isinstance(x, Enum) else x)
        try:
            return cls._from_enum(index(x))  # type: ignore[arg-type]
        except TypeError:
            raise ArgumentTypeError(f"{x!r} is no {cls.__name__}; {cls._accepted()}") from None

    @classmethod
    def map_into_keys(cls, d: Mapping[Any, Any]) -> dict[Self, Any]:
        """Return a dict whose keys, of whatever kind, have become members."""
        return {cls.parse(key): value for key, value in d.items()}

    @classmethod
    def map_into_keys_as_names(cls, d: Mapping[Any, Any]) -> dict[str, Any]:
        """Return a dict whose keys have become names."""
        return {cls.parse(key).name: value for key, value in d.items()}

    @classmethod
    def map_into_keys_as_values(cls, d: Mapping[Any, Any]) -> dict[int, Any]:
        """Return a dict whose keys have become numbers."""
        return {cls.parse(key).pb_value: value for key, value in d.items()}

    @classmethod
    def _from_enum(cls, number: int) -> Self:
        try:
            return cls(number)
        except ValueError:
            raise ConfigurationError(f"there is no {cls.__name__} {number}; {cls._accepted()}") from None

    @classmethod
    def _from_string(cls, name: str) -> Self:
        names = {known.upper(): member for known, member in cls.__members__.items()}
        wanted = _plain(name)
        member = names.get(_SPELLINGS.get(cls.__name__, {}).get(wanted, wanted).upper())
        if member is None:
            raise ConfigurationError(f"{name!r} is no {cls.__name__}; {cls._accepted()}")
        return member

    @classmethod
    def _accepted(cls) -> str:
        other = [text.lower() for text in _SPELLINGS.get(cls.__name__, {})]
        also = f"; also written {', '.join(other)}" if other else ""
        return f"valid: {', '.join(f'{member.name} ({member.value})' for member in cls)} (any case){also}"


def _plain(name: str) -> str:
    """Return a name as the tables have it: upper case, no blanks around, underscores for dashes."""
    return name.strip().upper().replace("-", "_").replace(" ", "_")


class ClientType(Enum):
    """Which client it is."""

    ALLEGO = "AllegoClient"
    VIDERE = "VidereClient"
    CURATE = "CurateClient"


class RadiensService(Enum):
    """A part of an engine."""

    CORE = 1
    DASH = 2
    SORTER = 3
    DEV = 4
    RADIENSPY = 5


class KeyIndex(Enum):
    """Index space of channel numbers: native (acquisition), position in the dataset, system."""

    NTV = 0
    DATA = 1
    SYS = 2


class RasterMode(GrpcEnum):
    """What the rows of a raster are."""

    CHANNELS = 0
    NEURONS = 1


class StreamMode(GrpcEnum):
    """Whether samples stream."""

    OFF = 0
    ON = 1


class RecordMode(GrpcEnum):
    """Whether samples are recorded."""

    OFF = 0
    ON = 1


class DioMode(GrpcEnum):
    """What drives the digital outputs."""

    MANUAL = 0
    EVENTS = 1
    GATED = 2


class WorkspaceApp(GrpcEnum):
    """The application that a workspace belongs to."""

    ALLEGO = 0
    CURATE = 1
    VIDERE = 2


class PsdScaling(GrpcEnum):
    """Scaling of a spectrum: uV squared per Hz."""

    ABSOLUTE = 0


class SignalUnits(GrpcEnum):
    """Unit of a signal type."""

    UNKNOWN = 0
    MICROVOLTS = 1
    VOLTS = 2
    BINARY = 3


class FftWindow(GrpcEnum):
    """Window of a spectrum; see :meth:`ranvier.classic.signals_client.SignalsClient.get_psd`."""

    HAMMING_p01 = 0  # the documented name
    HAMMING_p05 = 1
    PASS_THROUGH = 2


class StatsVector(GrpcEnum):
    """Order of the numbers of a statistics vector."""

    STAT_MEAN = 0
    STAT_SD = 1
    STAT_MODE = 2
    STAT_MIN = 3
    STAT_MAX = 4
    STAT_MODE_COUNT = 5
    STAT_MEDIAN = 6
    STAT_Q25 = 7
    STAT_Q75 = 8
    STAT_SKEW = 9
    STAT_KURTOSIS = 10
    STAT_N = 11


class SummaryStats(GrpcEnum):
    """A summary statistic, numbered as in :class:`StatsVector`."""

    MIN = 3
    MAX = 4
    MEAN = 0
    SD = 1
    MODE = 2
    COUNT = 5
    MEDIAN = 6
    Q25 = 7
    Q75 = 8
    SKEW = 9
    KURTOSIS = 10
    N = 11


class RadiensFileType(GrpcEnum):
    """A type of file; file extensions (``.xdat``, ``h5``) parse as well."""

    RHD = 0
    XDAT = 1
    CSV = 2
    HDF5 = 3
    NEX5 = 4
    NWB = 5
    KILOSORT2 = 8
    NSX = 13
    TDT = 15
    SPIKES = 16
    OE_DAT = 22

    @classmethod
    def _from_string(cls, name: str) -> Self:
        return super()._from_string(name.strip().lstrip("."))


class TrsMode(GrpcEnum):
    """How a time range is meant: start to end, from start to the newest sample, the last so many seconds."""

    SUBSET = 0
    TO_HEAD = 1
    FROM_HEAD = 2


class MetricMode(GrpcEnum):
    """Which samples a metric is about: a packet, an average over packets, all since the stream began."""

    BASE = 0
    AVG = 1
    STREAM = 2


class MetricName(GrpcEnum):
    """A metric of one channel; amplitudes in uV."""

    NUM_PTS = 0
    NUM_PTS_ISI = 1
    DUR_SEC = 2
    MEAN = 3
    MIN = 4
    MIN_ISI = 5
    MAX = 6
    MAX_ISI = 7
    MAX_ABS = 8
    MAX_ABS_ISI = 9
    TIMESTAMP_MIN = 10
    TIMESTAMP_MAX = 11
    MAX_MIN_DIFF_ABS = 12
    MAX_MIN_DIFF_ABS_ISI = 13
    SD = 14
    SD_ISI = 15
    VAR = 16
    VAR_ISI = 17
    RMS = 18
    RMS_ISI = 19
    NOISE_UV = 20
    SNR = 21
    NUM_EVENTS = 22
    EVENT_RATE = 23
    EVENT_MAX = 24
    EVENT_MIN = 25
    EVENT_MAX_ABS = 26
    EVENT_MAX_MIN_DIFF_ABS = 27
    EVENT_TIMESTAMP_MIN = 28
    EVENT_TIMESTAMP_MAX = 29
    EVENT_TIMESTAMP_MAX_ABS = 30
    EVENT_TIMESTAMP_MAX_MIN_DIFF_ABS = 31
    MEAN_MAX = 32
    MEAN_MIN = 33
    MEAN_MAX_ABS = 34
    EVENT_MEAN_MAX_MIN_DIFF_ABS = 35
    MAX_MIN_DIFF_ABS_AMPLIFIED = 36


class MetricID(NamedTuple):
    """A metric, and which samples it is about."""

    mode: MetricMode
    name: MetricName


class Port(GrpcEnum):
    """Headstage port of an instrument."""

    A = 0
    B = 1
    C = 2
    D = 3
    E = 4
    F = 5
    G = 6
    H = 7


class SystemMode(GrpcEnum):
    """Which instrument or simulation an acquisition system runs.

    The documentation writes some modes in ways that are no names of members (``xdaq_one_req``, ``sim-spikes``, and
    the words of the command line); :meth:`parse` takes those too.
    """

    SMARTBOX_PRO = 0
    SMARTBOX_PRO_SINAPS_256 = 13
    SMARTBOX_PRO_SINAPS_512 = 19
    SMARTBOX_PRO_SINAPS_1024 = 14
    SMARTBOX_CLASSIC = 6
    SMARTBOX_SIM_GEN_SINE = 1
    SMARTBOX_SIM_GEN_SINE_MAPPED = 10
    SMARTBOX_SIM_GEN_SINE_HIGH_FREQ = 11
    SMARTBOX_SIM_GEN_SINE_MULTI_BAND = 12
    SMARTBOX_SIM_GEN_SPIKES = 2
    OPEN_EPHYS_USB2 = 8
    OPEN_EPHYS_USB3 = 4
    INTAN_USB2 = 9
    INTAN_RECORDING_CONTROLLER_1024 = 5
    INTAN_RECORDING_CONTROLLER_512 = 7
    XDAQ_ONE_REC = 15
    XDAQ_ONE_STIM = 16
    XDAQ_CORE_REC = 17
    XDAQ_CORE_STIM = 18


class SignalType(GrpcEnum):
    """Kind of a signal: amplifier (uV), analog input (V), digital input and output (0/1)."""

    AMP = 0
    AIN = 1
    DIN = 2
    DOUT = 3


#: Other words for members, by enum: what the documentation writes although it is no name, and file extensions.
_SPELLINGS: dict[str, dict[str, str]] = {
    "SystemMode": {
        "XDAQ_ONE_REQ": "XDAQ_ONE_REC",
        "XDAQ_CORE_REQ": "XDAQ_CORE_REC",
        "SIM_SPIKES": "SMARTBOX_SIM_GEN_SPIKES",
        "SIM_SINE": "SMARTBOX_SIM_GEN_SINE",
        "SIM_SINE_MAPPED": "SMARTBOX_SIM_GEN_SINE_MAPPED",
        "SIM_SINE_HIGH_FREQ": "SMARTBOX_SIM_GEN_SINE_HIGH_FREQ",
        "SIM_SINE_MULTI_BAND": "SMARTBOX_SIM_GEN_SINE_MULTI_BAND",
        "SBPRO": "SMARTBOX_PRO",
        "SBPRO_SINAPS_256": "SMARTBOX_PRO_SINAPS_256",
        "SBPRO_SINAPS_512": "SMARTBOX_PRO_SINAPS_512",
        "SBPRO_SINAPS_1024": "SMARTBOX_PRO_SINAPS_1024",
        "SBCLASSIC": "SMARTBOX_CLASSIC",
        "INTAN1024": "INTAN_RECORDING_CONTROLLER_1024",
        "INTAN512": "INTAN_RECORDING_CONTROLLER_512",
    },
    "StreamMode": {"S_OFF": "OFF", "S_ON": "ON"},
    "RecordMode": {"R_OFF": "OFF", "R_ON": "ON"},
    "SignalType": {"GPIO_AIN": "AIN", "GPIO_DIN": "DIN", "GPIO_DOUT": "DOUT"},
    "RadiensFileType": {"H5": "HDF5", "NEX": "NEX5", **{f"NS{n}": "NSX" for n in range(1, 7)}},
}
