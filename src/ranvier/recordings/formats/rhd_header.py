"""The header of an Intan RHD file.

Layout: Intan Technologies, "RHD2000 Application Note: Data File Formats" (versions 1.0 to 3.x, traditional layout).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from ranvier.exceptions import CapabilityError, RecordingError

RHD_MAGIC = 0xC6912702
RHS_MAGIC = 0xD69127AC

AMP, AUX, SUPPLY, ADC, DIN, DOUT = range(6)

#: Longest text that a header field may claim, in bytes; the vendor's programs allow far less.
_MAX_TEXT_BYTES = 1 << 16
#: More signal groups or channels per group than any instrument has.
_MAX_GROUPS, _MAX_CHANNELS = 64, 4096


@dataclass(frozen=True, slots=True)
class RhdChannel:
    """One enabled channel, as the header lists it."""

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
    """What an RHD header says.

    Attributes
    ----------
    fs_hz
        Rate of the amplifier channels, as stored (single precision).
    header_bytes
        Where the data blocks begin.
    info
        Filters, notes, board mode, reference: for display and round trips.
    """

    version: tuple[int, int]
    fs_hz: float
    board_mode: int
    temperature_sensors: int
    channels: tuple[RhdChannel, ...]
    header_bytes: int
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def block_samples(self) -> int:
        """Samples per data block: 60 before version 2, 128 from it on."""
        return 60 if self.version[0] < 2 else 128

    @property
    def signed_counters(self) -> bool:
        """Whether sample counters are int32 (from version 1.2) rather than uint32."""
        return self.version >= (1, 2)

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
        For RHS files, and versions that this reader does not know.
    RecordingError
        Where the header is damaged or cut; ``where`` names the file in the message.
    """
    fields = _Fields(handle, where)
    magic = fields.one("I")
    if magic == RHS_MAGIC:
        raise CapabilityError(f"{where}: RHS is not read by this version; convert it with Intan's RHX software")
    if magic != RHD_MAGIC:
        raise RecordingError(f"{where}: not an Intan RHD file (it begins with 0x{magic:08X})")
    version = fields.take("hh")
    if not 1 <= version[0] <= 3:
        raise CapabilityError(
            f"{where}: RHD version {version[0]}.{version[1]} is not read by this version (1.0 to 3.x)"
        )
    fs_hz, info = _settings(fields)
    temperature_sensors = fields.count(64, "temperature sensors") if version >= (1, 1) else 0
    board_mode = fields.one("h") if version >= (1, 3) else 0
    if version[0] >= 2:
        info["reference"] = fields.text()
    info["board_mode"] = board_mode
    info["version"] = f"{version[0]}.{version[1]}"
    channels = _groups(fields)
    return RhdHeader(
        version=(version[0], version[1]),
        fs_hz=fs_hz,
        board_mode=board_mode,
        temperature_sensors=temperature_sensors,
        channels=tuple(channels),
        header_bytes=handle.tell(),
        info=info,
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


def _groups(fields: _Fields) -> list[RhdChannel]:
    channels: list[RhdChannel] = []
    for _ in range(fields.count(_MAX_GROUPS, "signal groups")):
        name, prefix = fields.text(), fields.text()
        enabled = fields.one("h")
        n_channels = fields.count(_MAX_CHANNELS, "channels in a group")
        fields.one("h")  # amplifier channels among them; the channels themselves say it
        if not enabled:
            continue
        for _ in range(n_channels):
            channel = _channel(fields, name, prefix)
            if channel is not None:
                channels.append(channel)
    return channels


def _channel(fields: _Fields, group_name: str, group_prefix: str) -> RhdChannel | None:
    """Read one channel; None where it was not enabled (it has no samples)."""
    native_name, custom_name = fields.text(), fields.text()
    native_order, custom_order, kind, enabled, chip_channel, board_stream = fields.take("hhhhhh")
    fields.take("hhhh")  # spike scope trigger
    magnitude, phase = fields.take("ff")
    if not AMP <= kind <= DOUT:
        raise RecordingError(f"{fields.where}: the header is damaged (channel {native_name!r} of type {kind})")
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
