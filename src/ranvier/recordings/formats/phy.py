"""Output folders of Kilosort and phy: spike trains, and the signals where ``params.py`` names a file that exists.

``spike_clusters`` (what curation made) goes before ``spike_templates`` (what the sorter found), and both are kept
apart: the channel of a spike follows from its template. Clusters labelled noise, bad or delete are no units: their
spikes have unit 0. Units have the numbers of their clusters, plus one where a cluster 0 exists (0 means: not a unit);
``unit_names`` gives the folder's own numbers and labels.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.models.signals import SignalType
from ranvier.recordings.channels import ChannelTable, Site, plain_channels
from ranvier.recordings.events import SpikeTrains
from ranvier.recordings.format import Format
from ranvier.recordings.formats import kilosort
from ranvier.recordings.formats.phy_tables import (
    NO_UNITS,
    cluster_labels,
    load_array,
    load_integers,
    peak_channels,
)
from ranvier.recordings.formats.raw_shape import DEFAULT_GAIN_UV, gain_from_params, params_py
from ranvier.recordings.session import Session

NAME = "phy folder"
TRAINS = "phy"
_DEFAULT_FS_HZ = 30_000
_MOST_CHANNELS = 100_000
#: What belongs to a sorting; samples do not (removing a sorting must not remove the recording).
_OWN_FILES = ("*.npy", "cluster_*.tsv", "cluster_*.csv", "params.py", "phy.log", "*.phy2")


def detect(path: Path) -> Path | None:
    """Return the folder, for itself or for its params.py or one of its arrays; None where it is none."""
    folder = path if path.is_dir() else path.parent
    if not path.is_dir() and not (
        path.is_file() and (path.suffix in (".npy", ".tsv", ".phy2") or path.name == "params.py")
    ):
        return None
    has_units = any((folder / f"spike_{name}.npy").is_file() for name in ("clusters", "templates"))
    return folder if has_units and (folder / "spike_times.npy").is_file() else None


def open_phy(folder: Path) -> Session:
    """Open a folder: its spike trains, and the signals they were found in where those are there.

    Raises
    ------
    RecordingError
        Where spike times or clusters are damaged.
    """
    params_path = folder / "params.py"
    params = params_py(params_path)
    notes: list[str] = []
    signals = _signals(params_path, notes)
    fs = signals.stream().fs if signals is not None else _rate(params, params_path, notes)
    channel_map, positions = _channel_map(folder, notes), _positions(folder)
    first = signals.stream().start if signals is not None else 0
    trains, clusters = _trains(folder, channel_map, first, notes)
    if (folder / "whitening_mat_inv.npy").is_file() and signals is None and gain_from_params(params) is None:
        notes.append(
            f"its templates are in counts, and {DEFAULT_GAIN_UV:g} uV per count is assumed; write {params_path} with a "
            f"line such as 'ampfactor = 2.34e-6' (V per count) to state it"
        )
    table = _placed(None if signals is None else signals.stream().channels, channel_map, positions)
    streams = {} if signals is None else dict(signals.streams)
    for recording in streams.values():
        recording.channels = table
    return Session(
        path=folder,
        file_type=RadiensFileType.SPKS_PHY2,
        format=NAME,
        streams=streams,
        events={} if signals is None else signals.events,
        spike_trains={TRAINS: trains},
        provenance=None if signals is None else signals.provenance,
        notes=tuple(notes),
        extra={"phy": {"clusters": clusters, "fs_hz": float(fs)}},
        fs=fs,
        channels=table,
    )


def _signals(params_path: Path, notes: list[str]) -> Session | None:
    """Open the signals that ``params.py`` names; a note says why there are none."""
    if not params_path.is_file():
        notes.append("params.py is missing, so the raw recording is not named: no signals")
        return None
    try:
        return kilosort.open_kilosort(params_path)
    except RecordingError as error:
        notes.append(f"no signals: {error}")
        return None


def _rate(params: dict[str, Any], params_path: Path, notes: list[str]) -> Fraction:
    stated = params.get("sample_rate")
    if isinstance(stated, (int, float)) and not isinstance(stated, bool) and 0 < stated < 1e9:
        return Fraction(stated).limit_denominator(10**6)
    notes.append(
        f"{_DEFAULT_FS_HZ} Hz is assumed, nothing tells the sampling rate; write {params_path} with the line "
        f"'sample_rate = 30000' to state it"
    )
    return Fraction(_DEFAULT_FS_HZ)


def _trains(
    folder: Path, channel_map: npt.NDArray[np.int64], first: int, notes: list[str]
) -> tuple[SpikeTrains, list[dict[str, Any]]]:
    """Return the spikes in time order, and what is known about each cluster."""
    times = load_integers(folder / "spike_times.npy")
    templates = _column(folder / "spike_templates.npy")
    clusters = _column(folder / "spike_clusters.npy")
    found = [c for c in (templates, clusters) if c is not None]
    n = min(len(times), *(len(c) for c in found))
    if any(len(c) != n for c in (times, *found)):
        notes.append(f"its columns of spikes differ in length; the first {n:,} spikes are used")
    own = found[-1][:n]
    labels = cluster_labels(folder)
    ids, counts = np.unique(own, return_counts=True)
    shift = 1 if len(ids) and ids[0] == 0 else 0
    dropped = np.array([labels.get(int(i), "").lower() in NO_UNITS for i in ids], dtype=np.bool_)
    unit_of = np.where(dropped, 0, ids + shift).astype(np.int32)
    units = unit_of[np.searchsorted(ids, own)]
    if dropped.any():
        notes.append(f"{int(dropped.sum())} clusters labelled {', '.join(sorted(NO_UNITS))} are no units")
    peaks = peak_channels(folder, channel_map) if templates is not None else None
    sites = np.full(n, -1, np.int32)
    if peaks is not None and templates is not None:
        known = templates[:n] < len(peaks)
        sites[known] = peaks[templates[:n][known]]
    order = np.argsort(times[:n], kind="stable")
    names = {int(u): f"{i} {labels.get(int(i), '')}".strip() for i, u in zip(ids, unit_of, strict=True) if u}
    table = [
        {"cluster": int(i), "unit": int(u), "label": labels.get(int(i), ""), "spikes": int(c)}
        for i, u, c in zip(ids, unit_of, counts, strict=True)
    ]
    return SpikeTrains(times[:n][order] + first, units[order], sites[order], None, names or None), table


def _column(path: Path) -> npt.NDArray[np.int64] | None:
    return load_integers(path, 2**31 - 2) if path.is_file() else None


def _channel_map(folder: Path, notes: list[str]) -> npt.NDArray[np.int64]:
    """Return the column of the raw file that each sorted channel is; identity where the folder does not tell."""
    for name in ("channel_map.npy", "channel_positions.npy", "whitening_mat.npy"):
        if not (folder / name).is_file():
            continue
        try:
            if name == "channel_map.npy":
                found = load_integers(folder / name, _MOST_CHANNELS)
                if len(np.unique(found)) == len(found) and len(found) <= _MOST_CHANNELS:
                    return found
                raise RecordingError(f"{folder / name} names a channel twice")
            return np.arange(min(len(load_array(folder / name)), _MOST_CHANNELS), dtype=np.int64)
        except RecordingError as error:
            notes.append(f"{error}; identity is assumed")
    return np.empty(0, np.int64)


def _positions(folder: Path) -> npt.NDArray[np.float64] | None:
    path = folder / "channel_positions.npy"
    if not path.is_file():
        return None
    try:
        found = np.asarray(load_array(path), np.float64)
    except RecordingError:
        return None
    return found if found.ndim == 2 and found.shape[1] == 2 and np.all(np.isfinite(found)) else None


def _placed(
    known: ChannelTable | None, channel_map: npt.NDArray[np.int64], positions: npt.NDArray[np.float64] | None
) -> ChannelTable:
    """Return the channels of the raw file (those that were sorted, where there is none) with their sites."""
    if known is None:
        plain = plain_channels(amp=int(channel_map.max()) + 1 if len(channel_map) else 0)
        known = plain.take(np.sort(channel_map))
    if positions is None or len(positions) != len(channel_map) or not len(channel_map):
        return known
    if any(c.site is not None for c in known):
        return known
    sites = {int(c): Site(float(x), float(y)) for c, (x, y) in zip(channel_map, positions, strict=True)}
    placed = tuple(replace(c, site=sites.get(c.ntv)) if c.type == SignalType.AMP else c for c in known)
    return ChannelTable(placed, geometry_source="file", wiring_verified=True)


def files_of(folder: Path) -> list[Path]:
    """Return the files of the sorting, not the samples it was made from."""
    found = {p for pattern in _OWN_FILES for p in folder.glob(pattern) if p.is_file()}
    return sorted(found)


FORMAT = Format(
    name=NAME,
    file_type=RadiensFileType.SPKS_PHY2,
    suffixes=(".phy2",),
    detect=detect,
    open=open_phy,
    files=files_of,
    base_name=lambda folder: folder.name,
)
