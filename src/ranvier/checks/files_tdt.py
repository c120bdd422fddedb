"""Writes TDT blocks with known content, to test readers with."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

#: 2024-03-05 14:30:15 UTC.
START = 1_709_649_015.0
_FORMATS = {"<f4": 0, "<i4": 1, "<i2": 2, "<i1": 3, "<f8": 4}
_EPOC_ON, _EPOC_OFF, _SCALAR, _STREAM, _SNIP, _MARK = 0x101, 0x102, 0x201, 0x8101, 0x8201, 0x8801


@dataclass(frozen=True)
class TdtStore:
    """A stream to write: ``power`` and ``decimate`` give the rate ``2**power * 25e6 / 4096 / decimate``."""

    channels: int = 3
    chunks: int = 20
    chunk_rows: int = 64
    dtype: str = "<f4"
    power: int = 2
    decimate: int = 1
    sev: bool = False
    gap_chunk: int = 0
    gap_sec: float = 0.0

    @property
    def fs(self) -> float:
        """Rate in Hz."""
        return float(2**self.power) * 25e6 / 4096 / self.decimate


@dataclass(frozen=True)
class TdtContent:
    """One made block: samples ``(rows, channels)`` by store, waveforms by store of spikes."""

    folder: Path
    tsq: Path
    tev: Path
    samples: dict[str, npt.NDArray[Any]]
    waveforms: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)


def write_tdt(
    folder: Path,
    stores: Mapping[str, TdtStore],
    *,
    epocs: Sequence[tuple[str, float, float, float]] = (),
    scalars: Sequence[tuple[str, int, float, float]] = (),
    snips: Sequence[tuple[str, int, int, float]] = (),
    points: int = 30,
    seed: int = 0,
) -> TdtContent:
    """Write a block folder ``tank/block``.

    Parameters
    ----------
    epocs
        (name of three letters, onset, offset, value), times in seconds; an offset of NaN is not written.
    scalars
        (name, channel, time, value).
    snips
        (name, channel, sort code, time).
    """
    folder.mkdir(parents=True, exist_ok=True)
    base = f"{folder.parent.name}_{folder.name}"
    rng = np.random.default_rng(seed)
    records: list[tuple[float, bytes]] = []
    tev = bytearray(80)  # offset 0 is never used
    samples: dict[str, npt.NDArray[Any]] = {}
    for name, store in stores.items():
        data = _random(rng, (store.chunks * store.chunk_rows, store.channels), store.dtype)
        samples[name] = data
        records += _stream(folder, base, name, store, data, tev)
    waveforms = _snips(rng, snips, points, records, tev)
    for name, on, off, value in epocs:
        bits = struct.unpack("<q", struct.pack("<d", value))[0]
        records.append((on, _record(10, _EPOC_ON, f"{name}/", 0, 0, START + on, bits, 4, 0.0)))
        if off == off:
            records.append((off, _record(10, _EPOC_OFF, f"{name}\\", 0, 0, START + off, bits, 4, 0.0)))
    for name, channel, at, value in scalars:
        bits = struct.unpack("<q", struct.pack("<d", value))[0]
        records.append((at, _record(10, _SCALAR, name, channel, 0, START + at, bits, 4, 0.0)))
    records.sort(key=lambda r: r[0])
    last = max((t for t, _ in records), default=0.0)
    body = b"".join(r for _, r in records)
    size = 120 + len(body)
    first = _record(size, 0, "", 0, 0, 0.0, 0, 0, 0.0) + _record(20, _MARK, "\x01", 0, 0, START, 40, 0, 0.0)
    tail = _record(20, _MARK, "\x02", 0, 0, START + last + 1, len(tev), 0, 0.0)
    tsq = folder / f"{base}.tsq"
    tsq.write_bytes(first + body + tail)
    (folder / f"{base}.tev").write_bytes(tev)
    (folder / f"{base}.Tbk").write_bytes(_tbk(stores, snips, points))
    (folder / f"{base}.Tdx").write_bytes(b"")
    return TdtContent(folder, tsq, folder / f"{base}.tev", samples, waveforms)


def _record(
    size: int, kind: int, name: str, channel: int, sort: int, time: float, offset: int, form: int, rate: float
) -> bytes:
    return struct.pack("<ii4sHHdqif", size, kind, name.encode(), channel, sort, time, offset, form, rate)


def _random(rng: np.random.Generator, shape: tuple[int, int], dtype: str) -> npt.NDArray[Any]:
    if dtype.startswith("<f"):
        return rng.normal(0, 100, shape).astype(dtype)
    top = 2 ** (8 * np.dtype(dtype).itemsize - 1)
    return rng.integers(-top, top, shape).astype(dtype)


def _stream(
    folder: Path, base: str, name: str, store: TdtStore, data: npt.NDArray[Any], tev: bytearray
) -> list[tuple[float, bytes]]:
    made = []
    words = 10 + store.chunk_rows * np.dtype(store.dtype).itemsize // 4
    if store.sev:
        for c in range(store.channels):
            column = np.ascontiguousarray(data[:, c]).tobytes()
            head = struct.pack(
                "<Q3sB4sHHHHBBH", 40 + len(column), b"SEV", 3, name.encode()[::-1], c + 1, store.channels,
                np.dtype(store.dtype).itemsize, 0, _FORMATS[store.dtype], store.decimate, store.power,
            )  # fmt: skip
            (folder / f"{base}_{name}_Ch{c + 1}.sev").write_bytes(head.ljust(40, b"\0") + column)
    for k in range(store.chunks):
        at = k * store.chunk_rows / store.fs + (store.gap_sec if store.gap_chunk and k >= store.gap_chunk else 0.0)
        rows = data[k * store.chunk_rows : (k + 1) * store.chunk_rows]
        for c in range(store.channels):
            if store.sev:
                offset = 40 + k * store.chunk_rows * np.dtype(store.dtype).itemsize
            else:
                offset = len(tev)
                tev += np.ascontiguousarray(rows[:, c]).tobytes()
            form = _FORMATS[store.dtype]
            made.append((at, _record(words, _STREAM, name, c + 1, 0, START + at, offset, form, store.fs)))
    return made


def _snips(
    rng: np.random.Generator,
    snips: Sequence[tuple[str, int, int, float]],
    points: int,
    records: list[tuple[float, bytes]],
    tev: bytearray,
) -> dict[str, npt.NDArray[np.float32]]:
    found: dict[str, list[npt.NDArray[np.float32]]] = {}
    for name, channel, sort, at in snips:
        wave = rng.normal(0, 50, points).astype("<f4")
        records.append((at, _record(10 + points, _SNIP, name, channel, sort, START + at, len(tev), 0, 24414.0625)))
        tev += wave.tobytes()
        found.setdefault(name, []).append(wave)
    return {name: np.stack(waves) for name, waves in found.items()}


def _tbk(stores: Mapping[str, TdtStore], snips: Sequence[tuple[str, int, int, float]], points: int) -> bytes:
    items = []
    for name, s in stores.items():
        items.append((name, s.channels, _STREAM, s.chunk_rows, _FORMATS[s.dtype], s.fs))
    for name in dict.fromkeys(n for n, *_ in snips):
        channels = max(c for n, c, *_ in snips if n == name)
        items.append((name, channels, _SNIP, points, 0, 24414.0625))
    text = ""
    for name, channels, kind, rows, form, fs in items:
        fields = {
            "StoreName": name, "HeadName": name, "Enabled": 1, "CircType": 1, "NumChan": channels, "StrobeMode": 1,
            "TankEvType": kind, "NumPoints": rows, "DataFormat": form, "SampleFreq": f"{fs:.6f}",
        }  # fmt: skip
        text += "[STOREHDRITEM]\r\n" if text else ""
        text += "".join(f"NAME={k};TYPE=S;VALUE={v};\r\n" for k, v in fields.items())
    return (text + "[STOREHDRITEM][USERNOTEDELIMITER]").encode()
