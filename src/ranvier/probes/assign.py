"""Give the amplifier channels of a recording their sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ranvier.exceptions import ProbeError
from ranvier.models.channels import SITE_NUM_UNSET
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.probes.headstages import Headstage, parse_headstage
from ranvier.probes.layouts import PlacedSite, layout
from ranvier.probes.names import PROBE_PREFIX, ProbeName, parse_probe_name
from ranvier.probes.probeinterface_io import pathway, read_probeinterface
from ranvier.recordings.channels import Channel, ChannelTable, Site

#: Distance between the sites of an assumed column, and between the columns of different ports.
ASSUMED_PITCH_UM = 25.0
ASSUMED_PORT_PITCH_UM = 1000.0

#: The only wirings of NeuroNexus packages that are published as data: (package, headstage) -> probeinterface's name.
KNOWN_WIRINGS: dict[tuple[str, str], str] = {("H32", "RHD2132"): "H32>RHD2132"}


@dataclass(frozen=True, slots=True)
class _Geometry:
    """Sites in order of their numbers, the amplifier channel of each (None: not known), and where both come from."""

    probe_id: str
    label: str
    sites: tuple[PlacedSite, ...]
    probe_idx: tuple[int, ...]
    wiring: tuple[int, ...] | None
    source: str
    package: str = ""


def assign(
    channels: ChannelTable,
    *,
    probe: str | Path | ProbeName,
    headstage: str | None = None,
    port: Port | None = None,
    wiring: Sequence[int] | str | None = None,
    override: bool = False,
) -> ChannelTable:
    """Return the table with a probe's geometry on the amplifier channels of a port.

    Parameters
    ----------
    probe
        A name (``a4x8_5mm100_200_177``, ``A4x8-5mm-100-200-177``, ``buz32``, ``4x8-32``) or a probeinterface ``.json``.
    headstage
        Id or alias; it names the connection, and its channel count must be that of the port.
    port
        Whose channels; None: all amplifier channels.
    wiring
        Amplifier channel of sites 1, 2, ... of the probe, 0-based in the order of the port's native indices, -1 for a
        site that is not connected; or the name of a wiring that probeinterface knows (``"H32>RHD2132"``). None: the
        probe file's own, else the published one for this package and headstage, else identity: site 1 on the first
        channel, and so on, **flagged unverified**.
    override
        Replace geometry that the recording's own file gave. Without it the file's geometry wins and the table comes
        back unchanged.

    Raises
    ------
    ProbeError
        Unknown names; a probe, headstage or wiring that does not fit the number of channels (both numbers are named).
    """
    columns = _columns_of_port(channels, port)
    if channels.geometry_source == "file" and not override and any(channels[c].site is not None for c in columns):
        return channels
    stage = parse_headstage(headstage) if headstage else None
    geometry = _geometry(probe)
    if stage is not None and stage.channels != len(columns):
        raise ProbeError(
            f"headstage {stage.id} has {stage.channels} channels, but {_where(port)} has {len(columns)}; "
            f"name the headstage that was used, or leave it out"
        )
    wires, verified = _wiring(geometry, stage, wiring)
    _check_fit(geometry, wires, len(columns), port, identity=not verified)
    site_at = {channel: i for i, channel in enumerate(wires) if channel >= 0}
    changed = list(channels.channels)
    for position, column in enumerate(columns):
        changed[column] = _with_site(channels[column], geometry, site_at.get(position), stage)
    return _table(channels, changed, set(columns), geometry.source, verified)


def check_names(probe: str | Path | ProbeName, headstage: str | None) -> None:
    """Raise ProbeError for a probe or headstage that nobody knows, also where a file's own geometry will win."""
    _geometry(probe)
    if headstage:
        parse_headstage(headstage)


def assume_column(channels: ChannelTable) -> ChannelTable:
    """Return the table with one column of sites per port, labelled ``geometry_source="assumed"``.

    For recordings that tell nothing about their probe: 25 um from site to site in the order of native indices, first
    channel lowest; ports lie 1 mm apart so that no neighbourhood reaches from one to the other. Channels that have a
    site already keep it; site numbers and areas stay unset.
    """
    changed = list(channels.channels)
    rows: dict[Port | None, int] = {}
    missing = set()
    for column in _by_ntv(channels, channels.columns_of(SignalType.AMP).tolist()):
        channel = channels[column]
        row = rows.get(channel.port, 0)
        rows[channel.port] = row + 1
        if channel.site is None:
            x_um = ASSUMED_PORT_PITCH_UM * list(rows).index(channel.port)
            changed[column] = replace(channel, site=Site(x_um, ASSUMED_PITCH_UM * row))
            missing.add(column)
    return _table(channels, changed, missing, "assumed", False) if missing else channels


def _geometry(probe: str | Path | ProbeName) -> _Geometry:
    if isinstance(probe, ProbeName):
        return _named(probe)
    text = str(probe)
    if isinstance(probe, Path) or text.lower().endswith(".json") or "/" in text or "\\" in text:
        return _from_file(Path(text))
    return _named(parse_probe_name(text))


def _named(name: ProbeName) -> _Geometry:
    places = layout(name)
    # ids that others know do not tell the package
    probe_id = replace(name, package="").wire_id
    source = "probe name (approximate)" if places.approximate else "probe name"
    return _Geometry(probe_id, name.catalogue, places.sites, (0,) * len(places), None, source, package=name.package)


def _from_file(path: Path) -> _Geometry:
    """Take the probes of a file one after the other, each in the order of its site numbers."""
    probes = read_probeinterface(path)
    wired = all(p.wiring is not None for p in probes)
    rows = [
        (idx, site, probe.wiring[i] if probe.wiring is not None else -1)
        for idx, probe in enumerate(probes)
        for i, site in sorted(enumerate(probe.sites), key=lambda item: item[1].number)
    ]
    name = probes[0].name or path.stem
    return _Geometry(
        probe_id=name if name.startswith(PROBE_PREFIX) else PROBE_PREFIX + name,
        label=path.name,
        sites=tuple(site for _, site, _ in rows),
        probe_idx=tuple(idx for idx, _, _ in rows),
        wiring=tuple(w for _, _, w in rows) if wired else None,
        source="probeinterface",
    )


def _wiring(
    geometry: _Geometry, stage: Headstage | None, wanted: Sequence[int] | str | None
) -> tuple[tuple[int, ...], bool]:
    """Return the channel of each site, and whether that is known rather than assumed."""
    if isinstance(wanted, str):
        return pathway(wanted), True
    if wanted is not None:
        return tuple(int(c) for c in wanted), True
    if geometry.wiring is not None:
        return geometry.wiring, True
    known = KNOWN_WIRINGS.get((geometry.package, stage.id if stage else ""))
    if known is not None:
        return pathway(known), True
    return tuple(range(len(geometry.sites))), False


def _check_fit(
    geometry: _Geometry, wires: tuple[int, ...], channels: int, port: Port | None, *, identity: bool
) -> None:
    sites = len(geometry.sites)
    if len(wires) != sites:
        raise ProbeError(f"the wiring names {len(wires)} channels, but probe {geometry.label} has {sites} sites")
    connected = [w for w in wires if w >= 0]
    if len(set(connected)) != len(connected):
        raise ProbeError(f"the wiring of probe {geometry.label} connects two sites to one channel")
    outside = [w for w in connected if w >= channels]
    if outside or (identity and sites != channels):
        raise ProbeError(
            f"probe {geometry.label} has {sites} sites, but {_where(port)} has {channels} amplifier channels; "
            f"name the probe that was used, its port, or give wiring= for the sites that are connected"
        )


def _with_site(channel: Channel, geometry: _Geometry, index: int | None, stage: Headstage | None) -> Channel:
    """Put a channel at a site; a channel without one (None) is not connected."""
    headstage_id = stage.wire_id if stage else channel.headstage_id
    if index is None:
        return replace(
            channel,
            headstage_id=headstage_id,
            probe_id="",
            probe_idx=None,
            shank=0,
            contact_id="",
            site_num=SITE_NUM_UNSET,
            site=None,
        )
    placed = geometry.sites[index]
    return replace(
        channel,
        headstage_id=headstage_id,
        probe_id=geometry.probe_id,
        probe_idx=geometry.probe_idx[index],
        shank=placed.shank,
        contact_id=placed.contact_id or str(placed.number),
        site_num=placed.number,
        site=placed.site,
        color_group=placed.shank,
    )


def _table(
    before: ChannelTable, changed: list[Channel], columns: set[int], source: str, verified: bool
) -> ChannelTable:
    """Return the changed table; sources and verification count every channel that has a site."""
    others = any(c.site is not None for i, c in enumerate(before.channels) if i not in columns)
    if others and before.geometry_source != source:
        source = f"{before.geometry_source} + {source}"
    return replace(
        before,
        channels=tuple(changed),
        geometry_source=source,
        wiring_verified=verified and (before.wiring_verified or not others),
    )


def _columns_of_port(channels: ChannelTable, port: Port | None) -> list[int]:
    amp = channels.columns_of(SignalType.AMP).tolist()
    columns = [c for c in amp if port is None or channels[c].port == port]
    if not columns:
        ports = sorted({p.name for c in amp if (p := channels[c].port) is not None})
        raise ProbeError(f"{_where(port)} has no amplifier channels; ports here: {', '.join(ports) or 'none'}")
    return _by_ntv(channels, columns)


def _by_ntv(channels: ChannelTable, columns: list[int]) -> list[int]:
    return sorted(columns, key=lambda c: channels[c].ntv)


def _where(port: Port | None) -> str:
    return f"port {port.name}" if port is not None else "the recording"
