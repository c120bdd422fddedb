"""Where blocks go: open -> write(block) ... -> commit | abort."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

from ranvier.exceptions import OutputError, OutputExistsError
from ranvier.models.dataset import RadiensFileType
from ranvier.models.output_options import OutputOptions
from ranvier.recordings.block import Block
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.files import StagedFiles, writing
from ranvier.recordings.quantiser import Counts, Quantiser
from ranvier.recordings.segments import Segments


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
    options
        What the user asked of the output beyond its format.
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
    options: OutputOptions = field(default_factory=OutputOptions)


class Sink(ABC):
    """One output being written; nothing stands under its final names before ``commit``.

    ``destination`` is ``dir/base`` without the format's suffix. Opening refuses outputs that exist (OutputExistsError)
    unless ``force``, and folders that cannot be written (OutputError). A jump of ``block.start`` between blocks is a
    gap. The context manager aborts on an exception and on leaving without ``commit``.

    A sink creates its files through ``staged``, and asks ``_admit`` about each block.

    Attributes
    ----------
    clipped_samples, unknown_samples
        Values that did not fit the format and were saturated, and NaN values that were written as 0.
    lent
        Whether the memory of blocks stays as it is after ``write``, so that they can still be written then. Only who
        writes knows that; else a sink has copied what it needs when ``write`` returns.
    """

    file_type: ClassVar[RadiensFileType]
    suffixes: ClassVar[tuple[str, ...]]  # the first is the one we write

    def __init__(self, destination: Path, header: Header, *, force: bool = False) -> None:
        self.destination = destination
        self.header = header
        self.force = force
        self.clipped_samples = self.unknown_samples = 0
        self.lent = False
        self.staged = StagedFiles()
        self._runs: list[list[int]] = []
        with writing(destination):
            existing = [p for p in self.final_paths() if p.exists()]
            if existing and not force:
                raise OutputExistsError(f"{existing[0]} exists already; choose another name or pass force=True")
            try:
                destination.parent.mkdir(parents=True, exist_ok=True)
                self._open()
            except BaseException:
                self.abort()
                raise

    @property
    def segments(self) -> Segments:
        """The gap table of what was written so far."""
        return Segments.from_runs((counter, n) for counter, n in self._runs)

    @property
    def first_walltime(self) -> datetime | None:
        """UTC time of the first sample that was written (of the expected one before that); None if not known."""
        walltime, segments = self.header.walltime, self.segments
        if walltime is None or not segments.rows:
            return walltime
        return walltime + timedelta(seconds=float((segments.start - self.header.start) / self.header.fs))

    @abstractmethod
    def final_paths(self) -> list[Path]:
        """Return every file that a commit creates; the one to link first."""

    @abstractmethod
    def _open(self) -> None:
        """Create temporary files in the destination's folder."""

    @abstractmethod
    def write(self, block: Block) -> None:
        """Append a block; OutputError where the disk refuses it."""

    @property
    def quantiser(self) -> Quantiser | None:
        """What makes int16 counts of the blocks that are written, in outputs that store such; else None.

        Any thread may use it before ``write_counts``: that is all the computing that such an output needs.
        """
        return None

    def write_counts(self, counts: Counts) -> None:
        """Append what ``quantiser`` made of a block, as ``write`` of that block would; its memory must not change."""
        raise OutputError(f"{self.destination}: this output does not store counts of its own")

    @abstractmethod
    def write_events(self, events: Events) -> None:
        """Add events, in counters of this output; formats without a place for them keep them in a sidecar."""

    @abstractmethod
    def write_spike_trains(self, name: str, trains: SpikeTrains) -> None:
        """Add spike trains; formats without a place for them keep them in a sidecar or raise CapabilityError."""

    @abstractmethod
    def commit(self) -> Path:
        """Finish, flush, give the final names (metadata last); return the path to link."""

    def abort(self) -> None:
        """Remove everything that was written; safe to call at any time, also twice."""
        self.staged.abort()

    def _admit(self, block: Block) -> int:
        """Check that a block fits and note its counters; return how many samples are missing before it.

        OutputError where it has other columns than the header, or runs backwards.
        """
        if block.samples.ndim != 2 or block.samples.shape[1] != len(self.header.channels):
            raise OutputError(
                f"{self.destination}: a block of shape {block.samples.shape} does not have the "
                f"{len(self.header.channels)} columns that this output was opened for"
            )
        return self._admit_rows(block.start, len(block), block.samples.nbytes)

    def _admit_rows(self, start: int, rows: int, size: int) -> int:
        """Note so many rows, and bytes, from a counter on; return how many samples are missing before them."""
        if rows == 0:
            return 0
        self.staged.flush_behind(size)
        expected = self._runs[-1][0] + self._runs[-1][1] if self._runs else start
        if start < expected:
            raise OutputError(
                f"{self.destination}: a block starts at sample {start}, but {expected - 1} was written already; "
                f"blocks must come in time order"
            )
        if self._runs and start == expected:
            self._runs[-1][1] += rows
        else:
            self._runs.append([start, rows])
        return start - expected

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abort()
