"""The NWB file without its samples, and the tables that come at its end: written with pynwb, so that they are valid."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

from ranvier._version import __version__
from ranvier.exceptions import ConfigurationError
from ranvier.models.channels import SITE_NUM_UNSET
from ranvier.models.output_options import SessionMetadata
from ranvier.models.signals import SignalType
from ranvier.recordings.channels import Channel, ChannelTable
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.formats.hdf5_output import Hdf5Output
from ranvier.recordings.formats.nwb_own import SCRATCH_NAME
from ranvier.recordings.sink import Header

#: Names of the series by signal type.
SERIES: dict[SignalType, str] = {
    SignalType.AMP: "ElectricalSeries",
    SignalType.AIN: "AnalogInputs",
    SignalType.DIN: "DigitalInputs",
    SignalType.DOUT: "DigitalOutputs",
}
#: Marks series that are columns of the recording rather than signals of their own.
OWN_COMMENT = "ranvier columns; channels in /scratch/ranvier"
#: Start time where the source does not tell one: NWB demands a value.
PLACEHOLDER_START = datetime(1970, 1, 1, tzinfo=UTC)


#: Texts of the metadata that NWBFile takes under the same name.
_TEXTS = (
    "session_id",
    "lab",
    "institution",
    "experiment_description",
    "protocol",
    "pharmacology",
    "surgery",
    "virus",
    "stimulus_notes",
)


def write_skeleton(path: Path, header: Header) -> None:
    """Write devices, electrodes and empty series of the columns of ``header``."""
    from pynwb import NWBHDF5IO

    file = new_file(header)
    amplifier = _take(header.channels, SignalType.AMP)
    location = (header.options.metadata or SessionMetadata()).electrode_location or "unknown"
    region = add_electrodes(file, amplifier, location)
    _add_series(file, header.channels, region)
    file.add_scratch("{}", name=SCRATCH_NAME, description="What Ranvier needs to read its own file exactly (JSON)")
    with Hdf5Output(path, "w") as target, NWBHDF5IO(file=target.file, mode="w") as io:
        io.write(file)


def new_file(header: Header) -> Any:
    """Return an NWBFile with session and subject, in memory."""
    from pynwb import NWBFile

    metadata = header.options.metadata or SessionMetadata()
    first_sec = timedelta(seconds=float(header.start / header.fs))
    begun = start_time(header)
    marks = ["SIMULATED data, not a recording"] if header.simulated else []
    if begun is None:
        marks.append("the time of recording is not known: session_start_time is a placeholder")
    description = "; ".join([metadata.session_description or header.name or "extracellular recording", *marks])
    own_notes = f"Written by Ranvier {__version__}. Provenance: JSON in /scratch/{SCRATCH_NAME}."
    keywords = [*metadata.keywords, *(["simulated"] if header.simulated else [])]
    texts = {key: getattr(metadata, key) or None for key in _TEXTS}
    return NWBFile(
        session_description=description,
        identifier=metadata.identifier or header.uid or str(uuid.uuid4()),
        session_start_time=begun or PLACEHOLDER_START,
        timestamps_reference_time=PLACEHOLDER_START if begun is None else begun - first_sec,
        keywords=keywords or None,
        experimenter=metadata.experimenter or None,
        related_publications=metadata.related_publications or None,
        notes=f"{metadata.notes} {own_notes}".strip(),
        subject=_subject(metadata),
        **texts,
    )


def start_time(header: Header) -> datetime | None:
    """Return when the first sample was taken, in the time zone that the metadata state; None if not known."""
    metadata = header.options.metadata
    begun = header.walltime
    if metadata is not None and metadata.session_start_time is not None:
        begun = metadata.session_start_time
        begun = begun.replace(tzinfo=_zone(metadata)) if begun.tzinfo is None else begun
    return None if begun is None else begun.astimezone(_zone(metadata))


def _zone(metadata: SessionMetadata | None) -> tzinfo:
    if metadata is None or not metadata.timezone:
        return UTC
    try:
        return ZoneInfo(metadata.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigurationError(
            f"timezone {metadata.timezone!r} is not known; it must be a name such as Europe/Berlin (on Windows: "
            f"pip install tzdata)"
        ) from error


def _subject(metadata: SessionMetadata) -> Any:
    from pynwb.file import Subject

    given = metadata.subject
    if given is None:
        return None
    born = given.date_of_birth
    if born is not None and born.tzinfo is None:
        born = born.replace(tzinfo=_zone(metadata))
    optional = {
        key: getattr(given, key) or None for key in ("species", "age", "strain", "genotype", "weight", "description")
    }
    return Subject(subject_id=given.subject_id, sex=given.sex, date_of_birth=born, **optional)


def add_electrodes(file: Any, channels: list[Channel], location: str) -> Any:
    """Add a device per probe, a group per shank, a row per channel; return the region of all rows."""
    groups: dict[tuple[str, int], Any] = {}
    devices: dict[str, Any] = {}
    _add_columns(file, channels)
    rows = []
    for channel in channels:
        key = (channel.probe_id, channel.shank)
        if key not in groups:
            probe = _safe(channel.probe_id or "probe")
            if probe not in devices:
                headstage = channel.headstage_id or "unknown headstage"
                devices[probe] = file.create_device(name=probe, description=f"probe on {headstage}")
            groups[key] = file.create_electrode_group(
                name=f"{probe}_shank{channel.shank}",
                description=f"shank {channel.shank} of {probe}",
                location=location,
                device=devices[probe],
            )
        rows.append({"location": location, "group": groups[key], "group_name": groups[key].name, **_values(channel)})
    _append_electrodes(file, rows, with_impedance=any(c.impedance_ohm is not None for c in channels))
    return file.create_electrode_table_region(list(range(len(channels))), "all channels of the recording")


def _append_electrodes(file: Any, rows: list[dict[str, Any]], *, with_impedance: bool) -> None:
    """Fill the table. The first row makes its columns; pynwb takes 0.3 ms for a row, so the others come as a whole."""
    unused = {name for name in ("skew_samples", "rel_z") if name not in file.electrodes.colnames}
    unused |= set() if with_impedance else {"imp"}
    file.add_electrode(**{name: value for name, value in rows[0].items() if name not in unused})
    table = file.electrodes
    table.id.data.extend(range(1, len(rows)))
    for name in table.colnames:
        table[name].data.extend(row[name] for row in rows[1:])


def _add_columns(file: Any, channels: list[Channel]) -> None:
    file.add_electrode_column("channel_name", "name of the channel")
    file.add_electrode_column("ntv_chan_idx", "position of the channel in the acquisition stream")
    file.add_electrode_column("port", "port of the instrument, empty if unknown")
    file.add_electrode_column("contact_id", "name of the contact on its probe")
    file.add_electrode_column("site_num", "1-based number of the site on its probe, -1 if unknown")
    if any(c.skew_samples for c in channels):
        file.add_electrode_column("skew_samples", "delay of sampling behind the frame's time, in sample periods")
    if any(c.site is not None and c.site.z_um for c in channels):
        file.add_electrode_column("rel_z", "z position on the probe, um")


def _values(channel: Channel) -> dict[str, Any]:
    site = channel.site
    return {
        "rel_x": np.nan if site is None else site.x_um,
        "rel_y": np.nan if site is None else site.y_um,
        "rel_z": np.nan if site is None else site.z_um,
        "channel_name": channel.name,
        "ntv_chan_idx": channel.ntv,
        "port": "" if channel.port is None else channel.port.name,
        "contact_id": channel.contact_id,
        "site_num": -1 if channel.site_num == SITE_NUM_UNSET else channel.site_num,
        "imp": np.nan if channel.impedance_ohm is None else channel.impedance_ohm,
        "skew_samples": channel.skew_samples,
    }


def _add_series(file: Any, table: ChannelTable, region: Any) -> None:
    from hdmf.backends.hdf5 import H5DataIO
    from pynwb import TimeSeries
    from pynwb.ecephys import ElectricalSeries

    def empty(n: int, dtype: npt.DTypeLike) -> Any:
        return H5DataIO(np.zeros((0, n), dtype), maxshape=(None, n), chunks=(1, n))

    amplifier = len(_take(table, SignalType.AMP))
    common: dict[str, Any] = {"starting_time": 0.0, "rate": 1.0, "comments": OWN_COMMENT}
    file.add_acquisition(
        ElectricalSeries(
            name=SERIES[SignalType.AMP],
            description="amplifier channels",
            data=empty(amplifier, np.float32),
            electrodes=region,
            conversion=1e-6,
            **common,
        )
    )
    for kind, unit, dtype in (
        (SignalType.AIN, "volts", np.float32),
        (SignalType.DIN, "n.a.", np.int8),
        (SignalType.DOUT, "n.a.", np.int8),
    ):
        channels = _take(table, kind)
        if channels:
            names = ", ".join(c.name for c in channels)
            data = empty(len(channels), dtype)
            file.add_acquisition(
                TimeSeries(name=SERIES[kind], description=f"columns: {names}", data=data, unit=unit, **common)
            )


def append_tables(path: Path, header: Header, events: Events | None, trains: dict[str, SpikeTrains]) -> dict[str, str]:
    """Add events and units to a finished file; return where each of the spike trains lies.

    Trains without a spike (of a slice) have no table, which NWB could not type, but a name in our own record: "".
    """
    from pynwb import NWBHDF5IO

    places: dict[str, str] = {}
    with Hdf5Output(path, "r+") as target, NWBHDF5IO(file=target.file, mode="a", load_namespaces=True) as io:
        file = io.read()
        if events is not None and len(events):
            file.add_acquisition(_events_table(events, header))
        places |= dict.fromkeys((name for name, train in trains.items() if not len(train)), "")
        for i, (name, train) in enumerate((name, train) for name, train in trains.items() if len(train)):
            table_name = "units" if i == 0 else f"units_{i + 1}"
            table = _units_table(table_name, name, train, header)
            if i == 0:
                file.units = table
                places[name] = "/units"
            else:
                _ecephys(file).add(table)
                places[name] = f"/processing/ecephys/{table_name}"
        io.write(file)
    return places


def _ecephys(file: Any) -> Any:
    if "ecephys" not in file.processing:
        file.create_processing_module("ecephys", "results from extracellular recordings")
    return file.processing["ecephys"]


def _events_table(events: Events, header: Header) -> Any:
    from hdmf.common import DynamicTable, VectorData

    columns: list[tuple[str, str, Any]] = [
        ("timestamp", "seconds", events.counter / float(header.fs)),
        ("counter", "sample counter", events.counter),
        ("line", "0-based line of TTL, -1 for comments", events.line),
        ("state", "1 on, 0 off, -1 without meaning", events.state),
        ("source", "what made the event", list(events.source)),
        ("text", "comment", list(events.text)),
    ]
    return DynamicTable(
        name="events",
        description="TTL edges and comments",
        columns=[VectorData(name=n, description=d, data=v) for n, d, v in columns],
        colnames=[n for n, _, _ in columns],
    )


def _units_table(table_name: str, name: str, train: SpikeTrains, header: Header) -> Any:
    from hdmf.common import VectorData, VectorIndex
    from pynwb.misc import Units

    ids = train.units
    order = np.argsort(train.unit, kind="stable")
    ends = np.searchsorted(train.unit[order], ids, side="right")
    unit_names = train.unit_names or {}
    ragged: list[tuple[str, str, npt.NDArray[Any]]] = [
        ("spike_times", "seconds", train.counter[order] / float(header.fs)),
        ("spike_site", "native index of the channel with the largest peak, -1 if unknown", train.site[order]),
        ("spike_index", "position of the spike in time order over all units", order.astype(np.int64)),
    ]
    if train.waveforms is not None:
        ragged.append(("spike_waveform", "waveforms (channels, points), uV", train.waveforms[order]))
    columns: list[Any] = [
        VectorData(name="unit_name", description="name of the unit", data=[unit_names.get(int(i), str(i)) for i in ids])
    ]
    for column_name, description, values in ragged:
        data = VectorData(name=column_name, description=description, data=values)
        index = VectorIndex(name=f"{column_name}_index", data=ends.astype(np.uint64), target=data)
        columns += [data, index]
    return Units(
        name=table_name,
        description=f"spike trains: {name}",
        id=ids.astype(np.int64),
        columns=columns,
        colnames=["unit_name", *(column_name for column_name, _, _ in ragged)],
        resolution=float(1 / header.fs),
    )


def to_json(record: dict[str, Any]) -> str:
    """Return the text of the own record."""
    return json.dumps(record, ensure_ascii=False, default=str)


def _take(table: ChannelTable, kind: SignalType) -> list[Channel]:
    return [c for c in table if c.type == kind]


def _safe(name: str) -> str:
    """Return a name without what HDF5 paths give a meaning."""
    return name.replace("/", "_").replace(":", "_")
