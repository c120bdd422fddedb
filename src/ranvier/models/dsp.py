"""Filters and references of a live stream or a linked dataset, by stage."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

from pydantic import BeforeValidator, Field
from typing_extensions import TypedDict

from ranvier.models._base import Model, OwnModel
from ranvier.models._coerce import EnumInput
from ranvier.models.ports import Port, optional_port

__all__ = [
    "DSPGroup",
    "DSPParams",
    "DSPParamsDict",
    "DSPType",
    "FilterFamily",
    "FilterResponse",
    "FilterStage",
    "FreqSpecBand",
]


class DSPType(IntEnum):
    """What a filter does."""

    LOWPASS = 0
    HIGHPASS = 1
    BANDPASS = 2
    NOTCH = 3
    BANDSTOP = 4
    CAR = 5
    VIRTUAL_REFERENCE = 6
    PAIRED_REFERENCE = 7


class FilterStage(IntEnum):
    """Where a filter acts."""

    STAGE_HARDWARE = 0
    """In the instrument: changes what is cached and recorded."""
    STAGE1 = 1
    """Behind the instrument: changes what is cached and recorded."""
    STAGE2 = 2
    """What reads with ``apply_dsp=True``, metrics and the sorter see; the one stage that datasets have."""
    SPIKE_SORTER = 3
    """Behind stage 2, for the sorter only."""


class FilterFamily(IntEnum):
    """How a filter is designed."""

    BUTTERWORTH = 0
    CHEBYSHEV_I = 1
    CHEBYSHEV_II = 1000
    """From here on Ranvier's own: flat pass-band, the stop-band down by its attenuation at least."""
    ELLIPTIC = 1001
    BESSEL = 1002
    """The most even delay, -3 dB at its corners."""


coerce_dsp_type = EnumInput(DSPType, "a kind of filter", ints=True)
coerce_filter_stage = EnumInput(
    FilterStage, "a filter stage", ints=True, names={"HARDWARE": FilterStage.STAGE_HARDWARE, **FilterStage.__members__}
)
_family = EnumInput(
    FilterFamily,
    "a filter family",
    ints=True,
    names={
        **FilterFamily.__members__,
        "CHEBYSHEV1": FilterFamily.CHEBYSHEV_I,
        "CHEBYSHEV2": FilterFamily.CHEBYSHEV_II,
    },
)


def coerce_filter_family(value: object) -> FilterFamily | None:
    """Return the filter family that ``value`` means; None stays None (the engine's default)."""
    return None if value is None else _family(value)


class FreqSpecBand(Model):
    """Corner frequencies in Hz."""

    low_freq: float
    high_freq: float


class DSPParams(Model):
    """One filter or reference. ``type``, ``stage``, ``port`` and ``family`` also take names and numbers.

    Attributes
    ----------
    freq
        Corner (low-, high-pass) or centre (notch) in Hz.
    freq_spec_band
        Corners in Hz of band-pass and band-stop.
    ref_ntv_chan_idx, target_ntv_chan_idx
        Native index of the reference, and for a paired reference of the channel that it is subtracted from.
    notch_bandwidth
        -3 dB width of a notch in Hz.
    port
        The headstage port that is filtered; None = all.
    is_aux, aux_chan_idx
        Whether an analog input is filtered instead, and its native index.
    filter_order
        Order as given to the design; None = the engine's default.
    zero_phase
        Refused by live groups: the future is not known there.
    force_sos
        Second-order sections are always used; kept for compatibility.
    family, ripple_db
        Filter design and its pass-band ripple in dB (Chebyshev I, elliptic); None = Butterworth, 0.5 dB.
    """

    type: Annotated[DSPType, BeforeValidator(coerce_dsp_type)]
    stage: Annotated[FilterStage, BeforeValidator(coerce_filter_stage)]
    freq: float | None = None
    freq_spec_band: FreqSpecBand | None = None
    ref_ntv_chan_idx: int | None = None
    notch_bandwidth: float | None = None
    user_label: str = ""
    port: Annotated[Port | None, BeforeValidator(optional_port)] = None
    target_ntv_chan_idx: float | None = None
    is_aux: bool = False
    aux_chan_idx: int | None = None
    filter_order: int | None = None
    zero_phase: bool = False
    force_sos: bool = False
    family: Annotated[FilterFamily | None, BeforeValidator(coerce_filter_family)] = None
    ripple_db: float | None = None


class _DSPTypeDict(TypedDict):
    type: DSPType | str | int


class DSPParamsDict(_DSPTypeDict, total=False):
    """A :class:`DSPParams` as a dict; a missing stage is the one that the call names."""

    stage: FilterStage | str | int
    freq: float | None
    freq_spec_band: FreqSpecBand | None
    ref_ntv_chan_idx: int | None
    notch_bandwidth: float | None
    user_label: str
    port: Port | str | int | None
    target_ntv_chan_idx: float | None
    is_aux: bool
    aux_chan_idx: int | None
    filter_order: int | None
    zero_phase: bool
    force_sos: bool
    family: FilterFamily | str | int | None
    ripple_db: float | None


class FilterResponse(OwnModel):
    """What a filter achieves, all passes together.

    Attributes
    ----------
    sections
        Second-order sections of one pass.
    minus_3db_hz
        Where the gain really is -3 dB.
    edges_hz, edge_gain_db
        The frequencies that were asked for, and the gain there.
    beyond_hz, beyond_gain_db
        One octave beyond each edge on the side that is removed; the middle of a band-stop or notch.
    max_group_delay_sec
        The longest delay of any frequency that passes; 0 for zero phase.
    settling_sec
        Until what was before shows by less than 1 % of its size; None where that takes practically for ever.
    pole_radius
        Below 1: stable. The closer to 1, the longer it rings.
    frequency_hz, gain_db, group_delay_sec
        The curve, over a decade beyond the edges.
    """

    kind: str
    family: str
    order: int
    zero_phase: bool
    fs_hz: float
    sections: int
    minus_3db_hz: list[float]
    edges_hz: list[float]
    edge_gain_db: list[float]
    beyond_hz: list[float]
    beyond_gain_db: list[float]
    max_group_delay_sec: float
    settling_sec: float | None
    pole_radius: float
    frequency_hz: list[float]
    gain_db: list[float]
    group_delay_sec: list[float]


class DSPGroup(Model):
    """The filters of a stream, by stage, in the order in which they act."""

    hardware: list[DSPParams]
    software_stage1: list[DSPParams]
    software_stage2: list[DSPParams]
    spike_sorter: list[DSPParams] = Field(default_factory=list)
