"""From the API's transform nodes and DSP parameters to a bound chain and a range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.dsp import (
    BandPass,
    BandStop,
    BlankArtifacts,
    Chain,
    CommonAverageReference,
    CorrectSkew,
    Downsample,
    HighPass,
    LowPass,
    Notch,
    Operation,
    PairedReference,
    SliceChannels,
    Stage,
    VirtualReference,
)
from ranvier.dsp.on_columns import OnColumns
from ranvier.dsp.slicing import columns_for_sys, describe_slice
from ranvier.exceptions import CapabilityError, ConfigurationError, TimeRangeError
from ranvier.models.dataset import (
    BandParams,
    CARParams,
    DownsampleParams,
    HighLowPassParams,
    NotchParams,
    PairedRefParams,
    SliceChannelsParams,
    SliceTimeParams,
    TransformNode,
    TransformNodeType,
    VirtualRefParams,
)
from ranvier.models.dsp import DSPParams, DSPType, FilterFamily
from ranvier.models.signals import SignalType
from ranvier.models.time_range import sample_at
from ranvier.models.transforms import BlankArtifactsParams
from ranvier.recordings import ChannelTable, Events, Recording


@dataclass(frozen=True)
class Plan:
    """What a list of nodes means for one recording.

    Attributes
    ----------
    chain
        The stages, bound; None where nothing changes the samples.
    start, stop
        Counters ``[start, stop)`` to run over.
    channels
        What the chain is bound to.
    columns
        Columns to read; None for all.
    slices
        What provenance says about slices of time and channels that are done by reading less.
    """

    chain: Chain | None
    start: int
    stop: int
    channels: ChannelTable
    columns: list[int] | None = None
    slices: list[dict[str, Any]] = field(default_factory=list)


def plan(
    nodes: Sequence[TransformNode],
    recording: Recording,
    channels: ChannelTable,
    *,
    zero_phase: bool = False,
    events: Callable[[], Events] = Events.empty,
) -> Plan:
    """Turn nodes, in their order, into a chain and a range; slices of time stand in front of everything else.

    (Where they do not, see ``plan_in_order``.) ``events`` gives those of the recording, where a node asks for them.

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
    ratio = Fraction(1)  # samples of the recording for one of the stream that a node sees
    for node in nodes:
        if isinstance(node.params, SliceTimeParams):
            before = (start, stop)
            first, last = (sample_at(t, recording.fs) for t in (node.params.start_sec, node.params.end_sec))
            start, stop = recording.clip(max(first, start), min(last, stop))
            slices.append({"kind": "slice_time", "parameters": {"source": list(before), "retained": [start, stop]}})
        else:
            here = partial(_events_at, events, ratio)
            operations.append(operation_of(node, zero_phase=zero_phase, events=here))
            ratio *= node.params.factor if isinstance(node.params, DownsampleParams) else 1
    read, operations = _read_less(operations, channels)
    if read is not None:
        slices.append(describe_slice(channels, channels.take(read)))
        channels = channels.take(read)
    chain = Chain.bind(operations, recording.fs, channels) if operations else None
    return Plan(chain, start, stop, channels, read, slices)


#: Counters to take of what comes (None: all), and the operations behind that.
Part = tuple[tuple[int, int] | None, list[Operation]]


def slices_late(nodes: Sequence[TransformNode]) -> bool:
    """Return whether a slice of time stands behind another step: what that step gives is cut, not what it gets."""
    kinds = [isinstance(node.params, SliceTimeParams) for node in nodes]
    return any(later and not earlier for earlier, later in pairwise(kinds))


def plan_in_order(
    nodes: Sequence[TransformNode],
    recording: Recording,
    channels: ChannelTable,
    *,
    zero_phase: bool = False,
    events: Callable[[], Events] = Events.empty,
) -> tuple[list[Part], list[dict[str, Any]]]:
    """Turn nodes with slices of time anywhere into cuts and operations, and what provenance says of each; see ``plan``.

    The result is that of one call per node.
    """
    parts: list[Part] = [(None, [])]
    stages: list[dict[str, Any]] = []
    fs, start, stop = recording.fs, recording.start, recording.stop
    for node in nodes:
        if isinstance(node.params, SliceTimeParams):
            before = (start, stop)
            start, stop = _inside(node.params, fs, start, stop)
            stages.append({"kind": "slice_time", "parameters": {"source": list(before), "retained": [start, stop]}})
            parts.append(((start, stop), []))
            continue
        here = partial(_events_at, events, recording.fs / fs)
        operation = operation_of(node, zero_phase=zero_phase, events=here)
        stage = operation.bind(fs, channels)
        ratio = stage.out_fs / stage.in_fs
        start, stop, fs, channels = ceil(start * ratio), ceil(stop * ratio), stage.out_fs, stage.out_channels
        parts[-1][1].append(operation)
        stages.append(dict(stage.describe()))
    return parts, stages


def _inside(params: SliceTimeParams, fs: Fraction, start: int, stop: int) -> tuple[int, int]:
    first, last = sample_at(params.start_sec, fs), sample_at(params.end_sec, fs)
    if last <= first or last <= start or first >= stop:
        raise TimeRangeError(
            f"[{params.start_sec:g}, {params.end_sec:g}) s lies outside the data there, which spans "
            f"{float(start / fs):.6g} to {float(stop / fs):.6g} s"
        )
    return max(first, start), min(last, stop)


def _read_less(operations: list[Operation], channels: ChannelTable) -> tuple[list[int] | None, list[Operation]]:
    """Move channel slices to the front, past what treats each channel for itself; return columns and what is left."""
    columns: list[int] | None = None
    for i, operation in enumerate(operations):
        if isinstance(operation, SliceChannels):
            kept = channels if columns is None else channels.take(columns)
            chosen = [int(c) for c in columns_for_sys(kept, operation.channels)]
            columns = chosen if columns is None else [columns[c] for c in chosen]
        elif not operation.per_channel:
            return columns, [o for o in operations[:i] if not isinstance(o, SliceChannels)] + operations[i:]
    return columns, [o for o in operations if not isinstance(o, SliceChannels)]


def chain_of(params: Sequence[DSPParams], fs: Fraction, channels: ChannelTable) -> Chain:
    """Turn a DSP group (at least one filter) into a chain of causal stages, each on its port or analog input.

    Raises
    ------
    FilterDesignError, ConfigurationError, DatasetError
        A filter that cannot exist at this rate, lacks a parameter, or names a port or channel that is not there.
    """
    return Chain([_dsp_stage(item, fs, channels) for item in params])


def _events_at(events: Callable[[], Events], ratio: Fraction) -> Events:
    return events().at_rate(ratio)


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
            return made(params.frequency, params.order, zero_phase or params.zero_phase, **_family(params))
    if isinstance(params, BandParams):
        band = {TransformNodeType.BANDPASS_FILTER: BandPass, TransformNodeType.BANDSTOP_FILTER: BandStop}.get(kind)
        if band is not None:
            edges = (params.low_frequency, params.high_frequency)
            return band(*edges, params.order, zero_phase or params.zero_phase, **_family(params))
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


def _dsp_stage(item: DSPParams, fs: Fraction, channels: ChannelTable) -> Stage:
    if not item.is_aux and item.port is None:
        return _dsp_operation(item).bind(fs, channels)
    columns = _dsp_columns(item, channels)
    part = channels.take(columns)
    if item.is_aux:  # filters act on amplifier channels: here the analog input stands for one
        part = part.with_channels(replace(c, type=SignalType.AMP) for c in part)
    return OnColumns(_dsp_operation(item).bind(fs, part), columns, channels)


def _dsp_columns(item: DSPParams, channels: ChannelTable) -> npt.NDArray[np.int64]:
    if item.is_aux:
        if item.aux_chan_idx is None:
            raise ConfigurationError(f"{item.type.name} of an analog input needs aux_chan_idx, its native index")
        return channels.columns_for_ntv(SignalType.AIN, [item.aux_chan_idx])
    found = [i for i, c in enumerate(channels) if c.type == SignalType.AMP and c.port == item.port]
    if not found:
        ports = sorted({c.port.name for c in channels if c.port is not None})
        raise ConfigurationError(
            f"{item.type.name} on port {item.port.name if item.port else '?'}: no amplifier channel is there; "
            f"ports with channels: {', '.join(ports) or 'none'}"
        )
    return np.array(found, dtype=np.int64)


def _dsp_operation(item: DSPParams) -> Operation:
    match item.type:
        case DSPType.LOWPASS:
            return LowPass(_needed(item, "freq"), item.filter_order, **_family(item))
        case DSPType.HIGHPASS:
            return HighPass(_needed(item, "freq"), item.filter_order, **_family(item))
        case DSPType.BANDPASS | DSPType.BANDSTOP:
            band = item.freq_spec_band
            if band is None:
                raise ConfigurationError(f"{item.type.name} needs freq_spec_band=FreqSpecBand(low_freq=, high_freq=)")
            made = BandPass if item.type == DSPType.BANDPASS else BandStop
            return made(band.low_freq, band.high_freq, item.filter_order, **_family(item))
        case DSPType.NOTCH:
            return Notch(_needed(item, "freq"), _needed(item, "notch_bandwidth"))
        case DSPType.CAR:
            return CommonAverageReference()
        case DSPType.VIRTUAL_REFERENCE:
            return VirtualReference(int(_needed(item, "ref_ntv_chan_idx")))
        case DSPType.PAIRED_REFERENCE:
            return PairedReference(int(_needed(item, "ref_ntv_chan_idx")), int(_needed(item, "target_ntv_chan_idx")))
    raise ConfigurationError(f"{item.type!r} is no filter type")


def _family(given: HighLowPassParams | BandParams | DSPParams) -> dict[str, Any]:
    """Return the design that parameters ask for, as operations take it."""
    found: dict[str, Any] = {"ripple_db": given.ripple_db}
    if given.family is not None:
        found["family"] = FilterFamily(given.family).name.lower()
    if not isinstance(given, DSPParams):
        found["attenuation_db"] = given.attenuation_db
    return found


def _needed(item: DSPParams, name: str) -> float:
    value = getattr(item, name)
    if value is None:
        raise ConfigurationError(f"{DSPType(item.type).name} needs {name}")
    return float(value)
