"""Channel tables as plain JSON data, for sidecar files: every field, one list per field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ranvier.exceptions import RecordingError
from ranvier.models.channels import SignalUnits
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.recordings.channels import Channel, ChannelTable, Site

_PLAIN: tuple[str, ...] = (
    "ntv",
    "sys",
    "name",
    "ntv_name",
    "unit_source",
    "gain",
    "offset",
    "headstage_id",
    "probe_id",
    "probe_idx",
    "shank",
    "contact_id",
    "site_num",
    "selected",
    "color_group",
    "impedance_ohm",
)
#: Fields that sidecars of earlier versions do not have, and their values there.
_LATER: dict[str, Any] = {"skew_samples": 0.0}


def channels_to_json(table: ChannelTable) -> dict[str, Any]:
    """Return a table as JSON data."""
    data: dict[str, Any] = {key: [getattr(c, key) for c in table] for key in (*_PLAIN, *_LATER)}
    data["type"] = [c.type.name for c in table]
    data["unit"] = [c.unit.name for c in table]
    data["port"] = [None if c.port is None else c.port.name for c in table]
    data["site"] = [None if c.site is None else asdict(c.site) for c in table]
    return {"geometry_source": table.geometry_source, "wiring_verified": table.wiring_verified, "columns": data}


def channels_from_json(data: Mapping[str, Any], path: Path) -> ChannelTable:
    """Return the table of ``channels_to_json``; RecordingError names ``path`` where the data are damaged."""
    try:
        columns = data["columns"]
        made = []
        for i in range(len(columns["type"])):
            port, site = columns["port"][i], columns["site"][i]
            made.append(
                Channel(
                    type=SignalType[columns["type"][i]],
                    unit=SignalUnits[columns["unit"][i]],
                    port=None if port is None else Port[port],
                    site=None if site is None else Site(**{**site, "scs_to_tcs_um": tuple(site["scs_to_tcs_um"])}),
                    **{key: columns[key][i] for key in _PLAIN},
                    **{key: columns[key][i] if key in columns else value for key, value in _LATER.items()},
                )
            )
        return ChannelTable(tuple(made), str(data["geometry_source"]), bool(data["wiring_verified"]))
    except (LookupError, TypeError, ValueError) as error:
        raise RecordingError(f"{path}: its channel table is damaged ({type(error).__name__}: {error})") from error
