"""Headers of Blackrock NSx files: NEURALSG (2.1), NEURALCD (2.2, 2.3), BRSMPGRP (3.0, with or without PTP)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from ranvier.exceptions import CapabilityError, RecordingError
from ranvier.models.channels import SignalUnits
from ranvier.models.signals import SignalType
from ranvier.recordings.channels import Channel, ChannelTable
from ranvier.recordings.formats.binary_header import exactly

MAGICS = (b"NEURALSG", b"NEURALCD", b"BRSMPGRP")
#: Periods count this clock, whatever the resolution of the time stamps.
BASE_HZ = 30_000
NANOSECONDS_HZ = 1_000_000_000
#: In NEURALSG files electrodes have the numbers up to this one, analog inputs those behind it.
_LAST_ELECTRODE = 128
_MOST_CHANNELS = 4096

_TO_UV = {"uv": 1.0, "µv": 1.0, "mv": 1e3, "v": 1e6}


@dataclass(frozen=True)
class NsxChannel:
    """One column: physical = ``gain * count + offset`` in ``unit``; a gain of None is not in the file."""

    electrode: int
    label: str
    unit: str
    gain: float | None
    offset: float


@dataclass(frozen=True)
class NsxHeader:
    """What stands before the samples.

    Attributes
    ----------
    header_bytes
        Where the samples, or their packets, begin.
    tick_hz
        Ticks of the packets' time stamps per second.
    stamp_bytes
        Bytes of a packet's time stamp; 0 where there are no packets (2.1).
    """

    version: str
    label: str
    header_bytes: int
    period: int
    tick_hz: int
    stamp_bytes: int
    walltime: datetime | None
    comment: str
    channels: tuple[NsxChannel, ...]

    @property
    def fs(self) -> Fraction:
        """Sampling rate."""
        return Fraction(BASE_HZ, self.period)

    @property
    def is_ptp(self) -> bool:
        """Whether time stamps are nanoseconds of a synchronised clock."""
        return self.tick_hz == NANOSECONDS_HZ


def read_header(handle: BinaryIO, path: Path) -> NsxHeader:
    """Parse a header; RecordingError or CapabilityError name the file."""
    magic = handle.read(8)
    if magic not in MAGICS:
        raise RecordingError(f"{path} is no NSx file: it starts with {magic!r}")
    return _read_old(handle, path) if magic == MAGICS[0] else _read_new(handle, path)


def _read_old(handle: BinaryIO, path: Path) -> NsxHeader:
    label, period, n = struct.unpack("<16sII", exactly(handle, 24, path))
    _check(period, n, path)
    ids = struct.unpack(f"<{n}I", exactly(handle, 4 * n, path))
    channels = tuple(NsxChannel(i, _old_label(i), "", None, 0.0) for i in ids)
    return NsxHeader("2.1", text(label), 32 + 4 * n, period, BASE_HZ, 0, None, "", channels)


def _old_label(electrode: int) -> str:
    return f"chan{electrode}" if electrode <= _LAST_ELECTRODE else f"ainp{electrode - _LAST_ELECTRODE}"


def _read_new(handle: BinaryIO, path: Path) -> NsxHeader:
    values = struct.unpack("<BBI16s256sII8HI", exactly(handle, 306, path))
    major, minor, header_bytes, label, comment, period, tick_hz = values[:7]
    n = values[15]
    version = f"{major}.{minor}"
    if major not in (2, 3):
        raise CapabilityError(f"{path} is of NSx version {version}; this version reads 2.1 to 3.0")
    _check(period, n, path)
    if tick_hz not in (BASE_HZ, NANOSECONDS_HZ):
        raise RecordingError(
            f"{path}: {tick_hz} ticks per second are not a clock of these files; its header is damaged"
        )
    channels = tuple(_read_channel(exactly(handle, 66, path), path) for _ in range(n))
    if header_bytes < 314 + 66 * n:
        raise RecordingError(
            f"{path}: its header claims {header_bytes} bytes, but describes {n} channels; it is damaged"
        )
    stamp_bytes = 8 if major >= 3 else 4
    walltime = header_time(values[7:15])
    return NsxHeader(
        version, text(label), header_bytes, period, tick_hz, stamp_bytes, walltime, text(comment), channels
    )


def _read_channel(data: bytes, path: Path) -> NsxChannel:
    kind, electrode, label, _, _, low, high, low_unit, high_unit, unit = struct.unpack("<2sH16sBBhhhh16s", data[:46])
    if kind != b"CC":
        raise RecordingError(f"{path}: a channel is described by {kind!r} instead of b'CC'; its header is damaged")
    if high <= low or high_unit <= low_unit:
        return NsxChannel(electrode, text(label), text(unit), None, 0.0)
    gain = (high_unit - low_unit) / (high - low)
    # A range that is symmetric in counts and units has no offset, whatever rounding says.
    offset = 0.0 if high == -low and high_unit == -low_unit else low_unit - gain * low
    return NsxChannel(electrode, text(label), text(unit), gain, offset)


def header_time(fields: tuple[int, ...]) -> datetime | None:
    """Return UTC from year, month, day of week, day, hour, minute, second, millisecond; None where it is none."""
    year, month, _, day, hour, minute, second, millisecond = fields
    try:
        return datetime(year, month, day, hour, minute, second, millisecond * 1000, tzinfo=UTC)
    except ValueError:
        return None


def channel_table(header: NsxHeader, nev_gains_uv: Mapping[int, float]) -> tuple[ChannelTable, list[int], list[str]]:
    """Return the channels (electrodes first), which column of the file each is, and notes.

    NEURALSG files state no gain; that of the spikes in the ``.nev`` beside them is the same converter's.
    """
    made: list[tuple[int, Channel]] = []
    bare = 0
    for column, c in enumerate(header.channels):
        to_uv = _TO_UV.get(c.unit.lower())
        gain, offset = c.gain, c.offset
        if gain is None and header.version == "2.1" and c.electrode in nev_gains_uv:
            gain, to_uv = nev_gains_uv[c.electrode], 1.0
        known = gain is not None and to_uv is not None
        bare += not known
        is_amp = c.electrode <= _LAST_ELECTRODE if header.version == "2.1" else c.unit.lower() in ("uv", "µv", "")
        scale = (to_uv or 1.0) * (1.0 if is_amp or not known else 1e-6)
        unit = SignalUnits.MICROVOLTS if is_amp else SignalUnits.VOLTS
        channel = Channel(
            type=SignalType.AMP if is_amp else SignalType.AIN,
            ntv=0,
            sys=0,
            name=c.label or f"elec{c.electrode}",
            ntv_name=f"elec{c.electrode}",
            unit=unit if known else SignalUnits.UNKNOWN,
            unit_source="file" if known else "assumed",
            gain=(1.0 if gain is None else gain) * scale,
            offset=offset * scale,
        )
        made.append((column, channel))
    made.sort(key=lambda item: item[1].type != SignalType.AMP)  # stable: file order within each type
    notes = []
    if bare:
        notes.append(f"the file states no gain for {bare} channels: their values are counts of the converter")
    counts = {SignalType.AMP: 0, SignalType.AIN: 0}
    channels = []
    for sys, (_, channel) in enumerate(made):
        channels.append(replace(channel, ntv=counts[channel.type], sys=sys))
        counts[channel.type] += 1
    return ChannelTable(tuple(channels)), [column for column, _ in made], notes


def text(raw: bytes) -> str:
    """Return a zero-terminated text."""
    return raw.split(b"\0", 1)[0].decode("latin-1").strip()


def _check(period: int, n: int, path: Path) -> None:
    if not 1 <= period <= BASE_HZ * 86_400:
        raise RecordingError(f"{path}: a period of {period} ticks is no sampling rate; its header is damaged")
    if not 1 <= n <= _MOST_CHANNELS:
        raise RecordingError(f"{path}: its header claims {n} channels (at most {_MOST_CHANNELS} can be meant)")
