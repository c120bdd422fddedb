"""Reader of Intan RHD files in the traditional layout: one file holds header and data blocks.

Intan's programs can split a long recording into files of some minutes; the folder that holds them opens as one
recording where their counters continue each other, and as one stream per file where they do not.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ranvier.exceptions import CapabilityError, RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings.digital import digital_edges
from ranvier.recordings.format import Format
from ranvier.recordings.formats.rhd_channels import known_board_mode
from ranvier.recordings.formats.rhd_header import ADC, RHD_MAGIC, RHS_MAGIC, SUPPLY
from ranvier.recordings.formats.rhd_recording import RhdFile, RhdRecording, join_files
from ranvier.recordings.lazy import LazyDict
from ranvier.recordings.session import Session

_NAME = "Intan RHD"
#: Files that stand beside info.rhd where the samples lie outside of it.
_SPLIT_LAYOUTS = (("time.dat", "one file per signal type or channel"), ("amplifier.dat", "one file per signal type"))


def detect(path: Path) -> Path | None:
    """Return the path itself, with the suffix where it was left out; None where it is no RHD file or folder of them."""
    if path.is_dir():
        return path if _files_in(path) else None
    candidates = [path, path.with_name(path.name + ".rhd")]
    return next((p for p in candidates if _magic(p) in (RHD_MAGIC, RHS_MAGIC)), None)


def open_rhd(path: Path) -> Session:
    """Open a file, or a folder of files that one recording was split into.

    Raises
    ------
    CapabilityError
        For RHS files and for the layouts that keep samples in separate .dat files.
    RecordingError
        Where the header is damaged.
    """
    files, notes = _read_files(_files_in(path) if path.is_dir() else [path])
    streams: dict[str, RhdRecording] = {}
    for group in join_files(files):
        name = "" if len(group) == len(files) else group[0].path.stem
        recording = RhdRecording(group, path if len(group) > 1 else group[0].path, name)
        streams[name] = recording
    return Session(
        path=path,
        file_type=RadiensFileType.RHD,
        format=_NAME,
        streams=dict(streams),
        events=LazyDict({name: partial(digital_edges, stream) for name, stream in streams.items()}),
        notes=tuple(notes + _assumptions(files[0])),
        extra={"rhd": _extra(files[0])},
    )


def files_of(path: Path) -> list[Path]:
    """Return the files that belong to the recording."""
    return _files_in(path) if path.is_dir() else [path]


def base_name(path: Path) -> str:
    """Return the name without ``.rhd``."""
    return path.stem if path.suffix.lower() == ".rhd" else path.name


def _files_in(folder: Path) -> list[Path]:
    return [p for p in sorted(folder.glob("*.rhd")) if _magic(p) == RHD_MAGIC]


def _magic(path: Path) -> int | None:
    try:
        if not path.is_file():
            return None
        with open(path, "rb") as handle:
            return int.from_bytes(handle.read(4), "little")
    except OSError:
        return None


def _read_files(paths: list[Path]) -> tuple[list[RhdFile], list[str]]:
    """Open every file; one that is damaged among several is skipped and noted."""
    files: list[RhdFile] = []
    notes: list[str] = []
    failure: RecordingError | None = None
    for path in paths:
        try:
            file = RhdFile.open(path)
            _refuse_split_layout(file)
            files.append(file)
        except RecordingError as error:
            failure = failure or error
            notes.append(f"left out: {error}")
    if failure is not None and not files:
        raise failure
    return files, notes


def _refuse_split_layout(file: RhdFile) -> None:
    if file.rows:
        return
    for name, layout in _SPLIT_LAYOUTS:
        if file.path.with_name(name).exists():
            raise CapabilityError(
                f"{file.path}: this recording keeps {layout} ({name} stands beside its header); this version reads "
                f"the traditional layout only: convert it with Intan's RHX software, or record in that layout"
            )


def _assumptions(file: RhdFile) -> list[str]:
    if known_board_mode(file.header) or not file.header.of_kind(ADC):
        return []
    return [f"{file.path.name}: board mode {file.header.board_mode} is not known; 0-3.3 V assumed for analog inputs"]


def _extra(file: RhdFile) -> dict[str, object]:
    header = file.header
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


FORMAT = Format(
    name=_NAME,
    file_type=RadiensFileType.RHD,
    suffixes=(".rhd",),
    detect=detect,
    open=open_rhd,
    files=files_of,
    base_name=base_name,
)
