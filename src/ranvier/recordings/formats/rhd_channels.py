"""Which columns an RHD or RHS file gives, and where in a data block each of them lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.recordings.channels import NATIVE_UNIT, Channel, ChannelTable
from ranvier.recordings.formats.rhd_header import ADC, AMP, AUX, DAC, DIN, DOUT, SUPPLY, RhdChannel, RhdHeader

#: What every amplifier of an RHS file has besides: its low-gain DC amplifier, and words that tell its stimulation.
DC, STIM = 7, 8

#: Volts per bit of the analog inputs, and whether they are bipolar, by board mode.
_ADC_STEP_V: dict[int, tuple[float, bool]] = {0: (50.354e-6, False), 1: (152.59e-6, True), 13: (312.5e-6, True)}
_RHS_STEP_V = 312.5e-6
_AMP_STEP_UV = 0.195
_AUX_STEP_V = 37.4e-6
#: The DC amplifiers invert: V = -19.23 mV * (word - 512).
_DC_STEP_V, _DC_ZERO = -19.23e-3, 512
#: Auxiliary inputs are sampled once in 2**2 amplifier samples.
AUX_HOLD = 2
_HALF = 32768

_Ints = npt.NDArray[np.int32]
_Places = tuple[_Ints, _Ints, _Ints, _Ints, _Ints]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a recording: what it is, which of those in the file, and its entry in the header."""

    kind: int
    index: int
    entry: RhdChannel


@dataclass(frozen=True)
class BlockLayout:
    """Where the columns lie in a data block; lengths and places in 16-bit words.

    ``at, hold, bit, mask, zero``: per column, as :mod:`ranvier.recordings.formats.rhd_kernels` defines them.
    """

    block_samples: int
    block_words: int
    at: _Ints
    hold: _Ints
    bit: _Ints
    mask: _Ints
    zero: _Ints

    def take(self, columns: npt.NDArray[np.int64]) -> _Places:
        """Return ``at, hold, bit, mask, zero`` of some columns."""
        return self.at[columns], self.hold[columns], self.bit[columns], self.mask[columns], self.zero[columns]


def columns_of(header: RhdHeader) -> list[Column]:
    """Return the columns of signals: amplifiers, auxiliary inputs, analog inputs and outputs, DC amplifiers, lines."""
    kinds = (AMP, AUX, ADC, DAC, *((DC,) if header.dc_saved else ()), DIN, DOUT)
    return [Column(kind, i, entry) for kind in kinds for i, entry in enumerate(entries_of(header, kind))]


def stimulation_columns(header: RhdHeader) -> list[Column]:
    """Return the columns of stimulation words, one per amplifier of an RHS file."""
    return [Column(STIM, i, entry) for i, entry in enumerate(header.of_kind(AMP))] if header.stimulator else []


def entries_of(header: RhdHeader, kind: int) -> list[RhdChannel]:
    """Return the channels of one kind, in file order."""
    return header.of_kind(AMP if kind in (DC, STIM) else kind)


def channel_table(header: RhdHeader, columns: list[Column]) -> ChannelTable:
    """Return the channels of some columns.

    The native index of an amplifier (and of its stimulation) is its position among the amplifiers of the header, that
    of another analog channel its position among the columns of its type, that of a digital line its number at the
    instrument. Counts of amplifiers are signed, those of other analog signals the stored words minus
    32768.
    """
    channels: list[Channel] = []
    seen = dict.fromkeys(SignalType, 0)
    for column in columns:
        type_, gain, offset = _scale(header, column.kind)
        stated = {
            AMP: column.index,
            STIM: column.index,
            DIN: column.entry.native_order,
            DOUT: column.entry.native_order,
        }
        ntv = stated.get(column.kind, seen[type_])
        channels.append(_channel(column, type_, ntv, len(channels), gain, offset))
        seen[type_] += 1
    return ChannelTable(tuple(channels))


def block_layout(header: RhdHeader, columns: list[Column]) -> BlockLayout:
    """Return where each column lies in a data block."""
    n = header.block_samples
    first: dict[int, tuple[int, int]] = {}
    place = 2 * n  # behind the counters
    for kind, channels, words in _sections(header):
        first[kind] = place, words
        place += channels * words
    rows: list[tuple[int, int, int, int, int]] = []
    for column in columns:
        at, words = first[column.kind]
        if column.kind in (DIN, DOUT):
            rows.append((at, 0, column.entry.native_order, 1, 0))
        else:
            rows.append((at + column.index * words, AUX_HOLD if column.kind == AUX else 0, 0, 0xFFFF, _HALF))
    at_, hold, bit, mask, zero = np.array(rows, dtype=np.int32).reshape(-1, 5).T.copy()
    return BlockLayout(n, place, at_, hold, bit, mask, zero)


def _sections(header: RhdHeader) -> list[tuple[int, int, int]]:
    """Return kind, number of channels and words per channel of each section of a block, in order."""
    n = header.block_samples
    count = {kind: len(header.of_kind(kind)) for kind in (AMP, AUX, SUPPLY, ADC, DAC, DIN, DOUT)}
    lines = [(DIN, int(count[DIN] > 0), n), (DOUT, int(count[DOUT] > 0), n)]
    if header.stimulator:
        dc = (DC, count[AMP] if header.dc_saved else 0, n)
        return [(AMP, count[AMP], n), dc, (STIM, count[AMP], n), (ADC, count[ADC], n), (DAC, count[DAC], n), *lines]
    slow = [(SUPPLY, count[SUPPLY], 1), (-1, header.temperature_sensors, 1)]
    return [(AMP, count[AMP], n), (AUX, count[AUX], n >> AUX_HOLD), *slow, (ADC, count[ADC], n), *lines]


def _scale(header: RhdHeader, kind: int) -> tuple[SignalType, float, float]:
    """Return signal type, gain and offset of the counts of a kind."""
    if kind == AMP:
        return SignalType.AMP, _AMP_STEP_UV, 0.0
    if kind in (DIN, DOUT):
        return SignalType.DIN if kind == DIN else SignalType.DOUT, 1.0, 0.0
    if kind == AUX:
        return SignalType.AIN, _AUX_STEP_V, _AUX_STEP_V * _HALF
    if kind == DC:
        return SignalType.AIN, _DC_STEP_V, _DC_STEP_V * (_HALF - _DC_ZERO)
    if kind == STIM:
        return SignalType.AIN, 1.0, float(_HALF)
    step, bipolar = _ADC_STEP_V.get(header.board_mode, _ADC_STEP_V[0])
    if header.stimulator:
        step, bipolar = _RHS_STEP_V, True
    return SignalType.AIN, step, 0.0 if bipolar else step * _HALF


def known_board_mode(header: RhdHeader) -> bool:
    """Return whether the scale of the analog inputs is known rather than assumed."""
    return header.stimulator or header.board_mode in _ADC_STEP_V


def _channel(column: Column, type_: SignalType, ntv: int, sys: int, gain: float, offset: float) -> Channel:
    entry = column.entry
    prefix = entry.group_prefix or entry.native_name[:1]
    on_port = column.kind in (AMP, AUX, DC, STIM)
    suffix = {DC: "_DC", STIM: "_STIM"}.get(column.kind, "")
    return Channel(
        type=type_,
        ntv=ntv,
        sys=sys,
        name=(entry.custom_name or entry.native_name) + suffix,
        ntv_name=entry.native_name + suffix,
        unit=NATIVE_UNIT[type_],
        gain=gain,
        offset=offset,
        port=Port[prefix] if on_port and prefix in Port.__members__ else None,
        impedance_ohm=entry.impedance_ohm if column.kind == AMP and entry.impedance_ohm > 0 else None,
    )
