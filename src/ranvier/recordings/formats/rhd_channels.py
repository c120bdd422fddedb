"""Which columns an RHD file gives, and where in a block each of them lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.recordings.channels import NATIVE_UNIT, Channel, ChannelTable
from ranvier.recordings.formats.rhd_header import ADC, AMP, AUX, DIN, DOUT, SUPPLY, RhdChannel, RhdHeader

#: Volts per bit of the analog inputs, and whether they are bipolar, by board mode.
_ADC_STEP_V: dict[int, tuple[float, bool]] = {0: (50.354e-6, False), 1: (152.59e-6, True), 13: (312.5e-6, True)}
_AMP_STEP_UV = 0.195
_AUX_STEP_V = 37.4e-6
#: Auxiliary inputs are sampled once in 2**2 amplifier samples.
AUX_HOLD = 2
_HALF = 32768

_Ints = npt.NDArray[np.int32]
_Places = tuple[_Ints, _Ints, _Ints, _Ints, _Ints]


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


def channel_table(header: RhdHeader) -> ChannelTable:
    """Return the columns: amplifiers, auxiliary inputs, analog inputs, digital lines; each kind in file order.

    The native index of an analog channel is its position among the enabled ones of its type, that of a digital line
    its number at the instrument. Counts are the stored words minus 32768, so that amplifiers need no offset.
    """
    channels: list[Channel] = []
    seen = dict.fromkeys(SignalType, 0)
    for kind, type_, gain, offset in _kinds(header):
        for entry in header.of_kind(kind):
            ntv = entry.native_order if kind in (DIN, DOUT) else seen[type_]
            channels.append(_channel(entry, type_, ntv, len(channels), gain, offset))
            seen[type_] += 1
    return ChannelTable(tuple(channels))


def block_layout(header: RhdHeader) -> BlockLayout:
    """Return where each column of :func:`channel_table` lies."""
    n = header.block_samples
    place = 2 * n  # behind the counters
    first: dict[int, int] = {}
    for kind, words_each in ((AMP, n), (AUX, n >> AUX_HOLD), (SUPPLY, 1)):
        first[kind] = place
        place += words_each * len(header.of_kind(kind))
    place += header.temperature_sensors
    first[ADC] = place
    place += n * len(header.of_kind(ADC))
    for kind in (DIN, DOUT):
        first[kind] = place
        place += n if header.of_kind(kind) else 0
    columns: list[tuple[int, int, int, int, int]] = []
    for kind, words_each, hold in ((AMP, n, 0), (AUX, n >> AUX_HOLD, AUX_HOLD), (ADC, n, 0)):
        columns += [(first[kind] + i * words_each, hold, 0, 0xFFFF, _HALF) for i in range(len(header.of_kind(kind)))]
    for kind in (DIN, DOUT):
        columns += [(first[kind], 0, entry.native_order, 1, 0) for entry in header.of_kind(kind)]
    at, hold_, bit, mask, zero = np.array(columns, dtype=np.int32).reshape(-1, 5).T.copy()
    return BlockLayout(n, place, at, hold_, bit, mask, zero)


def _kinds(header: RhdHeader) -> list[tuple[int, SignalType, float, float]]:
    """Return kind, signal type, gain and offset (of word minus 32768), in the order of the columns."""
    step, bipolar = _ADC_STEP_V.get(header.board_mode, _ADC_STEP_V[0])
    return [
        (AMP, SignalType.AMP, _AMP_STEP_UV, 0.0),
        (AUX, SignalType.AIN, _AUX_STEP_V, _AUX_STEP_V * _HALF),
        (ADC, SignalType.AIN, step, 0.0 if bipolar else step * _HALF),
        (DIN, SignalType.DIN, 1.0, 0.0),
        (DOUT, SignalType.DOUT, 1.0, 0.0),
    ]


def known_board_mode(header: RhdHeader) -> bool:
    """Return whether the scale of the analog inputs is known rather than assumed."""
    return header.board_mode in _ADC_STEP_V


def _channel(entry: RhdChannel, type_: SignalType, ntv: int, sys: int, gain: float, offset: float) -> Channel:
    prefix = entry.group_prefix or entry.native_name[:1]
    on_port = entry.kind in (AMP, AUX)
    return Channel(
        type=type_,
        ntv=ntv,
        sys=sys,
        name=entry.custom_name or entry.native_name,
        ntv_name=entry.native_name,
        unit=NATIVE_UNIT[type_],
        gain=gain,
        offset=offset,
        port=Port[prefix] if on_port and prefix in Port.__members__ else None,
        impedance_ohm=entry.impedance_ohm if type_ == SignalType.AMP and entry.impedance_ohm > 0 else None,
    )
