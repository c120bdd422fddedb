"""``.spikes`` files as a format of recordings: spike trains without signals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ranvier.models.dataset import RadiensFileType
from ranvier.models.signals import SignalType
from ranvier.recordings.channels import ChannelTable, Site, plain_channels
from ranvier.recordings.events import SpikeTrains
from ranvier.recordings.format import Format
from ranvier.recordings.lazy import LazyDict
from ranvier.recordings.session import Session
from ranvier.spikes.container import is_spikes
from ranvier.spikes.info import StoreInfo
from ranvier.spikes.store import SpikeStore
from ranvier.spikes.writer import SUFFIX

NAME = "Ranvier spikes"
TRAINS = "spikes"


def detect(path: Path) -> Path | None:
    """Return the path of a ``.spikes`` file of ours; other programs use the suffix too, so that the content decides."""
    return path if path.is_file() and is_spikes(path) else None


def open_spikes(path: Path) -> Session:
    """Open a file; raises what :class:`~ranvier.spikes.store.SpikeStore` raises. Spikes are loaded when asked for."""
    store = SpikeStore.open(path)
    info = store.info
    makers = {TRAINS: store.trains}
    return Session(
        path=path,
        file_type=RadiensFileType.SPIKES,
        format=NAME,
        streams={},
        spike_trains=LazyDict[SpikeTrains](makers),
        provenance=dict(info.provenance) if info.provenance is not None else None,
        notes=store.notes,
        extra={"spikes": info.to_json()},
        fs=info.fs,
        channels=_channels(info),
        extent=(info.start, max(info.stop, store.last_sample + 1)),
        content=f"{len(store.units)} units with {len(store):,} spikes",
    )


def _channels(info: StoreInfo) -> ChannelTable:
    """Return the sites as amplifier channels."""
    if not info.sites:
        return ChannelTable(())
    sites = {site.ntv: site for site in info.sites}
    plain = plain_channels(amp=max(sites) + 1)
    kept = plain.take(sorted(sites))
    placed = []
    for channel in kept:
        site = sites[channel.ntv]
        known = site.x_um is not None and site.y_um is not None
        place = Site(site.x_um or 0.0, site.y_um or 0.0, site.z_um or 0.0) if known else None
        placed.append(replace(channel, site=place) if channel.type == SignalType.AMP else channel)
    return ChannelTable(tuple(placed), geometry_source="file", wiring_verified=True)


def base_name(path: Path) -> str:
    """Return the name without the suffix."""
    return path.name.removesuffix(SUFFIX)


FORMAT = Format(
    name=NAME,
    file_type=RadiensFileType.SPIKES,
    suffixes=(SUFFIX,),
    detect=detect,
    open=open_spikes,
    files=lambda path: [path],
    base_name=base_name,
)
