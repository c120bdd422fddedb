"""Writes ``.nex`` and ``.nex5`` files with known content, to test readers with; not with the code of our own writer."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class NexSignal:
    """A continuous variable to write: fragments are (stamp in ticks, samples)."""

    fragments: Sequence[tuple[int, int]] = ((0, 1000),)
    fs: float = 1000.0
    gain_mv: float = 0.000195
    is_float: bool = False
    units: str = "mV"


@dataclass(frozen=True)
class NexContent:
    """One made file: stored values of each signal."""

    path: Path
    values: dict[str, npt.NDArray[Any]]
    waveforms: dict[str, npt.NDArray[Any]] = field(default_factory=dict)


@dataclass
class _Made:
    kind: int
    name: str
    body: bytes
    count: int
    fs: float = 0.0
    gain: float = 1.0
    points: int = 0
    is_float: bool = False
    units: str = ""
    fields: int = 0
    length: int = 0


def write_nex(
    path: Path,
    signals: Mapping[str, NexSignal],
    *,
    tick_hz: float = 40_000.0,
    neurons: Mapping[str, Sequence[int]] | None = None,
    events: Mapping[str, Sequence[int]] | None = None,
    intervals: Mapping[str, Sequence[tuple[int, int]]] | None = None,
    markers: Mapping[str, Sequence[tuple[int, str]]] | None = None,
    waves: Mapping[str, Sequence[int]] | None = None,
    points: int = 32,
    long_ticks: bool = False,
    seed: int = 0,
) -> NexContent:
    """Write a file; the suffix says which of the two formats. ``waves`` are stamps of spikes with random waveforms."""
    rng = np.random.default_rng(seed)
    is_nex5 = path.suffix == ".nex5"
    tick = "<i8" if long_ticks and is_nex5 else "<i4"
    values: dict[str, npt.NDArray[Any]] = {}
    made: list[_Made] = [_Made(0, n, np.array(t, tick).tobytes(), len(t)) for n, t in (neurons or {}).items()]
    made += [_Made(1, n, np.array(t, tick).tobytes(), len(t)) for n, t in (events or {}).items()]
    for name, spans in (intervals or {}).items():
        table = np.array(spans, tick).reshape(-1, 2)
        made.append(_Made(2, name, table[:, 0].tobytes() + table[:, 1].tobytes(), len(spans)))
    waveforms = {}
    for name, stamps in (waves or {}).items():
        waveforms[name] = rng.integers(-3000, 3000, (len(stamps), points)).astype("<i2")
        body = np.array(stamps, tick).tobytes() + waveforms[name].tobytes()
        made.append(_Made(3, name, body, len(stamps), 40_000.0, 0.001, points, units="mV"))
    for name, signal in signals.items():
        values[name] = _values(rng, signal)
        made.append(_signal(name, signal, values[name], tick))
    for name, marks in (markers or {}).items():
        length = max((len(t) for _, t in marks), default=0) + 1
        body = np.array([t for t, _ in marks], tick).tobytes() + b"DIO".ljust(64, b"\0")
        body += b"".join(t.encode().ljust(length, b"\0") for _, t in marks)
        made.append(_Made(6, name, body, len(marks), fields=1, length=length))
    path.write_bytes(_nex5(made, tick_hz, tick == "<i8") if is_nex5 else _nex(made, tick_hz))
    return NexContent(path, values, waveforms)


def _values(rng: np.random.Generator, signal: NexSignal) -> npt.NDArray[Any]:
    n = sum(k for _, k in signal.fragments)
    if signal.is_float:
        return rng.normal(0, 0.2, n).astype("<f4")
    return rng.integers(-32768, 32768, n).astype("<i2")


def _signal(name: str, signal: NexSignal, values: npt.NDArray[Any], tick: str) -> _Made:
    stamps = np.array([t for t, _ in signal.fragments], tick)
    lengths = np.array([n for _, n in signal.fragments])
    body = stamps.tobytes() + (np.cumsum(lengths) - lengths).astype("<u4").tobytes() + values.tobytes()
    return _Made(
        5, name, body, len(stamps), signal.fs, signal.gain_mv, len(values), signal.is_float, signal.units
    )  # fmt: skip


def _nex5(made: list[_Made], tick_hz: float, is_long: bool) -> bytes:
    at = 356 + 244 * len(made)
    headers, bodies = b"", b""
    for v in made:
        headers += struct.pack(
            "<ii64sQQiid32sddQdiiii60x", v.kind, 500, v.name.encode(), at, v.count, int(is_long), int(v.is_float), v.fs,
            v.units.encode(), v.gain, 0.0, v.points, 0.0, 0, v.fields, v.length, 0,
        )  # fmt: skip
        bodies += v.body
        at += len(v.body)
    meta = json.dumps({"file": {"writerSoftware": {"name": "made"}}, "variables": [{"name": v.name} for v in made]})
    head = struct.pack("<ii256sdqiQq56x", 894977358, 502 if is_long else 501, b"made", tick_hz, 0, len(made), at, 10**6)
    return head + headers + bodies + meta.encode()


def _nex(made: list[_Made], tick_hz: float) -> bytes:
    at = 544 + 208 * len(made)
    headers, bodies = b"", b""
    for v in made:
        headers += struct.pack(
            "<ii64sIiiiiiddddiiidd52x", v.kind, 102, v.name.encode(), at, v.count, 1, 0, 0, 0, 0.0, 0.0, v.fs, v.gain,
            v.points, v.fields, v.length, 0.0, 0.0,
        )  # fmt: skip
        bodies += v.body
        at += len(v.body)
    return struct.pack("<ii256sdiii260x", 827868494, 106, b"made", tick_hz, 0, 10**6, len(made)) + headers + bodies
