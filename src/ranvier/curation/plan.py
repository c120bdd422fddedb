"""From the API's transform nodes and DSP parameters to a bound chain and a range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from ranvier.dsp import (
    BandPass,
    BandStop,
    Chain,
    CommonAverageReference,
    Downsample,
    HighPass,
    LowPass,
    Notch,
    Operation,
    PairedReference,
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
    SliceTimeParams,
    TransformNode,
    TransformNodeType,
    VirtualRefParams,
)
from ranvier.models.dsp import DSPParams, DSPType
from ranvier.models.time_range import sample_at
from ranvier.recordings import ChannelTable, Recording


@dataclass(frozen=True)
class Plan:
    """What a list of nodes means for one recording.

    Attributes
    ----------
    chain
        The stages, bound; None where nothing changes the samples.
    start, stop
        Counters ``[start, stop)`` to run over.
    slices
        What provenance says about time slices.
    """

    chain: Chain | None
    start: int
    stop: int
    slices: list[dict[str, Any]] = field(default_factory=list)


def plan(
    nodes: Sequence[TransformNode], recording: Recording, channels: ChannelTable, *, zero_phase: bool = False
) -> Plan:
    """Turn nodes, in their order, into a chain and a range.

    Raises
    ------
    FilterDesignError, DatasetError
        A filter that cannot exist at this rate; a channel that is not there.
    TimeRangeError
        A slice outside the recording, or a reversed one.
    CapabilityError
        A node that this version cannot run.
    """
    start, stop = recording.start, recording.stop
    slices: list[dict[str, Any]] = []
    operations: list[Operation] = []
    ratio = 1  # samples of the recording for one of the stream that a node sees
    for node in nodes:
        if isinstance(node.params, SliceTimeParams):
            before = (start, stop)
            edges = (node.params.start_sec, node.params.end_sec)
            first, last = (ratio * sample_at(t, recording.fs / ratio) for t in edges)
            start, stop = recording.clip(max(first, start), min(last, stop))
            slices.append({"kind": "slice_time", "parameters": {"source": list(before), "retained": [start, stop]}})
        else:
            operations.append(operation_of(node, zero_phase=zero_phase))
            ratio *= node.params.factor if isinstance(node.params, DownsampleParams) else 1
    chain = Chain.bind(operations, recording.fs, channels) if operations else None
    return Plan(chain, start, stop, slices)


def chain_of(params: Sequence[DSPParams], fs: Fraction, channels: ChannelTable) -> Chain:
    """Turn a DSP group (at least one filter) into a chain of causal stages."""
    return Chain.bind([_dsp_operation(item) for item in params], fs, channels)


def operation_of(node: TransformNode, *, zero_phase: bool = False) -> Operation:
    """Return what a node does, as an operation; CapabilityError for one that this version cannot run.

    ``zero_phase`` makes every filter zero-phase; otherwise the node's own parameter decides.
    """
    kind, params = node.type, node.params
    if isinstance(params, HighLowPassParams):
        made = {TransformNodeType.HIGHPASS_FILTER: HighPass, TransformNodeType.LOWPASS_FILTER: LowPass}.get(kind)
        if made is not None:
            return made(params.frequency, params.order, zero_phase or params.zero_phase)
    if isinstance(params, BandParams):
        band = {TransformNodeType.BANDPASS_FILTER: BandPass, TransformNodeType.BANDSTOP_FILTER: BandStop}.get(kind)
        if band is not None:
            return band(params.low_frequency, params.high_frequency, params.order, zero_phase or params.zero_phase)
    if isinstance(params, NotchParams) and kind == TransformNodeType.NOTCH_FILTER:
        return Notch(params.notch_frequency, params.bandwidth, zero_phase or params.zero_phase)
    if kind == TransformNodeType.CAR_REF and (params is None or isinstance(params, CARParams)):
        return CommonAverageReference()
    if isinstance(params, VirtualRefParams) and kind == TransformNodeType.VIRTUAL_REF:
        return VirtualReference(params.ref_channel)
    if isinstance(params, PairedRefParams) and kind == TransformNodeType.PAIRED_REF:
        return PairedReference(params.ref_channel, params.target_channel)
    if isinstance(params, DownsampleParams):
        return Downsample(params.factor, params.operator)
    raise CapabilityError(
        f"{kind.name} with {type(params).__name__} is no step that this version runs; it runs "
        f"filters, notch, references, downsampling and time slices"
    )


def _dsp_operation(item: DSPParams) -> Operation:
    match item.type:
        case DSPType.LOWPASS:
            return LowPass(_needed(item, "freq"), item.filter_order)
        case DSPType.HIGHPASS:
            return HighPass(_needed(item, "freq"), item.filter_order)
        case DSPType.BANDPASS | DSPType.BANDSTOP:
            band = item.freq_spec_band
            if band is None:
                raise ConfigurationError(f"{item.type.name} needs freq_spec_band=FreqSpecBand(low_freq=, high_freq=)")
            made = BandPass if item.type == DSPType.BANDPASS else BandStop
            return made(band.low_freq, band.high_freq, item.filter_order)
        case DSPType.NOTCH:
            return Notch(_needed(item, "freq"), _needed(item, "notch_bandwidth"))
        case DSPType.CAR:
            return CommonAverageReference()
        case DSPType.VIRTUAL_REFERENCE:
            return VirtualReference(int(_needed(item, "ref_ntv_chan_idx")))
        case DSPType.PAIRED_REFERENCE:
            return PairedReference(int(_needed(item, "ref_ntv_chan_idx")), int(_needed(item, "target_ntv_chan_idx")))
    raise ConfigurationError(f"{item.type!r} is no filter type")


def _needed(item: DSPParams, name: str) -> float:
    value = getattr(item, name)
    if value is None:
        raise ConfigurationError(f"{DSPType(item.type).name} needs {name}")
    return float(value)
