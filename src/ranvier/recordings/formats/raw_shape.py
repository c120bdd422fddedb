"""What a headerless file needs said about it, and where that is said.

A headerless file says nothing about itself, so its shape must be stated: to ``open_raw``, or in a small file beside it,
named like the data with ``.json``, ``.yaml`` or ``.yml`` behind (``rec.dat.yaml`` beside ``rec.dat``)::

    fs: 30000             # samples per second
    num_channels: 64
    gain_uv: 0.195        # optional: microvolts per count; assumed (and noted) where it is missing
    offset_uv: 0          # optional
    dtype: int16          # optional: int16, uint16, int32, float32 (little endian)
    header_bytes: 0       # optional: bytes to skip
    start: 0              # optional: sample counter of the first row
    channel_names: [...]  # optional
"""

from __future__ import annotations

import ast
import json
import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.exceptions import RecordingError

DTYPES: dict[str, np.dtype[Any]] = {
    "int16": np.dtype("<i2"),
    "uint16": np.dtype("<u2"),
    "int32": np.dtype("<i4"),
    "float32": np.dtype("<f4"),
}
SIDECAR_SUFFIXES: tuple[str, ...] = (".json", ".yaml", ".yml")
#: uV per bit of the amplifier chips most of these files come from, and the vendor's rule for Kilosort files.
DEFAULT_GAIN_UV = 0.195
MOST_CHANNELS = 100_000


@dataclass(frozen=True)
class Shape:
    """The stated shape of a headerless file; ``document`` is all that its sidecar says."""

    fs: Fraction
    num_channels: int
    dtype: np.dtype[Any] = DTYPES["int16"]
    gain_uv: float = DEFAULT_GAIN_UV
    offset_uv: float = 0.0
    header_bytes: int = 0
    start: int = 0
    gain_is_assumed: bool = False
    document: Mapping[str, Any] = field(default_factory=dict)


def assumed_gain_uv(dtype: str) -> float:
    """Return the microvolts per unit of values that nothing states: float32 are microvolts, others counts."""
    return 1.0 if dtype == "float32" else DEFAULT_GAIN_UV


def sidecars(path: Path) -> list[Path]:
    """Return the names under which the shape of a file may be stated."""
    return [path.with_name(path.name + suffix) for suffix in SIDECAR_SUFFIXES]


def load_sidecar(path: Path) -> dict[str, Any]:
    """Return what a sidecar says; RecordingError where it cannot be read."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise RecordingError(f"{path} cannot be read ({str(error)[:100]})") from error
    if not isinstance(document, dict):
        raise RecordingError(f"{path} does not state the shape of a recording; see the example in the documentation")
    return document


def shape_from(document: Mapping[str, Any], source: Path) -> Shape:
    """Return the shape that a sidecar states; RecordingError names what is missing or cannot be meant."""
    name = str(document.get("dtype", "int16")).lstrip("<")
    if name not in DTYPES:
        raise RecordingError(f"{source}: dtype {name!r} is not one of {', '.join(DTYPES)}")
    columns = _whole(document, "num_channels", source, 1, MOST_CHANNELS)
    gain = document.get("gain_uv")
    stated = None if gain is None else _real(gain, "gain_uv", source)
    return Shape(
        fs=_rate(document.get("fs"), source),
        num_channels=columns,
        dtype=DTYPES[name],
        gain_uv=assumed_gain_uv(name) if stated is None else stated,
        offset_uv=_real(document.get("offset_uv", 0.0), "offset_uv", source),
        header_bytes=_whole(document, "header_bytes", source, 0, 1 << 40, 0),
        start=_whole(document, "start", source, -(1 << 53), 1 << 53, 0),
        gain_is_assumed=stated is None,
        document=document,
    )


def params_py(path: Path) -> dict[str, Any]:
    """Return the assignments of a ``params.py`` (Kilosort, phy) without running it; {} where it is none."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
        return {}
    found: dict[str, Any] = {}
    for line in tree.body:
        if isinstance(line, ast.Assign) and len(line.targets) == 1 and isinstance(line.targets[0], ast.Name):
            try:
                found[line.targets[0].id] = ast.literal_eval(line.value)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                continue
    return found


def shape_from_params(params: Mapping[str, Any], source: Path) -> Shape:
    """Return the shape that a ``params.py`` states; without ``ampfactor`` (V per count), 0.195 uV is assumed."""
    stated: dict[str, Any] = {
        "fs": params.get("sample_rate"),
        "num_channels": params.get("n_channels_dat"),
        "dtype": params.get("dtype", "int16"),
        "header_bytes": params.get("offset", 0),
    }
    gain = gain_from_params(params)
    return shape_from(stated if gain is None else {**stated, "gain_uv": gain}, source)


def gain_from_params(params: Mapping[str, Any]) -> float | None:
    """Return uV per count as ``ampfactor`` (V per count) states it; None where it does not, or cannot be meant."""
    factor = params.get("ampfactor")
    if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 0 < factor < 1:
        return None
    return float(factor) * 1e6


def _rate(value: Any, source: Path) -> Fraction:
    if isinstance(value, list) and len(value) == 2 and all(isinstance(v, int) and v > 0 for v in value):
        return Fraction(value[0], value[1])
    rate = _real(value, "fs", source)
    if not 0 < rate < 1e9:
        raise RecordingError(f"{source}: fs = {rate:g} is not a sampling rate in Hz")
    return Fraction(rate)


def _real(value: Any, key: str, source: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e30:
        raise RecordingError(f"{source}: {key} must be a number, not {reprlib.repr(value)}")
    if key == "gain_uv" and (value == 0 or not math.isfinite(value)):
        raise RecordingError(f"{source}: gain_uv must not be 0")
    return float(value)


def _whole(
    document: Mapping[str, Any], key: str, source: Path, least: int, most: int, default: int | None = None
) -> int:
    value = document.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise RecordingError(
            f"{source}: {key} must be a whole number from {least} to {most}, not {reprlib.repr(value)}"
        )
    return value
