"""Blackrock NEV files: digital words, comments, spikes with waveforms."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.flat import FlatFile
from ranvier.recordings.formats.nsx_header import BASE_HZ, NANOSECONDS_HZ, header_time, text

MAGICS = (b"NEURALEV", b"BREVENTS")
#: Packets that are no spikes.
_DIGITAL, _CONFIG, _BUTTON, _TRACKING, _VIDEO, _COMMENT = 0, 0xFFFB, 0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF
_NAMES = {_CONFIG: "configuration", _BUTTON: "button", _TRACKING: "tracking", _VIDEO: "video frame"}
_LAST_SPIKE_ID = 0xFF00
_NOISE_CLASS = 255
#: Waveforms beyond this are left out.
_MOST_WAVEFORM_BYTES = 1 << 28
#: The factor of analog inputs does not fit its field; this is what is left of it.
_WRAPPED_FACTOR, _TRUE_FACTOR = 21516, 152592.547

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Electrode:
    """What an extension header says: ``gain_uv`` per count of its waveforms."""

    label: str
    gain_uv: float
    sample_bytes: int


@dataclass(frozen=True)
class NevFile:
    """Header and place of the packets."""

    path: Path
    version: str
    header_bytes: int
    packet_bytes: int
    tick_hz: int
    stamp_bytes: int
    walltime: datetime | None
    electrodes: dict[int, Electrode]
    notes: tuple[str, ...]

    @classmethod
    def open(cls, path: Path) -> NevFile:
        """Read the header; RecordingError names the file."""
        with open(path, "rb") as handle:
            data = handle.read(336)
            if data[:8] not in MAGICS:
                raise RecordingError(f"{path} is no NEV file: it starts with {data[:8]!r}")
            if len(data) < 336:
                raise RecordingError(f"{path} ends inside its header")
            major, minor, _, header_bytes, packet_bytes, tick_hz, _ = struct.unpack("<BBHIIII", data[8:28])
            (n,) = struct.unpack("<I", data[332:336])
            if not 12 <= packet_bytes <= 65_536 or header_bytes < 336 + 32 * n or n > 65_536:
                raise RecordingError(
                    f"{path}: {n} extension headers in {header_bytes} bytes and packets of {packet_bytes}; its "
                    f"header is damaged"
                )
            if not BASE_HZ // 30 <= tick_hz <= NANOSECONDS_HZ:
                raise RecordingError(f"{path}: {tick_hz} ticks per second; its header is damaged")
            extensions = handle.read(32 * n)
        left = max(0, path.stat().st_size - header_bytes) % packet_bytes
        notes = (f"{path.name} ends inside a packet: {left} bytes left over",) if left else ()
        return cls(
            path,
            f"{major}.{minor}",
            header_bytes,
            packet_bytes,
            tick_hz,
            8 if major >= 3 else 4,
            header_time(struct.unpack("<8H", data[28:44])),
            _electrodes(extensions),
            notes,
        )

    @property
    def gains_uv(self) -> dict[int, float]:
        """Gain per electrode."""
        return {i: e.gain_uv for i, e in self.electrodes.items() if e.gain_uv > 0}

    def packets(self, wanted: Callable[[npt.NDArray[Any]], npt.NDArray[np.bool_]]) -> npt.NDArray[np.uint8]:
        """Return whole packets ``(n, packet_bytes)`` whose ids are wanted."""
        file = FlatFile(self.path, np.dtype(np.uint8), self.packet_bytes, self.header_bytes)
        found = [tile[wanted(_ids(tile, self.stamp_bytes))] for _, tile in file.tiles(0, file.rows())]
        return np.concatenate(found) if found else np.empty((0, self.packet_bytes), np.uint8)

    def ticks(self, packets: npt.NDArray[np.uint8]) -> Ints:
        """Return the time stamps of packets."""
        stamps = _field(packets, 0, f"<u{self.stamp_bytes}")
        return np.minimum(stamps.astype(np.uint64), np.uint64(2**62)).astype(np.int64)


def read_events(nev: NevFile, counters_of: Callable[[Ints], Ints]) -> Events:
    """Return edges of the digital lines, the words themselves, comments and other packets, in time order.

    Every change of a bit is an edge (line = bit, source ``"DIN"``); the word that made it follows as an event without a
    line (source ``"digital word"`` or ``"serial word"``, text = its value).
    """
    packets = nev.packets(lambda ids: (ids == _DIGITAL) | (ids >= _CONFIG))
    ticks = nev.ticks(packets)
    order = np.argsort(ticks, kind="stable")
    packets, counters = packets[order], _ascending(counters_of(ticks[order]))
    ids = _ids(packets, nev.stamp_bytes)
    at = nev.stamp_bytes + 2
    parts = [_digital(packets[ids == _DIGITAL], counters[ids == _DIGITAL], at)]
    chosen = ids == _COMMENT
    lines = [_comment(row, at) for row in packets[chosen]]
    parts.append(_texts(counters[chosen], "comment", lines))
    for kind, name in _NAMES.items():
        chosen = ids == kind
        words = [_other(kind, row, at) for row in packets[chosen]]
        parts.append(_texts(counters[chosen], name, words))
    return Events.merge(*parts)


def _digital(packets: npt.NDArray[np.uint8], counters: Ints, at: int) -> Events:
    is_serial = (packets[:, at] & 0x80) != 0
    words = _field(packets, at + 2, "<u2").astype(np.int64)
    parallel = words[~is_serial]
    before = np.concatenate(([0], parallel[:-1])) if len(parallel) else parallel
    changed = parallel ^ before
    bits = (changed[:, None] >> np.arange(16)) & 1
    row, line = np.nonzero(bits)
    state = (parallel[row] >> line) & 1
    edges = Events.ttl(counters[~is_serial][row], line, state, source="DIN")
    values = [
        _texts(counters[pick], name, [str(w) for w in words[pick].tolist()])
        for pick, name in ((~is_serial, "digital word"), (is_serial, "serial word"))
    ]
    return Events.merge(edges, *values)


def _comment(row: npt.NDArray[np.uint8], at: int) -> str:
    charset = int(row[at])
    raw = row[at + 6 :].tobytes()
    if charset == 1:
        return raw[: len(raw) // 2 * 2].decode("utf-16-le", errors="replace").split("\0", 1)[0]
    return text(raw)


def _other(kind: int, row: npt.NDArray[np.uint8], at: int) -> str:
    if kind == _CONFIG:
        return text(row[at + 2 :].tobytes())
    if kind == _VIDEO and len(row) >= at + 6:
        return str(int.from_bytes(row[at + 2 : at + 6].tobytes(), "little"))
    return ""


def _texts(counters: Ints, source: str, texts: list[str]) -> Events:
    n = len(counters)
    nothing = np.full(n, -1, np.int8)
    return Events(counters, nothing.astype(np.int32), nothing, (source,) * n, tuple(texts))


def read_spikes(
    nev: NevFile, counters_of: Callable[[Ints], Ints], site_of: Callable[[int], int], fs: Fraction | None
) -> tuple[SpikeTrains, list[str]]:
    """Return the spikes of all electrodes, and notes.

    Sorted units get ids 1, 2, ... by electrode and class (``unit_names`` tells which); spikes that are not sorted have
    unit 0 and their electrode's site. Those the sorter took for noise form units of their own, named so.
    """
    packets = nev.packets(lambda ids: (ids > 0) & (ids < _LAST_SPIKE_ID))
    ticks = nev.ticks(packets)
    order = np.argsort(ticks, kind="stable")
    packets, counters = packets[order], _ascending(counters_of(ticks[order]))
    electrode = _ids(packets, nev.stamp_bytes).astype(np.int64)
    kind = packets[:, nev.stamp_bytes + 2].astype(np.int64)
    unit = np.zeros(len(packets), np.int32)
    names: dict[int, str] = {}
    for key in np.unique(electrode[kind > 0] * 256 + kind[kind > 0]).tolist():
        known = nev.electrodes.get(key >> 8)
        label = (known.label if known is not None else "") or f"elec{key >> 8}"
        names[len(names) + 1] = f"{label} {'noise' if key & 255 == _NOISE_CLASS else f'unit {key & 255}'}"
        unit[(electrode == key >> 8) & (kind == key & 255)] = len(names)
    sites = {int(e): site_of(int(e)) for e in np.unique(electrode)}
    site = np.array([sites[e] for e in electrode.tolist()], dtype=np.int32)
    waveforms, notes = _waveforms(nev, packets, electrode)
    return SpikeTrains(counters, unit, site, waveforms, names or None, fs), notes


def _waveforms(
    nev: NevFile, packets: npt.NDArray[np.uint8], electrode: Ints
) -> tuple[npt.NDArray[np.float32] | None, list[str]]:
    """Return ``(n, 1, points)`` in uV; None where they are too many or their sizes differ."""
    at = nev.stamp_bytes + 4
    room = nev.packet_bytes - at
    sizes = {nev.electrodes[int(e)].sample_bytes if int(e) in nev.electrodes else 2 for e in np.unique(electrode)}
    if not len(packets) or room <= 0:
        return None, []
    if len(sizes) != 1:
        return None, [f"{nev.path.name}: waveforms of {len(sizes)} sample sizes are mixed; they are left out"]
    size = sizes.pop()
    points = room // size
    if len(packets) * points * 4 > _MOST_WAVEFORM_BYTES:
        return None, [f"{nev.path.name}: the waveforms of {len(packets)} spikes are too large to be kept in memory"]
    counts = np.ascontiguousarray(packets[:, at : at + points * size]).view(f"<i{size}")
    gains = {int(e): nev.electrodes[int(e)].gain_uv if int(e) in nev.electrodes else 0.0 for e in np.unique(electrode)}
    unknown = [e for e, gain in gains.items() if gain <= 0]
    scale = np.array([gains[e] or 1.0 for e in electrode.tolist()])
    waveforms = (counts * scale[:, None]).astype(np.float32)[:, None, :]
    note = f"{nev.path.name}: no gain is stated for {len(unknown)} electrodes: their waveforms are counts"
    return waveforms, [note] if unknown else []


def _electrodes(extensions: bytes) -> dict[int, Electrode]:
    found: dict[int, Electrode] = {}
    labels: dict[int, str] = {}
    for at in range(0, len(extensions) // 32 * 32, 32):
        kind, data = extensions[at : at + 8], extensions[at + 8 : at + 32]
        electrode = int.from_bytes(data[:2], "little")
        if kind == b"NEUEVWAV":
            factor = int.from_bytes(data[4:6], "little")
            nanovolts = _TRUE_FACTOR if factor == _WRAPPED_FACTOR else float(factor)
            size = data[13]
            found[electrode] = Electrode("", nanovolts / 1000, size if size in (2, 4) else 1)
        elif kind == b"NEUEVLBL":
            labels[electrode] = text(data[2:18])
    return {i: Electrode(labels.get(i, ""), e.gain_uv, e.sample_bytes) for i, e in found.items()}


def _ids(packets: npt.NDArray[np.uint8], stamp_bytes: int) -> npt.NDArray[np.uint16]:
    ids: npt.NDArray[np.uint16] = _field(packets, stamp_bytes, "<u2")
    return ids


def _field(packets: npt.NDArray[np.uint8], at: int, dtype: str) -> npt.NDArray[Any]:
    size = np.dtype(dtype).itemsize
    return np.ascontiguousarray(packets[:, at : at + size]).view(dtype)[:, 0]


def _ascending(counters: Ints) -> Ints:
    """Return counters of events that are in time order; rounding may not turn them around."""
    return np.maximum.accumulate(counters) if len(counters) else counters
