"""Recordings that belong together: one after the other, or by two clocks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ranvier.models.dataset import DatasetMetadata
from ranvier.models.events import EventTable
from ranvier.models.output_options import OutputOptions
from ranvier.models.sessions import Barcodes, ClockAlignment, SessionPiece, SplitTimestamps
from ranvier.services.progress import Progress


class HubSessions(Protocol):
    """Concatenate and split recordings; align clocks."""

    def concatenate(
        self,
        dataset_ids: Sequence[str],
        output: Path,
        *,
        match: str = "same",
        gap_sec: float = 0.0,
        by_walltime: bool = False,
        options: OutputOptions | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> DatasetMetadata:
        """Put recordings one after the other, in the order given, and link the result.

        Parameters
        ----------
        output
            ``dir/base.session.json`` refers to the sources and copies nothing; any other ``dir/base[.suffix]`` writes
            the samples.
        match
            ``"same"``: all have the same channels (type, native index, name, unit) in the same order. ``"name"``: all
            have the channels of the first one, found by type and name; others are left out, and notes say so.
        gap_sec
            Time without samples between two recordings, rounded to whole samples. Filters restart at a gap; across
            recordings that stand back to back (0) they do not.
        by_walltime
            As far apart as their wall times say, instead.
        options
            As for transforms; a ``.session.json`` has no place for any.

        Raises
        ------
        ConfigurationError
            They do not fit; the message names everything that does not, of every recording.
        OutputExistsError, OutputError, JobCancelledError, DataProcessingError
            As for transforms.
        """
        ...

    def pieces(self, dataset_id: str) -> list[SessionPiece]:
        """Return which samples came from where; DatasetError where the dataset was not concatenated.

        Filters and slices of a concatenated recording keep the table.
        """
        ...

    def split(
        self,
        dataset_id: str,
        folder: Path,
        *,
        suffix: str = ".xdat",
        options: OutputOptions | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> list[DatasetMetadata]:
        """Write each piece to ``folder/base of its source``, in its source's own counters, and link it."""
        ...

    def split_events(self, dataset_id: str, events: EventTable | None = None) -> list[EventTable]:
        """Return events (those of the dataset, where none are given) per piece, in each source's own counters."""
        ...

    def split_timestamps(self, dataset_id: str, timestamps: npt.NDArray[np.int64]) -> SplitTimestamps:
        """Return piece and own counter of sample counters of the concatenated recording, e.g. of spikes."""
        ...

    def align(
        self,
        source: EventTable,
        target: EventTable,
        *,
        source_fs_hz: float | None = None,
        target_fs_hz: float | None = None,
        source_line: int = 0,
        target_line: int = 0,
        state: int = 1,
        barcodes: bool = False,
        near_offset_sec: float | None = None,
        within_sec: float = 0.5,
        tolerance_sec: float = 0.002,
        max_rate_ppm: float = 500.0,
    ) -> ClockAlignment:
        """Find how the source clock maps to the target clock, from pulses that both recorded.

        Parameters
        ----------
        source, target
            Events of both recordings; of each, the edges of one line with one state (1 rising, 0 falling).
        source_fs_hz, target_fs_hz
            Nominal sampling rates; None takes them from the tables (timestamp / sec).
        barcodes
            The lines carry barcodes (32 bits of 30 ms between wrappers of 10 ms): match by value instead of by pattern.
        near_offset_sec, within_sec
            Target minus source time is near this. For pulses whose intervals tell nothing (a fixed period).
        tolerance_sec
            Largest jitter of a pulse, and of a clock against a straight line while the pulses are matched.
        max_rate_ppm
            Largest difference of the rates.

        Raises
        ------
        DataProcessingError
            No alignment, or no single one: the message says why and what would help.
        ConfigurationError
            A line without enough pulses, or a rate that is not known.
        """
        ...

    def map_timestamps(self, timestamps: npt.NDArray[np.int64], alignment: ClockAlignment) -> npt.NDArray[np.int64]:
        """Return target counters (nearest sample) of source counters, e.g. of spikes."""
        ...

    def map_events(self, events: EventTable, alignment: ClockAlignment) -> EventTable:
        """Return events of the source clock with the target's counters and seconds."""
        ...

    def barcodes(self, events: EventTable, *, fs_hz: float | None = None, line: int = 0, bits: int = 32) -> Barcodes:
        """Return the barcodes on a line."""
        ...
