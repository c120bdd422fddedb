"""Recordings as files: list, copy, move, remove, export."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ranvier._platform import flush_to_disk
from ranvier._platform import replace as give_final_name
from ranvier.exceptions import (
    CapabilityError,
    DatasetError,
    NotARecordingError,
    OutputError,
    OutputExistsError,
    RadiensError,
    RecordingError,
)
from ranvier.hub.curation import Curation
from ranvier.hub.datasets import Datasets
from ranvier.hub.sidecars import spikes_to_take_along
from ranvier.metrics.packet_store import delete_packets, packet_file
from ranvier.models.dataset import FileInfo, RadiensFileType
from ranvier.models.output_options import OutputOptions
from ranvier.recordings import Format, detect, open_session
from ranvier.services.progress import Progress

#: Files that describe a recording and hold no samples.
_META_SUFFIXES = (".json", ".meta", ".oebin", ".xml", ".yaml", ".yml", ".prb", ".py", ".txt")

#: A recording that grew in this time is still being written.
_LOOK_AGAIN_SEC = 0.2


class Files:
    """Service ``HubFiles``; every operation takes all files that belong to one recording."""

    def __init__(self, datasets: Datasets, curation: Curation) -> None:
        self._datasets = datasets
        self._curation = curation

    def list_directory(self, path: Path) -> list[FileInfo]:
        """Return the recordings in a folder, by name; one that cannot be read has no channels and no duration.

        ``path / base_name`` can be linked: files of one format that share their base name keep the suffix there.
        """
        folder = path.expanduser().absolute()
        if not folder.is_dir():
            raise RecordingError(f"{folder} is not a folder")
        found: dict[Path, Format] = {}
        for entry in sorted(folder.iterdir()):
            try:
                known, canonical = detect(entry)
            except (NotARecordingError, CapabilityError):
                continue
            with suppress(DatasetError):  # a folder with several recordings in it: they are not in this one
                known.files(canonical)
                found.setdefault(canonical, known)
        times = Counter((known.name, known.base_name(canonical)) for canonical, known in found.items())
        return [
            info
            for canonical, known in found.items()
            for base in (known.base_name(canonical),)
            for info in _describe(known, canonical, base if times[known.name, base] == 1 else canonical.name)
        ]

    def copy(self, src: Path, dst: Path, *, force: bool = False) -> None:
        """Copy a recording, and the spikes beside it, to ``dir/base``; the format stays."""
        _transfer(src, dst, force, _copy_file)

    def move(self, src: Path, dst: Path, *, force: bool = False) -> None:
        """Move or rename a recording, and the spikes beside it; a linked dataset at the old place is unlinked.

        The old names go only when every file stands, flushed to the disk, under its new name.
        """
        known, canonical = detect(src.expanduser().absolute())
        _refuse_growing(known, canonical, force)
        files = [f for f in (*known.files(canonical), *_spikes_of(known, canonical)) if f.exists()]
        streams, base = self._unlink(canonical), known.base_name(canonical)
        _transfer(src, dst, force, _link_or_copy)
        _delete(files, canonical)
        _delete_packets(canonical, base, streams)

    def remove(self, path: Path, *, force: bool = False) -> None:
        """Delete every file of a recording (not spikes that were sorted from it); a linked dataset is unlinked first.

        A recording that still grows is refused (DatasetError) unless ``force``.
        """
        known, canonical = detect(path.expanduser().absolute())
        _refuse_growing(known, canonical, force)
        streams, base = self._unlink(canonical), known.base_name(canonical)
        _delete(known.files(canonical), canonical)
        _delete_packets(canonical, base, streams)

    def _unlink(self, canonical: Path) -> set[str]:
        """Unlink the datasets of a recording; return their streams."""
        here = {i: linked.stream or "" for i, linked in self._datasets.items() if linked.canonical == canonical}
        self._datasets.clear(list(here))
        return set(here.values())

    def export(
        self,
        dataset_id: str,
        destination: Path,
        *,
        options: OutputOptions | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> list[Path]:
        """Write a dataset unchanged; the suffix picks the format, without one its own (XDAT if that has no writer)."""
        linked = self._datasets.linked(dataset_id)
        return self._curation.write(
            linked, [], destination, default=linked.format, options=options, force=force, progress=progress
        )


def _delete_packets(canonical: Path, base: str, streams: set[str]) -> None:
    """Delete what was computed of a recording that is gone from here: it would be trusted by nobody."""
    for stream in {"", *streams}:
        delete_packets(packet_file(canonical, base, stream))


def _describe(known: Format, canonical: Path, base: str) -> list[FileInfo]:
    files = [f for f in known.files(canonical) if f.exists()]
    stats = [f.stat() for f in files]
    common: dict[str, Any] = {
        "path": str(canonical.parent),
        "file_type": known.file_type,
        "num_bytes": sum(stat.st_size for stat in stats),
        "num_files": len(files),
        "num_meta_bytes": sum(
            stat.st_size for f, stat in zip(files, stats, strict=True) if f.suffix.lower() in _META_SUFFIXES
        ),
        "modified_unix": max((stat.st_mtime for stat in stats), default=0.0),
    }
    try:
        with open_session(canonical, known.file_type) as session:
            single = len(session.streams) == 1
            if not session.streams:  # spikes only
                none: dict[str, Any] = {"num_channels": 0, "duration_sec": 0.0, "sample_rate": float(session.fs or 0)}
                return [FileInfo(base_name=base, dataset_uid="", **none, **common)]
            return [
                FileInfo(
                    base_name=base if single else f"{base}#{name}",
                    dataset_uid=str(session.extra.get("uid", "")),
                    num_channels=len(recording.channels),
                    duration_sec=recording.duration_sec,
                    sample_rate=float(recording.fs),
                    **common,
                )
                for name, recording in session.streams.items()
            ]
    except RadiensError:
        return [FileInfo(base_name=base, dataset_uid="", num_channels=0, duration_sec=0.0, sample_rate=0, **common)]


def _transfer(src: Path, dst: Path, force: bool, put: Callable[[Path, Path], None]) -> None:
    """Bring every file of a recording to another base name: temporary names first, the canonical file last."""
    known, canonical = detect(src.expanduser().absolute())
    target = _strip(dst.expanduser().absolute(), known)
    pairs = _new_names(known, canonical, target)
    existing = [final for _, final in pairs if final.exists()]
    if existing and not force:
        raise OutputExistsError(f"{existing[0]} exists already; choose another name or pass force=True")
    if any(f == final for f, final in pairs):
        raise OutputError(f"{canonical} cannot be copied or moved onto itself")
    pairs.sort(key=lambda pair: pair[0] == canonical)
    mark = f".{uuid.uuid4().hex[:8]}.part"
    try:
        for folder in {final.parent for _, final in pairs}:
            folder.mkdir(parents=True, exist_ok=True)
        for file, final in pairs:
            put(file, final.with_name(final.name + mark))
        for _, final in pairs:
            give_final_name(final.with_name(final.name + mark), final)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        for _, final in pairs:
            if final.parent.is_dir():
                final.with_name(final.name + mark).unlink(missing_ok=True)


def _new_names(known: Format, canonical: Path, target: Path) -> list[tuple[Path, Path]]:
    """Return each file of a recording and where it goes: a recording that is a folder keeps its names inside of it."""
    files, base = [f for f in known.files(canonical) if f.exists()], known.base_name(canonical)
    beside = [(f, target.parent / (target.name + f.name[len(base) :])) for f in _spikes_of(known, canonical)]
    if canonical.is_dir() and files and all(canonical in f.parents for f in files):
        return [*((f, target / f.relative_to(canonical)) for f in files), *beside]
    if any(f.parent != canonical.parent or not f.name.startswith(base) for f in files):
        raise CapabilityError(
            f"{canonical} is a {known.name} recording of many files in folders; copy or move its whole folder instead"
        )
    return [*((f, target.parent / (target.name + f.name[len(base) :])) for f in files), *beside]


def _spikes_of(known: Format, canonical: Path) -> list[Path]:
    """Return the ``.spikes`` files that are copied and moved with a recording."""
    if known.file_type == RadiensFileType.SPIKES:
        return []
    return spikes_to_take_along(canonical, known.base_name(canonical))


def _copy_file(source: Path, target: Path) -> None:
    shutil.copy2(source, target)
    flush_to_disk(target)


def _link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name on the same disk (nothing can be lost half way), or copy it to another disk."""
    try:
        os.link(source, target)
    except OSError:
        _copy_file(source, target)


def _delete(files: list[Path], canonical: Path) -> None:
    """Delete files (the canonical one, listed first, last), and folders that they leave empty (its own one too)."""
    for file in reversed(files):
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot remove {file}: {error.strerror}") from error
    base = len(canonical.parts) - 1 if canonical.is_dir() else min((len(f.parent.parts) for f in files), default=0)
    for folder in sorted({above for f in files for above in f.parents if len(above.parts) > base}, reverse=True):
        with suppress(OSError):
            folder.rmdir()


def _refuse_growing(known: Format, canonical: Path, force: bool) -> None:
    """Raise DatasetError where a recording still grows."""
    if force:
        return
    try:
        with open_session(canonical, known.file_type) as session:
            before = {name: recording.stop for name, recording in session.streams.items()}
            time.sleep(_LOOK_AGAIN_SEC)
            growing = any(session.streams[name].refresh() > stop for name, stop in before.items())
    except RadiensError:
        return  # damaged beyond reading: nobody records into it
    if growing:
        raise DatasetError(f"{canonical} is still being recorded; stop the recording first, or pass force=True")


def _strip(path: Path, known: Format) -> Path:
    """Return ``dir/base``: the path without the format's suffix; a suffix of another format is refused."""
    from ranvier.curation.output import format_of_suffix

    for suffix in sorted(known.suffixes, key=len, reverse=True):
        if path.name.lower().endswith(suffix) and len(path.name) > len(suffix):
            return path.with_name(path.name[: -len(suffix)])
    other = format_of_suffix(path)
    if other is None:
        return path
    suffix, file_type = other
    if file_type != known.file_type and suffix not in known.suffixes:
        raise CapabilityError(
            f"copying keeps the format: {path.name} names {file_type.name}, the source is {known.name}; "
            f"export_data_source() or a transform converts"
        )
    return path.with_name(path.name[: -len(suffix)])
