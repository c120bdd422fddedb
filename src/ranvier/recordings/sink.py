"""Where blocks go: open -> write(block) ... -> commit | abort."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

from ranvier.exceptions import OutputError, OutputExistsError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings.block import Block
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.events import Events, SpikeTrains


@dataclass(frozen=True, slots=True)
class Header:
    """What a sink must know before the first block.

    Attributes
    ----------
    fs, channels
        Of the blocks that will come.
    start
        Expected counter of the first sample.
    provenance
        JSON data (see :mod:`ranvier.recordings.provenance`) that the sink stores with the output.
    simulated
        Mark the output as simulated, in its metadata.
    extra
        Metadata of the source that must survive (e.g. unknown XDAT JSON keys), by format name.
    """

    fs: Fraction
    channels: ChannelTable
    start: int = 0
    walltime: datetime | None = None
    name: str = ""
    uid: str = ""
    simulated: bool = False
    provenance: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


class Sink(ABC):
    """One output being written; nothing stands under its final names before ``commit``.

    ``destination`` is ``dir/base`` without the format's suffix. Opening refuses outputs that exist (OutputExistsError)
    unless ``force``, and folders that cannot be written (OutputError). A jump of ``block.start`` between blocks is a
    gap. The context manager aborts on an exception and on leaving without ``commit``.
    """

    file_type: ClassVar[RadiensFileType]
    suffixes: ClassVar[tuple[str, ...]]  # the first is the one we write

    def __init__(self, destination: Path, header: Header, *, force: bool = False) -> None:
        self.destination = destination
        self.header = header
        self.force = force
        self.clipped_samples = 0
        existing = [p for p in self.final_paths() if p.exists()]
        if existing and not force:
            raise OutputExistsError(f"{existing[0]} exists already; choose another name or pass force=True")
        folder = destination.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._open()
        except OSError as error:
            self.abort()
            raise OutputError(f"cannot write {destination}: {error.strerror or error}") from error

    @abstractmethod
    def final_paths(self) -> list[Path]:
        """Return every file that a commit creates; the one to link first."""

    @abstractmethod
    def _open(self) -> None:
        """Create temporary files in the destination's folder."""

    @abstractmethod
    def write(self, block: Block) -> None:
        """Append a block; OutputError where the disk refuses it."""

    @abstractmethod
    def write_events(self, events: Events) -> None:
        """Add events, in counters of this output; formats without a place for them keep them in a sidecar."""

    @abstractmethod
    def write_spike_trains(self, name: str, trains: SpikeTrains) -> None:
        """Add spike trains; formats without a place for them keep them in a sidecar or raise CapabilityError."""

    @abstractmethod
    def commit(self) -> Path:
        """Finish, flush, give the final names (metadata last); return the path to link."""

    @abstractmethod
    def abort(self) -> None:
        """Remove everything that was written; safe to call at any time, also twice."""

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abort()
