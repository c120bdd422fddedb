"""Arrays and tables of a phy or Kilosort output folder, as MATLAB, Python and several releases wrote them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.recordings.formats.openephys_npy import NpyFile

#: Labels of clusters that are no units.
NO_UNITS = frozenset({"noise", "bad", "delete", "artifact", "artefact"})
#: Tables with a label per cluster, the strongest last: phy's own overrides what Kilosort guessed.
_LABELS = (
    ("cluster_KSLabel.tsv", "KSLabel"),
    ("cluster_info.tsv", "KSLabel"),
    ("cluster_info.tsv", "group"),
    ("cluster_groups.csv", "group"),
    ("cluster_group.tsv", "group"),
)


def load_array(path: Path) -> npt.NDArray[Any]:
    """Return an array of numbers, as far as the file goes; RecordingError where it is damaged."""
    file = NpyFile.open(path, any_order=True)
    if file.dtype.kind not in "iuf":
        raise RecordingError(f"{path} holds no numbers")
    return file.load(file.header_rows)


def load_vector(path: Path) -> npt.NDArray[Any]:
    """Return a column whichever way it lies: ``(n,)``, ``(n, 1)`` or ``(1, n)``, C or Fortran order."""
    values = load_array(path)
    if values.ndim > 1 and sum(n > 1 for n in values.shape) > 1:
        raise RecordingError(f"{path} should hold one column, not an array of shape {values.shape}")
    return values.ravel()


def load_integers(path: Path, most: int = 2**62) -> npt.NDArray[np.int64]:
    """Return a column of whole numbers from 0 to ``most``; RecordingError where it holds others."""
    values = load_vector(path)
    if values.dtype.kind == "f":
        whole = np.isfinite(values) & (values == np.floor(values))
        if not np.all(whole):
            raise RecordingError(f"{path} holds numbers that are not whole")
    if len(values) and not (values.min() >= 0 and values.max() <= most):
        raise RecordingError(f"{path} holds numbers outside 0 to {most}")
    return values.astype(np.int64)


def cluster_labels(folder: Path) -> dict[int, str]:
    """Return the label of each cluster that has one: phy's groups, else Kilosort's own labels.

    ``unsorted`` is what phy calls a cluster that nobody has judged: no label.
    """
    labels: dict[int, str] = {}
    for name, column in _LABELS:
        for row in _rows(folder / name):
            number = row.get("cluster_id") or row.get("id") or ""
            label = (row.get(column) or "").strip()
            if number.strip().isdigit() and len(number) < 10 and label and label.lower() != "unsorted":
                labels[int(number)] = label
    return labels


def _rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table with tabs (some releases wrote commas); nothing where there is none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines = text.splitlines()
    delimiter = "\t" if lines and "\t" in lines[0] else ","
    try:
        return [{k: v for k, v in row.items() if isinstance(k, str) and isinstance(v, str)}
                for row in csv.DictReader(lines, delimiter=delimiter)]  # fmt: skip
    except csv.Error:
        return []


def peak_channels(folder: Path, channel_map: npt.NDArray[np.int64]) -> npt.NDArray[np.int32] | None:
    """Return the native channel with the largest swing of each template; None where templates do not tell."""
    path = folder / "templates.npy"
    if not path.is_file():
        return None
    try:
        templates = load_array(path)
        if templates.ndim != 3:
            return None
        sparse = folder / "templates_ind.npy"
        where = load_array(sparse).astype(np.int64) if sparse.is_file() else None
    except RecordingError:
        return None
    peaks = np.full(len(templates), -1, np.int32)
    for i in range(len(templates)):
        column = int(np.argmax(np.ptp(np.nan_to_num(np.asarray(templates[i], np.float64)), axis=0)))
        if where is not None and where.shape == (len(templates), templates.shape[2]):
            column = int(where[i, column])
        if 0 <= column < len(channel_map):
            peaks[i] = channel_map[column]
    return peaks
