"""What can be done to signals, as parameters: small frozen dataclasses that ``bind`` to the rate and channels of a
stream.

Filters act on the amplifier channels; analog inputs, digital lines and gaps pass untouched. Channel numbers are native
indices (NTV). ``order=None`` means the default of :mod:`ranvier.dsp.defaults`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, ClassVar, Literal, get_args

from ranvier.dsp.defaults import ZERO_PHASE, resolve_decibels, resolve_order
from ranvier.dsp.stage import Stage
from ranvier.exceptions import ConfigurationError
from ranvier.recordings.channels import ChannelTable

ReferenceOperator = Literal["mean", "median"]
REFERENCE_OPERATORS: tuple[str, ...] = get_args(ReferenceOperator)

ReferenceGroups = Literal["all", "port", "probe", "shank"]
REFERENCE_GROUPS: tuple[str, ...] = get_args(ReferenceGroups)

BlankingMode = Literal["linear", "hold", "nan", "zero"]
BLANKING_MODES: tuple[str, ...] = get_args(BlankingMode)

DownsampleOperator = Literal["antialiased", "plain"]
DOWNSAMPLE_OPERATORS: tuple[str, ...] = get_args(DownsampleOperator)


class Operation(ABC):
    """Parameters of one step; hashable, picklable, independent of any stream.

    Attributes
    ----------
    per_channel
        Whether each channel comes out the same, to the last bit, whatever other channels there are, none refused.
    """

    kind: ClassVar[str]
    per_channel: ClassVar[bool] = True

    @abstractmethod
    def bind(self, fs: Fraction | float, channels: ChannelTable) -> Stage:
        """Return the stage that does it for streams of this rate and these channels.

        Raises
        ------
        FilterDesignError
            If the filter cannot exist at this rate.
        DatasetError
            If a channel is named that the stream does not have.
        """

    def parameters(self) -> dict[str, Any]:
        """Return the parameters as JSON data, defaults resolved."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]

    def describe(self) -> dict[str, Any]:
        """Return kind and parameters as JSON data (a stage adds its coefficients)."""
        return {"kind": self.kind, "parameters": self.parameters()}


@dataclass(frozen=True, slots=True)
class _Filter(Operation, ABC):
    """A filter of one of the families of :mod:`ranvier.dsp.design`, Butterworth where nothing is said.

    ``order`` is what SciPy's design functions take; causal unless ``zero_phase``.
    """

    @property
    @abstractmethod
    def _frequencies_hz(self) -> tuple[float, ...]: ...

    def bind(self, fs: Fraction | float, channels: ChannelTable) -> Stage:
        from ranvier.dsp.design import iir

        parameters = self.parameters()
        decibels = {name: parameters[name] for name in ("ripple_db", "attenuation_db") if name in parameters}
        design = iir(self.kind, self._frequencies_hz, parameters["order"], fs, family=parameters["family"], **decibels)
        return _filter(design, parameters["zero_phase"], fs, channels, self.describe())

    def parameters(self) -> dict[str, Any]:
        given = asdict(self)
        decibels = resolve_decibels(given["family"], given.pop("ripple_db"), given.pop("attenuation_db"))
        return {**given, "order": resolve_order(given["order"]), **decibels}


@dataclass(frozen=True, slots=True)
class LowPass(_Filter):
    """Keep what lies below ``frequency_hz`` (-3 dB; -6 dB with zero phase)."""

    kind: ClassVar[str] = "lowpass"
    frequency_hz: float
    order: int | None = None
    zero_phase: bool = ZERO_PHASE
    family: str = "butterworth"
    ripple_db: float | None = None
    attenuation_db: float | None = None

    @property
    def _frequencies_hz(self) -> tuple[float, ...]:
        return (self.frequency_hz,)


@dataclass(frozen=True, slots=True)
class HighPass(_Filter):
    """Keep what lies above ``frequency_hz`` (-3 dB; -6 dB with zero phase)."""

    kind: ClassVar[str] = "highpass"
    frequency_hz: float
    order: int | None = None
    zero_phase: bool = ZERO_PHASE
    family: str = "butterworth"
    ripple_db: float | None = None
    attenuation_db: float | None = None

    @property
    def _frequencies_hz(self) -> tuple[float, ...]:
        return (self.frequency_hz,)


@dataclass(frozen=True, slots=True)
class BandPass(_Filter):
    """Keep what lies between two frequencies (-3 dB; -6 dB with zero phase)."""

    kind: ClassVar[str] = "bandpass"
    low_hz: float
    high_hz: float
    order: int | None = None
    zero_phase: bool = ZERO_PHASE
    family: str = "butterworth"
    ripple_db: float | None = None
    attenuation_db: float | None = None

    @property
    def _frequencies_hz(self) -> tuple[float, ...]:
        return (self.low_hz, self.high_hz)


@dataclass(frozen=True, slots=True)
class BandStop(_Filter):
    """Remove what lies between two frequencies."""

    kind: ClassVar[str] = "bandstop"
    low_hz: float
    high_hz: float
    order: int | None = None
    zero_phase: bool = ZERO_PHASE
    family: str = "butterworth"
    ripple_db: float | None = None
    attenuation_db: float | None = None

    @property
    def _frequencies_hz(self) -> tuple[float, ...]:
        return (self.low_hz, self.high_hz)


@dataclass(frozen=True, slots=True)
class Notch(Operation):
    """Remove one frequency: second order, ``bandwidth_hz`` wide at -3 dB (Q = frequency / bandwidth)."""

    kind: ClassVar[str] = "notch"
    frequency_hz: float
    bandwidth_hz: float
    zero_phase: bool = ZERO_PHASE

    def bind(self, fs: Fraction | float, channels: ChannelTable) -> Stage:
        """Return the stage for streams of this rate and these channels."""
        from ranvier.dsp.design import notch

        return _filter(notch(self.frequency_hz, self.bandwidth_hz, fs), self.zero_phase, fs, channels, self.describe())


@dataclass(frozen=True, slots=True)
class CommonAverageReference(Operation):
    """Subtract the mean over all amplifier channels (or the exact median) from each of them.

    ``groups`` takes the channels of each port, probe or shank for themselves. Samples that are not finite are left out
    of the mean and stay what they are.
    """

    kind: ClassVar[str] = "car"
    per_channel: ClassVar[bool] = False
    operator: ReferenceOperator = "mean"
    groups: ReferenceGroups = "all"

    def __post_init__(self) -> None:
        if self.operator not in REFERENCE_OPERATORS:
            raise ConfigurationError(
                f"common reference operator {self.operator!r}: it is one of {', '.join(REFERENCE_OPERATORS)}"
            )
        if self.groups not in REFERENCE_GROUPS:
            raise ConfigurationError(
                f"common reference groups {self.groups!r}: it is one of {', '.join(REFERENCE_GROUPS)}"
            )

    def bind(self, fs: Fraction | float, channels: ChannelTable) -> Stage:
        """Return the stage for streams of this rate and these channels."""
        from ranvier.dsp.reference import CommonReference, GroupReference, groups_of

        if self.groups == "all":
            return CommonReference(Fraction(fs), channels, self.operator, self.describe())
        return GroupReference(Fraction(fs), channels, groups_of(channels, self.groups), self.operator, self.describe())


@dataclass(frozen=True, slots=True)
class VirtualReference(Operation):
    """Subtract one amplifier channel (native index) from every amplifier channel; it becomes 0 itself."""

    kind: ClassVar[str] = "virtual_ref"
    per_channel: ClassVar[bool] = False
    ref_channel: int

    def bind(self, fs: Fraction | float, channels: ChannelTable) -> Stage:
        """Return the stage for streams of this rate and these channels."""
        from ranvier.dsp.reference import ChannelReference

        return ChannelReference(Fraction(fs), channels, self.ref_channel, self.describe())


@dataclass(frozen=True, slots=True)
class PairedReference(Operation):
    """``target := target - reference`` (native indices); the reference becomes 0, other channels pass untouched."""

    kind: ClassVar[str] = "paired_ref"
    per_channel: ClassVar[bool] = False
    ref_channel: int
    target_channel: int

    def bind(self, fs: Fraction | float, channels: ChannelTable) -> Stage:
        """Return the stage for streams of this rate and these channels."""
        from ranvier.dsp.reference import ChannelDifference

        return ChannelDifference(Fraction(fs), channels, self.ref_channel, self.target_channel, self.describe())


@dataclass(frozen=True, slots=True)
class Downsample(Operation):
    """Keep one of ``factor`` samples: those whose counter is a multiple of it; counters are divided by it.

    ``antialiased`` filters first, without delay (:mod:`ranvier.dsp.decimation`); ``plain`` keeps samples as they are,
    so that all above the new Nyquist frequency folds into the output. Digital channels are never filtered.
    """

    kind: ClassVar[str] = "downsample"
    factor: int
    operator: DownsampleOperator = "antialiased"

    def __post_init__(self) -> None:
        if self.operator not in DOWNSAMPLE_OPERATORS:
            raise ConfigurationError(
                f"downsampling operator {self.operator!r}: it is one of {', '.join(DOWNSAMPLE_OPERATORS)}"
            )

    def bind(self, fs: Fraction | float, channels: ChannelTable) -> Stage:
        """Return the stage for streams of this rate and these channels; its ``out_fs`` is ``fs / factor``."""
        from ranvier.dsp.decimation import Downsampler, EveryNth, steps_for

        steps = steps_for(self.factor)
        if self.operator == "plain" or not steps:
            return EveryNth(self.factor, Fraction(fs), channels, self.describe())
        return Downsampler(steps, Fraction(fs), channels, self.describe())


@dataclass(frozen=True, slots=True)
class SliceChannels(Operation):
    """Keep the channels with these system (SYS) indices, in the order of the recording."""

    kind: ClassVar[str] = "slice_channels"
    channels: tuple[int, ...]

    def bind(self, fs: Fraction | float, channels: ChannelTable) -> Stage:
        """Return the stage for streams of this rate and these channels; SignalSelectionError for unknown ones."""
        from ranvier.dsp.slicing import ChannelSelection, columns_for_sys

        return ChannelSelection(columns_for_sys(channels, self.channels), Fraction(fs), channels)


@dataclass(frozen=True, slots=True)
class CorrectSkew(Operation):
    """Take back by how much each channel was sampled later than its frame says (``Channel.skew_samples``)."""

    kind: ClassVar[str] = "correct_skew"
    per_channel: ClassVar[bool] = False

    def bind(self, fs: Fraction | float, channels: ChannelTable) -> Stage:
        """Return the stage for streams of this rate and these channels; ConfigurationError where none has a skew."""
        from ranvier.dsp.skew import SkewCorrection

        return SkewCorrection(Fraction(fs), channels, self.describe())


@dataclass(frozen=True, slots=True)
class BlankArtifacts(Operation):
    """Replace the samples around events, on all amplifier channels or some.

    Attributes
    ----------
    counters
        Sample counters of the events, in the stream that comes in.
    before_sec, after_sec
        The samples from ``counter - before`` up to (without) ``counter + after`` are replaced, at least one.
    mode
        ``linear``: a line from the last good sample to the next one; ``hold``: the last good sample; ``zero``; ``nan``.
    channels
        Native indices of amplifier channels; None for all.
    """

    kind: ClassVar[str] = "blank_artifacts"
    per_channel: ClassVar[bool] = False
    counters: tuple[int, ...]
    before_sec: float = 0.0
    after_sec: float = 0.001
    mode: BlankingMode = "linear"
    channels: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.mode not in BLANKING_MODES:
            raise ConfigurationError(f"blanking mode {self.mode!r}: it is one of {', '.join(BLANKING_MODES)}")
        for name in ("before_sec", "after_sec"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigurationError(f"{name} {getattr(self, name)}: it must be a number from 0 on")
        if not self.counters:
            raise ConfigurationError("no event to blank around")

    def bind(self, fs: Fraction | float, channels: ChannelTable) -> Stage:
        """Return the stage for streams of this rate and these channels."""
        from ranvier.dsp.blanking import Blanking

        return Blanking(self, Fraction(fs), channels)

    def parameters(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "counters": list(self.counters),
            "channels": None if self.channels is None else list(self.channels),
        }


def _filter(
    design: Any, zero_phase: bool, fs: Fraction | float, channels: ChannelTable, description: dict[str, Any]
) -> Stage:
    if zero_phase:
        from ranvier.dsp.zero_phase import ZeroPhaseFilter

        return ZeroPhaseFilter(design, Fraction(fs), channels, description)
    from ranvier.dsp.causal import CausalFilter

    return CausalFilter(design, Fraction(fs), channels, description)
