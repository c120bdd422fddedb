"""Streams of Neuralynx ``.ncs`` files: channels whose records have the same stamps belong together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranvier.models.channels import SignalUnits
from ranvier.models.signals import SignalType
from ranvier.recordings.channels import Channel, ChannelTable
from ranvier.recordings.chunked import ChunkColumn, ChunkedRecording, Chunks
from ranvier.recordings.formats.ncs_files import HEADER_BYTES, MICROSECONDS_HZ, RECORD_ROWS, NlxFile, signed
from ranvier.recordings.stamps import StampedTime, packets_to_read, place_packets

_SAMPLES_AT = 20


def group_files(files: list[NlxFile]) -> list[list[NlxFile]]:
    """Return files in groups of equal rate whose records start and go on at the same times."""
    groups: list[list[NlxFile]] = []
    for file in files:
        home = next((g for g in groups if _belong_together(g[0], file)), None)
        if home is None:
            groups.append([file])
        else:
            home.append(file)
    return groups


def _belong_together(a: NlxFile, b: NlxFile) -> bool:
    common = min(a.records, b.records)
    if not common or a.fs != b.fs or common * 2 < max(a.records, b.records):
        return False
    at = np.unique(np.linspace(0, common - 1, min(common, 8)).astype(np.int64))
    return bool(np.array_equal(a.stamps.at(at), b.stamps.at(at)))


class NcsRecording(ChunkedRecording):
    """Channels of one group of ``.ncs`` files."""

    def __init__(self, files: list[NlxFile], path: Path, name: str, origin: int) -> None:
        self.path = path
        self.name = name
        self._files = files
        self._origin = origin
        self.fs = files[0].fs
        self.channels, self._channel_notes = _table(files)
        self._look()

    def refresh(self) -> int:
        """Look again how far files that are being recorded reach."""
        self._files = [NlxFile(f.path, f.kind, f.properties) for f in self._files]
        self._look()
        return self.stop

    def _look(self) -> None:
        files = self._files
        records = min(f.records for f in files)
        longest = max(f.records for f in files)
        notes = list(self._channel_notes)
        if longest > records:
            short = min(files, key=lambda f: f.records)
            notes.append(
                f"{short.path.name} is {longest - records} records shorter than others; all channels end with it"
            )
        torn = [f for f in files if f.leftover_bytes]
        if torn:
            notes.append(f"{torn[0].path.name} ends inside a record: up to {RECORD_ROWS} samples are lost")
        self.lost_samples = (longest - records) * RECORD_ROWS + (RECORD_ROWS if torn else 0)
        reference = min(files, key=lambda f: f.records)
        chosen = packets_to_read(reference.stamps.at, records, RECORD_ROWS, self.fs, MICROSECONDS_HZ)
        lengths = _lengths(reference, chosen, records, notes)
        rows = records * RECORD_ROWS if lengths is None else int(lengths.sum())
        firsts = chosen * RECORD_ROWS if lengths is None else (np.cumsum(lengths) - lengths)[chosen]
        self.time: StampedTime = place_packets(
            firsts, signed(reference.stamps.at(chosen)), rows, self.fs, MICROSECONDS_HZ,
            origin=self._origin, what=f"time stamps of {reference.path.name}",
        )  # fmt: skip
        self.segments = self.time.segments
        self.notes = (*notes, *self.time.notes)
        begin, step = HEADER_BYTES + _SAMPLES_AT, reference.record_bytes
        places = range(begin, begin + records * step, step)
        columns = [ChunkColumn(f.path, np.dtype("<i2"), places) for f in files]
        self._adopt(columns, Chunks(rows, RECORD_ROWS, lengths))


def _lengths(
    file: NlxFile, chosen: npt.NDArray[np.int64], records: int, notes: list[str]
) -> npt.NDArray[np.int64] | None:
    """Return the samples of each record; None where all but the last are full."""
    if not records:
        return None
    valid = file.valid.at(chosen).astype(np.int64)
    short = valid[:-1] < RECORD_ROWS
    if np.any(short) and len(chosen) < records and short.mean() > 0.01:
        chosen = np.arange(records, dtype=np.int64)  # short records are the rule here: look at each
        valid = file.valid.at(chosen).astype(np.int64)
    if np.any(valid > RECORD_ROWS):
        notes.append(f"{file.path.name}: records claim more than {RECORD_ROWS} samples; they are taken as full")
    valid = np.clip(valid, 0, RECORD_ROWS)
    if np.all(valid == RECORD_ROWS):
        return None
    lengths = np.full(records, RECORD_ROWS, np.int64)
    lengths[chosen] = valid
    return lengths


def _table(files: list[NlxFile]) -> tuple[ChannelTable, list[str]]:
    channels = []
    bare = []
    for i, file in enumerate(files):
        gains = file.gains_uv(1)
        if gains is None:
            bare.append(file.path.name)
        channels.append(
            Channel(
                type=SignalType.AMP,
                ntv=i,
                sys=i,
                name=file.name,
                ntv_name=file.path.stem,
                unit=SignalUnits.UNKNOWN if gains is None else SignalUnits.MICROVOLTS,
                unit_source="assumed" if gains is None else "file",
                gain=1.0 if gains is None else gains[0],
            )
        )
    notes = [f"no ADBitVolts in {', '.join(bare[:5])}: values are counts of the converter"] if bare else []
    return ChannelTable(tuple(channels)), notes
