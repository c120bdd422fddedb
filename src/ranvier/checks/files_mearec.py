"""Writes files laid out as MEArec writes them, with known content, to test readers with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class MearecContent:
    """What a made file holds: samples in uV ``(samples, channels)``, contacts ``(channels, 3)``, spikes in seconds."""

    path: Path
    fs_hz: float
    samples_uv: npt.NDArray[np.float32]
    positions_um: npt.NDArray[np.float64]
    spike_times_sec: tuple[npt.NDArray[np.float64], ...]


def write_mearec(
    path: Path,
    *,
    version: str = "1.9.0",
    channels: int = 6,
    samples: int = 4000,
    units: int = 3,
    fs_hz: float = 32_000.0,
    gain_to_uv: float | None = None,
    plane: str = "yz",
    seed: int = 0,
) -> MearecContent:
    """Write a file of random samples; releases before 1.5 store ``(channels, samples)``.

    Parameters
    ----------
    gain_to_uv
        Store int16 counts of this many microvolts instead of float32.
    """
    import h5py

    rng = np.random.default_rng(seed)
    counts = rng.integers(-2000, 2000, (samples, channels)).astype(np.int16)
    values = counts.astype(np.float32) * np.float32(0.25) if gain_to_uv is None else counts
    physical = values.astype(np.float32) if gain_to_uv is None else (counts * gain_to_uv).astype(np.float32)
    positions = np.zeros((channels, 3))
    positions[:, 1], positions[:, 2] = np.arange(channels) % 2 * 20.0, np.arange(channels) // 2 * 25.0
    trains = tuple(np.sort(rng.integers(0, samples, 20 + i)) / fs_hz for i in range(units))
    modern = tuple(int(n) for n in version.split(".")[:2]) >= (1, 5)
    with h5py.File(path, "w") as file:
        if modern:
            file.attrs["mearec_version"] = version
        file["recordings"] = values if modern else np.ascontiguousarray(values.T)
        if gain_to_uv is not None:
            file["recordings"].attrs["gain_to_uV"] = gain_to_uv
        file["channel_positions"] = positions
        file["timestamps"] = np.arange(samples) / fs_hz
        file["info/recordings/fs"] = fs_hz
        file["info/recordings/duration"] = samples / fs_hz
        file["info/recordings/dtype"] = str(values.dtype)
        file["info/electrodes/electrode_name"] = "Neuronexus-32"
        file["info/electrodes/plane"] = plane
        for i, times in enumerate(trains):
            file[f"spiketrains/{i}/times"] = times
            file[f"spiketrains/{i}/t_stop"] = samples / fs_hz
            file[f"spiketrains/{i}/annotations/cell_type"] = "E" if i % 2 else "I"
    return MearecContent(path, fs_hz, physical, positions, trains)
