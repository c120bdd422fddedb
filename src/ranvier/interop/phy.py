"""A phy folder of sorted spikes: what ``phy template-gui params.py``, phylib and SpikeInterface's ``read_phy`` open.

Clusters have the numbers of the units; curation is applied, and labels stand in ``cluster_group.tsv`` (``unsorted``
where there is none). Templates are not whitened (``whitening_mat.npy`` is the identity) and in counts of the samples
that ``params.py`` names, so that phy draws both to one scale; ``ampfactor`` there is V per count. A spike's amplitude
is the share of its template. Spikes without a unit are left out: phy has no place for them. ``phy`` needs principal
components for its feature view only; they are not written.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import CapabilityError, OutputExistsError
from ranvier.interop.sorted_spikes import SortedSpikes, UnitMeans, positions_of
from ranvier.models.signals import SignalType
from ranvier.recordings.files import StagedFiles, check_replaceable, writing
from ranvier.recordings.flat import FlatRecording
from ranvier.recordings.formats.raw_shape import DEFAULT_GAIN_UV
from ranvier.recordings.quantiser import Quantiser, loss_notes
from ranvier.recordings.sidecar import npy_bytes

#: Suffixes of samples that phy opens.
_KNOWN = (".dat", ".bin", ".raw")
#: What an earlier export holds, and what phy adds to it.
_OURS = (
    "spike_*.npy", "amplitudes.npy", "templates.npy", "similar_templates.npy", "channel_*.npy", "whitening_mat*.npy",
    "cluster_*.tsv", "params.py", "recording.dat", "phy.log", ".phy",
)  # fmt: skip
#: Samples of all channels that are copied at a time.
_ROWS = 1 << 16


def export_phy(spikes: SortedSpikes, folder: Path, *, signals: bool = False, force: bool = False) -> Path:
    """Write a folder; return its ``params.py``.

    Parameters
    ----------
    signals
        Copy the amplifier channels as ``recording.dat`` (int16, 0.195 uV, gaps as 0; comments in ``params.py`` say how
        many values were saturated or not known). Otherwise ``params.py`` names the recording where phy can read it as
        it is (plain rows without gaps), and else none: phy then shows no traces.

    Raises
    ------
    OutputExistsError, OutputError
        It exists already and ``force`` was not given; it holds other files, which are never removed; it cannot be
        written.
    CapabilityError
        There are no spikes of units, no channels, or no waveforms: the sorter left none, and the recording is not
        there.
    """
    folder = folder.expanduser().absolute()
    if folder.exists() and not force:
        raise OutputExistsError(f"{folder} exists already; choose another name or pass force=True")
    check_replaceable(folder, _OURS)
    units = spikes.counted()
    if not units or not len(spikes.amplifier):
        raise CapabilityError(f"{spikes.store.path.name}: there are no spikes of units, or no channels, to write")
    means = spikes.means(units)
    staged = StagedFiles()
    try:
        with writing(folder):
            inside = staged.path(folder)
            inside.mkdir(parents=True)
            dat = _copy(spikes, inside) if signals else _as_it_is(spikes)
            for name, content in [*_arrays(spikes, means, dat), *_tables(spikes, units), _params(spikes, dat)]:
                (inside / name).write_bytes(content)
        staged.commit([folder])
    except BaseException:
        staged.abort()
        raise
    return folder / "params.py"


@dataclass(frozen=True)
class _Dat:
    """Where the samples are: a file of rows (none where the path is empty), and the column of each channel."""

    path: str
    dtype: str
    header_bytes: int
    columns: int
    channel_map: tuple[int, ...]
    uv_per_count: float = 1.0
    notes: tuple[str, ...] = ()


def _arrays(spikes: SortedSpikes, means: UnitMeans, dat: _Dat) -> list[tuple[str, bytes]]:
    """Return the arrays by file name."""
    found = spikes.store.select(units=list(means.units), columns=("unit", "amplitude_uv", "x_um", "y_um"))
    row_of = np.searchsorted(np.array(means.units), found.units)
    _, extreme = means.peaks()
    with np.errstate(invalid="ignore", divide="ignore"):
        share = found.columns["amplitude_uv"] / extreme[row_of]
    counts = np.nan_to_num(means.waveforms_uv) / np.float32(dat.uv_per_count)
    templates = np.ascontiguousarray(counts.transpose(0, 2, 1), np.float32)
    n = len(spikes.amplifier)
    arrays: dict[str, npt.NDArray[Any]] = {
        "spike_times": found.samples - spikes.start,
        "spike_clusters": found.units.astype(np.int32),
        "spike_templates": row_of.astype(np.int32),
        "amplitudes": np.where(np.isfinite(share), share, 1.0).astype(np.float64),
        "templates": templates,
        "similar_templates": _similarity(templates),
        "channel_map": np.array(dat.channel_map, np.int32),
        "channel_positions": positions_of(spikes.amplifier),
        "channel_shanks": np.array([c.shank for c in spikes.amplifier], np.int32),
        "whitening_mat": np.eye(n),
        "whitening_mat_inv": np.eye(n),
    }
    places = np.stack([found.columns["x_um"], found.columns["y_um"]], axis=1)
    if np.isfinite(places).all():
        arrays["spike_positions"] = places.astype(np.float64)
    return [(f"{name}.npy", npy_bytes(array)) for name, array in arrays.items()]


def _tables(spikes: SortedSpikes, units: list[int]) -> list[tuple[str, bytes]]:
    """Return a table per property; each lists every cluster, as some readers demand."""
    records = [spikes.units[unit] for unit in units]
    tables: dict[str, list[Any]] = {
        "group": [r.label or "unsorted" for r in records],
        "ch": [r.site for r in records],
        "snr": ["" if r.snr is None else f"{r.snr:.3f}" for r in records],
    }
    out = []
    for name, values in tables.items():
        lines = [f"cluster_id\t{name}", *(f"{u}\t{v}" for u, v in zip(units, values, strict=True))]
        out.append((f"cluster_{name}.tsv", ("\n".join(lines) + "\n").encode()))
    return out


def _params(spikes: SortedSpikes, dat: _Dat) -> tuple[str, bytes]:
    text = "".join(f"# {note}\n" for note in dat.notes) + (
        f"dat_path = {[dat.path] if dat.path else []!r}\n"
        f"n_channels_dat = {dat.columns}\n"
        f"dtype = {dat.dtype!r}\n"
        f"offset = {dat.header_bytes}\n"
        f"sample_rate = {spikes.fs!r}\n"
        "hp_filtered = False\n"
        f"ampfactor = {dat.uv_per_count * 1e-6!r}\n"
    )
    return "params.py", text.encode()


def _as_it_is(spikes: SortedSpikes) -> _Dat:
    """Return the recording's own file, where phy can read that: rows of numbers of one gain, under a name it knows."""
    recording = spikes.recording
    if isinstance(recording, FlatRecording) and not recording.segments.missing:
        file, columns = recording.file, recording.channels.columns_of(SignalType.AMP)
        gains = set(recording.channels.gains[columns].tolist())
        if file.path.suffix in _KNOWN and file.dtype.str in ("<i2", "<f4") and len(gains) == 1:
            where = tuple(int(c) for c in columns)
            return _Dat(str(file.path.resolve()), file.dtype.name, file.header_bytes, file.columns, where, gains.pop())
    n = len(spikes.amplifier)
    return _Dat("", "int16", 0, n, tuple(range(n)))


def _copy(spikes: SortedSpikes, folder: Path) -> _Dat:
    """Copy the amplifier channels, 0.195 uV per count."""
    recording = spikes.recording
    if recording is None:
        raise CapabilityError(f"{spikes.store.path.name}: there is no recording whose samples could be copied")
    columns = recording.channels.columns_of(SignalType.AMP)
    n = len(columns)
    quantiser = Quantiser(None, np.full(n, DEFAULT_GAIN_UV), np.zeros(n))
    clipped = unknown = 0
    with open(folder / "recording.dat", "xb") as out:
        for at in range(recording.start, recording.stop, _ROWS):
            counts = quantiser.counts(recording.read(at, min(at + _ROWS, recording.stop), columns))
            clipped, unknown = clipped + counts.clipped, unknown + counts.unknown
            out.write(counts.samples.astype("<i2", copy=False).data)
    notes = tuple(loss_notes(clipped, unknown))
    return _Dat("recording.dat", "int16", 0, n, tuple(range(n)), DEFAULT_GAIN_UV, notes)


def _similarity(templates: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the cosine between templates, ``(units, units)``."""
    flat = templates.reshape(len(templates), -1).astype(np.float64)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    unit = flat / np.where(norm > 0, norm, 1.0)
    return np.asarray(unit @ unit.T, np.float64)
