"""One XDAT set while it is recorded: readable at every moment, and after power loss up to the last flush.

The order of writing is what makes it so. Samples go to the system as they come. A *flush* forces the samples to the
disk, and only then appends their counters to the file of counters and forces those; because a reader takes as many rows
as both files hold, it never sees a sample that power loss could still take away. Behind that the clock record notes how
many rows are safe. ``<base>.xdat.json.part`` is complete from the start; the finished JSON replaces it last.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.recordings import Block
from ranvier.recordings.events import Events
from ranvier.recordings.formats.xdat_clock import RECORD, ClockTriple, pack
from ranvier.recordings.formats.xdat_metadata import OWN_KEY
from ranvier.recordings.formats.xdat_names import XdatSet
from ranvier.recordings.formats.xdat_sink import make_document
from ranvier.recordings.formats.xdat_timestamps import LARGEST, LONGEST_GAP_SEC
from ranvier.recordings.segments import Segments
from ranvier.recordings.sidecar import json_bytes
from ranvier.recordings.sink import Header
from ranvier.rig.disk import Disk, GrowingFile, write_whole
from ranvier.rig.recording_rows import RowMaker

_COUNTER_BYTES = 8
#: The clock file is forced to the disk with every so many flushes.
_CLOCK_FLUSHES = 10
_UNKNOWN_US = 2**32 - 1
#: Given back to a full disk beside what the metadata need.
_SPARE_BYTES = 1 << 14


class CounterError(ValueError):
    """A block whose counter cannot follow what the file holds."""


@dataclass
class Unwritten:
    """Samples that arrived and are not in the file: counters ``[start, stop)`` of the file, and why."""

    start: int
    stop: int
    why: str


@dataclass
class RecordingFacts:
    """What the metadata say beside what every XDAT set says, as plain data."""

    recorded_by: str = ""
    source: str = ""
    port: str | None = None
    flush_sec: float = 0.0
    dsp: list[Mapping[str, Any]] = field(default_factory=list)


class RecordingFile:
    """One set. One thread writes; the counts may be read by any.

    Parameters
    ----------
    header
        Its ``start`` and ``walltime`` are set when the first block comes.
    columns, width
        Columns of the blocks that belong to this set, None for all, and how many a block has.
    force_zero
        Count from 0 in the file, whatever the stream's counter is.
    utc_ns
        Returns the time of day, ns since 1970.

    Attributes
    ----------
    rows
        Rows that the file of samples holds.
    durable_rows
        Rows that are safe from power loss.
    unwritten
        What arrived and is not in the file.
    notes
        What a user should know about this recording; they go into the metadata.
    """

    def __init__(
        self,
        disk: Disk,
        files: XdatSet,
        header: Header,
        facts: RecordingFacts,
        *,
        columns: npt.NDArray[np.int64] | None = None,
        width: int | None = None,
        force_zero: bool = False,
        utc_ns: Callable[[], int],
    ) -> None:
        self.files = files
        self.header = header
        self.facts = facts
        self.rows = 0
        self.durable_rows = 0
        self.unwritten: list[Unwritten] = []
        self.notes: list[str] = []
        self.longest_stall_sec = 0.0
        self.is_finished = False
        self._disk = disk
        self._utc_ns = utc_ns
        self._row_bytes = 4 * len(header.channels)
        self._maker = RowMaker(columns, width or len(header.channels))
        self._offset: int | None = None if force_zero else 0
        self._runs: list[list[int]] = []
        self._stamped_rows = 0
        self._triples: list[ClockTriple] = []
        self._clock_ends: list[ClockTriple] = []
        self._num_triples = 0
        self._flushes = 0
        self._open: dict[Path, GrowingFile] = {}
        self._create()

    # --- facts --------------------------------------------------------------------------------------------------

    @property
    def segments(self) -> Segments:
        """The gap table of what was written."""
        return Segments.from_runs((counter, n) for counter, n in self._runs)

    @property
    def unwritten_samples(self) -> int:
        """Samples per channel that arrived and are not in the file."""
        return sum(u.stop - u.start for u in self.unwritten)

    @property
    def pending_rows(self) -> int:
        """Rows that power loss would take."""
        return self.rows - self.durable_rows

    @property
    def claimed_bytes(self) -> int:
        """Space that is set aside already."""
        return sum(f.claimed_bytes for f in list(self._open.values()))

    @property
    def bytes_per_row(self) -> int:
        """Bytes that a sample of all channels takes."""
        return self._row_bytes + _COUNTER_BYTES

    # --- writing ------------------------------------------------------------------------------------------------

    def write(self, block: Block) -> None:
        """Append a block; OSError where the disk refuses (whole rows that it took count), CounterError."""
        if not len(block):
            return
        if self._offset is None:
            self._offset = block.start
        start = block.start - self._offset
        self._check_counter(start)
        if not self._runs:
            arrived = datetime.fromtimestamp(self._utc_ns() / 1e9, UTC)
            first = arrived - timedelta(seconds=len(block) / float(self.header.fs))
            self.header = replace(self.header, start=start, walltime=first)
        try:
            for tile in self._maker.tiles(block):
                self._data.write(tile.data)
        finally:
            self._admit(start, self._data.size // self._row_bytes - self.rows)

    @property
    def counter_offset(self) -> int | None:
        """What is subtracted from the stream's counters; None where that is not known before the first block."""
        return self._offset

    def flush(self) -> None:
        """Force what was written to the disk: the samples first, their counters next, the clock last."""
        if not self.pending_rows:
            return
        self._data.sync()
        self._stamp()
        self._counters.sync()
        self.durable_rows = self._stamped_rows
        if not self._triples and not self._num_triples:
            self._triples.append(ClockTriple(self.segments.stop, time.monotonic_ns(), self._utc_ns(), _UNKNOWN_US))
        self._write_clock()
        if self._flushes % _CLOCK_FLUSHES == 0:  # the first one too: it tells a counter 0 from a hole in the file
            self._clock.sync()
        self._flushes += 1

    def note_clock(self, triple: ClockTriple) -> None:
        """Take a clock reading; it is written with the next flush."""
        if self._runs:
            self._triples.append(triple._replace(counter=triple.counter - (self._offset or 0)))

    def note_unwritten(self, start: int, stop: int, why: str) -> None:
        """Note that the stream's counters ``[start, stop)`` will not be in the file."""
        if self._offset is None:
            self._offset = start
        a, b = start - self._offset, stop - self._offset
        if self.unwritten and self.unwritten[-1].stop == a and self.unwritten[-1].why == why:
            self.unwritten[-1].stop = b
        elif b > a:
            self.unwritten.append(Unwritten(a, b, why))

    def note_unwritten_rest(self, block: Block, why: str) -> None:
        """Note what is missing of a block that ``write`` could not write whole."""
        written = self._runs[-1][0] + self._runs[-1][1] + (self._offset or 0) if self._runs else block.start
        self.note_unwritten(max(block.start, min(written, block.stop)), block.stop, why)

    # --- the end ------------------------------------------------------------------------------------------------

    def finish(self, note: str = "") -> Path | None:
        """Flush, write the metadata, take the provisional ones away; return the path to link.

        None where nothing was recorded: then nothing is left. On a disk that is full, the newest samples make room
        for their own metadata. OSError where even that fails: what is safe stays readable by its provisional metadata.
        """
        if note:
            self.notes.append(note)
        try:
            if not self.rows:
                self.discard()
                return None
            try:
                self._finish()
            except OSError as error:
                if error.errno not in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
                    raise
                self._give_room()
                self._finish()
            return self.files.metadata
        finally:
            self.is_finished = True
            self._close()

    def discard(self) -> None:
        """Remove everything."""
        self.is_finished = True
        self._close()
        for path in (self.files.data, self.files.timestamps, self.files.clock, self.files.provisional[0]):
            with suppress(OSError):
                self._disk.remove(path)

    def _finish(self) -> None:
        # Counters before samples: whatever survives of this, a reader takes the shorter of the two.
        self._stamped_rows = min(self._stamped_rows, self.rows)
        self._counters.truncate(self._stamped_rows * _COUNTER_BYTES)
        self._data.truncate(self.rows * self._row_bytes)
        self._clock.truncate(self._num_triples * RECORD.itemsize)
        self._data.sync()
        self._stamp()
        self._counters.sync()
        self.durable_rows = self.rows
        self._write_clock()
        self._clock.sync()
        write_whole(self._disk, self.files.metadata, json_bytes(self.document()))
        with suppress(OSError):  # harmless where it stays: the finished metadata come first
            self._disk.remove(self.files.provisional[0])
            self._disk.sync_folder(self.files.folder)

    def _give_room(self) -> None:
        """Cut off as many of the newest rows as the counters of the others and the metadata need."""
        needed = len(json_bytes(self.document())) + _SPARE_BYTES
        needed += _COUNTER_BYTES * max(0, self.rows - self._stamped_rows)
        self._cut(max(1, self.rows - -(-needed // self._row_bytes)))

    def _cut(self, rows: int) -> None:
        while self._runs and self.rows > rows:
            counter, n = self._runs[-1]
            drop = min(n, self.rows - rows)
            self.unwritten.append(Unwritten(counter + n - drop, counter + n, "the disk is full"))
            self.rows -= drop
            self._runs[-1][1] -= drop
            if not self._runs[-1][1]:
                self._runs.pop()
        self.unwritten.sort(key=lambda u: u.start)

    # --- metadata -----------------------------------------------------------------------------------------------

    def document(self) -> dict[str, Any]:
        """Return the JSON for what was written so far."""
        segments = self.segments
        document = make_document(self.header, segments, Events.empty(), [])
        own = document[OWN_KEY]
        lost = segments.missing - sum(
            min(u.stop, segments.stop) - max(u.start, segments.start)
            for u in self.unwritten
            if u.stop > segments.start and u.start < segments.stop
        )
        own["notes"] = [*self.notes, *self._loss_notes(lost)]
        own["recording"] = {
            "recorded_by": self.facts.recorded_by,
            "source": self.facts.source,
            "port": self.facts.port,
            "dsp": [dict(d) for d in self.facts.dsp],
            "flush_sec": self.facts.flush_sec,
            "counter_offset": self._offset or 0,
            "lost_by_source": max(0, lost),
            "unwritten": [[u.start, u.stop, u.why] for u in self.unwritten],
            "longest_stall_sec": round(self.longest_stall_sec, 3),
            "clock": self._clock_summary(),
        }
        return document

    def _loss_notes(self, lost: int) -> list[str]:
        fs = float(self.header.fs)
        notes = []
        if lost > 0:
            notes.append(f"{lost} samples ({lost / fs:.4g} s) never arrived from the source; they are gaps")
        for why in dict.fromkeys(u.why for u in self.unwritten):
            parts = [u for u in self.unwritten if u.why == why]
            n = sum(u.stop - u.start for u in parts)
            notes.append(f"{n} samples ({n / fs:.4g} s) in {len(parts)} stretches could not be written: {why}")
        return notes

    def _clock_summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = {"file": self.files.clock.name, "records": self._num_triples}
        if self._clock_ends:
            first, last = self._clock_ends[0], self._clock_ends[-1]
            summary |= {"first": list(first), "last": list(last)}
            elapsed = (last.monotonic_ns - first.monotonic_ns) / 1e9
            if elapsed > 5.0:
                rate = (last.counter - first.counter) / elapsed
                summary["drift_ppm"] = round((rate / float(self.header.fs) - 1.0) * 1e6, 2)
        return summary

    # --- parts --------------------------------------------------------------------------------------------------

    def _create(self) -> None:
        """Create the files: counters first, because they alone are no set that anybody could open yet."""
        try:
            self._counters = self._new(self.files.timestamps)
            self._clock = self._new(self.files.clock)
            write_whole(self._disk, self.files.provisional[0], json_bytes(self.document()))
            self._data = self._new(self.files.data, claim=True)
            self._disk.sync_folder(self.files.folder)
        except OSError:
            self._close()
            for path in (*self._open, self.files.provisional[0]) if self._open else ():
                with suppress(OSError):
                    self._disk.remove(path)
            raise

    def _new(self, path: Path, *, claim: bool = False) -> GrowingFile:
        made = self._disk.create(path, claim=claim)
        self._open[path] = made
        return made

    def _check_counter(self, start: int) -> None:
        if abs(start) >= LARGEST:
            raise CounterError(f"the counter {start} is none")
        if not self._runs:
            return
        expected = self._runs[-1][0] + self._runs[-1][1]
        if start < expected:
            raise CounterError(f"the counter ran backwards from {expected} to {start}")
        if start - expected > LONGEST_GAP_SEC * self.header.fs:
            raise CounterError(f"the counter jumped from {expected} to {start}")

    def _admit(self, start: int, rows: int) -> None:
        if rows <= 0:
            return
        if self._runs and self._runs[-1][0] + self._runs[-1][1] == start:
            self._runs[-1][1] += rows
        else:
            self._runs.append([start, rows])
        self.rows += rows

    def _stamp(self) -> None:
        """Append the counters of the rows that have none yet."""
        runs = self._runs_from(self._stamped_rows)
        if not runs:
            return
        counters = np.concatenate([np.arange(c, c + n, dtype="<i8") for c, n in runs])
        try:
            self._counters.write(counters.data)
        finally:
            self._stamped_rows = self._counters.size // _COUNTER_BYTES

    def _runs_from(self, row: int) -> list[tuple[int, int]]:
        runs: list[tuple[int, int]] = []
        left = self.rows - row
        for counter, n in reversed(self._runs):
            if left <= 0:
                break
            taken = min(n, left)
            runs.append((counter + n - taken, taken))
            left -= taken
        return runs[::-1]

    def _write_clock(self) -> None:
        while self._triples:
            triple = self._triples[0]
            self._clock.write(pack(triple, self.durable_rows))
            self._num_triples += 1
            self._clock_ends = [*self._clock_ends[:1], triple]
            self._triples.pop(0)

    def _close(self) -> None:
        for file in self._open.values():
            with suppress(OSError):
                file.close()
