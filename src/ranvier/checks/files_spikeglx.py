"""Writes SpikeGLX recordings with known content, to test readers with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class SpikeGlxContent:
    """What one made file holds: all saved words, ``(samples, channels)``, and the lines of its ``.meta``."""

    path: Path
    words: npt.NDArray[np.int16]
    fs_hz: float
    first_sample: int
    meta: dict[str, str]


def mux_table(adcs: int, groups: int) -> str:
    """Return ``muxTbl`` of Neuropixels 1.0 (32, 12) and 2.0 (24, 16): pairs of channels side by side per ADC pair."""
    rows = [" ".join(str(c) for c in range(adcs * groups) if c % (2 * groups) // 2 == group) for group in range(groups)]
    return f"({adcs},{groups})" + "".join(f"({row})" for row in rows)


def write_imec(
    folder: Path,
    *,
    run: str = "run",
    gate: int = 0,
    trigger: int | str = 0,
    probe: int = 0,
    band: str = "ap",
    generation: int = 1,
    saved: Sequence[int] | None = None,
    rows: int = 3000,
    first_sample: int = 1000,
    gains: tuple[int, int] = (500, 250),
    geometry: str = "snsGeomMap",
    mux: bool = True,
    created: str = "2024-05-01T12:00:00",
    seed: int = 0,
) -> SpikeGlxContent:
    """Write ``<run>_g<gate>_t<trigger>.imec<probe>.<band>.bin`` and its ``.meta``.

    Parameters
    ----------
    generation
        1: Neuropixels 1.0, 2: 2.0 with one shank, 4: 2.0 with four shanks.
    saved
        Acquired indices of the saved channels; all 384 by default. The SY word is always saved.
    geometry
        The table that tells positions, or "" for none.
    """
    channels = list(range(384)) if saved is None else list(saved)
    first = generation == 1
    band_hz = 2500 if band == "lf" else 30000
    counts = (0, len(channels), 1) if band == "lf" else (len(channels), 0, 1)
    behind = 384 if band == "lf" else 0
    sy = 768 if first else 384
    part = {1: "NP1000", 2: "NP2000", 4: "NP2010"}[generation]
    meta = {
        "typeThis": "imec",
        "imDatPrb_type": {1: "0", 2: "21", 4: "24"}[generation],
        "imDatPrb_pn": part,
        "imDatPrb_sn": "18005116811",
        "imDatPrb_port": "1",
        "imDatPrb_slot": "3",
        "imSampRate": str(band_hz),
        "imAiRangeMax": "0.6" if first else "0.5",
        "imMaxInt": "512" if first else "8192",
        "imChan0apGain": str(gains[0]) if first else "80",
        "acqApLfSy": "384,384,1" if first else "384,0,1",
        "snsApLfSy": ",".join(map(str, counts)),
        "snsSaveChanSubset": "all"
        if saved is None and not behind and not first
        else ",".join(str(c + behind) for c in channels) + f",{sy}",
        "~imroTbl": _imro(generation, gains),
        "~snsChanMap": "(384,384,1)"
        + "".join(f"({band.upper()}{c};{c + behind}:{i})" for i, c in enumerate(channels))
        + f"(SY0;{sy}:{len(channels)})",
    }
    if geometry == "snsGeomMap":
        meta["~snsGeomMap"] = f"({part},{4 if generation == 4 else 1},{250 if generation == 4 else 0},70)" + "".join(
            "({}:{:g}:{:g}:{})".format(*site_of(c, generation), int(c != 191)) for c in channels
        )
    elif geometry == "snsShankMap":
        meta["~snsShankMap"] = f"({4 if generation == 4 else 1},2,480)" + "".join(
            f"({site_of(c, generation)[0]}:{c % 2}:{_row(c, generation)}:1)" for c in channels
        )
    if mux:
        meta["~muxTbl"] = mux_table(32, 12) if first else mux_table(24, 16)
    stream = f"imec{probe}.{band}"
    rng = np.random.default_rng(seed)
    limit = 512 if first else 8192
    words = rng.integers(-limit, limit, (rows, len(channels) + 1)).astype("<i2")
    words[:, -1] = _pulses(rng, rows) << 6
    return _write(folder, f"{run}_g{gate}_t{trigger}.{stream}", meta, words, band_hz, first_sample, created)


def write_nidq(
    folder: Path,
    *,
    run: str = "run",
    gate: int = 0,
    trigger: int | str = 0,
    counts: tuple[int, int, int, int] = (2, 1, 3, 1),
    lines: str = "0:3,7",
    rows: int = 2500,
    fs_hz: float = 25000.127,
    first_sample: int = 400,
    gains: tuple[float, float] = (200.0, 2.0),
    created: str = "2024-05-01T12:00:00",
    seed: int = 0,
) -> SpikeGlxContent:
    """Write ``<run>_g<gate>_t<trigger>.nidq.bin`` and its ``.meta``: MN, MA, XA and digital words."""
    names = [f"{kind}{i}" for kind, n in zip(("MN", "MA", "XA", "XD"), counts, strict=True) for i in range(n)]
    meta = {
        "typeThis": "nidq",
        "niSampRate": repr(fs_hz),
        "niAiRangeMax": "5",
        "niMaxInt": "32768",
        "niMNGain": repr(gains[0]),
        "niMAGain": repr(gains[1]),
        "niXDBytes1": "1",
        "niXDChans1": lines,
        "acqMnMaXaDw": ",".join(map(str, counts)),
        "snsMnMaXaDw": ",".join(map(str, counts)),
        "snsSaveChanSubset": "all",
        "~snsChanMap": "(0,0,32,3,1)" + "".join(f"({name};{i}:{i})" for i, name in enumerate(names)),
    }
    rng = np.random.default_rng(seed)
    words = rng.integers(-32768, 32768, (rows, len(names))).astype("<i2")
    if counts[3]:
        words[:, -1] = sum(_pulses(rng, rows) << bit for bit in range(8))
    return _write(folder, f"{run}_g{gate}_t{trigger}.nidq", meta, words, fs_hz, first_sample, created)


def site_of(channel: int, generation: int) -> tuple[int, float, float]:
    """Return shank, x and y (um, on the shank) of a channel of the made probes."""
    if generation == 1:
        row = channel // 2
        return 0, 27.0 + 32.0 * (channel % 2) - (16.0 if row % 2 else 0.0), 20.0 * row
    return (channel // 96 if generation == 4 else 0), 27.0 + 32.0 * (channel % 2), 15.0 * _row(channel, generation)


def _row(channel: int, generation: int) -> int:
    return channel % 96 // 2 if generation == 4 else channel // 2


def _imro(generation: int, gains: tuple[int, int]) -> str:
    if generation == 1:
        return "(0,384)" + "".join(f"({c} 0 0 {gains[0] if c % 3 else 250} {gains[1]} 1)" for c in range(384))
    if generation == 2:
        return "(21,384)" + "".join(f"({c} 1 0 {c})" for c in range(384))
    return "(24,384)" + "".join(f"({c} {c // 96} 0 0 {c % 96})" for c in range(384))


def _pulses(rng: np.random.Generator, rows: int) -> npt.NDArray[np.int16]:
    """Return a line of 0 and 1 that changes every hundred samples or so."""
    flips = rng.random(rows) < 0.01
    return (np.cumsum(flips) & 1).astype("<i2")


def _write(
    folder: Path,
    name: str,
    meta: dict[str, str],
    words: npt.NDArray[np.int16],
    fs_hz: float,
    first_sample: int,
    created: str,
) -> SpikeGlxContent:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.bin"
    path.write_bytes(words.tobytes())
    meta = {
        "appVersion": "20230905",
        "fileCreateTime": created,
        "fileName": f"D:/data/{path.name}",
        "fileSizeBytes": str(words.nbytes),
        "fileTimeSecs": repr(len(words) / fs_hz),
        "firstSample": str(first_sample),
        "nSavedChans": str(words.shape[1]),
        **meta,
    }
    write_meta(path.with_suffix(".meta"), meta)
    return SpikeGlxContent(path, words, fs_hz, first_sample, meta)


def write_meta(path: Path, meta: dict[str, str]) -> None:
    """Write the lines of a ``.meta`` file."""
    path.write_text("".join(f"{key}={value}\n" for key, value in meta.items()))
