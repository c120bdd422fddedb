"""Writing XDAT, so that the vendor's readers, neo and SpikeInterface read what we read.

Our own marks and whatever the format has no place for stand under the JSON key ``ranvier``
(:mod:`ranvier.recordings.formats.xdat_metadata`); spike trains, where there are some, lie beside in
``<base>_ranvier_spikes.npz``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import OutputError
from ranvier.models.channels import SITE_NUM_UNSET, SignalUnits
from ranvier.models.dataset import RadiensFileType
from ranvier.models.signals import SignalType
from ranvier.recordings.block import Block
from ranvier.recordings.channels import TYPE_ORDER, Channel, ChannelTable
from ranvier.recordings.digital import drop_stored_edges
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.files import writing
from ranvier.recordings.formats.xdat_metadata import CHAN_TYPE, OWN_KEY
from ranvier.recordings.formats.xdat_names import XdatSet
from ranvier.recordings.segments import Segments
from ranvier.recordings.sidecar import events_to_json, json_bytes, spike_trains_to_npz
from ranvier.recordings.sink import Header, Sink

_UNIT_TEXT: dict[SignalUnits, str] = {
    SignalUnits.MICROVOLTS: "uV",
    SignalUnits.VOLTS: "V",
    SignalUnits.BINARY: "binary",
    SignalUnits.UNKNOWN: "",
}
_SIG_UNITS: dict[str, str] = {
    "sig_units_pri": "micro-volts",
    "sig_units_aux": "volts",
    "sig_units_din": "binary",
    "sig_units_dout": "binary",
}
_SIGNAL_KEYS: tuple[str, ...] = ("pri", "aux", "din", "dout")
#: Start time of outputs whose time is not known; readers elsewhere demand one.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class XdatSink(Sink):
    """Writes one XDAT set: ``<base>_data.xdat``, ``<base>_timestamp.xdat``, and the JSON last."""

    file_type: ClassVar[RadiensFileType] = RadiensFileType.XDAT
    suffixes: ClassVar[tuple[str, ...]] = (".xdat", ".xdat.json", "_data.xdat")

    def final_paths(self) -> list[Path]:
        """Return metadata, samples, counters, and the spikes where there are or were some."""
        files = self._files
        paths = [files.metadata, files.data, files.timestamps]
        return [*paths, files.spikes] if self._trains or files.spikes.exists() else paths

    def __init__(self, destination: Path, header: Header, *, force: bool = False) -> None:
        self._files = XdatSet(destination.parent, destination.name)
        self._trains: dict[str, SpikeTrains] = {}
        self._events: list[Events] = []
        self._scaled = np.empty((0, len(header.channels)), np.float32)
        self._ramp = self._stamps = np.empty(0, np.int64)
        super().__init__(destination, header, force=force)

    def _open(self) -> None:
        self._data = self.staged.open_stream(self._files.data)
        self._counters = self.staged.open_stream(self._files.timestamps)

    def write(self, block: Block) -> None:
        """Append a block, physical or counts; a jump of its start makes a gap."""
        self._admit(block)
        samples = self._physical(block)
        with writing(self._files.data):
            self._data.write(samples.data, lent=self.lent and block.gain is None)  # scaled ones share one memory
        with writing(self._files.timestamps):
            self._counters.write(self._counters_of(block).data)

    def write_events(self, events: Events) -> None:
        """Keep events in the JSON; edges of digital lines that are written as columns are in the samples already."""
        recorded = {
            ("DIN" if c.type == SignalType.DIN else "DOUT", c.ntv)
            for c in self.header.channels
            if c.type in (SignalType.DIN, SignalType.DOUT)
        }
        self._events.append(drop_stored_edges(events, recorded))

    def write_spike_trains(self, name: str, trains: SpikeTrains) -> None:
        """Keep spike trains in a file of their own."""
        self._trains[name] = trains

    def commit(self) -> Path:
        """Write the JSON, flush everything, give the final names; return the path of the JSON."""
        segments = self.segments
        if not segments.rows:
            raise OutputError(f"{self.destination}: nothing was written, so there is nothing to finish")
        order = [self._files.data, self._files.timestamps]
        if self._trains:
            self.staged.write_bytes(self._files.spikes, spike_trains_to_npz(self._trains))
            order.append(self._files.spikes)
        document = make_document(self.header, segments, Events.merge(*self._events), list(self._trains))
        self.staged.write_bytes(self._files.metadata, json_bytes(document))
        order.append(self._files.metadata)
        self.staged.commit(order, remove=[self._files.spikes, self._files.clock, *self._files.provisional])
        return self._files.metadata

    def _physical(self, block: Block) -> npt.NDArray[np.float32]:
        if block.gain is None or block.offset is None:
            return np.ascontiguousarray(block.samples, dtype="<f4")
        if block.samples.dtype != np.int16 or not block.samples.flags.c_contiguous:
            return np.ascontiguousarray(block.physical(), dtype="<f4")
        from ranvier.recordings import kernels

        if len(self._scaled) < len(block):
            self._scaled = np.empty(block.samples.shape, np.float32)
        scaled = self._scaled[: len(block)]
        counts = block.samples if block.samples.flags.writeable else block.samples.copy()
        kernels.scale(counts, block.gain, block.offset, scaled)
        return scaled

    def _counters_of(self, block: Block) -> npt.NDArray[np.int64]:
        if len(self._ramp) < len(block):
            self._ramp = np.arange(len(block), dtype=np.int64)  # 0, 1, 2, ... made once
            self._stamps = np.empty_like(self._ramp)
        return np.add(self._ramp[: len(block)], block.start, out=self._stamps[: len(block)])


def seconds_of(counter: int, fs: float) -> float:
    """Return the time of a counter such that ``int(seconds * fs)`` is the counter again.

    Readers elsewhere compute just that, and ``counter / fs`` fails it for 3-7 % of all counters: the product rounds to
    just below the whole number.
    """
    seconds = counter / fs
    away = math.inf if counter > 0 else -math.inf
    while int(seconds * fs) != counter:
        seconds = math.nextafter(seconds, away)
    return seconds


def make_document(header: Header, segments: Segments, events: Events, spike_trains: list[str]) -> dict[str, Any]:
    """Return the whole JSON document of a set.

    ``header.extra["xdat"]``, where the samples come from an XDAT set, gives the keys that we do not know.
    """
    source = _mapping(header.extra.get("xdat"))
    document: dict[str, Any] = copy.deepcopy(dict(_mapping(source.get("document"))))
    document["status"] = {**_mapping(document.get("status")), **_status(header, segments, source.get("start_time"))}
    sapiens = dict(_mapping(document.get("sapiens_base")))
    kept = _kept_lists(_mapping(sapiens.get("biointerface_map")), source.get("columns"), header.channels)
    sapiens["biointerface_map"] = {**_default_lists(header), **kept, **_map_lists(header.channels)}
    sapiens["sigUnits"] = dict(_SIG_UNITS)
    sapiens["sensors_by_port"] = _sensors_by_port(header.channels, _mapping(sapiens.get("sensors_by_port")))
    sapiens.setdefault("sig_proc_spec", {"hardware": [], "software_stage_1": []})
    document["sapiens_base"] = sapiens
    document[OWN_KEY] = _own(header, events, spike_trains)
    return document


def _status(header: Header, segments: Segments, source_start_time: Any) -> dict[str, Any]:
    fs = float(header.fs)
    counts = {k: header.channels.count(kind) for k, kind in zip(_SIGNAL_KEYS, TYPE_ORDER, strict=True)}
    total = len(header.channels)
    return {
        "samp_freq": fs,
        "shape": [segments.rows, total],
        "timestamp_range": [segments.start, segments.stop],
        "t_range": [seconds_of(segments.start, fs), seconds_of(segments.stop, fs)],
        "start_time": _time_text(_walltime(header, segments), source_start_time),
        "signals": {**counts, "total": total},
        "num_smpl": segments.rows,
    }


def _walltime(header: Header, segments: Segments) -> datetime:
    """Return the time of the first sample that was written: the header's belongs to the counter it expected."""
    if header.walltime is None:
        return _EPOCH
    known = header.walltime if header.walltime.tzinfo else header.walltime.replace(tzinfo=UTC)
    return known + timedelta(seconds=float(Fraction(segments.start - header.start) / header.fs))


def _time_text(when: datetime, source: Any) -> str:
    """Write ISO 8601 with 7 decimals and an offset (the source's, where it had one), as the vendor does."""
    try:
        offset = datetime.fromisoformat(source).utcoffset() if isinstance(source, str) else None
    except ValueError:
        offset = None
    local = when.astimezone(timezone(offset)) if offset is not None else when
    text = local.isoformat(timespec="microseconds")
    return f"{text[:26]}0{text[26:]}"


def _map_lists(channels: ChannelTable) -> dict[str, list[Any]]:
    """Return the lists that describe columns and that we know."""
    rows = [_map_row(channel) for channel in channels]
    return {key: [row[key] for row in rows] for key in rows[0]}


def _map_row(c: Channel) -> dict[str, Any]:
    site = c.site
    position = (site.x_um, site.y_um, site.z_um) if site else (0.0, 0.0, 0.0)
    tissue = site.tissue_um if site else (0.0, 0.0, 0.0)
    moved = site.scs_to_tcs_um if site else (0.0, 0.0, 0.0)
    half = (site.width_um / 2, site.height_um / 2, 0.0) if site else (0.0, 0.0, 0.0)
    row: dict[str, Any] = {
        "chan_name": c.name,
        "chan_type": CHAN_TYPE[c.type],
        "ntv_chan_idx": c.ntv,
        "ntv_chan_name": c.ntv_name or c.name,
        "sys_chan_idx": c.sys,
        "absolute_idx": c.sys,
        "site_num": 0 if c.site_num == SITE_NUM_UNSET else c.site_num,
        "site_shape": (site.shape or "circle") if site else "",
        "port": c.port.name if c.port is not None else "A",
        "is_selected": int(c.selected),
        "color_grp_idx": c.color_group,
        "sensor_units": _UNIT_TEXT[c.unit],
        "probe_id": c.probe_id,
        "headstage_id": c.headstage_id,
        "sensor_uid": f"{c.headstage_id}/{c.probe_id}" if c.probe_id else "",
    }
    for axis, at, in_tissue, shift, reach in zip("xyz", position, tissue, moved, half, strict=True):
        row[f"site_ctr_{axis}"] = at
        row[f"site_ctr_tcs_{axis}"] = in_tissue
        row[f"scs_to_tcs_{axis}"] = shift
        row[f"site_lim_{axis}_min"] = at - reach
        row[f"site_lim_{axis}_max"] = at + reach
    return row


def _default_lists(header: Header) -> dict[str, list[Any]]:
    """Return the lists of the format that a source may give and that we otherwise leave at their defaults."""
    n = len(header.channels)
    return {
        "is_audio": [0] * n,
        "is_audio_left": [0] * n,
        "is_audio_right": [0] * n,
        "dsrc_uid": [header.uid] * n,
    }


def _kept_lists(source: Mapping[str, Any], identity: Any, channels: ChannelTable) -> dict[str, Any]:
    """Return the source's other lists, for the columns that are written now (null for columns it did not have)."""
    if not isinstance(identity, list):
        return {}
    rows = {(kind, ntv): i for i, (kind, ntv) in enumerate(identity)}
    picked = [rows.get((c.type.name, c.ntv)) for c in channels]
    return {
        key: [None if i is None else values[i] for i in picked]
        if isinstance(values, list) and len(values) == len(identity)
        else values
        for key, values in source.items()
    }


def _sensors_by_port(channels: ChannelTable, source: Mapping[str, Any]) -> dict[str, Any]:
    ports: dict[str, list[Channel]] = {}
    for channel in channels:
        if channel.type == SignalType.AMP:
            ports.setdefault(channel.port.name if channel.port is not None else "A", []).append(channel)
    return {
        name: {
            **_mapping(source.get(name)),
            "probe_id": next((c.probe_id for c in members if c.probe_id), "probe__none"),
            "headstage_id": next((c.headstage_id for c in members if c.headstage_id), ""),
            "num_channels": len(members),
        }
        for name, members in ports.items()
    }


def _own(header: Header, events: Events, spike_trains: list[str]) -> dict[str, Any]:
    channels = header.channels
    own: dict[str, Any] = {
        "version": 1,
        "fs": [header.fs.numerator, header.fs.denominator],
        "simulated": header.simulated,
        "provenance": None if header.provenance is None else dict(header.provenance),
        "geometry_source": channels.geometry_source,
        "wiring_verified": channels.wiring_verified,
        "walltime_known": header.walltime is not None,
        "name": header.name,
        "uid": header.uid,
        "channels": {
            "port": [c.port.name if c.port is not None else None for c in channels],
            "shank": [c.shank for c in channels],
            "contact_id": [c.contact_id for c in channels],
            "probe_idx": [c.probe_idx for c in channels],
            "unit_source": [c.unit_source for c in channels],
            "impedance_ohm": [c.impedance_ohm for c in channels],
            "skew_samples": [c.skew_samples for c in channels],
            "area_um2": [c.site.area_um2 if c.site else None for c in channels],
        },
    }
    if len(events):
        own["events"] = events_to_json(events)
    if spike_trains:
        own["spike_trains"] = spike_trains
    return own


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
