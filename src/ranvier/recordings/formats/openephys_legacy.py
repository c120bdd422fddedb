"""Reader of the Open Ephys format before the binary one: folders of ``.continuous``, ``.events``, ``.spikes`` files.

Each channel is a file; files of one processor and stream are one stream. Files that end in ``_2``, ``_3`` belong to
experiments of their own, in which counters may begin anew. Stops and starts inside of an experiment are gaps.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.models.signals import SignalType
from ranvier.recordings.channels import NATIVE_UNIT, TYPE_ORDER, Channel, ChannelTable
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.format import Format
from ranvier.recordings.formats.counters import exact_rate, find_runs, read_cells
from ranvier.recordings.formats.openephys_legacy_files import (
    HEADER_BYTES,
    RECORD_BYTES,
    RECORD_SAMPLES,
    ChannelFile,
    RecordPart,
    is_legacy,
    read_messages,
    read_spikes,
    read_ttl,
)
from ranvier.recordings.formats.word_files import Field, WordRecording
from ranvier.recordings.lazy import LazyDict
from ranvier.recordings.recording import Recording
from ranvier.recordings.segments import Segments
from ranvier.recordings.session import Session

_NAME = "Open Ephys legacy"
_SUFFIXES = (".continuous", ".events", ".spikes")
_OTHERS = ("*.timestamps", "*.openephys", "settings*.xml")
_EXPERIMENT = re.compile(r"_(\d{1,4})$")
_KIND = re.compile(r"(\D*)(\d*)$")


@dataclass(frozen=True)
class _Key:
    """Which stream a file belongs to."""

    node: str
    stream: str
    experiment: int


def detect(path: Path) -> Path | None:
    """Return the folder that holds such files, or record nodes that do; for one of the files, its folder."""
    try:
        if path.is_dir():
            return path if _folders(path) else None
        named = path.suffix in (*_SUFFIXES, ".openephys") and path.is_file()
        return path.parent if named and _holds(path.parent) else None
    except OSError:
        return None


def open_legacy(path: Path) -> Session:
    """Open a folder.

    Raises
    ------
    RecordingError
        Where no channel can be read. One that is damaged among others is left out and noted.
    """
    notes: list[str] = []
    groups = _groups(_folders(path), notes)
    if not groups:
        raise RecordingError(f"{path}: no .continuous file in it can be read" + "".join(f"\n{n}" for n in notes[:5]))
    streams: dict[str, Recording] = {}
    events: dict[str, partial[Events]] = {}
    names = _names(list(groups))
    for key, files in groups.items():
        recording = _recording(files, path)
        recording.name = names[key]
        streams[names[key]] = recording
    for key in groups:
        first = next(other for other in groups if (other.node, other.experiment) == (key.node, key.experiment))
        events[names[key]] = partial(_events, path, key, key == first)
    starts = [line for folder in _folders(path) for file in _messages_in(folder) for line in read_messages(file)[1]]
    return Session(
        path=path,
        file_type=RadiensFileType.OE_DAT,
        format=_NAME,
        streams=streams,
        events=LazyDict[Events](events),
        spike_trains=LazyDict[SpikeTrains](_spike_files(path)),
        notes=tuple(notes),
        extra={"openephys": {"gui_version": "legacy format", "started": starts}},
    )


def _holds(folder: Path) -> bool:
    return any(is_legacy(p) for p in folder.glob("*.continuous"))


def _folders(path: Path) -> list[Path]:
    """Return the folder itself, or the record nodes below it."""
    if _holds(path):
        return [path]
    return [p for p in sorted(path.glob("Record Node*")) if p.is_dir() and _holds(p)]


def _groups(folders: list[Path], notes: list[str]) -> dict[_Key, list[ChannelFile]]:
    """Return the files of each stream, headstage channels first, each kind by number."""
    groups: dict[_Key, list[ChannelFile]] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.continuous")):
            try:
                file = ChannelFile.open(path)
                exact_rate(file.number("sampleRate"), where=str(path))
                file.number("bitVolts")
            except RecordingError as error:
                notes.append(f"left out: {error}")
                continue
            stem, experiment = _split_experiment(path.stem)
            stream = stem.removesuffix(file.name).removesuffix("_") if file.name else stem.rpartition("_")[0]
            groups.setdefault(_Key(folder.name, stream, experiment), []).append(file)
    return {key: _consistent(files, notes) for key, files in sorted(groups.items(), key=lambda item: str(item[0]))}


def _split_experiment(stem: str) -> tuple[str, int]:
    """Return the name without the experiment's number, and that."""
    found = _EXPERIMENT.search(stem)
    if found is None or int(found[1]) < 2:
        return stem, 1
    return stem[: found.start()], int(found[1])


def _consistent(files: list[ChannelFile], notes: list[str]) -> list[ChannelFile]:
    """Return the files that share rate and first counter with most of the others, in the order of columns."""
    setups = [(file.number("sampleRate"), _first_counter(file)) for file in files]
    usual = Counter(setups).most_common(1)[0][0]
    for file, setup in zip(files, setups, strict=True):
        if setup != usual:
            notes.append(
                f"left out: {file.path.name} has {setup[0]:g} Hz and begins at sample {setup[1]}, the others have "
                f"{usual[0]:g} Hz and {usual[1]}"
            )
    kept = [file for file, setup in zip(files, setups, strict=True) if setup == usual]
    return sorted(kept, key=_order)


def _first_counter(file: ChannelFile) -> int:
    return int(read_cells(file.path, np.array([HEADER_BYTES]), "<i8")[0]) if file.records else 0


def _order(file: ChannelFile) -> tuple[int, str, int, str]:
    found = _KIND.search(file.name)
    prefix, number = (found[1], found[2]) if found else (file.name, "")
    return TYPE_ORDER.index(_kind(file)), prefix, int(number[:9] or 0), file.path.name


def _kind(file: ChannelFile) -> SignalType:
    """Return the type of a channel: by its name, since the format does not tell the unit."""
    return SignalType.AIN if re.match(r"(ADC|AUX)\d*$", file.name, re.IGNORECASE) else SignalType.AMP


def _names(keys: list[_Key]) -> dict[_Key, str]:
    """Return names that leave out what is the same for all."""
    nodes, experiments = {k.node for k in keys}, {k.experiment for k in keys}
    return {
        k: (f"{k.node}/" if len(nodes) > 1 else "")
        + (f"experiment{k.experiment}/" if len(experiments) > 1 else "")
        + k.stream
        for k in keys
    }


class LegacyRecording(WordRecording):
    """The channels of one stream; ``refresh`` follows it while it is recorded."""

    def refresh(self) -> int:
        """Look again how far the files reach."""
        paths = [file.path for file in self.parts[0].files]
        self.segments, self.lost_samples, _ = _gap_table(paths)
        return self.stop


def _recording(files: list[ChannelFile], path: Path) -> LegacyRecording:
    paths = [file.path for file in files]
    segments, lost, notes = _gap_table(paths)
    fs: Fraction = exact_rate(files[0].number("sampleRate"), where=str(paths[0]))
    return LegacyRecording(
        [RecordPart.of(paths)],
        [Field(0, i) for i in range(len(files))],
        fs=fs,
        channels=_channels(files),
        segments=segments,
        path=path,
        notes=tuple(notes),
        lost_samples=lost,
    )


def _channels(files: list[ChannelFile]) -> ChannelTable:
    seen = dict.fromkeys(SignalType, 0)
    channels = []
    for i, file in enumerate(files):
        kind = _kind(file)
        name = file.name or file.path.stem
        channels.append(
            Channel(
                type=kind,
                ntv=seen[kind],
                sys=i,
                name=name,
                ntv_name=name,
                unit=NATIVE_UNIT[kind],
                unit_source="assumed",  # bitVolts is uV for headstage channels, V for the others, by convention
                gain=file.number("bitVolts"),
            )
        )
        seen[kind] += 1
    return ChannelTable(tuple(channels))


def _gap_table(paths: list[Path]) -> tuple[Segments, int, list[str]]:
    """Return the gap table from the counters of the first channel's records, lost samples and notes."""
    part = RecordPart.of(paths)
    lengths = [file.rows() for file in part.files]
    records, longest = min(lengths), max(lengths)
    cut = any(file.leftover_bytes() for file in part.files)
    notes: list[str] = []
    lost = (longest - records + int(cut and longest == records)) * RECORD_SAMPLES
    if lost:
        short = paths[lengths.index(records)].name
        notes.append(f"{lost} samples at the end are lost: {short} holds {records} whole records of {longest + cut}")
    if not records:
        return Segments.single(0, 0), lost, [*notes, f"{paths[0].name} and its siblings hold no whole record"]

    def counters_at(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        stored = read_cells(paths[0], HEADER_BYTES + rows // RECORD_SAMPLES * RECORD_BYTES, "<i8")
        starts: npt.NDArray[np.int64] = np.clip(stored, -(2**60), 2**60).astype(np.int64)
        return starts + rows % RECORD_SAMPLES

    rows = records * RECORD_SAMPLES
    segments = find_runs(counters_at, rows)
    if segments is None:
        first = int(counters_at(np.zeros(1, np.int64))[0])
        notes.append(
            f"{paths[0].name}: its counters run backwards; samples are counted from {first} instead, and gaps cannot "
            f"be told"
        )
        return Segments.single(first, rows), lost, notes
    if segments.missing:
        notes.append(f"{len(segments.gaps)} gaps, {segments.missing} samples were never stored")
    return segments, lost, notes


def _messages_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("messages*.events") if p.is_file() and not is_legacy(p))


def _events(path: Path, key: _Key, first: bool) -> Events:
    """Return the events of one stream; those that name no stream go to the first one of the experiment."""
    parts = []
    folder = next(f for f in _folders(path) if f.name == key.node)
    for file in sorted(folder.glob("*.events")):
        stem, experiment = _split_experiment(file.stem)
        if experiment != key.experiment:
            continue
        if file in _messages_in(folder):
            parts.append(read_messages(file)[0] if first else Events.empty())
        elif stem == key.stream or (first and stem == "all_channels"):
            parts.append(read_ttl(file))
    return Events.merge(*parts)


def _spike_files(path: Path) -> dict[str, partial[SpikeTrains]]:
    folders = _folders(path)
    found: dict[str, partial[SpikeTrains]] = {}
    for folder in folders:
        for file in sorted(folder.glob("*.spikes")):
            if is_legacy(file):
                found[f"{folder.name}/{file.stem}" if len(folders) > 1 else file.stem] = partial(read_spikes, file)
    return found


def files_of(path: Path) -> list[Path]:
    """Return every file of the format in the folders that the path means."""
    patterns = (*(f"*{suffix}" for suffix in _SUFFIXES), *_OTHERS)
    return sorted({p for folder in _folders(path) for pattern in patterns for p in folder.glob(pattern) if p.is_file()})


FORMAT = Format(
    name=_NAME,
    file_type=RadiensFileType.OE_DAT,
    suffixes=(".openephys", ".continuous"),
    detect=detect,
    open=open_legacy,
    files=files_of,
    base_name=lambda path: path.name,
)
