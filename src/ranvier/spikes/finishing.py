"""Finishing a file of spikes: from segments to columns in time order with indexes."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ranvier import _platform
from ranvier.recordings.files import StagedFiles, writing
from ranvier.spikes import container
from ranvier.spikes.file import DONE, INDEX, LOG, META, SPIKES, TEMPLATES, UNITS, SpikesFile, Templates
from ranvier.spikes.index import RowIndex, build
from ranvier.spikes.info import StoreInfo, unit_to_json
from ranvier.spikes.lock import WriterLock
from ranvier.spikes.segment import Segment

#: What a file says whose writer did not finish it.
_ENDED = "its writer was ended before it was finished: spikes that had not reached the disk by then are missing"


def recover(path: Path) -> Path:
    """Finish a file whose writer was ended; one that is finished stays as it is.

    Raises
    ------
    OutputError
        Somebody is writing it.
    RecordingError
        It cannot be read.
    """
    with WriterLock(path):
        file = SpikesFile(path)
        if not file.finished and file.info is not None:
            consolidate(path, path, file.info, notes=[_ENDED])
    return path


def consolidate(
    source: Path, final: Path, info: StoreInfo, *, notes: Sequence[str] = (), staged: StagedFiles | None = None
) -> None:
    """Write segments as one finished file, under a temporary name first; ``notes``, and what was left out, go along.

    Memory: 4 bytes per spike for each index; 20 bytes per spike more where segments are not in time order.
    """
    files = StagedFiles() if staged is None else staged
    try:
        with writing(final):
            # the file that is read must not be mapped any more when it is replaced
            _write_finished(files.open(final), SpikesFile(source), info, notes)
        files.close()
        with writing(final):
            _platform.flush_to_disk(files.path(final))
            _platform.replace(files.path(final), final)  # at once: at no moment there is neither
    finally:
        files.abort()


def _with_range(info: StoreInfo, segments: Sequence[Segment]) -> StoreInfo:
    """Return the description with a time range that holds the spikes, where it said none."""
    if info.stop > info.start or not segments:
        return info
    return replace(info, start=min(s.first for s in segments), stop=max(s.last for s in segments) + 1)


def _write_finished(out: BinaryIO, read: SpikesFile, info: StoreInfo, notes: Sequence[str]) -> None:
    out.write(container.file_head())
    out.write(container.encode(META, {"info": _with_range(info, read.segments).to_json()}))
    out.write(container.encode(UNITS, {"units": [unit_to_json(u) for u in read.units]}))
    if read.templates is not None:
        out.write(_templates(read.templates))
    for entry in read.log:
        out.write(container.encode(LOG, entry))
    order = _order(read.segments)
    n = sum(map(len, read.segments))
    if n:
        _write_columns(out, read.segments, order, n)
        for name in ("unit", "site"):
            out.write(_index(name, build(_joined(read.segments, name, order))))
    out.write(container.encode(DONE, {"spikes": n, "notes": [*read.notes[:-1], *notes]}))


def _templates(found: Templates) -> bytes:
    arrays = {"unit": found.units, "site": found.sites, "templates_uv": found.templates_uv}
    return container.encode(TEMPLATES, {"before": found.before}, arrays)


def _index(name: str, index: RowIndex) -> bytes:
    return container.encode(INDEX, {"of": name}, {"keys": index.keys, "offsets": index.offsets, "rows": index.rows})


def _order(segments: Sequence[Segment]) -> npt.NDArray[np.int64] | None:
    """Return the order of all spikes in time; None where the segments follow each other."""
    if all(a.last <= b.first for a, b in pairwise(segments)):
        return None
    return np.argsort(np.concatenate([s.samples for s in segments]), kind="stable")


def _joined(segments: Sequence[Segment], name: str, order: npt.NDArray[np.int64] | None) -> npt.NDArray[Any]:
    whole = segments[0].column(name) if len(segments) == 1 else np.concatenate([s.column(name) for s in segments])
    return whole if order is None else whole[order]


def _write_columns(out: BinaryIO, segments: Sequence[Segment], order: npt.NDArray[np.int64] | None, n: int) -> None:
    """Write one chunk with all columns; its head comes last, because it holds the CRC."""
    first = segments[0].columns
    specs, size = container.layout({name: (column.dtype, (n, *column.shape[1:])) for name, column in first.items()})
    start = out.tell()
    out.write(container.encode_head(SPIKES, {}, specs, size, 0))
    crc = written = 0

    def put(data: bytes | memoryview) -> None:
        nonlocal crc, written
        out.write(data)
        crc, written = zlib.crc32(data, crc), written + len(data)

    for spec in specs:
        put(bytes(spec.offset - written))
        for part in _pieces(segments, spec.name, order):
            put(np.ascontiguousarray(part).data.cast("B") if part.size else b"")
    put(bytes(size - written))
    end = out.tell()
    out.seek(start)
    out.write(container.encode_head(SPIKES, {}, specs, size, crc))
    out.seek(end)


def _pieces(segments: Sequence[Segment], name: str, order: npt.NDArray[np.int64] | None) -> list[npt.NDArray[Any]]:
    if order is None:
        return [s.columns[name] for s in segments]
    return [np.concatenate([s.columns[name] for s in segments])[order]]
