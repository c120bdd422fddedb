"""Writes Intan RHS files with known content, in all three layouts, to test readers with."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranvier.checks.files_rhd import qt_text, write_words

#: What a channel is, as the header of RHS files numbers it.
_AMP, _ADC, _DAC, _DIN, _DOUT = 0, 3, 4, 5, 6


@dataclass(frozen=True)
class RhsContent:
    """What a made recording holds: stored words, ``(channels, samples)``, and the counter of each sample."""

    path: Path
    counters: npt.NDArray[np.int64]
    amp: npt.NDArray[np.uint16]
    dc: npt.NDArray[np.uint16]
    stim: npt.NDArray[np.uint16]
    adc: npt.NDArray[np.uint16]
    dac: npt.NDArray[np.uint16]
    din: npt.NDArray[np.uint16]
    dout: npt.NDArray[np.uint16]
    din_lines: tuple[int, ...]
    dout_lines: tuple[int, ...]
    stim_step_a: float
    header_bytes: int
    block_bytes: int


def write_rhs(
    path: Path,
    *,
    version: tuple[int, int] = (3, 0),
    blocks: int = 5,
    fs_hz: float = 30000.0,
    amp: int = 4,
    dc: bool = True,
    adc: int = 2,
    dac: int = 1,
    din_lines: Sequence[int] = (0, 3),
    dout_lines: Sequence[int] = (),
    stim_step_a: float = 1e-5,
    first_counter: int = 0,
    gaps: Sequence[tuple[int, int]] = (),
    layout: str = "traditional",
    seed: int = 0,
) -> RhsContent:
    """Write a recording of random words and some biphasic pulses; return what is in it.

    Parameters
    ----------
    path
        The file, or the folder of the layouts ``"signal"`` (one file per signal type) and ``"channel"``.
    gaps
        ``(row, n)``: n samples are missing before that row.
    """
    rng = np.random.default_rng(seed)
    n, rows = 128, 128 * blocks
    counters = first_counter + np.arange(rows, dtype=np.int64)
    for row, missing in gaps:
        counters[row:] += missing

    def words(channels: int, limit: int = 65536) -> npt.NDArray[np.uint16]:
        return rng.integers(0, limit, (channels, rows), dtype=np.uint16)

    content = {
        "amp": words(amp),
        "dc": words(amp if dc else 0, 1024),
        "stim": _pulses(rng, amp, rows),
        "adc": words(adc),
        "dac": words(dac),
        "din": words(int(bool(din_lines))),
        "dout": words(int(bool(dout_lines))),
    }
    header = _header(version, fs_hz, dc, amp, adc, dac, din_lines, dout_lines, stim_step_a)
    block_bytes = 0
    if layout == "traditional":
        parts = [counters.astype("<i4").reshape(blocks, n).view("u1").reshape(blocks, -1)]
        for values in content.values():
            per_block = values.reshape(len(values), blocks, n).transpose(1, 0, 2)
            parts.append(np.ascontiguousarray(per_block.astype("<u2")).reshape(blocks, -1).view("u1"))
        data = np.concatenate(parts, axis=1)
        path.write_bytes(header + data.tobytes())
        block_bytes = data.shape[1]
    else:
        path.mkdir(parents=True, exist_ok=True)
        (path / "info.rhs").write_bytes(header)
        write_words(path / "time.dat", counters.astype("<i4"))
        (_write_signals if layout == "signal" else _write_channels)(path, content, din_lines, dout_lines)
    empty = np.zeros(rows, np.uint16)
    return RhsContent(
        path,
        counters,
        content["amp"],
        content["dc"],
        content["stim"],
        content["adc"],
        content["dac"],
        content["din"][0] if din_lines else empty,
        content["dout"][0] if dout_lines else empty,
        tuple(din_lines),
        tuple(dout_lines),
        stim_step_a,
        len(header),
        block_bytes,
    )


def _pulses(rng: np.random.Generator, channels: int, rows: int) -> npt.NDArray[np.uint16]:
    """Return stimulation words: pulses of a negative and a positive phase, then charge recovery; flags at random."""
    words = np.zeros((channels, rows), np.uint16)
    for channel in range(0, channels, 2):
        for at in range(20 + 7 * channel, rows - 60, 150):
            steps = int(rng.integers(1, 256))
            words[channel, at : at + 6] = 0x100 | steps
            words[channel, at + 6 : at + 12] = steps
            words[channel, at + 12 : at + 30] = 1 << 14
            words[channel, at + 2] |= 1 << 15
            words[channel, at : at + 20] |= 1 << 13
    return words


def _write_signals(
    folder: Path, content: dict[str, npt.NDArray[np.uint16]], din: Sequence[int], dout: Sequence[int]
) -> None:
    names = {"amp": "amplifier", "dc": "dcamplifier", "stim": "stim", "adc": "analogin", "dac": "analogout"}
    names |= {"din": "digitalin", "dout": "digitalout"}
    for key, values in content.items():
        if len(values):
            stored = (values ^ 0x8000).view("<i2") if key == "amp" else values
            write_words(folder / f"{names[key]}.dat", stored.T)


def _write_channels(
    folder: Path, content: dict[str, npt.NDArray[np.uint16]], din: Sequence[int], dout: Sequence[int]
) -> None:
    names = {"amp": "amp-A-{:03d}", "dc": "dc-A-{:03d}", "stim": "stim-A-{:03d}"}
    names |= {"adc": "board-ANALOG-IN-{}", "dac": "board-ANALOG-OUT-{}"}
    for key, pattern in names.items():
        for i, values in enumerate(content[key]):
            if key == "stim" and not values.any():
                continue  # the program keeps no file for channels that cannot stimulate
            stored = (values ^ 0x8000).view("<i2") if key == "amp" else values
            write_words(folder / f"{pattern.format(i + (key in ('adc', 'dac')))}.dat", stored)
    for key, lines, name in (("din", din, "DIGITAL-IN"), ("dout", dout, "DIGITAL-OUT")):
        for line in lines:
            write_words(folder / f"board-{name}-{line + 1:02d}.dat", content[key][0] >> line & 1)


def _header(
    version: tuple[int, int],
    fs_hz: float,
    dc: bool,
    amp: int,
    adc: int,
    dac: int,
    din: Sequence[int],
    dout: Sequence[int],
    step_a: float,
) -> bytes:
    head = struct.pack("<Ihh", 0xD69127AC, *version)
    head += struct.pack("<fh8fh2f", fs_hz, 1, 1.0, 0.1, 1000.0, 7500.0, 1.0, 0.1, 1000.0, 7500.0, 2, 1000.0, 1000.0)
    head += struct.pack("<hhfff", 0, 0, step_a, 1e-8, 0.0)
    head += qt_text("first note") + qt_text("") + qt_text("µ note")
    head += struct.pack("<hh", int(dc), 14) + qt_text("A-000")
    groups = [
        _group("Port A", "A", [(f"A-{i:03d}", i, _AMP) for i in range(amp)], amp),
        _group("ADC", "ANALOG-IN", [(f"ANALOG-IN-{i + 1}", i, _ADC) for i in range(adc)]),
        _group("DAC", "ANALOG-OUT", [(f"ANALOG-OUT-{i + 1}", i, _DAC) for i in range(dac)]),
        _group("DIN", "DIGITAL-IN", [(f"DIGITAL-IN-{i + 1:02d}", i, _DIN) for i in din]),
        _group("DOUT", "DIGITAL-OUT", [(f"DIGITAL-OUT-{i + 1:02d}", i, _DOUT) for i in dout]),
    ]
    return head + struct.pack("<h", len(groups)) + b"".join(groups)


def _group(name: str, prefix: str, channels: list[tuple[str, int, int]], amplifiers: int = 0) -> bytes:
    content = b"".join(
        qt_text(native)
        + qt_text(native)
        + struct.pack("<hhhhhhh", order, order, kind, 1, order % 16, 0, 0)
        + struct.pack("<hhhhff", 0, 0, 0, 0, 1e5 + order, -70)
        for native, order, kind in channels
    )
    return qt_text(name) + qt_text(prefix) + struct.pack("<hhh", 1, len(channels), amplifiers) + content
