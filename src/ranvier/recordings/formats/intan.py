"""What the readers of Intan RHD and RHS share: the same header, the same three layouts of files.

Traditional: header and data in one file; Intan's programs start a new file every few minutes, and the folder of these
opens as one recording where their counters continue each other. One file per signal type, or per channel: see
:mod:`ranvier.recordings.formats.rhd_split`; the folder is the recording.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ranvier.exceptions import RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings.digital import digital_edges
from ranvier.recordings.events import Events
from ranvier.recordings.format import Format
from ranvier.recordings.formats.rhd_channels import known_board_mode, stimulation_columns
from ranvier.recordings.formats.rhd_header import ADC, RHD_MAGIC, RHS_MAGIC, SUPPLY, RhdHeader
from ranvier.recordings.formats.rhd_recording import RhdFile, RhdRecording, join_files
from ranvier.recordings.formats.rhd_split import (
    SplitRecording,
    extra_of,
    files_in,
    header_in,
    split_folder,
    stimulation,
)
from ranvier.recordings.formats.rhs_stim import stimulation_events
from ranvier.recordings.lazy import LazyDict
from ranvier.recordings.recording import Recording
from ranvier.recordings.session import Session


@dataclass(frozen=True)
class Intan:
    """One of the two formats."""

    name: str
    file_type: RadiensFileType
    magic: int
    suffix: str

    def detect(self, path: Path) -> Path | None:
        """Return the folder of split layouts and of several files, the file itself (its suffix may be left out)."""
        try:
            folder = split_folder(path)
            if folder is not None:
                header = header_in(folder)
                return folder if header is not None and magic_of(header) == self.magic else None
            if path.is_dir():
                return path if self.files_below(path) else None
        except OSError:
            return None
        candidates = [path, path.with_name(path.name + self.suffix)]
        return next((p for p in candidates if magic_of(p) == self.magic), None)

    def open(self, path: Path) -> Session:
        """Open a file, or a folder.

        Raises
        ------
        CapabilityError
            For versions that are not known.
        RecordingError
            Where a header is damaged, or none of the samples is there.
        """
        folder = split_folder(path)
        return self._split(folder) if folder is not None else self._traditional(path)

    def files(self, path: Path) -> list[Path]:
        """Return the files that belong to the recording."""
        folder = split_folder(path)
        if folder is not None:
            return files_in(folder)
        return self.files_below(path) if path.is_dir() else [path]

    def base_name(self, path: Path) -> str:
        """Return the name without the suffix; that of the folder where the recording is one."""
        return path.stem if path.suffix.lower() == self.suffix else path.name

    def files_below(self, folder: Path) -> list[Path]:
        """Return the files of the traditional layout in a folder."""
        return [p for p in sorted(folder.glob(f"*{self.suffix}")) if magic_of(p) == self.magic]

    def format(self) -> Format:
        """Return the entry of the registry."""
        return Format(
            name=self.name,
            file_type=self.file_type,
            suffixes=(self.suffix,),
            detect=self.detect,
            open=self.open,
            files=self.files,
            base_name=self.base_name,
        )

    def _traditional(self, path: Path) -> Session:
        files, notes = _read_files(self.files_below(path) if path.is_dir() else [path])
        if not files:
            raise RecordingError(f"{path}: there is no {self.name} file in it")
        groups, reason = join_files(files)
        if reason:
            notes.append(f"its {len(files)} files are streams of their own: {reason}")
        streams: dict[str, Recording] = {}
        events: dict[str, Callable[[], Events]] = {}
        for group in groups:
            name = "" if len(groups) == 1 else group[0].path.stem
            where = path if len(group) > 1 else group[0].path
            streams[name] = RhdRecording(group, where, name)
            words = stimulation_columns(group[0].header)
            stim = RhdRecording(group, where, name, words) if words else None
            events[name] = partial(_events, streams[name], stim, group[0].header)
        return self._session(path, streams, events, files[0].header, files[0].path.name, notes)

    def _split(self, folder: Path) -> Session:
        recording = SplitRecording(folder)
        header = recording.header
        words = stimulation(folder, header) if header.stimulator else None
        events: dict[str, Callable[[], Events]] = {"": partial(_events, recording, words, header)}
        session = self._session(folder, {"": recording}, events, header, folder.name, [])
        session.extra[self.suffix[1:]] |= extra_of(recording)
        return session

    def _session(
        self,
        path: Path,
        streams: dict[str, Recording],
        events: dict[str, Callable[[], Events]],
        header: RhdHeader,
        where: str,
        notes: list[str],
    ) -> Session:
        if header.of_kind(ADC) and not known_board_mode(header):
            notes.append(f"{where}: board mode {header.board_mode} is not known; 0-3.3 V assumed for analog inputs")
        return Session(
            path=path,
            file_type=self.file_type,
            format=self.name,
            streams=streams,
            events=LazyDict[Events](events),
            notes=tuple(notes),
            extra={self.suffix[1:]: _extra(header)},
        )


RHD = Intan("Intan RHD", RadiensFileType.RHD, RHD_MAGIC, ".rhd")
RHS = Intan("Intan RHS", RadiensFileType.RHS, RHS_MAGIC, ".rhs")


def magic_of(path: Path) -> int | None:
    """Return the number with which a file begins; None where it cannot be read."""
    try:
        if not path.is_file():
            return None
        with open(path, "rb") as handle:
            return int.from_bytes(handle.read(4), "little")
    except (OSError, ValueError):
        return None


def _events(recording: Recording, words: Recording | None, header: RhdHeader) -> Events:
    edges = digital_edges(recording)
    return edges if words is None else Events.merge(edges, stimulation_events(words, header.stim_step_a))


def _read_files(paths: list[Path]) -> tuple[list[RhdFile], list[str]]:
    """Open every file; one that is damaged among several is skipped and noted."""
    files: list[RhdFile] = []
    notes: list[str] = []
    failure: RecordingError | None = None
    for path in paths:
        try:
            files.append(RhdFile.open(path))
        except RecordingError as error:
            failure = failure or error
            notes.append(f"left out: {error}")
    if failure is not None and not files:
        raise failure
    return files, notes


def _extra(header: RhdHeader) -> dict[str, Any]:
    return {
        **header.info,
        "adc_scale": "file" if known_board_mode(header) or not header.of_kind(ADC) else "assumed",
        "supply_channels_not_read": [c.native_name for c in header.of_kind(SUPPLY)],
        "temperature_sensors_not_read": header.temperature_sensors,
        "channels": [
            {
                "native_name": c.native_name,
                "custom_name": c.custom_name,
                "native_order": c.native_order,
                "kind": c.kind,
                "chip_channel": c.chip_channel,
                "board_stream": c.board_stream,
                "impedance_ohm": c.impedance_ohm,
                "impedance_phase_deg": c.impedance_phase_deg,
            }
            for c in header.channels
        ],
    }
