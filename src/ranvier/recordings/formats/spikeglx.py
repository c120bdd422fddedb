"""Reader of SpikeGLX recordings: ``<run>_g<gate>_t<trigger>.<stream>.bin`` with a ``.meta`` file beside each.

A path may be one such file, or a folder: of one probe, of a gate (with one folder per probe), or of a run. Each stream
(``imec0.ap``, ``imec0.lf``, ``nidq``, ``obx0.obx``) is a stream of the session; the files of several triggers or gates
of one run follow each other on the run's sample counter and are one recording with gaps.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from ranvier.exceptions import CapabilityError, RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings.digital import digital_edges
from ranvier.recordings.format import Format
from ranvier.recordings.formats.spikeglx_channels import columns_of
from ranvier.recordings.formats.spikeglx_meta import Meta
from ranvier.recordings.formats.word_files import Part, WordRecording
from ranvier.recordings.lazy import LazyDict
from ranvier.recordings.recording import Recording
from ranvier.recordings.segments import Segments
from ranvier.recordings.session import Session
from ranvier.recordings.views import ContinuedRecording

_NAME = "SpikeGLX"
#: Where files lie in a folder that a user names: a probe's, a gate's, a run's.
_BELOW = ("*.meta", "*_g[0-9]*/*.meta", "*_g[0-9]*/*_imec[0-9]*/*.meta")
_RUN = re.compile(r"(_g\d+)?(_t(\d+|cat))?\.[^_]*$")
_KEYS = re.compile(rb"^nSavedChans=", re.MULTILINE)
#: Seconds by which clock and sample counter of files of one run may disagree (creation times have whole seconds).
_CLOCK_SLACK_SEC = 10.0


@dataclass(frozen=True)
class Opened:
    """One opened file."""

    meta: Meta
    recording: WordRecording


def detect(path: Path) -> Path | None:
    """Return the ``.bin`` (or the ``.meta`` that stands alone) of a file; a folder where it holds some; else None."""
    try:
        if path.is_dir():
            return path if _metas_in(path) else None
        named = path.suffix in (".bin", ".meta", ".cbin")
        meta = path.with_suffix(".meta") if named else path.with_name(path.name + ".meta")
        if is_meta(meta):
            data = meta.with_suffix(".bin")
            return data if data.is_file() else meta
    except (OSError, ValueError):
        return None
    return None


def is_meta(path: Path) -> bool:
    """Return whether a file is a SpikeGLX description, by its content."""
    if path.suffix != ".meta" or not path.is_file():
        return False
    with open(path, "rb") as handle:
        head = handle.read(1 << 20)
    return bool(_KEYS.search(head))


def open_spikeglx(path: Path) -> Session:
    """Open one file, or everything in a folder.

    Raises
    ------
    CapabilityError
        Where only compressed data (``.cbin``) are there.
    RecordingError
        Where nothing can be read. A file that is damaged among others is left out and noted.
    """
    metas = _metas_in(path) if path.is_dir() else [path.with_suffix(".meta")]
    if not metas:
        raise RecordingError(f"{path}: there is no SpikeGLX recording in it")
    opened: list[Opened] = []
    notes: list[str] = []
    failure: RecordingError | CapabilityError | None = None
    for meta in metas:
        try:
            opened.append(_open_one(meta))
        except (RecordingError, CapabilityError) as error:
            failure = failure or error
            notes.append(f"left out: {error}")
    if failure is not None and not opened:
        raise failure
    streams = _streams(opened, path, notes)
    return Session(
        path=path,
        file_type=RadiensFileType.SPIKEGLX,
        format=_NAME,
        streams=dict(streams),
        events=LazyDict({name: partial(digital_edges, stream) for name, stream in streams.items()}),
        notes=tuple(notes),
        extra={"spikeglx": {o.meta.path.name: _plain(o.meta) for o in opened}},
    )


def _open_one(path: Path) -> Opened:
    meta = Meta.read(path)
    data = path.with_suffix(".bin")
    if not data.is_file():
        if path.with_suffix(".cbin").is_file():
            raise CapabilityError(
                f"{path.with_suffix('.cbin')} is compressed (mtscomp), which is not read; decompress it first"
            )
        raise RecordingError(f"{data} is missing; {path.name} describes it")
    columns = columns_of(meta)
    part = Part.interleaved(data, meta.num_channels)
    rows = part.rows()
    first, notes = meta.first_sample, list(columns.notes)
    if first is None:
        notes.append(f"{path.name}: firstSample is not told; samples are counted from 0")
    lost = _lost_samples(meta, data, rows, notes)
    recording = WordRecording(
        [part],
        columns.fields,
        fs=meta.fs,
        channels=columns.channels,
        segments=Segments.single(first or 0, rows),
        path=data,
        notes=tuple(notes),
        lost_samples=lost,
    )
    return Opened(meta, recording)


def _lost_samples(meta: Meta, data: Path, rows: int, notes: list[str]) -> int:
    """Compare the file with what its description promises; return how many samples are missing."""
    row_bytes = 2 * meta.num_channels
    size = data.stat().st_size
    if size % row_bytes:
        notes.append(f"{data.name} ends in the middle of a sample ({size % row_bytes} of {row_bytes} bytes left out)")
    promised = meta.integer("fileSizeBytes", 0)
    if not promised:
        notes.append(
            f"{meta.path.name}: no fileSizeBytes; the recording was not closed properly, the file's size counts"
        )
        return int(bool(size % row_bytes))
    if promised != size:
        notes.append(f"{meta.path.name} promises {promised} bytes, the file has {size}; the file's size counts")
    return max(int(bool(size % row_bytes)), -(-promised // row_bytes) - rows)


def _streams(opened: list[Opened], path: Path, notes: list[str]) -> dict[str, Recording]:
    """Return the streams by name: the files of one run joined where they follow each other, apart where they do not."""
    groups: dict[tuple[bool, str], list[Opened]] = {}
    for one in opened:
        groups.setdefault((one.meta.name[2] == "cat", one.meta.name[3]), []).append(one)
    streams: dict[str, Recording] = {}
    for (joined_by_catgt, stream), members in groups.items():
        prefix = "tcat/" if joined_by_catgt and (False, stream) in groups else ""
        members.sort(key=lambda one: (one.recording.start, one.meta.path.name))
        reason = _why_apart(members)
        if reason:
            notes.append(f"{stream}: its {len(members)} files are streams of their own: {reason}")
            for one in members:
                _, gate, trigger, _ = one.meta.name
                _name(streams, f"{prefix}g{gate}_t{trigger}/{stream}", one.recording)
        else:
            parts = [one.recording for one in members if one.recording.segments.rows] or [members[0].recording]
            _name(streams, prefix + stream, parts[0] if len(parts) == 1 else ContinuedRecording(parts, path))
    return streams


def _name(streams: dict[str, Recording], name: str, recording: Recording) -> None:
    while name in streams:  # copies of a file in several folders
        name += "'"
    recording.name = name
    streams[name] = recording


def _why_apart(members: list[Opened]) -> str:
    """Return why files do not make one recording; empty where they do."""
    first = members[0]
    for one in members[1:]:
        if one.recording.channels != first.recording.channels or one.recording.fs != first.recording.fs:
            return f"channels or rate of {one.meta.path.name} differ from those of {first.meta.path.name}"
        if one.meta.first_sample is None:
            return f"{one.meta.path.name} does not tell its first sample"
        if not _same_clock(first.meta, one.meta):
            return f"{one.meta.path.name} was created at a time that does not fit its first sample: another run"
    for a, b in itertools.pairwise(members):
        if a.recording.stop > b.recording.start and b.recording.segments.rows:
            return (
                f"{a.meta.path.name} holds samples up to {a.recording.stop}, {b.meta.path.name} starts at "
                f"{b.recording.start}"
            )
    return ""


def _same_clock(a: Meta, b: Meta) -> bool:
    """Return whether the times at which two files were created fit their first samples (true where not told)."""
    try:
        apart = (
            datetime.fromisoformat(b.values["fileCreateTime"]) - datetime.fromisoformat(a.values["fileCreateTime"])
        ).total_seconds()
    except (KeyError, ValueError, TypeError, OverflowError):
        return True
    expected = float(((b.first_sample or 0) - (a.first_sample or 0)) / a.fs)
    return abs(apart - expected) <= _CLOCK_SLACK_SEC + 1e-3 * abs(expected)


def _plain(meta: Meta) -> dict[str, str]:
    """Return the description without its long tables."""
    return {key: value for key, value in meta.values.items() if len(value) < 1000}


def _metas_in(folder: Path) -> list[Path]:
    """Return the descriptions of the one run that a folder holds; none where it holds several runs, or none."""
    found = [p for pattern in _BELOW for p in sorted(folder.glob(pattern)) if is_meta(p)]
    runs = {_RUN.sub("", p.name) for p in found}
    return found if len(runs) == 1 else []


def files_of(path: Path) -> list[Path]:
    """Return data and description of a file, or of all in a folder."""
    metas = _metas_in(path) if path.is_dir() else [path.with_suffix(".meta")]
    return [p for meta in metas for p in (meta.with_suffix(".bin"), meta) if p.is_file()]


def base_name(path: Path) -> str:
    """Return the name without ``.bin``, or that of the folder."""
    return path.name if path.is_dir() else path.stem


FORMAT = Format(
    name=_NAME,
    file_type=RadiensFileType.SPIKEGLX,
    suffixes=(".bin", ".meta"),
    detect=detect,
    open=open_spikeglx,
    files=files_of,
    base_name=base_name,
)
