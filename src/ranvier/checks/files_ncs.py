"""Writes Neuralynx files with known content, to test readers with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

HEADER_BYTES = 16_384
_RECORD = np.dtype([("stamp", "<u8"), ("channel", "<u4"), ("fs", "<u4"), ("valid", "<u4"), ("samples", "<i2", (512,))])
_EVENT = np.dtype(
    [
        ("r", "<i2", (3,)),
        ("stamp", "<u8"),
        ("id", "<i2"),
        ("ttl", "<u2"),
        ("c", "<i2", (3,)),
        ("e", "<i4", (8,)),
        ("s", "S128"),
    ]
)


@dataclass(frozen=True)
class NcsContent:
    """One made ``.ncs``: the valid samples, and the stamp and length of each record."""

    path: Path
    counts: npt.NDArray[np.int16]
    stamps: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]


def nlx_header(kind: str, record_bytes: int, **properties: object) -> bytes:
    """Return the text that stands before the records."""
    lines = [
        "######## Neuralynx Data File Header",
        f"-FileType {kind}",
        "-FileVersion 3.4",
        f"-RecordSize {record_bytes}",
        '-OriginalFileName "C:\\CheetahData\\made"',
        "-TimeCreated 2024/03/05 14:30:15",
        "-TimeClosed 2024/03/05 14:31:15",
        '-ApplicationName Cheetah "6.4.2 "',
        "-AcquisitionSystem AcqSystem1 DigitalLynxSX",
        "-HardwareSubSystemName AcqSystem1",
        "-HardwareSubSystemType DigitalLynxSX",
        *(f"-{name} {value}" for name, value in properties.items()),
    ]
    return ("\r\n".join(lines) + "\r\n").encode("latin-1").ljust(HEADER_BYTES, b"\0")


def write_ncs(
    path: Path,
    *,
    records: int = 12,
    fs: float = 32_000.0,
    first_us: int = 8_000_000,
    gaps: Sequence[tuple[int, int]] = (),
    short: Sequence[tuple[int, int]] = (),
    jitter_us: float = 0.0,
    channel: int = 0,
    inverted: bool = False,
    volts: float = 3.05e-8,
    seed: int = 0,
) -> NcsContent:
    """Write one channel.

    Parameters
    ----------
    gaps
        (record, samples): so many samples are missing before a record.
    short
        (record, valid samples).
    """
    rng = np.random.default_rng([seed, channel])
    lengths = np.full(records, 512, np.int64)
    for record, valid in short:
        lengths[record] = valid
    counters = np.cumsum(lengths) - lengths
    for record, samples in gaps:
        counters[record:] += samples
    jitter = np.random.default_rng(seed).uniform(-jitter_us, jitter_us, records)
    made = np.zeros(records, _RECORD)
    made["stamp"] = first_us + np.rint(counters / fs * 1e6 + jitter).astype(np.int64)
    made["channel"], made["fs"], made["valid"] = channel, int(fs), lengths
    made["samples"] = rng.integers(-32768, 32768, (records, 512))
    header = nlx_header(
        "NCS", 1044, AcqEntName=f"CSC{channel + 1}", SamplingFrequency=fs, ADMaxValue=32767, ADBitVolts=f"{volts:.10g}",
        NumADChannels=1, ADChannel=channel, InputRange=1000, InputInverted=inverted,
        DSPLowCutFilterEnabled=True, DspLowCutFrequency=0.1, DSPHighCutFilterEnabled=True, DspHighCutFrequency=8000,
        DspDelayCompensation="Disabled",
    )  # fmt: skip
    path.write_bytes(header + made.tobytes())
    inside = np.arange(512) < lengths[:, None]
    return NcsContent(path, made["samples"][inside], made["stamp"].astype(np.int64), lengths)


def write_nlx_events(path: Path, events: Sequence[tuple[int, int, str]]) -> None:
    """Write a ``.nev``: (stamp, TTL word, text)."""
    made = np.zeros(len(events), _EVENT)
    for i, (stamp, word, text) in enumerate(events):
        made[i]["stamp"], made[i]["ttl"], made[i]["s"] = stamp, word, text.encode("latin-1")
        made[i]["id"] = 11 if "TTL" in text else 4
    path.write_bytes(nlx_header("Event", 184) + made.tobytes())


def write_nlx_spikes(
    path: Path, spikes: Sequence[tuple[int, int]], *, channels: int = 4, volts: float = 3.05e-8, seed: int = 0
) -> npt.NDArray[np.int16]:
    """Write a ``.nse`` (1 channel) or ``.ntt`` (4): (stamp, cell); return counts ``(n, points, channels)``."""
    kind = {1: "nse", 2: "nst", 4: "ntt"}[channels]
    dtype = np.dtype(
        [("stamp", "<u8"), ("acq", "<u4"), ("cell", "<u4"), ("f", "<i4", (8,)), ("s", "<i2", (32, channels))]
    )
    made = np.zeros(len(spikes), dtype)
    for i, (stamp, cell) in enumerate(spikes):
        made[i]["stamp"], made[i]["cell"] = stamp, cell
    counts = np.random.default_rng(seed).integers(-9000, 9000, (len(spikes), 32, channels)).astype(np.int16)
    made["s"] = counts
    header = nlx_header(
        kind.upper(), dtype.itemsize, AcqEntName=path.stem, SamplingFrequency=32_000, ADMaxValue=32767,
        ADBitVolts=" ".join([f"{volts:.10g}"] * channels), NumADChannels=channels,
        ADChannel=" ".join(str(i) for i in range(channels)), InputRange=" ".join(["1000"] * channels),
        InputInverted=False, WaveformLength=32,
    )  # fmt: skip
    path.write_bytes(header + made.tobytes())
    return counts
