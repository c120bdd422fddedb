"""Recordings that belong together: additions to the documented API, shared by both file clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
import numpy.typing as npt

from ranvier.clients._base import several
from ranvier.clients._output_options import OutputKeywords, output_options
from ranvier.clients._progress import shown
from ranvier.clients._signals import SignalsClient
from ranvier.exceptions import ConfigurationError
from ranvier.models._coerce import output_path as named
from ranvier.models.dataset import DatasetMetadata
from ranvier.models.events import EventTable
from ranvier.models.flex import FlexDataset
from ranvier.models.sessions import ClockAlignment, ReplayReport, SessionPiece, SplitTimestamps


class SessionsClient(SignalsClient):
    """Concatenate and split recordings, align clocks."""

    def concatenate(
        self, datasets: Sequence[FlexDataset], output_path: str | Path, *, match: str = "same", gap_sec: float = 0.0,
        by_walltime: bool = False, force: bool = False, **options: Unpack[OutputKeywords],
    ) -> DatasetMetadata:  # fmt: skip
        """Put recordings one after the other, in the order given, and link the result.

        Parameters
        ----------
        output_path
            ``dir/base.session.json`` refers to the sources and copies nothing; any other ``dir/base[.suffix]`` writes
            the samples (XDAT without a suffix). The first recording keeps its sample counters, the others follow.
        match
            ``"same"``: all have the same channels in the same order (type, native index, name, unit). ``"name"``: all
            have the channels of the first one, found by type and name; others are left out, and provenance says so.
        gap_sec
            Time without samples between two recordings. Filters restart at a gap; where recordings stand back to back
            (0), they run on.
        by_walltime
            Take the gaps from the wall times of the recordings.
        metadata, compression
            As for ``convert``; a ``.session.json`` holds no samples and has no place for them.

        Raises
        ------
        ConfigurationError
            The recordings do not fit; the message names everything that does not, of every recording.
        """
        stated = output_options(**options)
        ids = [self._id(d) for d in several(datasets)]
        with shown(self._progress, f"concatenating {len(ids)} recordings") as progress:
            found = self._hub.sessions.concatenate(
                ids, named(output_path), match=match, gap_sec=gap_sec, by_walltime=by_walltime, options=stated,
                force=force, progress=progress,
            )  # fmt: skip
        self._mine[found.id] = None
        return found

    def get_pieces(self, dataset: FlexDataset) -> list[SessionPiece]:
        """Return which samples of a concatenated recording came from where; also of one that was filtered since."""
        return self._hub.sessions.pieces(self._id(dataset))

    def split_recording(
        self, dataset: FlexDataset, output_dir: str | Path, *, suffix: str = ".xdat", force: bool = False,
        **options: Unpack[OutputKeywords],
    ) -> list[DatasetMetadata]:  # fmt: skip
        """Write each piece of a concatenated recording, named and counted like its source, and link it.

        ``metadata`` and ``compression`` as for ``convert``.
        """
        stated = output_options(**options)
        source = self._metadata(dataset)
        with shown(self._progress, f"splitting {source.base_name}") as progress:
            found = self._hub.sessions.split(
                source.id, Path(output_dir), suffix=suffix, options=stated, force=force, progress=progress
            )
        self._mine.update(dict.fromkeys((ds.id for ds in found), None))
        return found

    def split_events(self, dataset: FlexDataset, events: EventTable | None = None) -> list[EventTable]:
        """Return events (None: those of the dataset) per piece, in each source's own counters and seconds."""
        return self._hub.sessions.split_events(self._id(dataset), events)

    def split_timestamps(self, dataset: FlexDataset, timestamps: npt.ArrayLike) -> SplitTimestamps:
        """Return piece and own sample counter of sample counters of a concatenated recording, e.g. of spikes."""
        counters = np.asarray(timestamps)
        if counters.dtype.kind not in "iu" and counters.size:
            raise ConfigurationError(f"timestamps are sample counters, whole numbers, not {counters.dtype}")
        return self._hub.sessions.split_timestamps(self._id(dataset), counters.astype(np.int64))

    def replay(
        self, dataset: FlexDataset, *, output_path: str | Path | None = None,
        sources: Mapping[str, str] | None = None, force: bool = False,
    ) -> ReplayReport:  # fmt: skip
        """Make a recording again from what its provenance says, and compare: every sample, counter, event and spike.

        Parameters
        ----------
        output_path
            Keep the repetition; None compares and removes it.
        sources
            Where recorded files, or folders that they lie in, are now: ``{old: new}``.

        Returns
        -------
        ReplayReport
            ``same`` and ``verdict`` say whether it came out as it must: identical to the last bit with the versions
            and CPU type of the record, within 1e-6 of full scale otherwise (``environment`` says what is different).

        Raises
        ------
        CapabilityError
            It does not say how it was made, was recorded and not made, or has a stage that this version does not know.
        DatasetError, RecordingError
            A source is gone; a source changed.
        """
        made = self._metadata(dataset)
        with shown(self._progress, f"repeating {made.base_name}") as progress:
            return self._hub.replays.replay(
                made.id, output=None if output_path is None else named(output_path), moved=dict(sources or {}),
                force=force, progress=progress,
            )  # fmt: skip

    def align_clocks(
        self, source: FlexDataset | EventTable, target: FlexDataset | EventTable, *,
        source_fs_hz: float | None = None, target_fs_hz: float | None = None, source_line: int = 0,
        target_line: int = 0, state: int = 1, barcodes: bool = False, near_offset_sec: float | None = None,
        within_sec: float = 0.5, tolerance_sec: float = 0.002, max_rate_ppm: float = 500.0,
    ) -> ClockAlignment:  # fmt: skip
        """Find how one recording's clock maps to another one's, from pulses that both recorded.

        Parameters
        ----------
        source, target
            Datasets, or tables of events (then the rates are taken from the tables, or given).
        source_line, target_line, state
            Which edges: TTL line of each side, 1 rising or 0 falling.
        barcodes
            The lines carry barcodes: match by value instead of by the pattern of intervals.
        near_offset_sec, within_sec
            Target minus source time is known to be near this. For pulses at a fixed period, which match everywhere.
        tolerance_sec, max_rate_ppm
            Largest jitter of a pulse; largest difference of the clocks' rates.

        Returns
        -------
        ClockAlignment
            Offset, rate, residual, matched and unmatched pulses, and what it is worth. ``map_events`` and
            ``map_timestamps`` use it.

        Raises
        ------
        DataProcessingError
            The pulses do not match, or match in several ways; the message says what would help.
        """
        a, a_fs = self._events_of(source, source_fs_hz)
        b, b_fs = self._events_of(target, target_fs_hz)
        return self._hub.sessions.align(
            a, b, source_fs_hz=a_fs, target_fs_hz=b_fs, source_line=source_line, target_line=target_line, state=state,
            barcodes=barcodes, near_offset_sec=near_offset_sec, within_sec=within_sec, tolerance_sec=tolerance_sec,
            max_rate_ppm=max_rate_ppm,
        )  # fmt: skip

    def map_events(self, events: FlexDataset | EventTable, alignment: ClockAlignment) -> EventTable:
        """Return events of the source clock with the target's counters and seconds."""
        return self._hub.sessions.map_events(self._events_of(events, None)[0], alignment)

    def map_timestamps(self, timestamps: npt.ArrayLike, alignment: ClockAlignment) -> npt.NDArray[np.int64]:
        """Return target sample counters (the nearest) of source counters, e.g. of spikes."""
        return self._hub.sessions.map_timestamps(np.asarray(timestamps, dtype=np.int64), alignment)

    def _events_of(self, given: FlexDataset | EventTable, fs_hz: float | None) -> tuple[EventTable, float | None]:
        if isinstance(given, EventTable):
            return given, fs_hz
        dataset = self._metadata(given)
        return self._hub.signals.events(dataset.id), dataset.sampling_rate if fs_hz is None else fs_hz
