"""How recordings are named: ``<base>[_SIMULATED][_port_<X>]_<index>[__uid<MMDD-HH-MM-SS>]``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from ranvier.exceptions import CapabilityError, ConfigurationError, OutputError
from ranvier.models.ports import Port
from ranvier.models.status import DataRecordingType, RecordingConfig

MARK = "SIMULATED"
#: Names longer than this leave no room for suffixes: file systems end at 255 bytes.
LONGEST_NAME_BYTES = 180
_FORBIDDEN = '/\\:*?"<>|'
_WINDOWS_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{d}{i}" for d in ("com", "lpt") for i in range(1, 10))})


def check_config(config: RecordingConfig) -> RecordingConfig:
    """Return a configuration with its folder written out in full.

    Raises
    ------
    ConfigurationError
        A name or an index that cannot be meant, or a folder that is not absolute.
    OutputError
        A folder that is missing or cannot be written.
    CapabilityError
        Spikes beside files that are split by port.
    """
    name = config.base_file_name
    if not name.strip():
        raise ConfigurationError("base_file_name is empty; name the recording, for example 'session1'")
    odd = sorted({c for c in name if c in _FORBIDDEN or ord(c) < 32})
    if odd:
        raise ConfigurationError(
            f"base_file_name {name!r} contains {' '.join(map(repr, odd))}; it is a name, the folder is base_file_path"
        )
    if name[0] in ". " or name[-1] in ". " or name.split(".")[0].lower() in _WINDOWS_DEVICES:
        raise ConfigurationError(
            f"base_file_name {name!r} is no name that every system takes; do not begin or end it with '.' or a blank, "
            f"and use no device name"
        )
    if len(name.encode()) > LONGEST_NAME_BYTES:
        raise ConfigurationError(f"base_file_name has more than {LONGEST_NAME_BYTES} bytes; choose a shorter one")
    if config.datasource_idx < 0:
        raise ConfigurationError(f"datasource_idx is {config.datasource_idx}; files are numbered from 0")
    if config.recording_type != DataRecordingType.CONTINUOUS and config.split_files_by_port:
        raise CapabilityError(
            f"recording_type {config.recording_type.name} records whole sets; turn split_files_by_port off"
        )
    return config.model_copy(update={"base_file_path": str(check_folder(config.base_file_path))})


def check_folder(text: str) -> Path:
    """Return a folder that recordings can be written to; ConfigurationError or OutputError tells why not."""
    if not text.strip():
        raise ConfigurationError("base_file_path is empty; name the folder for the recordings")
    if "\0" in text:
        raise ConfigurationError("base_file_path contains a NUL character")
    folder = Path(text).expanduser()
    if not folder.is_absolute():
        raise ConfigurationError(
            f"base_file_path {text!r} is relative, but the engine runs elsewhere; give the whole path of the folder"
        )
    if not folder.exists():
        raise OutputError(f"base_file_path {folder} does not exist; create the folder first")
    if not folder.is_dir():
        raise OutputError(f"base_file_path {folder} is not a folder; name the folder for the recordings")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"base_file_path {folder} cannot be written; choose a folder that you may write to")
    return folder


def stem(config: RecordingConfig, *, port: Port | None, simulated: bool) -> str:
    """Return what a name has before its index."""
    parts = [config.base_file_name]
    if simulated and MARK not in config.base_file_name:
        parts.append(MARK)
    if port is not None:
        parts.append(f"port_{port.name}")
    return "_".join(parts)


def next_index(stems: Iterable[str], names: Iterable[str], first: int) -> int:
    """Return the smallest index from ``first`` on that no file among ``names`` uses with any of the stems.

    Letter case is ignored, as some file systems do; the date behind an index does not make it free.
    """
    pattern = re.compile(
        rf"(?:{'|'.join(re.escape(s.lower()) for s in stems)})_(\d+)(?:__uid|_data\.|_timestamp\.|\.|_ranvier|$)"
    )
    used = {int(match.group(1)) for name in names if (match := pattern.match(name.lower()))}
    index = first
    while index in used:
        index += 1
    return index


def base_name(stem: str, index: int, when: datetime | None) -> str:
    """Return the name of a set without suffixes; ``when`` is local time."""
    return f"{stem}_{index}" + ("" if when is None else f"__uid{when:%m%d-%H-%M-%S}")
