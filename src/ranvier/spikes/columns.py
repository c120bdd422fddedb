"""The columns of spikes: one value per spike each, in time order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError

Columns = dict[str, npt.NDArray[Any]]

#: Bits of ``flags``.
FLAG_COLLISION = 1
FLAG_RELABELLED = 2
FLAG_ARTIFACT = 4

#: Name, type, and what is stored where nothing is given.
KNOWN: dict[str, tuple[np.dtype[Any], float]] = {
    "sample_index": (np.dtype("<i8"), 0),
    "unit": (np.dtype("<i4"), 0),
    "site": (np.dtype("<i4"), -1),
    "amplitude_uv": (np.dtype("<f4"), np.nan),
    "margin": (np.dtype("<f4"), np.nan),
    "x_um": (np.dtype("<f4"), np.nan),
    "y_um": (np.dtype("<f4"), np.nan),
    "flags": (np.dtype("<u4"), 0),
}
#: Snippets of sources that had nothing else: float32 uV ``(spikes, sites, points)``.
SNIPPETS = "snippets_uv"


def checked(given: Mapping[str, npt.ArrayLike]) -> Columns:
    """Return every column in its type, spikes in time order (those of one sample in the order given).

    Raises
    ------
    ConfigurationError
        A column that is not known, not one-dimensional, of another length, or that does not fit its type.
    """
    unknown = sorted(set(given) - set(KNOWN) - {SNIPPETS})
    if unknown or "sample_index" not in given:
        raise ConfigurationError(
            f"spikes need sample_index and take {', '.join([*KNOWN, SNIPPETS])}; got {', '.join(sorted(given))}"
        )
    samples = _typed("sample_index", given["sample_index"])
    n = len(samples)
    columns: Columns = {"sample_index": samples}
    for name, (dtype, missing) in KNOWN.items():
        if name != "sample_index":
            columns[name] = _typed(name, given[name]) if name in given else np.full(n, missing, dtype)
    if SNIPPETS in given:
        columns[SNIPPETS] = np.asarray(given[SNIPPETS], dtype="<f4")
        if columns[SNIPPETS].ndim != 3:
            raise ConfigurationError(f"{SNIPPETS} are (spikes, sites, points); got {columns[SNIPPETS].shape}")
    lengths = {name: len(column) for name, column in columns.items()}
    if set(lengths.values()) != {n}:
        raise ConfigurationError(f"columns of spikes differ in length: {lengths}")
    if n and int(columns["unit"].min()) < 0:
        raise ConfigurationError(f"unit {int(columns['unit'].min())}: units are numbers from 1 on, 0 is none")
    if np.any(np.diff(samples) < 0):
        order = np.argsort(samples, kind="stable")
        columns = {name: column[order] for name, column in columns.items()}
    return columns


def _typed(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    dtype = KNOWN[name][0]
    array = np.asarray(values)
    if array.ndim != 1:
        raise ConfigurationError(f"{name} is one value per spike; got an array of shape {array.shape}")
    if dtype.kind in "iu" and array.size:
        limits = np.iinfo(dtype)
        if array.dtype.kind not in "iu" or int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise ConfigurationError(f"{name} are whole numbers from {limits.min} to {limits.max}; got {array.dtype}")
    return array.astype(dtype, copy=False)
