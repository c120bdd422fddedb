"""Writes Intan RHD files with known content, to test readers with."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

#: The kinds of channels, as the header numbers them.
_AMP, _AUX, _SUPPLY, _ADC, _DIN, _DOUT = range(6)


@dataclass(frozen=True)
class RhdContent:
    """What a made file holds: stored words, ``(channels, samples)``, and the counter of each sample.

    ``aux`` has a quarter of the samples. ``din`` and ``dout`` are words, ``(samples,)``; their enabled lines are
    ``din_lines`` and ``dout_lines``.
    """

    path: Path
    fs_hz: float
    counters: npt.NDArray[np.int64]
    amp: npt.NDArray[np.uint16]
    aux: npt.NDArray[np.uint16]
    adc: npt.NDArray[np.uint16]
    din: npt.NDArray[np.uint16]
    dout: npt.NDArray[np.uint16]
    din_lines: tuple[int, ...]
    dout_lines: tuple[int, ...]
    header_bytes: int
    block_bytes: int
    block_samples: int


def write_rhd(
    path: Path,
    *,
    version: tuple[int, int] = (3, 0),
    blocks: int = 5,
    fs_hz: float = 20000.0,
    amp: int = 4,
    aux: int = 3,
    supply: int = 1,
    adc: int = 2,
    din_lines: Sequence[int] = (),
    dout_lines: Sequence[int] = (),
    temperature_sensors: int = 0,
    board_mode: int = 0,
    first_counter: int = 0,
    gaps: Sequence[tuple[int, int]] = (),
    seed: int = 0,
) -> RhdContent:
    """Write a file of random words in the traditional layout; return what is in it.

    Parameters
    ----------
    gaps
        ``(row, n)``: n samples are missing before that row.
    """
    rng = np.random.default_rng(seed)
    n = 60 if version[0] < 2 else 128
    rows = blocks * n
    counters = first_counter + np.arange(rows, dtype=np.int64)
    for row, missing in gaps:
        counters[row:] += missing

    def words(channels: int, per_block: int) -> npt.NDArray[np.uint16]:
        return rng.integers(0, 65536, (channels, blocks * per_block), dtype=np.uint16)

    content = {
        _AMP: words(amp, n),
        _AUX: words(aux, n // 4),
        _SUPPLY: words(supply, 1),
        -1: words(temperature_sensors if version >= (1, 1) else 0, 1),
        _ADC: words(adc, n),
        _DIN: words(int(bool(din_lines)), n),
        _DOUT: words(int(bool(dout_lines)), n),
    }
    header = _header(version, fs_hz, board_mode, temperature_sensors, amp, aux, supply, adc, din_lines, dout_lines)
    stored = (counters & 0xFFFFFFFF).astype("<u4").reshape(blocks, n)
    parts = [stored.view("u1").reshape(blocks, -1)]
    for values in content.values():
        per_block = values.reshape(len(values), blocks, values.shape[1] // blocks).transpose(1, 0, 2)
        parts.append(np.ascontiguousarray(per_block.astype("<u2")).reshape(blocks, -1).view("u1"))
    data = np.concatenate(parts, axis=1)
    path.write_bytes(header + data.tobytes())
    empty = np.zeros(rows, np.uint16)
    return RhdContent(
        path=path,
        fs_hz=fs_hz,
        counters=counters,
        amp=content[_AMP],
        aux=content[_AUX],
        adc=content[_ADC],
        din=content[_DIN][0] if din_lines else empty,
        dout=content[_DOUT][0] if dout_lines else empty,
        din_lines=tuple(din_lines),
        dout_lines=tuple(dout_lines),
        header_bytes=len(header),
        block_bytes=data.shape[1],
        block_samples=n,
    )


def _header(
    version: tuple[int, int],
    fs_hz: float,
    board_mode: int,
    temperature_sensors: int,
    amp: int,
    aux: int,
    supply: int,
    adc: int,
    din_lines: Sequence[int],
    dout_lines: Sequence[int],
) -> bytes:
    head = struct.pack("<Ihh", 0xC6912702, *version)
    head += struct.pack("<fh6fh2f", fs_hz, 1, 1.0, 0.1, 7500.0, 1.0, 0.1, 7500.0, 2, 1000.0, 1000.0)
    head += _text("first note") + _text("") + _text("µ note")
    if version >= (1, 1):
        head += struct.pack("<h", temperature_sensors)
    if version >= (1, 3):
        head += struct.pack("<h", board_mode)
    if version[0] >= 2:
        head += _text("A-000")
    port_a = b"".join(_channel(f"A-{i:03d}", i, _AMP) for i in range(amp))
    port_a += b"".join(_channel(f"A-AUX{i + 1}", amp + i, _AUX) for i in range(aux))
    port_a += b"".join(_channel(f"A-VDD{i + 1}", amp + aux + i, _SUPPLY) for i in range(supply))
    port_a += _channel("A-OFF", 99, _AMP, enabled=0)
    groups = [
        _group("Port A", "A", amp + aux + supply + 1, amp, port_a),
        _group("Port B", "B", 0, 0, b"", enabled=0),
        _group("Board ADC Inputs", "ADC", adc, 0, b"".join(_channel(f"ADC-{i:02d}", i, _ADC) for i in range(adc))),
        _group(
            "Board Digital Inputs",
            "DIN",
            len(din_lines),
            0,
            b"".join(_channel(f"DIN-{i:02d}", i, _DIN) for i in din_lines),
        ),
        _group(
            "Board Digital Outputs",
            "DOUT",
            len(dout_lines),
            0,
            b"".join(_channel(f"DOUT-{i:02d}", i, _DOUT) for i in dout_lines),
        ),
    ]
    return head + struct.pack("<h", len(groups)) + b"".join(groups)


def _group(name: str, prefix: str, channels: int, amplifiers: int, content: bytes, enabled: int = 1) -> bytes:
    return _text(name) + _text(prefix) + struct.pack("<hhh", enabled, channels, amplifiers) + content


def _channel(name: str, order: int, kind: int, enabled: int = 1) -> bytes:
    numbers = struct.pack("<hhhhhh", order, order, kind, enabled, order % 32, 0)
    return _text(name) + _text(name) + numbers + struct.pack("<hhhh", 0, 0, 0, 0) + struct.pack("<ff", 1e5 + order, -70)


def _text(value: str) -> bytes:
    data = value.encode("utf-16-le")
    return struct.pack("<I", len(data)) + data
