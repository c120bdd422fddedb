"""Sites of a foreign Kilosort folder: the ``.npy`` files beside its ``params.py``.

::

    channel_map.npy        (sites,) or (sites, 1): the column of the binary each site was recorded in, from 0
    channel_positions.npy  (sites, 2), um
    channel_shanks.npy     (sites,), where there is more than one shank

Kilosort leaves out channels it was told not to use: those stay in the recording, without a site and not selected.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.models.signals import SignalType
from ranvier.recordings.channels import ChannelTable, Site
from ranvier.recordings.formats.phy_tables import load_array, load_integers

I64 = npt.NDArray[np.int64]

_POSITIONS, _MAP, _SHANKS = "channel_positions.npy", "channel_map.npy", "channel_shanks.npy"
_MOST_SHANKS = 1 << 20


def with_sites(table: ChannelTable, folder: Path) -> tuple[ChannelTable, list[str]]:
    """Return the channels with the sites that a folder tells, and notes; unchanged where it tells none that fit."""
    if not (folder / _POSITIONS).is_file():
        return table, []
    try:
        columns, places, shanks = _told(folder, table.count(SignalType.AMP))
    except RecordingError as error:
        return table, [f"its sites are not used: {error}"]
    is_wired = (folder / _MAP).is_file()
    site_of = {int(column): k for k, column in enumerate(columns)}
    channels = list(table.channels)
    for number, column in enumerate(table.columns_of(SignalType.AMP).tolist()):
        k = site_of.get(number)
        if k is None:
            channels[column] = replace(channels[column], selected=False)
            continue
        site = Site(float(places[k, 0]), float(places[k, 1]))
        channels[column] = replace(channels[column], site=site, shank=int(shanks[k]), site_num=k + 1)
    return replace(table, channels=tuple(channels), geometry_source="file", wiring_verified=is_wired), []


def files_beside(folder: Path) -> list[Path]:
    """Return those of the files above that a folder has."""
    return [folder / name for name in (_POSITIONS, _MAP, _SHANKS) if (folder / name).is_file()]


def _told(folder: Path, count: int) -> tuple[I64, npt.NDArray[np.float64], I64]:
    """Return column, position and shank of each site; RecordingError names the file that cannot be meant."""
    places = np.asarray(load_array(folder / _POSITIONS), np.float64)
    if places.ndim != 2 or places.shape[1] != 2 or not len(places) or not np.isfinite(places).all():
        raise RecordingError(f"{folder / _POSITIONS} holds no places: an array of {places.shape}")
    numbers, zeros = np.arange(len(places)), np.zeros(len(places), np.int64)
    columns = load_integers(folder / _MAP, count - 1) if (folder / _MAP).is_file() else numbers
    shanks = load_integers(folder / _SHANKS, _MOST_SHANKS) if (folder / _SHANKS).is_file() else zeros
    for name, found in ((_MAP, columns), (_SHANKS, shanks)):
        if len(found) != len(places):
            raise RecordingError(f"{folder / name} has {len(found)} numbers for {len(places)} places")
    if len(places) > count or len(np.unique(columns)) < len(columns):
        raise RecordingError(f"{folder / _MAP} does not name {len(places)} different channels of {count}")
    return columns, places, shanks
