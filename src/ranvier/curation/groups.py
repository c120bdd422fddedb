"""From the filters of a DSP group to a chain of causal stages, each on its port or analog input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ranvier.curation.nodes import design_of
from ranvier.dsp import (
    BandPass,
    BandStop,
    Chain,
    CommonAverageReference,
    HighPass,
    LowPass,
    Notch,
    Operation,
    PairedReference,
    Stage,
    VirtualReference,
)
from ranvier.dsp.on_columns import OnColumns
from ranvier.exceptions import ConfigurationError
from ranvier.models.dsp import DSPParams, DSPType
from ranvier.models.signals import SignalType
from ranvier.recordings import ChannelTable


def chain_of(params: Sequence[DSPParams], fs: Fraction, channels: ChannelTable) -> Chain:
    """Turn a DSP group (at least one filter) into a chain of causal stages, each on its port or analog input.

    Raises
    ------
    FilterDesignError, ConfigurationError, DatasetError
        A filter that cannot exist at this rate, lacks a parameter, or names a port or channel that is not there.
    """
    return Chain([_dsp_stage(item, fs, channels) for item in params])


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
            return LowPass(_needed(item, "freq"), item.filter_order, **design_of(item))
        case DSPType.HIGHPASS:
            return HighPass(_needed(item, "freq"), item.filter_order, **design_of(item))
        case DSPType.BANDPASS | DSPType.BANDSTOP:
            band = item.freq_spec_band
            if band is None:
                raise ConfigurationError(f"{item.type.name} needs freq_spec_band=FreqSpecBand(low_freq=, high_freq=)")
            made = BandPass if item.type == DSPType.BANDPASS else BandStop
            return made(band.low_freq, band.high_freq, item.filter_order, **design_of(item))
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
