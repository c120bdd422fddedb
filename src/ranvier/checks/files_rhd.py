"""Writes Intan RHD files with known content, to test readers with."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    layout: str = "traditional",
    repeat_aux: bool = False,
) -> RhdContent:
    """Write a recording of random words; return what is in it.

    Parameters
    ----------
    path
        The file, or the folder of the other layouts.
    gaps
        ``(row, n)``: n samples are missing before that row.
    layout
        ``"traditional"``, ``"signal"`` (one file per signal type) or ``"channel"`` (one file per channel).
    repeat_aux
        Whether .dat files of auxiliary inputs repeat each value four times, as newer programs do.
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
    data = b""
    if layout == "traditional":
        data = _blocks(counters, content, blocks, n)
        path.write_bytes(header + data)
    else:
        path.mkdir(parents=True, exist_ok=True)
        (path / "info.rhd").write_bytes(header)
        write_words(path / "time.dat", counters.astype("<i4"))
        aux_words = np.repeat(content[_AUX], 4, axis=1) if repeat_aux else content[_AUX]
        signed = (content[_AMP] ^ 0x8000).view("<i2")
        digital = [(_DIN, din_lines), (_DOUT, dout_lines)]
        if layout == "signal":
            for name, values in (
                ("amplifier", signed),
                ("auxiliary", aux_words),
                ("supply", content[_SUPPLY]),
                ("analogin", content[_ADC]),
                ("digitalin", content[_DIN]),
                ("digitalout", content[_DOUT]),
            ):
                if len(values):
                    write_words(path / f"{name}.dat", values.T)
        else:
            for prefix, pattern, values in (
                ("amp", "A-{:03d}", signed),
                ("aux", "A-AUX{}", aux_words),
                ("vdd", "A-VDD{}", content[_SUPPLY]),
                ("board", _board_name(_ADC, version), content[_ADC]),
            ):
                for i, channel in enumerate(values):
                    name = pattern.format(i + (1 if prefix in ("aux", "vdd") else 0))
                    write_words(path / f"{prefix}-{name}.dat", channel)
            for kind, lines in digital:
                for line in lines:
                    name = _board_name(kind, version).format(line)
                    write_words(path / f"board-{name}.dat", content[kind][0] >> line & 1)
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
        block_bytes=len(data) // max(1, blocks),
        block_samples=n,
    )


def _board_name(kind: int, version: tuple[int, int]) -> str:
    """Return the pattern of native names on the board, as older and newer programs have them."""
    if version[0] < 3:
        return {_ADC: "ADC-{:02d}", _DIN: "DIN-{:02d}", _DOUT: "DOUT-{:02d}"}[kind]
    return {_ADC: "ANALOG-IN-{}", _DIN: "DIGITAL-IN-{:02d}", _DOUT: "DIGITAL-OUT-{:02d}"}[kind]


def write_words(path: Path, values: npt.NDArray[Any]) -> None:
    """Write an array as it lies in C order, in its own type."""
    path.write_bytes(np.ascontiguousarray(values).tobytes())


def _blocks(counters: npt.NDArray[np.int64], content: dict[int, npt.NDArray[np.uint16]], blocks: int, n: int) -> bytes:
    """Return the data blocks of the traditional layout."""
    stored = (counters & 0xFFFFFFFF).astype("<u4").reshape(blocks, n)
    parts = [stored.view("u1").reshape(blocks, -1)]
    for values in content.values():
        per_block = values.reshape(len(values), blocks, values.shape[1] // blocks).transpose(1, 0, 2)
        parts.append(np.ascontiguousarray(per_block.astype("<u2")).reshape(blocks, -1).view("u1"))
    return np.concatenate(parts, axis=1).tobytes()


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
    head += qt_text("first note") + qt_text("") + qt_text("µ note")
    if version >= (1, 1):
        head += struct.pack("<h", temperature_sensors)
    if version >= (1, 3):
        head += struct.pack("<h", board_mode)
    if version[0] >= 2:
        head += qt_text("A-000")
    port_a = b"".join(_channel(f"A-{i:03d}", i, _AMP) for i in range(amp))
    port_a += b"".join(_channel(f"A-AUX{i + 1}", amp + i, _AUX) for i in range(aux))
    port_a += b"".join(_channel(f"A-VDD{i + 1}", amp + aux + i, _SUPPLY) for i in range(supply))
    port_a += _channel("A-OFF", 99, _AMP, enabled=0)
    groups = [
        _group("Port A", "A", amp + aux + supply + 1, amp, port_a),
        _group("Port B", "B", 0, 0, b"", enabled=0),
        _group(
            "Board ADC Inputs",
            "ADC",
            adc,
            0,
            b"".join(_channel(_board_name(_ADC, version).format(i), i, _ADC) for i in range(adc)),
        ),
        _group(
            "Board Digital Inputs",
            "DIN",
            len(din_lines),
            0,
            b"".join(_channel(_board_name(_DIN, version).format(i), i, _DIN) for i in din_lines),
        ),
        _group(
            "Board Digital Outputs",
            "DOUT",
            len(dout_lines),
            0,
            b"".join(_channel(_board_name(_DOUT, version).format(i), i, _DOUT) for i in dout_lines),
        ),
    ]
    return head + struct.pack("<h", len(groups)) + b"".join(groups)


def _group(name: str, prefix: str, channels: int, amplifiers: int, content: bytes, enabled: int = 1) -> bytes:
    return qt_text(name) + qt_text(prefix) + struct.pack("<hhh", enabled, channels, amplifiers) + content


def _channel(name: str, order: int, kind: int, enabled: int = 1) -> bytes:
    numbers = struct.pack("<hhhhhh", order, order, kind, enabled, order % 32, 0)
    return (
        qt_text(name)
        + qt_text(name)
        + numbers
        + struct.pack("<hhhh", 0, 0, 0, 0)
        + struct.pack("<ff", 1e5 + order, -70)
    )


def qt_text(value: str) -> bytes:
    """Return a text as Qt stores it: byte length, UTF-16LE."""
    data = value.encode("utf-16-le")
    return struct.pack("<I", len(data)) + data
