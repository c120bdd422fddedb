"""Power spectra and spectrograms. Times in seconds, frequencies in Hz, channels by native (NTV) index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field, ValidationError

from ranvier.exceptions import ConfigurationError
from ranvier.models._base import ArrayModel, FloatArray, Model
from ranvier.models._coerce import EnumInput
from ranvier.models.dsp import DSPParams

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "BatchSpectralResult",
    "SpectralAlgorithm",
    "SpectralChannelResult",
    "SpectralInfoResult",
    "SpectralMode",
    "SpectralQuery",
    "SpectralRange",
    "SpectralRangeResult",
    "SpectralResult",
    "SpectralUnit",
    "SpectralWindowType",
    "StftConfig",
    "WelchConfig",
]


class SpectralMode(IntEnum):
    """One spectrum, or one per time step."""

    STATIC = 0
    TIME_RESOLVED = 1


class SpectralAlgorithm(IntEnum):
    """How spectra are estimated."""

    PERIODOGRAM = 0
    WELCH = 1
    STFT = 2


class SpectralUnit(IntEnum):
    """Power density in uV^2/Hz, or in dB relative to 1 uV^2/Hz."""

    POWER_UV2_HZ = 0
    POWER_DB_HZ = 1


class SpectralWindowType(IntEnum):
    """Window that a segment is multiplied with."""

    RECT = 0
    HANN = 1
    HAMMING = 2
    BLACKMAN = 3


coerce_spectral_mode = EnumInput(SpectralMode, "a spectral mode")
coerce_spectral_algorithm = EnumInput(SpectralAlgorithm, "a spectral algorithm")
coerce_spectral_unit = EnumInput(SpectralUnit, "a spectral unit")
coerce_spectral_window_type = EnumInput(SpectralWindowType, "a window")


class SpectralRange(Model):
    """From ``ref_sec - pre_sec`` to ``ref_sec + post_sec``."""

    ref_sec: float
    pre_sec: float = 0.0
    post_sec: float


def coerce_spectral_range(value: object) -> SpectralRange:
    """Return the range that ``value`` means: a SpectralRange, a list or tuple of (ref, pre, post), or a dict."""
    try:
        if isinstance(value, SpectralRange):
            return value
        if isinstance(value, Mapping):
            return SpectralRange.model_validate(dict(value))
        if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 3:
            return SpectralRange(ref_sec=value[0], pre_sec=value[1], post_sec=value[2])
    except ValidationError as error:
        raise ConfigurationError(f"{value!r} is not a spectral range: {error.errors()[0]['msg']}") from error
    raise ConfigurationError(
        f"{value!r} is not a spectral range; accepted: SpectralRange, (ref_sec, pre_sec, post_sec), or a dict of them"
    )


class WelchConfig(Model):
    """Welch's method: seconds per segment, overlap as a fraction in [0, 1); None = the engine's default."""

    segment_duration_sec: float | None = None
    overlap_frac: Annotated[float, Field(ge=0, lt=1)] | None = None


class StftConfig(Model):
    """Short-time Fourier transform: seconds per window and from window to window; None = the engine's default."""

    window_duration_sec: float | None = None
    window_step_sec: float | None = None


class SpectralQuery(Model):
    """What to compute.

    Attributes
    ----------
    ntv_chan_idxs
        Amplifier channels.
    ranges
        One result each; also as (ref, pre, post) or dict.
    f_min, f_max
        Frequencies that are returned; None = all.
    welch_config, stft_config
        For these algorithms; at most one.
    apply_dsp
        Whether stage-2 filters are applied first.
    """

    ntv_chan_idxs: tuple[int, ...]
    ranges: tuple[Annotated[SpectralRange, BeforeValidator(coerce_spectral_range)], ...]
    f_min: float | None = None
    f_max: float | None = None
    mode: SpectralMode = SpectralMode.STATIC
    algorithm: SpectralAlgorithm = SpectralAlgorithm.PERIODOGRAM
    units: SpectralUnit = SpectralUnit.POWER_UV2_HZ
    window_type: SpectralWindowType = SpectralWindowType.HANN
    welch_config: WelchConfig | None = None
    stft_config: StftConfig | None = None
    apply_dsp: bool = False


class SpectralInfoResult(Model):
    """What a query would give, without computing it.

    Attributes
    ----------
    achieved_df_hz, achieved_time_res_sec
        Resolution in Hz, and in seconds for spectrograms.
    nfft_length
        Points per transform.
    welch_overlap_percent, variance_reduction_factor
        Overlap in percent, and how much averaging lowers the variance.
    output_dimensions, estimated_memory_mb
        Shape of the result, and its size in MiB.
    warnings, errors
        What is doubtful, and what makes the query impossible.
    estimated_time_sec
        How long it takes, roughly (an addition to the documented API); None where the query is impossible.
    """

    achieved_df_hz: float
    num_bins: int
    nfft_length: int
    achieved_time_res_sec: float | None
    num_time_steps: int | None
    welch_num_segments: int | None
    welch_overlap_percent: float | None
    variance_reduction_factor: float | None
    output_dimensions: tuple[int, ...]
    estimated_memory_mb: float
    warnings: tuple[str, ...]
    errors: tuple[str, ...]
    applied_dsp_params: tuple[DSPParams, ...]
    estimated_time_sec: float | None = None


class SpectralChannelResult(ArrayModel):
    """Spectrum of one channel: float64 ``(frequencies,)``, or ``(frequencies, times)`` where time-resolved."""

    ntv_chan_idx: int
    power: FloatArray


class SpectralRangeResult(Model):
    """Spectra of one range of the query."""

    range_idx: int
    channels: tuple[SpectralChannelResult, ...]


class SpectralResult(ArrayModel):
    """Spectra of one query; ``freq_axis`` in Hz, ``time_axis`` in seconds relative to each range's ``ref_sec``."""

    freq_axis: FloatArray
    time_axis: FloatArray
    ranges: tuple[SpectralRangeResult, ...]
    warnings: tuple[str, ...]
    applied_dsp_params: tuple[DSPParams, ...]

    def plot(self, ax: Axes | None = None, *, range_idx: int = 0, ntv_chan_idx: int | None = None) -> Axes:
        """Draw the spectra of one range, or the spectrogram of one channel (an addition to the documented API)."""
        from ranvier.models._pictures import draw_spectral

        return draw_spectral(self, ax, range_idx=range_idx, ntv_chan_idx=ntv_chan_idx)


class BatchSpectralResult(Model):
    """Spectra of several queries, in their order."""

    results: tuple[SpectralResult, ...]
