"""What the tests of exports share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ranvier import VidereClient
from ranvier.models import DatasetMetadata


@dataclass(frozen=True)
class Curated:
    """A client, a recording of 8 s from 2 s on with 4 units of its 5 left, and the one that a merge made."""

    videre: VidereClient
    recording: DatasetMetadata
    merged: int
    folder: Path
