"""Writes Open Ephys legacy recordings with known content, to test readers with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_RECORD = 1024
_MARKER = np.array([*range(9), 255], np.uint8)


@dataclass(frozen=True)
class LegacyContent:
    """What one made stream holds: counts, ``(samples, channels)``, and the counter of each sample; TTL; spikes."""

    folder: Path
    names: tuple[str, ...]
    counts: npt.NDArray[np.int16]
    counters: npt.NDArray[np.int64]
    bit_volts: tuple[float, ...]
    ttl: npt.NDArray[Any]
    messages: tuple[tuple[int, str], ...] = ()
    spikes: dict[str, npt.NDArray[Any]] = field(default_factory=dict)


def write_openephys_legacy(
    folder: Path,
    *,
    stream: str = "100",
    experiment: int = 1,
    channels: int = 4,
    aux: int = 1,
    adc: int = 1,
    records: int = 5,
    fs_hz: float = 30000.0,
    first_counter: int = 3000,
    gaps: Sequence[tuple[int, int]] = (),
    events: int = 30,
    spikes: int = 0,
    messages: Sequence[tuple[int, str]] = (),
    seed: int = 0,
) -> LegacyContent:
    """Write the files of one stream; return what is in them.

    Parameters
    ----------
    gaps
        ``(record, n)``: n samples are missing before that record; the recording number grows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    suffix = f"_{experiment}" if experiment > 1 else ""
    starts = first_counter + _RECORD * np.arange(records, dtype=np.int64)
    number = np.zeros(records, np.uint16)
    for record, missing in gaps:
        starts[record:] += missing
        number[record:] += 1
    names = [f"CH{i + 1}" for i in range(channels)]
    names += [f"ADC{i + 1}" for i in range(adc)] + [f"AUX{i + 1}" for i in range(aux)]
    bit_volts = (0.195,) * channels + (0.00015258789,) * adc + (0.0000374,) * aux
    counts = rng.integers(-32768, 32768, (records * _RECORD, len(names))).astype(np.int16)
    for i, name in enumerate(names):
        values = np.empty(records, _record_type())
        values["counter"], values["samples"], values["recording"] = starts, _RECORD, number
        values["counts"] = counts[:, i].reshape(records, _RECORD)
        values["marker"] = _MARKER
        text = _header(channel=name, channelType="Continuous", sampleRate=f"{fs_hz:g}", blockLength="1024") + (
            f"header.bitVolts = {bit_volts[i]};\n"
        )
        _write(folder / f"{stream}_{name}{suffix}.continuous", text, values)
    counters = (starts[:, None] + np.arange(_RECORD)).reshape(-1)
    ttl = np.zeros(events if records else 0, _event_type())
    ttl["counter"] = np.sort(rng.choice(counters, len(ttl), replace=False)) if records else 0
    ttl["type"], ttl["processor"] = 3, 100
    ttl["state"], ttl["line"] = rng.integers(0, 2, len(ttl)), rng.integers(0, 8, len(ttl))
    _write(folder / f"all_channels{suffix}.events", _header(channel="Events", channelType="Event"), ttl)
    if messages:
        lines = ["1743680325031, Software Time (milliseconds since midnight Jan 1st 1970 UTC)"]
        lines += [f"{first_counter}, Start Time for Source (100) - {stream} @ {fs_hz:g} Hz"]
        lines += [f"{counter}, {text}" for counter, text in messages]
        (folder / f"messages{suffix}.events").write_text("\n".join(lines) + "\n")
    groups = {}
    if spikes:
        groups[f"ST1{suffix}"] = _spikes(folder / f"ST1{suffix}.spikes", rng, spikes, counters, fs_hz)
    return LegacyContent(folder, tuple(names), counts, counters, bit_volts, ttl, tuple(messages), groups)


def _record_type() -> np.dtype[Any]:
    return np.dtype(
        [
            ("counter", "<i8"),
            ("samples", "<u2"),
            ("recording", "<u2"),
            ("counts", ">i2", _RECORD),
            ("marker", "u1", 10),
        ]
    )


def _event_type() -> np.dtype[Any]:
    return np.dtype(
        [
            ("counter", "<i8"),
            ("position", "<i2"),
            ("type", "u1"),
            ("processor", "u1"),
            ("state", "u1"),
            ("line", "u1"),
            ("recording", "<u2"),
        ]
    )


def _spikes(
    path: Path, rng: np.random.Generator, n: int, counters: npt.NDArray[np.int64], fs_hz: float
) -> npt.NDArray[Any]:
    kind = np.dtype(
        [
            ("type", "u1"),
            ("counter", "<i8"),
            ("software", "<i8"),
            ("source", "<u2"),
            ("channels", "<u2"),
            ("points", "<u2"),
            ("sorted", "<u2"),
            ("electrode", "<u2"),
            ("channel", "<u2"),
            ("color", "u1", 3),
            ("components", "<f4", 2),
            ("rate", "<u2"),
            ("samples", "<u2", (2, 40)),
            ("gain", "<f4", 2),
            ("threshold", "<u2", 2),
            ("recording", "<u2"),
        ]
    )
    spikes = np.zeros(n, kind)
    spikes["type"], spikes["channels"], spikes["points"], spikes["rate"] = 4, 2, 40, int(fs_hz)
    spikes["counter"] = np.sort(rng.choice(counters, n))
    spikes["sorted"] = rng.integers(0, 3, n)
    spikes["samples"] = rng.integers(30000, 36000, (n, 2, 40))
    spikes["gain"] = 5128.0
    text = _header(electrode="ST1", num_channels="2", sampleRate=f"{fs_hz:g}")
    _write(path, text, spikes)
    return spikes


def _header(**fields: str) -> str:
    text = "header.format = 'Open Ephys Data Format'; \nheader.version = 0.4; \nheader.header_bytes = 1024;\n"
    text += "header.description = 'what each record contains'; \nheader.date_created = '03-Apr-2025 13:38:45';\n"
    quoted = {"channel", "channelType", "electrode"}
    return text + "".join(f"header.{k} = {repr(v) if k in quoted else v};\n" for k, v in fields.items())


def _write(path: Path, header: str, records: npt.NDArray[Any]) -> None:
    path.write_bytes(header.encode().ljust(1024) + records.tobytes())
