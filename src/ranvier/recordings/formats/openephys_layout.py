"""Folders of the Open Ephys binary format, and what ``structure.oebin`` says about them.

``Record Node N/experimentE/recordingR/structure.oebin`` is JSON; ``continuous/``, ``events/`` and ``spikes/`` lie
beside it. Layout: https://open-ephys.github.io/gui-docs/User-Manual/Recording-data/Binary-format.html
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

from ranvier.exceptions import RecordingError
from ranvier.recordings.formats.counters import exact_rate

OEBIN = "structure.oebin"
_MAX_OEBIN_BYTES = 1 << 26
#: Where structure.oebin can lie below what a user names: a recording, an experiment, a record node, a session.
_BELOW = (OEBIN, f"recording*/{OEBIN}", f"experiment*/recording*/{OEBIN}", f"*/experiment*/recording*/{OEBIN}")
_SOFTWARE_TIME = re.compile(r"milliseconds since midnight Jan 1st 1970 UTC\):\s*(\d{1,15})")


@dataclass(frozen=True)
class RecordingFolder:
    """One recording: its folder and the parsed description."""

    path: Path
    oebin: dict[str, Any]

    @property
    def gui_version(self) -> str:
        """Release of the program that wrote it."""
        return str(self.oebin.get("GUI version", "unknown"))

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """Return the descriptions of ``"continuous"``, ``"events"`` or ``"spikes"``."""
        found = self.oebin.get(kind, [])
        if not isinstance(found, list) or not all(isinstance(e, dict) for e in found):
            raise RecordingError(f"{self.path / OEBIN}: {kind!r} is damaged")
        return found

    def folder(self, kind: str, entry: dict[str, Any]) -> Path:
        """Return the folder of an entry; it must lie inside of the recording."""
        name = entry.get("folder_name", entry.get("folder"))
        parts = PurePosixPath(str(name).replace("\\", "/")).parts if isinstance(name, str) else ()
        if not parts or ".." in parts or "/" in parts or ":" in parts[0] or "\0" in str(name):
            raise RecordingError(f"{self.path / OEBIN}: {name!r} is not a folder of this recording")
        return self.path.joinpath(kind, *parts)

    def rate(self, entry: dict[str, Any]) -> Fraction:
        """Return the sampling rate of an entry."""
        value = entry.get("sample_rate")
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise RecordingError(f"{self.path / OEBIN}: sample_rate {value!r} is not a number")
        return exact_rate(min(value, 1e300), where=str(self.path / OEBIN))

    def number(self, entry: dict[str, Any], key: str, default: float) -> float:
        """Return a finite number of an entry."""
        value = entry.get(key, default)
        if not isinstance(value, (int, float)) or abs(value) > 1e300 or not math.isfinite(value):
            raise RecordingError(f"{self.path / OEBIN}: {key} {value!r} is not a number")
        return float(value)

    def label(self) -> tuple[str, str, str]:
        """Return the names of record node, experiment and recording."""
        return self.path.parent.parent.name, self.path.parent.name, self.path.name

    def walltime(self) -> datetime | None:
        """Return the UTC time at which the recording started, where ``sync_messages.txt`` tells."""
        try:
            with open(self.path / "sync_messages.txt", encoding="utf-8", errors="replace") as handle:
                found = _SOFTWARE_TIME.search(handle.read(1 << 16))
        except OSError:
            return None
        if not found or not int(found[1]):
            return None
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(found[1]))


def find_recordings(path: Path) -> list[Path]:
    """Return the recording folders that a path means, in order: above it for a file, below it for a folder."""
    if path.is_file():
        if path.name == OEBIN:
            return [path.parent]
        if path.name == "continuous.dat" and (path.parents[2] / OEBIN).is_file():
            return [path.parents[2]]
        return []
    if not path.is_dir():
        return []
    for pattern in _BELOW:
        found = [p.parent for p in path.glob(pattern) if p.is_file()]
        if found:
            return sorted(found, key=_natural)
    above = path.parent.parent
    if path.parent.name == "continuous" and (above / OEBIN).is_file():  # the folder of one stream
        return [above]
    return []


def read_folder(path: Path) -> RecordingFolder:
    """Parse ``structure.oebin``; RecordingError where it is damaged."""
    file = path / OEBIN
    if file.stat().st_size > _MAX_OEBIN_BYTES:
        raise RecordingError(f"{file}: {file.stat().st_size} bytes are too many for a description; it is damaged")
    try:
        oebin = json.loads(file.read_text(encoding="utf-8", errors="replace"))
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{file} is not valid JSON; it is damaged, or was cut while the recording ran") from error
    if not isinstance(oebin, dict):
        raise RecordingError(f"{file}: it does not describe a recording")
    return RecordingFolder(path, oebin)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key that puts recording10 behind recording2."""
    return [(int(t), "") if t.isdigit() else (-1, t) for t in re.split(r"(\d+)", str(path))]
