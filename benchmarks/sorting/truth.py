"""A recording with its truth as a folder: ``traces.i16``, ``truth.npz``, ``about.json``. Both environments read it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.sorting.recipes import FS, GAIN_UV
from scipy import signal

I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

#: Rows of a block while files are written.
BLOCK = 300_000
_ABOUT = "about.json"


@dataclass(frozen=True)
class Truth:
    """What is known about a recording.

    Attributes
    ----------
    folder
        Where it lies.
    places_um
        ``(channels, 2)`` sites.
    sample_index, unit
        ``(spikes,)`` troughs, and the unit (0, 1, ...) of each, in order of time.
    units_um
        ``(units, 3)`` places of the units at the beginning.
    about
        What ``about.json`` holds: seed, recipe, sha256 of the traces, SNR per unit, ...
    """

    folder: Path
    places_um: F64
    sample_index: I64
    unit: I64
    units_um: F64
    about: dict[str, Any] = field(repr=False)

    @classmethod
    def load(cls, folder: Path) -> Truth:
        """Read a finished folder."""
        about = json.loads((folder / _ABOUT).read_text())
        with np.load(folder / "truth.npz") as z:
            return cls(folder, z["places_um"], z["sample_index"], z["unit"], z["units_um"], about)

    @property
    def channels(self) -> int:
        return len(self.places_um)

    @property
    def fs(self) -> float:
        return float(self.about["fs"])

    @property
    def seconds(self) -> float:
        return float(self.about["samples"]) / self.fs

    @property
    def snr(self) -> F64:
        """``(units,)`` trough of the mean 300-6000 Hz waveform over the noise (MAD) of its best channel."""
        return np.array(self.about["snr"], dtype=np.float64)

    @property
    def cosine(self) -> F64:
        """``(units, units)`` cosine of mean filtered waveforms, all channels, no lag."""
        with np.load(self.folder / "truth.npz") as z:
            matrix: F64 = z["cosine"]
            return matrix

    def counts(self) -> npt.NDArray[np.int16]:
        """``(samples, channels)`` int16 counts, as a memory map."""
        return np.memmap(self.folder / "traces.i16", dtype="<i2", mode="r").reshape(-1, self.channels)


def is_finished(folder: Path) -> bool:
    """Return whether the folder holds a whole recording (``about.json`` is written last)."""
    return (folder / _ABOUT).exists()


def save(
    folder: Path,
    blocks: Iterator[F32],
    places_um: F64,
    sample_index: I64,
    unit: I64,
    units_um: F64,
    about: dict[str, Any],
) -> Truth:
    """Write a recording block by block (uV), then measure it (SNR, cosines) and finish its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    digest, rows = hashlib.sha256(), 0
    with open(folder / "traces.i16", "wb") as file:
        for block in blocks:
            counts = np.clip(np.rint(block / GAIN_UV), -32767, 32767).astype("<i2")
            file.write(counts.tobytes())
            digest.update(counts.tobytes())
            rows += len(counts)
    count = len(units_um)
    traces = np.memmap(folder / "traces.i16", dtype="<i2", mode="r").reshape(rows, len(places_um))
    fs = float(about.get("fs", FS))
    snr, means = measured(traces, fs, sample_index, unit, count)
    flat = means.reshape(count, -1)
    length = np.linalg.norm(flat, axis=1)
    cosine = flat @ flat.T / np.maximum(np.outer(length, length), 1e-12)
    np.savez(
        folder / "truth.npz",
        sample_index=sample_index,
        unit=unit,
        places_um=places_um,
        units_um=units_um,
        cosine=cosine,
    )
    told = {
        "fs": fs,
        **about,
        "samples": rows,
        "channels": len(places_um),
        "gain_uv": GAIN_UV,
        "spikes": len(unit),
        "sha256": digest.hexdigest(),
        "snr": [round(float(v), 3) for v in snr],
    }
    partial = folder / (_ABOUT + ".part")
    partial.write_text(json.dumps(told, indent=1))
    os.replace(partial, folder / _ABOUT)
    return Truth.load(folder)


def measured(
    traces: npt.NDArray[np.int16], fs: float, sample_index: I64, unit: I64, count: int
) -> tuple[F64, npt.NDArray[np.float64]]:
    """Return SNR and mean filtered waveform (40 samples, all channels) of each unit, from up to 300 spikes.

    SNR is that of the first figures: filtered both ways, first 60 s, MAD of the first 10 s.
    """
    n = min(len(traces), int(60 * fs))
    channels = traces.shape[1]
    top = min(6000.0, 0.45 * fs)
    sos = signal.butter(3, [300, top], "bandpass", fs=fs, output="sos")
    before, after = round(0.0005 * fs), round(25 / 30000 * fs)
    spikes = [sample_index[unit == u] for u in range(count)]
    spikes = [at[(at > 100) & (at < n - 100)][:300] for at in spikes]
    measured = [u for u in range(count) if len(spikes[u]) >= 3]
    noise, means = np.zeros(channels), np.zeros((count, before + after, channels))
    for first in range(0, channels, 64):  # some channels at a time: 1024 of them at once would not fit
        part = slice(first, min(first + 64, channels))
        filtered = np.concatenate(
            [
                signal.sosfiltfilt(sos, traces[:n, c : min(c + 16, part.stop)].astype("f4") * GAIN_UV, axis=0)
                for c in range(first, part.stop, 16)
            ],
            axis=1,
            dtype=np.float32,
        )
        noise[part] = [np.median(np.abs(c - np.median(c))) / 0.6745 for c in filtered[: int(10 * fs)].T]
        for u in measured:
            means[u][:, part] = np.mean([filtered[i - before : i + after] for i in spikes[u]], axis=0)
    snr = np.zeros(count)
    for u in measured:
        best = int(np.argmin(means[u].min(axis=0)))
        snr[u] = -means[u][:, best].min() / noise[best]
    return snr, means
