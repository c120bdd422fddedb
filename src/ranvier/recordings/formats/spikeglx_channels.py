"""What the columns of a SpikeGLX file are: gains, sites, digital lines, and when each was sampled.

Sources: metadata guide (see :mod:`ranvier.recordings.formats.spikeglx_meta`); probe table
https://github.com/billkarsh/ProbeTable; sampling order https://github.com/SpikeInterface/spikeinterface/pull/3895.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ranvier.exceptions import RecordingError
from ranvier.models.signals import SignalType
from ranvier.recordings.channels import NATIVE_UNIT, Channel, ChannelTable, Site
from ranvier.recordings.formats.spikeglx_meta import Meta, SavedChannel, ranges
from ranvier.recordings.formats.word_files import Field, line_field

#: Side of the square contacts of Neuropixels probes.
_CONTACT_UM = 12.0
#: Gain of probes whose gain is fixed, where the file does not tell it (metadata guide, ``imAiRangeMax``).
_FIXED_GAIN = 80.0


@dataclass(frozen=True)
class Columns:
    """Channels, where each lies, and what had to be assumed."""

    channels: ChannelTable
    fields: tuple[Field, ...]
    notes: tuple[str, ...]


def columns_of(meta: Meta) -> Columns:
    """Return the channels of one file: amplifiers (AP, LF, MN), analog inputs (MA, XA), one line per digital bit."""
    saved = meta.saved()
    notes: list[str] = []
    channels: list[Channel] = []
    fields: list[Field] = []
    amplifiers = [(i, c) for i, c in enumerate(saved) if c.kind in ("AP", "LF", "MN")]
    if amplifiers and meta.device == "imec":
        made, source = _imec(meta, [c for _, c in amplifiers], notes)
    else:
        made, source = [_nidq_amplifier(meta, c) for _, c in amplifiers], "assumed"
    for (column, _), channel in zip(amplifiers, made, strict=True):
        fields.append(Field(0, column))
        channels.append(channel)
    for column, entry in enumerate(saved):
        if entry.kind in ("MA", "XA"):
            fields.append(Field(0, column))
            channels.append(_analog(meta, entry, sum(c.type == SignalType.AIN for c in channels)))
    for column, line, name in _lines(meta, saved):
        fields.append(line_field(0, column, line % 16))
        channels.append(_channel(SignalType.DIN, line, name, 1.0))
    numbered = tuple(replace(channel, sys=i) for i, channel in enumerate(channels))
    table = ChannelTable(numbered, geometry_source=source, wiring_verified=source == "file")
    return Columns(table, tuple(fields), tuple(notes))


def _channel(kind: SignalType, ntv: int, name: str, gain: float) -> Channel:
    return Channel(type=kind, ntv=ntv, sys=0, name=name, ntv_name=name, unit=NATIVE_UNIT[kind], gain=gain)


def _gain(meta: Meta, volts: float, counts: float, gain: float, per_volt: float) -> float:
    """Return ``volts / counts / gain`` in units of ``1 / per_volt`` V."""
    if not volts or not counts or not gain:
        raise RecordingError(f"{meta.path}: a range or gain of 0; the file is damaged")
    return volts / counts / gain * per_volt


# -- Neuropixels ------------------------------------------------------------------------------------------------------


def _imec(meta: Meta, saved: list[SavedChannel], notes: list[str]) -> tuple[list[Channel], str]:
    gains, unit_source = _imec_gains(meta, saved, notes)
    sites, shanks, used = _sites(meta, len(saved))
    skew = _skew(meta, saved, notes)
    mixed = len({c.kind for c in saved}) > 1
    offset = max((c.index for c in saved if c.kind == "AP"), default=-1) + 1 if mixed else 0
    probe = meta.values.get("imDatPrb_pn") or f"imec_type_{meta.values.get('imDatPrb_type', '0')}"
    channels = [
        replace(
            _channel(SignalType.AMP, c.index + (offset if c.kind == "LF" else 0), c.name, gains[i]),
            unit_source=unit_source,
            probe_id=probe,
            shank=shanks[i],
            site=sites[i],
            selected=used[i],
            skew_samples=skew[i],
        )
        for i, c in enumerate(saved)
    ]
    return channels, "file" if any(s is not None for s in sites) else "assumed"


def _probe_type(meta: Meta) -> int:
    """Return ``imDatPrb_type``; phase 3A and 3B1 do not have it and are 1.0."""
    text = meta.values.get("imDatPrb_type", "0")
    return int(text) if text.isdigit() and len(text) < 8 else 0


def is_first_generation(meta: Meta) -> bool:
    """Return whether AP and LF bands are apart, with gains of their own (1.0, NHP, ultra): types 0, 1, 1xxx."""
    kind = _probe_type(meta)
    return kind in (0, 1) or 1000 <= kind < 2000


def _imec_gains(meta: Meta, saved: list[SavedChannel], notes: list[str]) -> tuple[list[float], str]:
    """Return microvolts per count: ``imAiRangeMax / imMaxInt / gain``."""
    first = is_first_generation(meta)
    volts = meta.number("imAiRangeMax")
    counts = meta.number("imMaxInt", 512.0 if first else 8192.0)
    header, entries = meta.table("imroTbl")
    table: dict[tuple[str, int], float] = {}
    common = {"AP": meta.number("imChan0apGain", 0.0), "LF": meta.number("imChan0lfGain", 0.0)}
    if first:
        numbers = _numbers(header, ",")
        if len(numbers) >= 6:  # ultra (1110): one gain for all, in the header (type, mode, reference, AP, LF, filter)
            common = {"AP": numbers[3], "LF": numbers[4]}
        for entry in entries:  # channel, bank, reference, AP gain, LF gain(, filter)
            values = _numbers(entry, " ")
            if len(values) >= 5:
                table["AP", int(values[0])], table["LF", int(values[0])] = values[3], values[4]
    source = "file"
    gains = []
    for channel in saved:
        gain = table.get((channel.kind, channel.index)) or common[channel.kind]
        if not gain and first:
            raise RecordingError(f"{meta.path}: imroTbl does not tell the gain of {channel.name}")
        if not gain:
            gain, source = _FIXED_GAIN, "assumed"
        gains.append(_gain(meta, volts, counts, gain, 1e6))
    if source == "assumed":
        notes.append(f"{meta.path.name}: the gain is not told; {_FIXED_GAIN:g}, that of Neuropixels 2.0, is assumed")
    return gains, source


def _numbers(text: str, separator: str) -> list[float]:
    """Return the numbers of an entry; empty where one of them is none."""
    try:
        values = [float(v) for v in text.split(separator) if v.strip()]
    except ValueError:
        return []
    return values if all(abs(v) < 1e9 for v in values) else []


def _skew(meta: Meta, saved: list[SavedChannel], notes: list[str]) -> list[float]:
    """Return by how much of a sample period each channel was digitised later than the first ones.

    ``muxTbl`` is ``(ADCs, groups)(channels of group 0)(of group 1)...``; the channels of a group are digitised
    together, group g is ``g / groups`` of a period late. First-generation probes digitise one LF channel per ADC after
    each round of AP channels, so that an AP round has one slot more (13 of 12), and an LF period has as many rounds as
    groups.
    """
    header, entries = meta.table("muxTbl")
    order: dict[int, int] = {}
    groups = 0
    shape = _numbers(header, ",")
    if len(shape) == 2 and len(entries) == shape[1]:
        groups = len(entries)
        order = {int(c): g for g, entry in enumerate(entries) for c in _numbers(entry, " ")}
    elif _probe_type(meta) in (0, 1) or _probe_type(meta) in (1015, 1016, 1022, 1030, 1031, 1032):
        groups = 12
        order = {c: c % 24 // 2 for c in range(384)}
    elif _probe_type(meta) in (21, 24, 2003, 2004, 2013, 2014):
        groups = 16
        order = {c: c % 32 // 2 for c in range(384)}
    if not groups:
        notes.append(f"{meta.path.name}: the order of sampling (muxTbl) is not told; no skew is known")
        return [0.0] * len(saved)
    slots = {"AP": groups + 1 if is_first_generation(meta) else groups, "LF": groups}
    return [order.get(c.index, 0) / slots[c.kind] for c in saved]


def _sites(meta: Meta, n: int) -> tuple[list[Site | None], list[int], list[bool]]:
    """Return site, shank and whether it is used, per channel."""
    none: tuple[list[Site | None], list[int], list[bool]] = [None] * n, [0] * n, [True] * n
    header, entries = meta.table("snsGeomMap")
    if len(entries) >= n and header.count(",") >= 3:
        pitch = _numbers(header.split(",")[2], ",") or [0.0]
        rows = [_numbers(entry, ":") for entry in entries[:n]]
        if all(len(row) == 4 for row in rows):
            return _placed([(int(s), s * pitch[0] + x, z, bool(u)) for s, x, z, u in rows])
    header, entries = meta.table("snsShankMap")
    rows = [_numbers(entry, ":") for entry in entries[:n]]
    kind = _probe_type(meta)
    if len(rows) < n or not all(len(row) == 4 for row in rows) or kind not in (0, 1, 21, 24):
        return none
    if kind in (21, 24):  # 2.0: two columns 32 um apart, rows 15 um, shanks 250 um
        return _placed([(int(s), 250.0 * s + 27.0 + 32.0 * c, 15.0 * r, bool(u)) for s, c, r, u in rows])
    # 1.0: columns 32 um apart, every other row shifted by 16 um, rows 20 um
    return _placed([(int(s), 27.0 + 32.0 * c - (16.0 if r % 2 else 0.0), 20.0 * r, bool(u)) for s, c, r, u in rows])


def _placed(rows: list[tuple[int, float, float, bool]]) -> tuple[list[Site | None], list[int], list[bool]]:
    area, side = _CONTACT_UM**2, _CONTACT_UM
    sites: list[Site | None] = [
        Site(x, y, shape="square", area_um2=area, width_um=side, height_um=side) for _, x, y, _ in rows
    ]
    return sites, [max(0, shank) for shank, *_ in rows], [used for *_, used in rows]


# -- National Instruments and OneBox ----------------------------------------------------------------------------------


def _nidq_amplifier(meta: Meta, saved: SavedChannel) -> Channel:
    volts, counts = meta.number("niAiRangeMax"), meta.number("niMaxInt", 32768.0)
    gain = _gain(meta, volts, counts, meta.number("niMNGain", 1.0), 1e6)
    return _channel(SignalType.AMP, saved.index, saved.name, gain)


def _analog(meta: Meta, saved: SavedChannel, ntv: int) -> Channel:
    if meta.device == "obx":
        volts, counts, gain = meta.number("obAiRangeMax"), meta.number("obMaxInt", 32768.0), 1.0
    else:
        volts, counts = meta.number("niAiRangeMax"), meta.number("niMaxInt", 32768.0)
        gain = meta.number("niMAGain", 1.0) if saved.kind == "MA" else 1.0
    return _channel(SignalType.AIN, ntv, saved.name, _gain(meta, volts, counts, gain, 1.0))


def _lines(meta: Meta, saved: list[SavedChannel]) -> list[tuple[int, int, str]]:
    """Return ``(column, line, name)`` of every digital line: of an XD word those that were acquired, of SY all bits."""
    words = [i for i, c in enumerate(saved) if c.kind == "XD"]
    acquired = _acquired_lines(meta)
    lines = []
    for number, column in enumerate(words):
        for bit in range(16):
            line = 16 * number + bit
            if acquired is None or line in acquired:
                lines.append((column, line, f"XD{line}"))
    first = 16 * len(words)
    for number, column in enumerate(i for i, c in enumerate(saved) if c.kind == "SY"):
        lines += [(column, first + 16 * number + bit, f"{saved[column].name}.{bit}") for bit in range(16)]
    return lines


def _acquired_lines(meta: Meta) -> set[int] | None:
    """Return the lines that were acquired; those of a second card start behind the bytes of the first."""
    one, two = ranges(meta.values.get("niXDChans1", "")), ranges(meta.values.get("niXDChans2", ""))
    if one is None and two is None:
        return None
    behind = 8 * meta.integer("niXDBytes1", 0)
    return {*(one or ()), *(behind + line for line in two or ())}
