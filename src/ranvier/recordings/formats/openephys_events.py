"""TTL edges, messages and spikes of an Open Ephys recording."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.models.signals import SignalType
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.formats.openephys_layout import RecordingFolder
from ranvier.recordings.formats.openephys_npy import NpyFile, load_columns
from ranvier.recordings.formats.openephys_signals import StreamFolder

#: Files were renamed in release 0.6; before it, ``timestamps`` held sample numbers.
_NUMBERS = ("sample_numbers.npy", "timestamps.npy")
_SPIKE_NUMBERS = ("sample_numbers.npy", "spike_times.npy", "timestamps.npy")
_ELECTRODES = ("electrode_indices.npy", "spike_electrode_indices.npy")
#: More electrodes than these in one folder are damage.
_MOST_ELECTRODES = 4096
_STATES = ("states.npy", "channel_states.npy")


def stream_of(entry: dict[str, Any], folder: Path, streams: Sequence[StreamFolder]) -> StreamFolder | None:
    """Return the stream whose counters an event or spike entry uses.

    The stream that has the same folder; else the one of the same stream name, preferring the same source processor;
    else the first.
    """
    named = [s for s in streams if s.folder in folder.parts]
    if not named:
        name = entry.get("stream_name")
        named = [s for s in streams if name and s.stream_name == name]
        source = entry.get("source_processor")
        named = [s for s in named if source and s.processor == source] or named
    candidates = named or list(streams)
    return candidates[0] if candidates else None


def read_events(folder: RecordingFolder, entries: Sequence[dict[str, Any]]) -> Events:
    """Read all event folders of one stream, in time order; RecordingError names the file that is damaged."""
    return Events.merge(*(_read_folder(folder.folder("events", entry)) for entry in entries))


def _read_folder(where: Path) -> Events:
    if (where / "text.npy").exists():
        return _messages(where)
    if any((where / name).exists() for name in _STATES):
        return _ttl(where)
    return Events.empty()


def _ttl(where: Path) -> Events:
    """TTL: states are plus or minus the 1-based line."""
    states, numbers = load_columns(where, _STATES, _NUMBERS)
    signed = states.astype(np.int64)
    source = where.parent.name if where.name.startswith("TTL") else where.name
    return Events.ttl(
        _counters(numbers, where),
        np.clip(np.abs(signed) - 1, -1, 2**31 - 1),
        np.where(signed > 0, 1, np.where(signed < 0, 0, -1)),
        source=f"TTL {source}",
    )


def _messages(where: Path) -> Events:
    text, numbers = load_columns(where, ("text.npy",), _NUMBERS)
    counters = _counters(numbers, where)
    order = np.argsort(counters, kind="stable")
    n = len(counters)
    lines = [t.decode("utf-8", errors="replace") if isinstance(t, bytes) else str(t) for t in text[order].tolist()]
    return Events(counters[order], np.full(n, -1, np.int32), np.full(n, -1, np.int8), ("message",) * n, tuple(lines))


def _counters(numbers: npt.NDArray[Any], where: Path) -> npt.NDArray[np.int64]:
    if numbers.dtype.kind not in "iu" or numbers.ndim != 1:
        raise RecordingError(f"{where}: its sample numbers are damaged ({numbers.dtype}); signals can still be read")
    counters: npt.NDArray[np.int64] = np.clip(numbers, -(2**60), 2**60).astype(np.int64)
    return counters


def electrodes_in(where: Path) -> list[int]:
    """Return which electrodes a folder of spikes holds; none where it does not tell, or is damaged.

    Before release 0.6 all electrodes of equally many channels share a folder, and cluster ids begin anew for each.
    """
    try:
        indices = _first_column(where, _ELECTRODES)
    except RecordingError:
        return []
    found = [] if indices is None or indices.dtype.kind not in "iu" else np.unique(indices).tolist()
    return found if len(found) <= _MOST_ELECTRODES else []


def read_spikes(
    folder: RecordingFolder, entry: dict[str, Any], channels: ChannelTable | None, electrode: int | None = None
) -> SpikeTrains:
    """Read the spikes of one electrode: counters, clusters (0: not sorted), waveforms in uV.

    ``site`` is the amplifier channel of the electrode on which the spike's waveform is largest; -1 for one of several
    electrodes in a folder, whose channels the description does not tell apart.
    """
    where = folder.folder("spikes", entry)
    n_channels = int(min(4096, max(1, folder.number(entry, "num_channels", 1))))
    points = folder.number(entry, "pre_peak_samples", 8) + folder.number(entry, "post_peak_samples", 32)
    counters = _counters(load_columns(where, _SPIKE_NUMBERS)[0], where)
    clusters = _first_column(where, ("clusters.npy", "spike_clusters.npy"))
    shape = (n_channels, int(min(1e6, max(1.0, points))))
    names = ("waveforms.npy", "spike_waveforms.npy")
    waves_path = next((where / name for name in names if (where / name).exists()), None)
    waves = NpyFile.open(waves_path, shape) if waves_path is not None else None
    rows = min([len(counters), *([len(clusters)] if clusters is not None else []), *([waves.rows] if waves else [])])
    order = np.argsort(counters[:rows], kind="stable")
    counts = waves.load(rows) if waves is not None else None
    indices = None if electrode is None else _first_column(where, _ELECTRODES)
    if indices is not None:
        mine = order[np.flatnonzero(indices[:rows][order] == electrode)] if len(indices) >= rows else order[:0]
        units = np.zeros(rows, np.int32) if clusters is None else clusters[:rows].astype(np.int32)
        kept = None if counts is None else _microvolts(folder, entry, counts[mine])
        return SpikeTrains(counters[:rows][mine], units[mine], np.full(len(mine), -1, np.int32), kept)
    waveforms = None if counts is None else _microvolts(folder, entry, counts)[order]
    return SpikeTrains(
        counters[:rows][order],
        np.zeros(rows, np.int32) if clusters is None else clusters[:rows][order].astype(np.int32),
        _sites(entry, waveforms, channels, rows),
        waveforms,
    )


def _first_column(where: Path, names: tuple[str, ...]) -> npt.NDArray[Any] | None:
    return load_columns(where, names)[0] if any((where / name).exists() for name in names) else None


def _microvolts(folder: RecordingFolder, entry: dict[str, Any], counts: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    sources = _sources(entry)
    gains = [folder.number(s, "bit_volts", 1.0) for s in sources]
    if len(gains) != counts.shape[1]:
        gains = (gains[:1] or [folder.number(entry, "bit_volts", 1.0)]) * counts.shape[1]
    scaled: npt.NDArray[np.float32] = (counts * np.array(gains)[:, None]).astype(np.float32)
    return scaled


def _sites(
    entry: dict[str, Any], waveforms: npt.NDArray[np.float32] | None, channels: ChannelTable | None, rows: int
) -> npt.NDArray[np.int32]:
    """Return the native index of the channel with the largest peak of each spike; -1 where it is not known."""
    known = {} if channels is None else {int(c): channels[int(c)].ntv for c in channels.columns_of(SignalType.AMP)}
    ntv = np.array([known.get(s.get("local_index", -1), -1) for s in _sources(entry)], dtype=np.int32)
    if not len(ntv) or waveforms is None or waveforms.shape[1] != len(ntv):
        return np.full(rows, ntv[0] if len(ntv) == 1 else -1, dtype=np.int32)
    peaks = np.abs(waveforms).max(axis=2) if waveforms.shape[2] else np.zeros(waveforms.shape[:2])
    return ntv[np.argmax(peaks, axis=1)] if rows else np.empty(0, np.int32)


def _sources(entry: dict[str, Any]) -> list[dict[str, Any]]:
    found = entry.get("source_channels")
    return [s for s in found if isinstance(s, dict)] if isinstance(found, list) else []
