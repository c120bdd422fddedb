"""The header of Intan RHD and RHS files.

Layout: Intan Technologies, "RHD2000 Application Note: Data File Formats" and "RHS2000 Application Note: Data File
Formats" (versions 1.0 to 3.x). All three file layouts have the same header.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from ranvier.exceptions import CapabilityError, RecordingError

RHD_MAGIC = 0xC6912702
RHS_MAGIC = 0xD69127AC

#: What a channel is. The header numbers the first six for RHD; RHS has DAC (analog outputs) before the digital lines.
AMP, AUX, SUPPLY, ADC, DIN, DOUT, DAC = range(7)
_RHS_KINDS: dict[int, int] = {0: AMP, 3: ADC, 4: DAC, 5: DIN, 6: DOUT}

#: Longest text that a header field may claim, in bytes; the vendor's programs allow far less.
_MAX_TEXT_BYTES = 1 << 16
#: More signal groups or channels per group than any instrument has.
_MAX_GROUPS, _MAX_CHANNELS = 64, 4096


@dataclass(frozen=True, slots=True)
class RhdChannel:
    """One enabled channel, as the header lists it; ``kind`` as this module numbers it."""

    native_name: str
    custom_name: str
    native_order: int
    custom_order: int
    kind: int
    chip_channel: int
    board_stream: int
    impedance_ohm: float
    impedance_phase_deg: float
    group_name: str
    group_prefix: str


@dataclass(frozen=True)
class RhdHeader:
    """What the header of an RHD or RHS file says.

    Attributes
    ----------
    fs_hz
        Rate of the amplifier channels, as stored (single precision).
    header_bytes
        Where the data blocks begin.
    info
        Filters, notes, board mode, reference: for display and round trips.
    stimulator
        Whether it is an RHS file.
    dc_saved
        Whether the low-gain DC amplifiers were recorded (RHS).
    stim_step_a
        Amperes per step of the stimulation current (RHS).
    """

    version: tuple[int, int]
    fs_hz: float
    board_mode: int
    temperature_sensors: int
    channels: tuple[RhdChannel, ...]
    header_bytes: int
    info: dict[str, Any] = field(default_factory=dict)
    stimulator: bool = False
    dc_saved: bool = False
    stim_step_a: float = 0.0

    @property
    def block_samples(self) -> int:
        """Samples per data block: 60 in RHD files before version 2, else 128."""
        return 60 if self.version[0] < 2 and not self.stimulator else 128

    @property
    def signed_counters(self) -> bool:
        """Whether sample counters are int32 (RHD from version 1.2) rather than uint32."""
        return self.stimulator or self.version >= (1, 2)

    def of_kind(self, kind: int) -> list[RhdChannel]:
        """Return the enabled channels of one kind, in file order."""
        return [c for c in self.channels if c.kind == kind]


class _Fields:
    """Reads header fields in order; every one that is not there names the file."""

    def __init__(self, handle: BinaryIO, where: str) -> None:
        self.handle = handle
        self.where = where

    def take(self, layout: str) -> tuple[Any, ...]:
        size = struct.calcsize("<" + layout)
        data = self.handle.read(size)
        if len(data) < size:
            raise RecordingError(f"{self.where}: the file ends inside its header; nothing of the data is there")
        return struct.unpack("<" + layout, data)

    def one(self, layout: str) -> Any:
        return self.take(layout)[0]

    def text(self) -> str:
        """A Qt string: byte length (0xFFFFFFFF: none), then UTF-16LE."""
        length = self.one("I")
        if length == 0xFFFFFFFF:
            return ""
        if length > _MAX_TEXT_BYTES or length % 2:
            raise RecordingError(f"{self.where}: the header is damaged (a text of {length} bytes)")
        data: bytes = self.take(f"{length}s")[0]
        return data.decode("utf-16-le", errors="replace")

    def count(self, limit: int, what: str) -> int:
        n: int = self.one("h")
        if not 0 <= n <= limit:
            raise RecordingError(f"{self.where}: the header is damaged ({n} {what})")
        return n


def read_header(handle: BinaryIO, where: str) -> RhdHeader:
    """Parse the header at the start of an open file.

    Raises
    ------
    CapabilityError
        For versions that this reader does not know.
    RecordingError
        Where the header is damaged or cut; ``where`` names the file in the message.
    """
    fields = _Fields(handle, where)
    magic = fields.one("I")
    if magic not in (RHD_MAGIC, RHS_MAGIC):
        raise RecordingError(f"{where}: not an Intan RHD or RHS file (it begins with 0x{magic:08X})")
    stimulator = magic == RHS_MAGIC
    version: tuple[int, int] = fields.take("hh")
    if not 1 <= version[0] <= 3:
        raise CapabilityError(
            f"{where}: {'RHS' if stimulator else 'RHD'} version {version[0]}.{version[1]} is not read by this version "
            f"(1.0 to 3.x)"
        )
    fs_hz, info = _rhs_settings(fields) if stimulator else _settings(fields)
    temperature_sensors = fields.count(64, "temperature sensors") if not stimulator and version >= (1, 1) else 0
    dc_saved = bool(fields.one("h")) if stimulator else False
    board_mode = fields.one("h") if stimulator or version >= (1, 3) else 0
    if stimulator or version[0] >= 2:
        info["reference"] = fields.text()
    info["board_mode"] = board_mode
    info["version"] = f"{version[0]}.{version[1]}"
    channels = _groups(fields, stimulator)
    return RhdHeader(
        version=version,
        fs_hz=fs_hz,
        board_mode=board_mode,
        temperature_sensors=temperature_sensors,
        channels=tuple(channels),
        header_bytes=handle.tell(),
        info=info,
        stimulator=stimulator,
        dc_saved=dc_saved,
        stim_step_a=float(info.get("stim_step_a", 0.0)),
    )


def _settings(fields: _Fields) -> tuple[float, dict[str, Any]]:
    """Read rate, filters, impedance test and notes."""
    fs_hz = fields.one("f")
    dsp_enabled = fields.one("h")
    actual = fields.take("fff")
    wanted = fields.take("fff")
    notch = fields.one("h")
    test_wanted_hz, test_actual_hz = fields.take("ff")
    notes = [fields.text() for _ in range(3)]
    info = {
        "dsp_enabled": bool(dsp_enabled),
        "dsp_cutoff_hz": actual[0],
        "lower_bandwidth_hz": actual[1],
        "upper_bandwidth_hz": actual[2],
        "wanted_dsp_cutoff_hz": wanted[0],
        "wanted_lower_bandwidth_hz": wanted[1],
        "wanted_upper_bandwidth_hz": wanted[2],
        "software_notch_hz": {1: 50, 2: 60}.get(notch, 0),
        "wanted_impedance_test_hz": test_wanted_hz,
        "impedance_test_hz": test_actual_hz,
        "notes": notes,
    }
    return fs_hz, info


def _rhs_settings(fields: _Fields) -> tuple[float, dict[str, Any]]:
    """Read rate, filters, impedance test, stimulation and notes of an RHS file."""
    fs_hz = fields.one("f")
    dsp_enabled = fields.one("h")
    actual = fields.take("ffff")
    wanted = fields.take("ffff")
    notch = fields.one("h")
    test_wanted_hz, test_actual_hz = fields.take("ff")
    settle_mode, recovery_mode = fields.take("hh")
    step_a, limit_a, target_v = fields.take("fff")
    if not 0 < step_a < 1:  # also refuses NaN
        raise RecordingError(f"{fields.where}: the header is damaged (a stimulation step of {step_a} A)")
    keys = ("dsp_cutoff_hz", "lower_bandwidth_hz", "lower_settle_bandwidth_hz", "upper_bandwidth_hz")
    info = {
        "dsp_enabled": bool(dsp_enabled),
        **dict(zip(keys, actual, strict=True)),
        **{f"wanted_{key}": value for key, value in zip(keys, wanted, strict=True)},
        "software_notch_hz": {1: 50, 2: 60}.get(notch, 0),
        "wanted_impedance_test_hz": test_wanted_hz,
        "impedance_test_hz": test_actual_hz,
        "amp_settle_mode": settle_mode,
        "charge_recovery_mode": recovery_mode,
        "stim_step_a": step_a,
        "recovery_current_limit_a": limit_a,
        "recovery_target_v": target_v,
        "notes": [fields.text() for _ in range(3)],
    }
    return fs_hz, info


def _groups(fields: _Fields, stimulator: bool) -> list[RhdChannel]:
    channels: list[RhdChannel] = []
    for _ in range(fields.count(_MAX_GROUPS, "signal groups")):
        name, prefix = fields.text(), fields.text()
        enabled = fields.one("h")
        n_channels = fields.count(_MAX_CHANNELS, "channels in a group")
        fields.one("h")  # amplifier channels among them; the channels themselves say it
        if not enabled:
            continue
        for _ in range(n_channels):
            channel = _channel(fields, name, prefix, stimulator)
            if channel is not None:
                channels.append(channel)
    return channels


def _channel(fields: _Fields, group_name: str, group_prefix: str, stimulator: bool) -> RhdChannel | None:
    """Read one channel; None where it was not enabled (it has no samples)."""
    native_name, custom_name = fields.text(), fields.text()
    native_order, custom_order, stored_kind, enabled, chip_channel = fields.take("hhhhh")
    if stimulator:
        fields.take("h")  # command stream
    board_stream = fields.one("h")
    fields.take("hhhh")  # spike scope trigger
    magnitude, phase = fields.take("ff")
    kind = _RHS_KINDS.get(stored_kind) if stimulator else stored_kind if AMP <= stored_kind <= DOUT else None
    if kind is None:
        raise RecordingError(f"{fields.where}: the header is damaged (channel {native_name!r} of type {stored_kind})")
    if not enabled:
        return None
    if kind in (DIN, DOUT) and not 0 <= native_order < 16:
        raise RecordingError(f"{fields.where}: the header is damaged (digital line {native_order})")
    return RhdChannel(
        native_name=native_name,
        custom_name=custom_name,
        native_order=native_order,
        custom_order=custom_order,
        kind=kind,
        chip_channel=chip_channel,
        board_stream=board_stream,
        impedance_ohm=magnitude,
        impedance_phase_deg=phase,
        group_name=group_name,
        group_prefix=group_prefix,
    )
