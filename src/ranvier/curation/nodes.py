"""From a node of a protocol to the operation that it means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier.dsp import (
    BandPass,
    BandStop,
    BlankArtifacts,
    CommonAverageReference,
    CorrectSkew,
    Downsample,
    HighPass,
    LowPass,
    Notch,
    Operation,
    PairedReference,
    SliceChannels,
    VirtualReference,
)
from ranvier.exceptions import CapabilityError, ConfigurationError
from ranvier.models.dataset import (
    BandParams,
    CARParams,
    DownsampleParams,
    HighLowPassParams,
    NotchParams,
    PairedRefParams,
    SliceChannelsParams,
    TransformNode,
    TransformNodeType,
    VirtualRefParams,
)
from ranvier.models.dsp import DSPParams, FilterFamily
from ranvier.models.transform_params import BlankArtifactsParams
from ranvier.recordings import Events


def operation_of(
    node: TransformNode, *, zero_phase: bool = False, events: Callable[[], Events] = Events.empty
) -> Operation:
    """Return what a node does, as an operation; CapabilityError for one that this version cannot run.

    ``zero_phase`` makes every filter zero-phase; otherwise the node's own parameter decides. ``events`` gives events in
    the counters of the stream that reaches the node.
    """
    kind, params = node.type, node.params
    if isinstance(params, HighLowPassParams):
        made = {TransformNodeType.HIGHPASS_FILTER: HighPass, TransformNodeType.LOWPASS_FILTER: LowPass}.get(kind)
        if made is not None:
            return made(params.frequency, params.order, zero_phase or params.zero_phase, **design_of(params))
    if isinstance(params, BandParams):
        band = {TransformNodeType.BANDPASS_FILTER: BandPass, TransformNodeType.BANDSTOP_FILTER: BandStop}.get(kind)
        if band is not None:
            edges = (params.low_frequency, params.high_frequency)
            return band(*edges, params.order, zero_phase or params.zero_phase, **design_of(params))
    if isinstance(params, NotchParams) and kind == TransformNodeType.NOTCH_FILTER:
        return Notch(params.notch_frequency, params.bandwidth, zero_phase or params.zero_phase)
    if kind == TransformNodeType.CAR_REF and (params is None or isinstance(params, CARParams)):
        return CommonAverageReference() if params is None else CommonAverageReference(params.operator, params.groups)
    if isinstance(params, VirtualRefParams) and kind == TransformNodeType.VIRTUAL_REF:
        return VirtualReference(params.ref_channel)
    if isinstance(params, PairedRefParams) and kind == TransformNodeType.PAIRED_REF:
        return PairedReference(params.ref_channel, params.target_channel)
    if isinstance(params, BlankArtifactsParams):
        return _blanking(params, events)
    if kind == TransformNodeType.CORRECT_SKEW:
        return CorrectSkew()
    if isinstance(params, SliceChannelsParams):
        return SliceChannels(tuple(params.channels))
    if isinstance(params, DownsampleParams):
        return Downsample(params.factor, params.operator)
    raise CapabilityError(
        f"{kind.name} with {type(params).__name__} is no step that this version runs; it runs "
        f"filters, notch, references, downsampling and slices"
    )


def _blanking(params: BlankArtifactsParams, events: Callable[[], Events]) -> BlankArtifacts:
    counters = _event_counters(params, events()) if params.counters is None else params.counters
    channels = None if params.channels is None else tuple(params.channels)
    return BlankArtifacts(tuple(counters), params.before_ms / 1e3, params.after_ms / 1e3, params.mode, channels)


def _event_counters(params: BlankArtifactsParams, events: Events) -> list[int]:
    wanted = np.ones(len(events), dtype=np.bool_)
    if params.source is not None:
        wanted &= np.array([s == params.source for s in events.source], dtype=np.bool_)
    if params.line is not None:
        wanted &= events.line == params.line
    if params.state is not None:
        wanted &= events.state == params.state
    if not wanted.any():
        there = sorted(
            {f"{s} line {n} state {k}" for s, n, k in zip(events.source, events.line, events.state, strict=True)}
        )
        raise ConfigurationError(
            f"no event with source {params.source!r}, line {params.line}, state {params.state} (None: any); this "
            f"recording has {', '.join(there[:8]) or 'no events'}"
        )
    return [int(c) for c in events.counter[wanted]]


def design_of(given: HighLowPassParams | BandParams | DSPParams) -> dict[str, Any]:
    """Return the design that parameters ask for, as operations take it."""
    found: dict[str, Any] = {"ripple_db": given.ripple_db}
    if given.family is not None:
        found["family"] = FilterFamily(given.family).name.lower()
    if not isinstance(given, DSPParams):
        found["attenuation_db"] = given.attenuation_db
    return found
