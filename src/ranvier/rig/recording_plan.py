"""Which files a recording has: whole or one per port, and under which names."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError, OutputError
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.models.status import DataRecordingType, RecordingConfig
from ranvier.recordings import ChannelTable
from ranvier.recordings.formats.xdat_names import XdatSet
from ranvier.recordings.provenance import new_record
from ranvier.recordings.sink import Header
from ranvier.rig import naming
from ranvier.rig.disk import Disk
from ranvier.rig.recording_file import RecordingFacts, RecordingFile
from ranvier.rig.stream import StreamInfo

#: How often a name is tried that another program takes at the same moment.
_TRIES = 100


@dataclass
class PlannedFile:
    """One set of a recording; ``columns`` of the stream, None for all."""

    port: Port | None
    channels: ChannelTable
    columns: npt.NDArray[np.int64] | None
    fs: Fraction
    file: RecordingFile = field(init=False)


def plan_files(config: RecordingConfig, stream: StreamInfo, port: Port | None) -> list[PlannedFile]:
    """Return the sets to record, not created yet.

    The set of a port holds its amplifier channels and every analog and digital channel that belongs to no other port,
    so that each set has the synchronisation lines. Beside spikes alone there are no amplifier channels.
    """
    if not len(stream.channels):
        raise ConfigurationError("nothing to record: no channels are connected; scan the ports, or assign a sensor")
    if config.recording_type == DataRecordingType.SPIKES:
        return [_without_amplifiers(stream)]
    if not config.split_files_by_port:
        return [PlannedFile(None, stream.channels, None, stream.fs)]
    there = sorted({c.port for c in stream.channels if c.type == SignalType.AMP and c.port is not None})
    if port is not None and port not in there:
        listed = ", ".join(p.name for p in there) or "none"
        raise ConfigurationError(f"port {port.name} has no amplifier channels; ports with channels: {listed}")
    if not there:
        return [PlannedFile(None, stream.channels, None, stream.fs)]
    planned = []
    for p in there if port is None else [port]:
        kept = [
            i
            for i, c in enumerate(stream.channels)
            if c.port == p or (c.type != SignalType.AMP and c.port not in there)
        ]
        columns = np.array(kept, np.int64)
        planned.append(PlannedFile(p, stream.channels.take(columns), columns, stream.fs))
    return planned


def _without_amplifiers(stream: StreamInfo) -> PlannedFile:
    """Return the set that lies beside spikes alone: sample counters and what is not amplifier signal."""
    columns = np.array([i for i, c in enumerate(stream.channels) if c.type != SignalType.AMP], np.int64)
    if not len(columns):
        raise ConfigurationError(
            "recording_type SPIKES records analog and digital lines beside the spikes, and this source has none; take "
            "CONTINUOUS_AND_SPIKES"
        )
    return PlannedFile(None, stream.channels.take(columns), columns, stream.fs)


def create_files(
    planned: Sequence[PlannedFile],
    config: RecordingConfig,
    stream: StreamInfo,
    disk: Disk,
    *,
    who: str,
    now: datetime,
    utc_ns: Callable[[], int],
    flush_sec: float,
) -> int:
    """Create the sets, all with the same index, the next that is free, and all or none; return that index.

    OutputError where the folder refuses.
    """
    folder = Path(config.base_file_path)
    stems = [naming.stem(config, port=p.port, simulated=stream.simulated) for p in planned]
    index = config.datasource_idx
    made: list[RecordingFile] = []
    try:
        for _ in range(_TRIES):
            index = naming.next_index(stems, disk.names(folder), index)
            try:
                for plan, stem in zip(planned, stems, strict=True):
                    base = naming.base_name(stem, index, now if config.time_stamp else None)
                    plan.file = _create(plan, XdatSet(folder, base), config, stream, disk, who, utc_ns, flush_sec)
                    made.append(plan.file)
                return index
            except FileExistsError:  # somebody was faster: take the next index
                _discard(made)
                index += 1
    except OSError as error:
        _discard(made)
        raise OutputError(f"cannot record to {folder}: {error.strerror or error}") from error
    raise OutputError(f"cannot record to {folder}: names are taken as fast as they are tried")


def _discard(made: list[RecordingFile]) -> None:
    while made:
        made.pop().discard()


def _create(
    plan: PlannedFile,
    files: XdatSet,
    config: RecordingConfig,
    stream: StreamInfo,
    disk: Disk,
    who: str,
    utc_ns: Callable[[], int],
    flush_sec: float,
) -> RecordingFile:
    source = f"{stream.source.name} ({stream.source.mode.name})"
    provenance = dict(stream.provenance) or new_record(
        sources=[{"path": "", "format": source, "uid": "", "bytes": 0, "provenance": None}],
        stages=stream.dsp,
        simulated=stream.simulated,
    )
    header = Header(
        fs=stream.fs,
        channels=plan.channels,
        name=files.base,
        uid=str(uuid.uuid4()),
        simulated=stream.simulated,
        provenance=provenance,
    )
    facts = RecordingFacts(
        recorded_by=who,
        source=source,
        port=None if plan.port is None else plan.port.name,
        flush_sec=flush_sec,
        dsp=list(stream.dsp),
    )
    force_zero = config.force_start_at_tstamp_0
    return RecordingFile(
        disk,
        files,
        header,
        facts,
        columns=plan.columns,
        width=len(stream.channels),
        force_zero=force_zero,
        utc_ns=utc_ns,
    )
