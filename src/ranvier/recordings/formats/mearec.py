"""MEArec simulations: HDF5 files with recordings, ground-truth spike trains and the positions of the contacts.

Written by MEArec 1.5 and later as ``(samples, channels)``, by earlier releases as ``(channels, samples)``.
Float samples are microvolts; integer samples have an attribute ``gain_to_uV``. The data are simulated, and marked so.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings.channels import ChannelTable, Site, plain_channels
from ranvier.recordings.events import SpikeTrains
from ranvier.recordings.format import Format
from ranvier.recordings.formats.counters import counters_of_seconds, exact_rate
from ranvier.recordings.formats.hdf5_columns import Hdf5Recording, StoredColumns
from ranvier.recordings.formats.nwb_file import (
    UNREADABLE,
    child,
    is_hdf5,
    is_plausible,
    missing_from,
    number_of,
    opened,
    rows_present,
    scalar_text,
    text_of,
)
from ranvier.recordings.lazy import LazyDict
from ranvier.recordings.segments import Segments
from ranvier.recordings.session import Session

NAME = "MEArec"
#: The longest suffix is the API's own.
_SUFFIXES = (".mearec.hdf5", ".mearec.h5", ".hdf5", ".h5")
#: Releases before this one store ``(channels, samples)``.
_TIME_MAJOR_SINCE = (1, 5)
#: Axes of the plane of a probe, as MEAutility names planes.
_PLANES = {"xy": (0, 1), "yz": (1, 2), "xz": (0, 2)}


def detect(path: Path) -> Path | None:
    """Return the path of a MEArec file (the suffix may be left out); None where it is none."""
    for candidate in (path, *(path.with_name(path.name + suffix) for suffix in _SUFFIXES)):
        if not candidate.is_file() or not is_hdf5(candidate):
            continue
        try:
            with opened(candidate) as file:
                if "recordings" in file and ("info/recordings/fs" in file or "mearec_version" in file.attrs):
                    return candidate
        except UNREADABLE:
            continue
    return None


def open_mearec(path: Path) -> Session:
    """Open a file; one that was cut opens with the samples that are there."""
    with opened(path) as file:
        try:
            return _open(path, file)
        except RecordingError:
            raise
        except (KeyError, ValueError, TypeError, OSError, RuntimeError, ArithmeticError) as error:
            raise RecordingError(f"{path}: what describes its samples is damaged ({error})") from error


def _open(path: Path, file: Any) -> Session:
    data = child(file, "recordings")
    if data is None or getattr(data, "ndim", 0) != 2 or data.dtype.kind not in "if" or not is_plausible(data):
        raise RecordingError(f"{path}: its dataset 'recordings' is missing or damaged")
    rate = file["info/recordings/fs"][()]
    fs = exact_rate(float(rate), where=f"{path}: info/recordings/fs")
    transposed = _version(file) < _TIME_MAJOR_SINCE
    columns, claimed = (int(n) for n in (data.shape if transposed else data.shape[::-1]))
    if not 0 < columns <= 1 << 16 or not claimed:
        raise RecordingError(f"{path}: {claimed} samples of {columns} channels")
    channels, notes = _channels(path, file, data, columns)
    end = missing_from(path)
    rows = claimed if end is None or transposed else min(claimed, rows_present(data, end))
    if rows < claimed:
        notes.append(f"the file was cut; {claimed - rows} of {claimed} samples at the end are lost")
    elif end is not None:
        notes.append("the file was cut; samples that were lost read as 0")
    is_counts = data.dtype == np.dtype("<i2")
    stored = StoredColumns("recordings", 0, columns, channels.gains, channels.offsets, is_counts, transposed)
    recording = Hdf5Recording(path, "", channels, [stored], fs, Segments.single(0, rows))
    recording.simulated = True
    recording.notes = tuple(notes)
    recording.lost_samples = claimed - rows
    has_spikes = child(file, "spiketrains") is not None
    return Session(
        path=path,
        file_type=RadiensFileType.MEAREC_HDF5,
        format=NAME,
        streams={"": recording},
        spike_trains=LazyDict({"ground truth": partial(_spikes, path, recording)} if has_spikes else {}),
        notes=("simulated by MEArec",),
        extra={"mearec": {"version": text_of(file.attrs.get("mearec_version", "before 1.5"))}},
    )


def _version(file: Any) -> tuple[int, int]:
    numbers = re.findall(r"\d+", text_of(file.attrs.get("mearec_version", "1.4.0")))
    return (int(numbers[0]), int(numbers[1])) if len(numbers) > 1 else (1, 4)


def _channels(path: Path, file: Any, data: Any, columns: int) -> tuple[ChannelTable, list[str]]:
    notes: list[str] = []
    gain = 1.0
    if "gain_to_uV" in data.attrs:
        gain = number_of(data.attrs, "gain_to_uV", 1.0)
    elif data.dtype.kind == "i":
        notes.append("its samples are integers and it states no gain: 1 uV per count assumed")
    if gain == 0:
        raise RecordingError(f"{path}: a gain of 0 uV per count")
    source = "assumed" if notes else "file"
    sites, name = _sites(file, columns), scalar_text(file, "info/electrodes/electrode_name") or ""
    if sites is None:
        notes.append("its channel_positions are missing or do not fit its channels")
    plain = plain_channels(amp=columns, unit_source=source)
    made = (
        replace(c, gain=gain, probe_id=name, site_num=i + 1, site=None if sites is None else sites[i])
        for i, c in enumerate(plain)
    )
    known = sites is not None
    return ChannelTable(tuple(made), "file" if known else "assumed", wiring_verified=known), notes


def _sites(file: Any, columns: int) -> list[Site] | None:
    """Return the contacts in the plane of their probe: the stated one, else without the axis on which they agree."""
    stored = child(file, "channel_positions")
    if stored is None or stored.shape not in ((columns, 3), (columns, 2)) or stored.dtype.kind not in "fi":
        return None
    positions: npt.NDArray[np.float64] = stored[:].astype(np.float64)
    if not np.all(np.isfinite(positions)):
        return None
    plane = _PLANES.get(scalar_text(file, "info/electrodes/plane") or "")
    if positions.shape[1] == 2:
        plane = (0, 1)
    elif plane is None:
        flat = int(np.argmin(np.ptp(positions, axis=0)))
        plane = ((1, 2), (0, 2), (0, 1))[flat]
    depth = ({0, 1, 2} - set(plane)).pop()
    z = positions[:, depth] if positions.shape[1] == 3 else np.zeros(columns)
    return [Site(float(p[plane[0]]), float(p[plane[1]]), float(d)) for p, d in zip(positions, z, strict=True)]


def _spikes(path: Path, recording: Hdf5Recording) -> SpikeTrains:
    """Return all units; ids count from 1 (0 means: not sorted), names are MEArec's numbers."""
    parts, units, names = [np.empty(0, np.int64)], [np.empty(0, np.int32)], {}
    try:
        with opened(path) as file:
            group = file["spiketrains"]
            for i, key in enumerate(sorted((k for k in group if k.isdigit()), key=int)):
                times = group[f"{key}/times"]
                if times.ndim != 1 or times.dtype.kind != "f" or not is_plausible(times):
                    raise ValueError(f"{key}/times holds no times")
                parts.append(counters_of_seconds(times[:], recording.fs))
                units.append(np.full(len(parts[-1]), i + 1, np.int32))
                kind = scalar_text(group, f"{key}/annotations/cell_type") or ""
                names[i + 1] = f"{key} {kind}".strip()
    except UNREADABLE as error:
        raise RecordingError(f"{path}: its spike trains are damaged ({error}); signals can still be read") from error
    counter, unit = np.concatenate(parts), np.concatenate(units)
    order = np.argsort(counter, kind="stable")
    return SpikeTrains(counter[order], unit[order], np.full(len(order), -1, np.int32), None, names or None)


def _base_name(path: Path) -> str:
    suffix = next((s for s in _SUFFIXES if path.name.lower().endswith(s)), "")
    return path.name[: len(path.name) - len(suffix)]


FORMAT = Format(
    name=NAME,
    file_type=RadiensFileType.MEAREC_HDF5,
    suffixes=_SUFFIXES,
    detect=detect,
    open=open_mearec,
    files=lambda path: [path],
    base_name=_base_name,
)
