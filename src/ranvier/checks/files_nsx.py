"""Writes Blackrock NSx and NEV files with known content, to test readers with."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

_UTC = (2024, 3, 2, 5, 14, 30, 15, 250)  # 2024-03-05 14:30:15.250, a Tuesday


@dataclass(frozen=True)
class NsxContent:
    """One made NSx file: counts ``(samples, channels)``, the stamp of each packet and how many samples it has."""

    path: Path
    counts: npt.NDArray[np.int16]
    header_bytes: int
    packets: tuple[tuple[int, int], ...]


def write_nsx(
    path: Path,
    *,
    version: str = "2.3",
    period: int = 1,
    packets: Sequence[tuple[int, int]] = ((0, 1000),),
    amp: int = 4,
    ain: int = 0,
    ain_first: bool = False,
    unclosed: bool = False,
    jitter_ns: int = 0,
    seed: int = 0,
) -> NsxContent:
    """Write a file of version 2.1, 2.2, 2.3, 3.0 or ``3.0-ptp``.

    Parameters
    ----------
    packets
        ``(stamp, samples)`` of each packet; in PTP files every sample becomes a packet of its own, whose stamps grow
        from the given one by the sampling period, with a jitter.
    ain_first
        Analog inputs stand before the electrodes.
    unclosed
        The last packet claims 0 samples.
    """
    rng = np.random.default_rng(seed)
    n = amp + ain
    rows = sum(k for _, k in packets)
    counts = rng.integers(-32768, 32768, (rows, n)).astype("<i2")
    ids = [*range(1, amp + 1)]
    inputs = [*range(129, 129 + ain)]
    electrodes = inputs + ids if ain_first else ids + inputs
    header = _header(version, period, electrodes)
    path.write_bytes(header + _body(version, period, packets, counts, unclosed, jitter_ns, rng))
    return NsxContent(path, counts, len(header), tuple(packets))


def _header(version: str, period: int, electrodes: list[int]) -> bytes:
    n = len(electrodes)
    if version == "2.1":
        return b"NEURALSG" + struct.pack(f"<16sII{n}I", b"30 kS/s", period, n, *electrodes)
    magic = b"NEURALCD" if version.startswith("2") else b"BRSMPGRP"
    ticks = 1_000_000_000 if version.endswith("ptp") else 30_000
    major, minor = int(version[0]), int(version[2])
    head = struct.pack("<BBI16s256sII8HI", major, minor, 314 + 66 * n, b"30 kS/s", b"made", period, ticks, *_UTC, n)
    described = b""
    for electrode in electrodes:
        is_input = electrode > 128
        label, unit, high = (f"ainp{electrode - 128}", b"mV", 5000) if is_input else (f"chan{electrode}", b"uV", 8191)
        values = (b"CC", electrode, label.encode(), 1, electrode % 32, -32764, 32764, -high, high, unit)
        described += struct.pack("<2sH16sBBhhhh16s", *values) + struct.pack("<IIHIIH", 300, 1, 1, 7500000, 3, 1)
    return magic + head + described


def _body(
    version: str,
    period: int,
    packets: Sequence[tuple[int, int]],
    counts: npt.NDArray[np.int16],
    unclosed: bool,
    jitter_ns: int,
    rng: np.random.Generator,
) -> bytes:
    if version == "2.1":
        return counts.tobytes()
    if version.endswith("ptp"):
        kind = [("one", "u1"), ("stamp", "<u8"), ("n", "<u4"), ("samples", "<i2", (counts.shape[1],))]
        made = np.zeros(len(counts), kind)
        made["one"], made["n"], made["samples"] = 1, 1, counts
        stamps = [np.rint(s + np.arange(k) * 1e9 * period / 30_000).astype(np.int64) for s, k in packets]
        made["stamp"] = np.concatenate(stamps) + rng.integers(-jitter_ns, jitter_ns + 1, len(counts))
        return made.tobytes()
    head = "<BQI" if version.startswith("3") else "<BII"
    body, at = b"", 0
    for i, (stamp, k) in enumerate(packets):
        claimed = 0 if unclosed and i == len(packets) - 1 else k
        body += struct.pack(head, 1, stamp, claimed) + counts[at : at + k].tobytes()
        at += k
    return body


@dataclass(frozen=True)
class NevContent:
    """One made NEV file."""

    path: Path
    words: tuple[tuple[int, int], ...]
    comments: tuple[tuple[int, str], ...]
    spikes: tuple[tuple[int, int, int], ...]
    waveforms: npt.NDArray[np.int16]


def write_nev(
    path: Path,
    *,
    version: str = "2.3",
    words: Sequence[tuple[int, int]] = (),
    comments: Sequence[tuple[int, str]] = (),
    spikes: Sequence[tuple[int, int, int]] = (),
    factor_nv: int = 250,
    points: int = 48,
    seed: int = 0,
) -> NevContent:
    """Write a file: ``words`` are (stamp, word), ``comments`` (stamp, text), ``spikes`` (stamp, electrode, class)."""
    rng = np.random.default_rng(seed)
    is_long = version.startswith("3")
    stamp = "<Q" if is_long else "<I"
    size = (8 if is_long else 4) + 4 + 2 * points
    electrodes = sorted({e for _, e, _ in spikes} | {1})
    extensions = b"".join(
        b"NEUEVWAV" + struct.pack("<HBBHHhhBBH8s", e, 1, e, factor_nv, 0, 100, -100, 2, 2, points, b"")
        for e in electrodes
    ) + b"".join(b"NEUEVLBL" + struct.pack("<H16s6s", e, f"chan{e}".encode(), b"") for e in electrodes)
    ticks = 1_000_000_000 if version.endswith("ptp") else 30_000
    magic = b"BREVENTS" if is_long else b"NEURALEV"
    count = len(extensions) // 32
    header = magic + struct.pack(
        "<BBHIIII8H32s256sI", int(version[0]), int(version[2]), 1, 336 + len(extensions), size, ticks, 30_000, *_UTC,
        b"made", b"", count,
    )  # fmt: skip
    waveforms = rng.integers(-2000, 2000, (len(spikes), points)).astype("<i2")
    made: list[tuple[int, bytes]] = [(t, struct.pack("<HBBH", 0, 1, 0, word)) for t, word in words]
    made += [(t, struct.pack("<HBBI", 0xFFFF, 0, 0, 255) + said.encode("latin-1")) for t, said in comments]
    made += [
        (t, struct.pack("<HBB", e, kind, 0) + wave.tobytes())
        for (t, e, kind), wave in zip(spikes, waveforms, strict=True)
    ]
    made.sort(key=lambda packet: packet[0])
    body = b"".join((struct.pack(stamp, t) + rest).ljust(size, b"\0") for t, rest in made)
    path.write_bytes(header + extensions + body)
    return NevContent(path, tuple(words), tuple(comments), tuple(spikes), waveforms)
