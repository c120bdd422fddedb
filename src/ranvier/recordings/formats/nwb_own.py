"""What Ranvier stores in NWB files of its own beyond the standard's tables: exact rate, gap table, whole channels.

One JSON text in ``/scratch/ranvier``. Files of others have none; files of ours stay readable without it.
"""

from __future__ import annotations

import dataclasses
import json
from enum import IntEnum
from fractions import Fraction
from typing import Any

from ranvier.models.channels import SignalUnits
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.recordings.channels import Channel, ChannelTable, Site
from ranvier.recordings.formats.nwb_file import scalar_text

SCRATCH_NAME = "ranvier"
_MAX_TEXT = 1 << 28
_ENUMS: dict[str, type[IntEnum]] = {"type": SignalType, "unit": SignalUnits, "port": Port}


def table_to_json(table: ChannelTable) -> dict[str, Any]:
    """Return a channel table as plain JSON data."""
    return {
        "geometry_source": table.geometry_source,
        "wiring_verified": table.wiring_verified,
        "channels": [_channel_to_json(c) for c in table],
    }


def table_from_json(data: dict[str, Any]) -> ChannelTable:
    """Return the table of ``table_to_json``; ValueError, KeyError or TypeError where it is damaged."""
    return ChannelTable(
        tuple(_channel_from_json(c) for c in data["channels"]),
        geometry_source=str(data["geometry_source"]),
        wiring_verified=bool(data["wiring_verified"]),
    )


def rate_to_json(fs: Fraction) -> list[int]:
    """Return an exact rate as numerator and denominator."""
    return [fs.numerator, fs.denominator]


def rate_from_json(data: Any) -> Fraction:
    """Return an exact rate; ValueError where it is none."""
    fs = Fraction(int(data[0]), int(data[1]))
    if fs <= 0:
        raise ValueError("a rate must be positive")
    return fs


def read_own_record(file: Any) -> dict[str, Any]:
    """Return the record of an open file; empty where it has none, or one that cannot be read."""
    text = scalar_text(file, f"scratch/{SCRATCH_NAME}")
    if text is None or len(text) > _MAX_TEXT:
        return {}
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _channel_to_json(channel: Channel) -> dict[str, Any]:
    data = {f.name: getattr(channel, f.name) for f in dataclasses.fields(channel)}
    for key in _ENUMS:
        data[key] = None if data[key] is None else int(data[key])
    data["site"] = None if channel.site is None else dataclasses.asdict(channel.site)
    return data


def _channel_from_json(data: dict[str, Any]) -> Channel:
    known = {f.name for f in dataclasses.fields(Channel)}
    values = {key: value for key, value in data.items() if key in known}
    for key, enum in _ENUMS.items():
        if values.get(key) is not None:
            values[key] = enum(values[key])
    if values.get("site") is not None:
        site = dict(values["site"])
        site["scs_to_tcs_um"] = tuple(site.get("scs_to_tcs_um", (0.0, 0.0, 0.0)))
        values["site"] = Site(**site)
    return Channel(**values)
