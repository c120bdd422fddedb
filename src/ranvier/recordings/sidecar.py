"""Events and spike trains beside formats that have no place for them: JSON columns, and one ``.npz`` for spikes."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.recordings.events import Events, SpikeTrains


def json_bytes(document: Mapping[str, Any]) -> bytes:
    """Return a document as UTF-8 JSON that any reader takes: NumPy values as numbers, NaN and infinity as null."""
    return json.dumps(_plain(document), indent=1, ensure_ascii=False, allow_nan=False).encode()


def npy_bytes(array: npt.NDArray[Any]) -> bytes:
    """Return an array as the bytes of a ``.npy`` file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int, bool)):
        return value
    return str(value)


def events_to_json(events: Events) -> dict[str, list[Any]]:
    """Return the columns as plain JSON data."""
    return {
        "counter": events.counter.tolist(),
        "line": events.line.tolist(),
        "state": events.state.tolist(),
        "source": list(events.source),
        "text": list(events.text),
    }


def events_from_json(data: Mapping[str, Any], path: Path) -> Events:
    """Return the events of ``events_to_json``; RecordingError names ``path`` where they are damaged."""
    try:
        return Events(
            np.array(data["counter"], dtype=np.int64).reshape(-1),
            np.array(data["line"], dtype=np.int32).reshape(-1),
            np.array(data["state"], dtype=np.int8).reshape(-1),
            tuple(str(s) for s in data["source"]),
            tuple(str(t) for t in data["text"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError, RecordingError) as error:
        raise RecordingError(f"{path}: its table of events is damaged ({error}); signals can still be read") from error


def spike_trains_to_npz(trains: Mapping[str, SpikeTrains]) -> bytes:
    """Return spike trains by name as the content of an uncompressed ``.npz``."""
    arrays: dict[str, Any] = {"names": np.array(list(trains), dtype=np.str_)}
    for i, train in enumerate(trains.values()):
        names = train.unit_names or {}
        arrays |= {
            f"{i}_counter": train.counter,
            f"{i}_unit": train.unit,
            f"{i}_site": train.site,
            f"{i}_name_ids": np.array(list(names), dtype=np.int32),
            f"{i}_name_texts": np.array(list(names.values()), dtype=np.str_),
        }
        if train.waveforms is not None:
            arrays[f"{i}_waveforms"] = train.waveforms
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def spike_trains_from_npz(path: Path, name: str) -> SpikeTrains:
    """Return one of the spike trains of a ``.npz`` that ``spike_trains_to_npz`` made."""
    from ranvier.recordings.registry import FILE_ERRORS

    try:
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as stored:
            i = stored["names"].tolist().index(name)
            ids, texts = stored[f"{i}_name_ids"].tolist(), stored[f"{i}_name_texts"].tolist()
            return SpikeTrains(
                stored[f"{i}_counter"],
                stored[f"{i}_unit"],
                stored[f"{i}_site"],
                stored.get(f"{i}_waveforms"),
                dict(zip(ids, texts, strict=True)) or None,
            )
    except FILE_ERRORS as error:
        raise RecordingError(f"{path}: its spike trains cannot be read ({error}); signals can still be read") from error
