"""Writes Open Ephys binary recordings with known content, to test readers with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class OpenEphysStream:
    """What one made stream holds: counts, ``(samples, channels)``; the counter and time of each sample; TTL edges."""

    folder: Path
    name: str
    counts: npt.NDArray[np.int16]
    counters: npt.NDArray[np.int64]
    seconds: npt.NDArray[np.float64]
    bit_volts: tuple[float, ...]
    ttl_counters: npt.NDArray[np.int64]
    ttl_states: npt.NDArray[np.int16]


@dataclass(frozen=True)
class OpenEphysContent:
    """One made recording."""

    path: Path
    streams: dict[str, OpenEphysStream]
    messages: tuple[tuple[int, str], ...] = ()
    spikes: dict[str, dict[str, npt.NDArray[Any]]] = field(default_factory=dict)


def write_openephys(
    session: Path,
    *,
    node: int = 101,
    experiment: int = 1,
    recording: int = 1,
    streams: Sequence[str] = ("probe",),
    rows: int = 1000,
    channels: int = 4,
    adc: int = 1,
    fs_hz: float = 30000.0,
    first_counter: int = 5000,
    gaps: Sequence[tuple[int, int]] = (),
    legacy: bool = False,
    mixed_order: bool = False,
    units: bool = True,
    spikes: int = 0,
    messages: Sequence[tuple[int, str]] = (),
    seed: int = 0,
) -> OpenEphysContent:
    """Write one recording below ``session``; return what is in it.

    Parameters
    ----------
    gaps
        ``(row, n)``: n samples are missing before that row, in every stream.
    legacy
        Name files as releases before 0.6 did: timestamps are sample numbers, states are channel_states.
    mixed_order
        Put the analog inputs before the headstage channels.
    units
        Say the units of channels, as newer releases do.
    """
    rng = np.random.default_rng(seed)
    path = session / f"Record Node {node}" / f"experiment{experiment}" / f"recording{recording}"
    made: dict[str, OpenEphysStream] = {}
    oebin: dict[str, Any] = {
        "GUI version": "0.5.5" if legacy else "0.6.7",
        "continuous": [],
        "events": [],
        "spikes": [],
    }
    for number, name in enumerate(streams):
        folder = f"Source-{100 + number}.{name}"
        stream = _signals(path, folder, name, rng, rows, channels, adc, fs_hz, first_counter, gaps, legacy, mixed_order)
        made[folder] = stream
        oebin["continuous"].append(
            _continuous(folder, name, number, stream, channels, adc, fs_hz, mixed_order, units, legacy)
        )
        oebin["events"].append(
            {
                "folder_name": f"{folder}/{'TTL_1' if legacy else 'TTL'}/",
                "channel_name": "All TTL events",
                "sample_rate": fs_hz,
                "stream_name": name,
                "source_processor": "Source",
            }
        )
    if messages:
        _messages(path, messages)
        oebin["events"].append(
            {
                "folder_name": "MessageCenter/",
                "channel_name": "Messages",
                "sample_rate": fs_hz,
                "stream_name": streams[0],
            }
        )
    groups: dict[str, dict[str, npt.NDArray[Any]]] = {}
    if spikes:
        groups["Stereotrode 1"] = _spikes(path, rng, spikes, first_counter, rows)
        oebin["spikes"].append(_spike_entry(streams[0], fs_hz))
    path.mkdir(parents=True, exist_ok=True)
    (path / "structure.oebin").write_text(json.dumps(oebin, indent=4))
    (path / "sync_messages.txt").write_text(
        "Software Time (milliseconds since midnight Jan 1st 1970 UTC): 1743680304612\n"
        f"Start Time for Source (100) - {streams[0]} @ {fs_hz:g} Hz: {first_counter}\n"
    )
    return OpenEphysContent(path, made, tuple(messages), groups)


def _signals(
    path: Path,
    folder: str,
    name: str,
    rng: np.random.Generator,
    rows: int,
    channels: int,
    adc: int,
    fs_hz: float,
    first_counter: int,
    gaps: Sequence[tuple[int, int]],
    legacy: bool,
    mixed_order: bool,
) -> OpenEphysStream:
    where = path / "continuous" / folder
    where.mkdir(parents=True, exist_ok=True)
    counts = rng.integers(-32768, 32768, (rows, channels + adc)).astype("<i2")
    counters = first_counter + np.arange(rows, dtype=np.int64)
    for row, missing in gaps:
        counters[row:] += missing
    seconds = counters / fs_hz
    (where / "continuous.dat").write_bytes(counts.tobytes())
    if legacy:
        np.save(where / "timestamps.npy", counters)
    else:
        np.save(where / "sample_numbers.npy", counters)
        np.save(where / "timestamps.npy", seconds)
    events = path / "events" / folder / ("TTL_1" if legacy else "TTL")
    events.mkdir(parents=True, exist_ok=True)
    at = np.sort(rng.choice(counters, 20, replace=False)) if rows >= 20 else counters[:0]
    states = (rng.integers(1, 9, len(at)) * rng.choice([-1, 1], len(at))).astype(np.int16)
    np.save(events / ("channel_states.npy" if legacy else "states.npy"), states)
    np.save(events / ("timestamps.npy" if legacy else "sample_numbers.npy"), at)
    np.save(events / "full_words.npy", np.zeros(len(at), np.uint64))
    if legacy:
        np.save(events / "channels.npy", np.abs(states).astype(np.uint16))
    else:
        np.save(events / "timestamps.npy", at / fs_hz)
    amplifier, analog = [0.195] * channels, [0.00015258789] * adc
    bit_volts = (*analog, *amplifier) if mixed_order else (*amplifier, *analog)
    return OpenEphysStream(where, name, counts, counters, seconds, bit_volts, at, states)


def _continuous(
    folder: str,
    name: str,
    number: int,
    stream: OpenEphysStream,
    channels: int,
    adc: int,
    fs_hz: float,
    mixed_order: bool,
    units: bool,
    legacy: bool,
) -> dict[str, Any]:
    amplifier = [("CH", "uV", i) for i in range(channels)]
    analog = [("ADC", "V", i) for i in range(adc)]
    ordered = [*analog, *amplifier] if mixed_order else [*amplifier, *analog]
    described = []
    for (prefix, unit, i), bit_volts in zip(ordered, stream.bit_volts, strict=True):
        described.append({"channel_name": f"{prefix}{i + 1}", "bit_volts": bit_volts, "units": unit if units else ""})
    entry: dict[str, Any] = {
        "folder_name": f"{folder}/",
        "sample_rate": fs_hz,
        "source_processor_name": "Source",
        "source_processor_id": 100 + number,
        "num_channels": channels + adc,
        "channels": described,
    }
    return entry if legacy else {**entry, "stream_name": name}


def _messages(path: Path, messages: Sequence[tuple[int, str]]) -> None:
    where = path / "events" / "MessageCenter"
    where.mkdir(parents=True, exist_ok=True)
    np.save(where / "sample_numbers.npy", np.array([c for c, _ in messages], np.int64))
    np.save(where / "timestamps.npy", np.array([c for c, _ in messages], np.float64))
    np.save(where / "text.npy", np.array([t.encode() for _, t in messages], "S513"))


def _spikes(path: Path, rng: np.random.Generator, n: int, first_counter: int, rows: int) -> dict[str, npt.NDArray[Any]]:
    where = path / "spikes" / "Detector-104.probe" / "Stereotrode 1"
    where.mkdir(parents=True, exist_ok=True)
    columns: dict[str, npt.NDArray[Any]] = {
        "sample_numbers": np.sort(rng.integers(first_counter, first_counter + rows, n)).astype(np.int64),
        "timestamps": np.zeros(n),
        "clusters": rng.integers(0, 4, n).astype(np.uint16),
        "electrode_indices": np.zeros(n, np.uint16),
        "waveforms": rng.integers(-500, 500, (n, 2, 40)).astype(np.int16),
    }
    for name, values in columns.items():
        np.save(where / f"{name}.npy", values)
    return columns


def _spike_entry(stream_name: str, fs_hz: float) -> dict[str, Any]:
    return {
        "name": "Stereotrode 1",
        "stream_name": stream_name,
        "sample_rate": fs_hz,
        "num_channels": 2,
        "pre_peak_samples": 8,
        "post_peak_samples": 32,
        "folder": "Detector-104.probe/Stereotrode 1/",
        "source_channels": [{"name": f"CH{i + 1}", "local_index": i, "bit_volts": 0.195} for i in (1, 2)],
    }


def write_neuropixels_settings(path: Path, streams: Sequence[str], *, part: str = "NP1000") -> None:
    """Write a ``settings.xml`` of a Neuropix-PXI processor with one probe whose first 384 sites are recorded."""
    electrodes = " ".join(f'ELECTRODE{i}="{i}"' for i in range(384))
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        "<SETTINGS><INFO><VERSION>0.6.7</VERSION></INFO><SIGNALCHAIN>",
        '<PROCESSOR name="Neuropix-PXI" nodeId="100" libraryVersion="0.6.0">',
        *(f'<STREAM name="{name}"/>' for name in streams),
        '<EDITOR><NP_PROBE slot="2" port="1" dock="1" isEnabled="1" probe_serial_number="18005116811"',
        f'probe_part_number="{part}" apGainValue="500x" lfpGainValue="250x">',
        f"<SELECTED_ELECTRODES {electrodes}/></NP_PROBE></EDITOR></PROCESSOR>",
        '<PROCESSOR name="Record Node" nodeId="101"/></SIGNALCHAIN></SETTINGS>',
    ]
    path.write_text("\n".join(lines))


def make_stale(path: Path, rows: int = 0) -> None:
    """Give a ``.npy`` file the header that a crash leaves: it claims ``rows``, whatever the file holds."""
    values = np.load(path)
    with open(path, "wb") as handle:
        np.lib.format.write_array_header_1_0(
            handle, {"descr": values.dtype.str, "fortran_order": False, "shape": (rows, *values.shape[1:])}
        )
        handle.write(values.tobytes())
