"""Concatenate recordings, split them again, align their clocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ranvier.curation.output import resolve_output
from ranvier.curation.plan import Line, Plan
from ranvier.exceptions import ConfigurationError, DatasetError
from ranvier.hub.curation import Curation, source_record
from ranvier.hub.datasets import Datasets
from ranvier.hub.linked import Linked
from ranvier.hub.signals import stream_events
from ranvier.models._coerce import output_path
from ranvier.models.dataset import DatasetMetadata, RadiensFileType
from ranvier.models.events import EventTable
from ranvier.models.output_options import OutputOptions
from ranvier.models.sessions import Barcodes, ClockAlignment, SessionPiece, SplitTimestamps
from ranvier.recordings import Events, Session, format_for_type
from ranvier.recordings.concatenate import MatchRule, Part, match_columns, place
from ranvier.recordings.formats.joined import SUFFIX, join_session, write_joined
from ranvier.recordings.pieces import PieceTable, SourcePiece, pieces_in
from ranvier.recordings.provenance import new_record
from ranvier.recordings.views import stretch
from ranvier.services.progress import Progress
from ranvier.sync import alignment as sync
from ranvier.sync.barcodes import read_barcodes

Pieces = list[SessionPiece]


class Sessions:
    """Service ``HubSessions``."""

    def __init__(self, datasets: Datasets, curation: Curation) -> None:
        self._datasets = datasets
        self._curation = curation

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
        """Put recordings one after the other and link the result; see the Protocol."""
        linked = [self._datasets.linked(i) for i in dataset_ids]
        whole, record, table, columns = joined(linked, match, gap_sec, by_walltime, output)
        target = output_path(output)
        if target.name.lower().endswith(SUFFIX):
            base = target.with_name(target.name[: -len(SUFFIX)])
            kinds = [one.format.file_type for one in linked]
            path = write_joined(base, table, columns, whole.channels, file_types=kinds, provenance=record, force=force)
            return self._datasets.link(path)
        destination, known = resolve_output(output)
        planned = Line(whole.recording, whole.channels, record["stages"]).plan()
        label = f"concatenating {len(linked)} recordings into {destination.name}"
        paths = self._curation.write_planned(
            whole,
            planned,
            destination,
            known,
            label=label,
            sources=record["sources"],
            options=options,
            force=force,
            progress=progress,
        )
        return self._datasets.link(paths[0])

    def pieces(self, dataset_id: str) -> Pieces:
        """Return which samples came from where; see the Protocol."""
        table = self._table(self._datasets.linked(dataset_id))
        return [
            SessionPiece(
                path=p.path,
                stream=p.stream,
                source_start=p.start,
                source_stop=p.stop,
                output_start=p.output_start,
                output_stop=p.output_stop,
            )
            for p in table.pieces
        ]

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
        """Write each piece in its source's own counters and link it; see the Protocol."""
        linked = self._datasets.linked(dataset_id)
        table = self._table(linked)
        names = _base_names(table)
        made = []
        for k, name in enumerate(names):
            made_part = part_of(linked, table, k)
            if made_part is None:
                continue  # a slice left nothing of this piece
            part, planned = made_part
            destination, known = resolve_output(folder / (name + suffix))
            paths = self._curation.write_planned(
                part,
                planned,
                destination,
                known,
                label=f"splitting {linked.base_name}: {name}",
                sources=[source_record(linked)],
                options=options,
                force=force,
                progress=progress,
            )
            made.append(self._datasets.link(paths[0]))
        return made

    def split_events(self, dataset_id: str, events: EventTable | None = None) -> list[EventTable]:
        """Return events per piece, in each source's own counters; see the Protocol."""
        linked = self._datasets.linked(dataset_id)
        table = self._table(linked)
        given = stream_events(linked) if events is None else _events(events)
        fs = float(linked.recording.fs)
        return [_event_table(part, fs) for part in table.split_events(given)]

    def split_timestamps(self, dataset_id: str, timestamps: npt.NDArray[np.int64]) -> SplitTimestamps:
        """Return piece and own counter of sample counters; see the Protocol."""
        piece, own = self._table(self._datasets.linked(dataset_id)).to_sources(timestamps)
        return SplitTimestamps(piece=piece, timestamp=own)

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
        """Find how the source clock maps to the target clock; see the Protocol."""
        rates = (_rate(source, source_fs_hz, "source"), _rate(target, target_fs_hz, "target"))
        search = sync.Search(near_offset_sec, within_sec, tolerance_sec, max_rate_ppm)
        if barcodes:
            codes = [
                read_barcodes(table.timestamp[on], table.state[on], fs)
                for table, line, fs in ((source, source_line, rates[0]), (target, target_line, rates[1]))
                for on in [table.line == line]
            ]
            return sync.align_barcodes(codes[0], codes[1], *rates)
        pulses = [
            table.timestamp[(table.line == line) & (table.state == state)]
            for table, line in ((source, source_line), (target, target_line))
        ]
        return sync.align_pulses(pulses[0], pulses[1], *rates, search)

    def map_timestamps(self, timestamps: npt.NDArray[np.int64], alignment: ClockAlignment) -> npt.NDArray[np.int64]:
        """Return target counters of source counters; see the Protocol."""
        return sync.map_counters(np.asarray(timestamps, dtype=np.int64), alignment)

    def map_events(self, events: EventTable, alignment: ClockAlignment) -> EventTable:
        """Return events of the source clock on the target's; see the Protocol."""
        counters = sync.map_counters(events.timestamp, alignment)
        return events.model_copy(update={"timestamp": counters, "sec": counters / alignment.target_fs_hz})

    def barcodes(self, events: EventTable, *, fs_hz: float | None = None, line: int = 0, bits: int = 32) -> Barcodes:
        """Return the barcodes on a line; see the Protocol."""
        on = events.line == line
        return read_barcodes(events.timestamp[on], events.state[on], _rate(events, fs_hz, "the table"), bits=bits)

    def _table(self, linked: Linked) -> PieceTable:
        found = pieces_in(linked.session.provenance)
        if found is None:
            raise DatasetError(f"{linked.base_name} was not concatenated (or was split again): it has no pieces")
        table, fs = found
        if fs and fs != str(linked.recording.fs):
            raise DatasetError(
                f"{linked.base_name} has another rate ({float(linked.recording.fs):g} Hz) than the concatenated "
                f"recording had: its counters are not those of the pieces; split before changing the rate"
            )
        return table


def joined(
    linked: Sequence[Linked], match: str, gap_sec: float, by_walltime: bool, output: Path
) -> tuple[Linked, dict[str, Any], PieceTable, list[npt.NDArray[np.int64]]]:
    """Return datasets one after the other as one, with its provenance record, its table and the columns taken."""
    parts = [Part(one.recording, one.channels, str(one.canonical), one.stream) for one in linked]
    nested = [p.path for one, p in zip(linked, parts, strict=True) if one.format.file_type == RadiensFileType.SESSION]
    if nested:
        raise ConfigurationError(f"sessions cannot be concatenated again: {', '.join(nested)}; take their recordings")
    columns, notes = match_columns(parts, cast("MatchRule", match))
    table = place(parts, gap_sec=gap_sec, by_walltime=by_walltime)
    channels = linked[0].channels
    stage = {
        "kind": "concatenate",
        "parameters": {
            "match": match,
            "gap_sec": gap_sec,
            "by_walltime": by_walltime,
            "fs": str(linked[0].recording.fs),
            "pieces": table.to_json(),
        },
    }
    record = new_record(
        sources=[source_record(one) for one in linked],
        stages=[stage],
        simulated=any(one.recording.simulated for one in linked),
        notes=notes,
    )
    record["file_type"] = RadiensFileType.SESSION.name
    path = output.expanduser().absolute()
    session = join_session(
        [one.session for one in linked],
        [one.session.stream_name(one.recording) for one in linked],
        table,
        columns,
        channels,
        path=path,
        provenance=record,
    )
    recording = session.stream()
    known = format_for_type(RadiensFileType.SESSION)
    return Linked("", known, path, session, recording, "", channels, (0, 0, 0)), record, table, columns


def part_of(linked: Linked, table: PieceTable, k: int) -> tuple[Linked, Plan] | None:
    """Return one piece of a dataset as a dataset in the source's own counters; None where nothing of it is there."""
    piece = table.pieces[k]
    start, stop = max(piece.output_start, linked.recording.start), min(piece.output_stop, linked.recording.stop)
    if not any(True for _ in linked.recording.segments.pieces(start, stop)):
        return None
    own = piece.start + start - piece.output_start
    part = stretch(linked.recording, start, stop, own)
    single = PieceTable((SourcePiece(piece.path, piece.stream, own, own + stop - start, start),))
    session = Session(
        path=linked.session.path,
        file_type=linked.session.file_type,
        format=linked.session.format,
        streams={"": part},
        events={"": single.split_events(stream_events(linked))[0]},
        spike_trains={name: single.split_trains(t)[0] for name, t in linked.session.spike_trains.items()},
        provenance=linked.session.provenance,
        extra=linked.session.extra,
    )
    stage = {
        "kind": "split",
        "parameters": {"piece": k, "source": [part.start, part.stop], "output": [start, stop], "path": piece.path},
    }
    return replace(linked, session=session, recording=part, stream=""), Line(part, linked.channels, [stage]).plan()


def _base_names(table: PieceTable) -> list[str]:
    """Return a name per piece: its source's, with a number where several sources have the same."""
    from ranvier.curation.output import format_of_suffix

    names: list[str] = []
    for p in table.pieces:
        path = Path(p.path)
        known = format_of_suffix(path)
        base = path.name[: -len(known[0])] if known is not None else path.stem
        base = f"{base}_{p.stream.replace('/', '_')}" if p.stream else base
        same = sum(1 for n in names if n == base or n.startswith(f"{base}_piece"))
        names.append(f"{base}_piece{same + 1}" if same else base)
    return names


def _events(table: EventTable) -> Events:
    return Events(table.timestamp, table.line, table.state, table.source, table.text)


def _event_table(events: Events, fs: float) -> EventTable:
    return EventTable(
        sec=events.counter / fs,
        timestamp=events.counter,
        line=events.line,
        state=events.state,
        source=events.source,
        text=events.text,
    )


def _rate(table: EventTable, given: float | None, what: str) -> float:
    if given is not None:
        if not (np.isfinite(given) and given > 0):
            raise ConfigurationError(f"the sampling rate of {what} is {given!r}; it is a positive number of Hz")
        return float(given)
    known = np.flatnonzero(table.sec > 0)
    if not len(known):
        raise ConfigurationError(f"the events of {what} do not tell its sampling rate; give it in Hz")
    last = known[-1]
    return float(table.timestamp[last] / table.sec[last])
