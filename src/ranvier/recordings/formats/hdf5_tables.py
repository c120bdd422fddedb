"""The tables of our HDF5 layout: channels, events, spike trains; one dataset per column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.recordings.channel_json import channels_from_json, channels_to_json
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.formats.nwb_file import UNREADABLE, child, column, is_plausible, text_of, texts

_TEXTS = ("type", "name", "ntv_name", "unit", "unit_source", "port", "headstage_id", "probe_id", "contact_id")
_WHOLE = ("ntv", "sys", "shank", "site_num", "color_group", "probe_idx")
_REAL = ("gain", "offset", "impedance_ohm", "skew_samples")
#: Numbers of a site, as columns of the channels table; NaN where a channel has no site.
_SITE = ("x_um", "y_um", "z_um", "area_um2", "width_um", "height_um")
_SHIFT = ("tissue_shift_x_um", "tissue_shift_y_um", "tissue_shift_z_um")


def write_channels(group: Any, table: ChannelTable) -> None:
    """Write a channel table as columns of a group."""
    data = channels_to_json(table)["columns"]
    group.attrs["geometry_source"] = fixed_text(table.geometry_source)
    group.attrs["wiring_verified"] = bool(table.wiring_verified)
    for key in _TEXTS:
        _write_texts(group, key, ["" if v is None else v for v in data[key]])
    for key in _WHOLE:
        group[key] = np.array([-1 if v is None else v for v in data[key]], np.int64)
    for key in _REAL:
        group[key] = np.array([np.nan if v is None else v for v in data[key]], np.float64)
    group["selected"] = np.array(data["selected"], np.uint8)
    sites = data["site"]
    for key in _SITE:
        group[key] = np.array([np.nan if s is None else s[key] for s in sites], np.float64)
    for i, key in enumerate(_SHIFT):
        group[key] = np.array([np.nan if s is None else s["scs_to_tcs_um"][i] for s in sites], np.float64)
    _write_texts(group, "shape", ["" if s is None else s["shape"] for s in sites])


def read_channels(group: Any, path: Path) -> ChannelTable:
    """Return the table of ``write_channels``; RecordingError where it is damaged."""
    try:
        data: dict[str, Any] = {key: _texts(group, key) for key in (*_TEXTS, "shape")}
        data |= {key: _column(group, key).tolist() for key in (*_WHOLE, *_REAL, "selected", *_SITE, *_SHIFT)}
        data["port"] = [name or None for name in data["port"]]
        data["probe_idx"] = [None if v < 0 else v for v in data["probe_idx"]]
        data["impedance_ohm"] = [None if v != v else v for v in data["impedance_ohm"]]
        data["selected"] = [bool(v) for v in data["selected"]]
        data["site"] = [_site(data, i) for i in range(len(data["type"]))]
        marks = {
            "geometry_source": text_of(group.attrs["geometry_source"]),
            "wiring_verified": bool(group.attrs["wiring_verified"]),
        }
    except UNREADABLE as error:
        raise RecordingError(f"{path}: its channel table is damaged ({error})") from error
    return channels_from_json({"columns": data, **marks}, path)


def _site(data: dict[str, Any], i: int) -> dict[str, Any] | None:
    values = {key: data[key][i] for key in (*_SITE, *_SHIFT)}
    if not all(np.isfinite(v) for v in values.values()):
        return None
    return {
        **{key: values[key] for key in _SITE},
        "shape": data["shape"][i],
        "scs_to_tcs_um": tuple(values[key] for key in _SHIFT),
    }


def write_events(group: Any, events: Events) -> None:
    """Write events as columns of a group."""
    group["counter"] = events.counter
    group["line"] = events.line
    group["state"] = events.state
    _write_texts(group, "source", events.source)
    _write_texts(group, "text", events.text)


def read_events(group: Any, path: Path) -> Events:
    """Return the events of ``write_events``; RecordingError where they are damaged."""
    try:
        return Events(
            _column(group, "counter").astype(np.int64),
            _column(group, "line").astype(np.int32),
            _column(group, "state").astype(np.int8),
            tuple(_texts(group, "source")),
            tuple(_texts(group, "text")),
        )
    except UNREADABLE as error:
        raise RecordingError(f"{path}: its table of events is damaged ({error}); signals can still be read") from error


def write_spike_trains(group: Any, name: str, trains: SpikeTrains) -> None:
    """Write spike trains as columns of a group."""
    group.attrs["name"] = fixed_text(name)
    group["counter"] = trains.counter
    group["unit"] = trains.unit
    group["site"] = trains.site
    names = trains.unit_names or {}
    group["unit_id"] = np.array(list(names), np.int32)
    _write_texts(group, "unit_name", list(names.values()))
    if trains.waveforms is not None:
        group["waveforms_uv"] = trains.waveforms


def read_spike_trains(group: Any, path: Path) -> SpikeTrains:
    """Return the spike trains of ``write_spike_trains``; RecordingError where they are damaged."""
    try:
        ids = _column(group, "unit_id").tolist()
        waveforms = child(group, "waveforms_uv")
        if waveforms is not None and (waveforms.ndim != 3 or not is_plausible(waveforms)):
            waveforms = None
        return SpikeTrains(
            _column(group, "counter").astype(np.int64),
            _column(group, "unit").astype(np.int32),
            _column(group, "site").astype(np.int32),
            None if waveforms is None else waveforms[:].astype(np.float32, copy=False),
            dict(zip(ids, _texts(group, "unit_name"), strict=True)) or None,
        )
    except UNREADABLE as error:
        raise RecordingError(f"{path}: its spike trains are damaged ({error}); signals can still be read") from error


def fixed_text(text: str) -> np.bytes_:
    """Return a text as HDF5 stores it in place; texts of variable length lie in a heap that a cut file loses."""
    return np.bytes_(text.encode() or b"\0")


def _write_texts(group: Any, name: str, values: Sequence[str]) -> None:
    import h5py

    encoded = [v.encode() for v in values]
    kind = h5py.string_dtype("utf-8", max([1, *map(len, encoded)]))
    group.create_dataset(name, data=np.array(encoded, dtype=kind), dtype=kind)


def _texts(group: Any, name: str) -> list[str]:
    values = texts(_column(group, name))
    if values is None:
        raise ValueError(f"{name} holds no texts")
    return values


def _column(group: Any, name: str) -> npt.NDArray[Any]:
    values = column(group, name)
    if values is None:
        raise KeyError(f"{name} is missing or damaged")
    return values
