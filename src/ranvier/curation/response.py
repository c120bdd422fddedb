"""What a filter achieves, as a model."""

from __future__ import annotations

from fractions import Fraction

from ranvier.dsp import Operation
from ranvier.dsp.causal import CausalFilter
from ranvier.dsp.response import achieved, curve
from ranvier.dsp.zero_phase import ZeroPhaseFilter
from ranvier.exceptions import CapabilityError
from ranvier.models.dsp import FilterResponse
from ranvier.recordings import ChannelTable


def filter_response(operation: Operation, fs: Fraction, channels: ChannelTable) -> FilterResponse:
    """Return corners, gains, delay and settling of a filter at one sampling rate.

    Raises
    ------
    FilterDesignError
        A filter that cannot exist at this rate.
    CapabilityError
        An operation that is no filter with feedback.
    """
    stage = operation.bind(fs, channels)
    if not isinstance(stage, CausalFilter | ZeroPhaseFilter):
        raise CapabilityError(
            f"{operation.kind} has no corners to tell; low-, high-, band-pass, band-stop and notch do"
        )
    zero_phase = isinstance(stage, ZeroPhaseFilter)
    parameters, design = operation.parameters(), stage.design
    told = {
        "kind": operation.kind,
        "family": parameters.get("family", "notch"),
        "order": parameters.get("order", 2),
        "zero_phase": zero_phase,
        "fs_hz": float(fs),
        "sections": len(design.sos),
    }
    return FilterResponse.model_validate(
        {**told, **achieved(design, zero_phase=zero_phase), **curve(design, zero_phase=zero_phase)}
    )
