"""Probe geometry from and to probeinterface JSON files. Offline: nothing is ever downloaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ranvier._platform import replace
from ranvier.exceptions import OutputError, OutputExistsError, ProbeError
from ranvier.models.signals import SignalType
from ranvier.probes.layouts import PlacedSite, radius_um
from ranvier.recordings.channels import Channel, ChannelTable, Site

_UM_PER_UNIT = {"um": 1.0, "mm": 1e3, "m": 1e6}


@dataclass(frozen=True, slots=True)
class ProbeFile:
    """One probe of a file.

    Attributes
    ----------
    name
        The file's model name, or ``""``.
    sites
        In the file's order; their numbers are the contact ids where those are distinct positive integers.
    wiring
        Amplifier channel of each site, parallel to ``sites``, -1 where a site is not connected; None: not told.
    """

    name: str
    sites: tuple[PlacedSite, ...]
    wiring: tuple[int, ...] | None


def read_probeinterface(path: str | Path) -> tuple[ProbeFile, ...]:
    """Read every probe of a probeinterface JSON file; ProbeError names the file and what is wrong with it."""
    import probeinterface

    source = Path(path).expanduser()
    if not source.is_file():
        raise ProbeError(f"no probe file {source}; pass a probeinterface .json file or a probe's name")
    try:
        group = probeinterface.read_probeinterface(source)
        probes = tuple(_probe(p) for p in group.probes)
    except ProbeError as error:
        raise ProbeError(f"{source}: {error}") from error
    # whatever a foreign parser makes of a foreign file becomes one sentence about that file
    except Exception as error:
        raise ProbeError(
            f"{source} is not a probeinterface file ({type(error).__name__}: {error}); "
            f"probeinterface.write_probeinterface writes one"
        ) from error
    if not any(p.sites for p in probes):
        raise ProbeError(f"{source} holds no contacts")
    return probes


def write_probeinterface(path: str | Path, channels: ChannelTable, *, force: bool = False) -> Path:
    """Write the geometry of a recording's amplifier channels, one probe per port and probe id.

    ``device_channel_indices`` are positions among the amplifier channels of this table (DATA index space).

    Raises
    ------
    ProbeError
        No amplifier channel has a site.
    OutputExistsError, OutputError
        The file is there already and ``force`` was not given; it cannot be written.
    """
    import probeinterface

    target = Path(path).expanduser()
    if target.exists() and not force:
        raise OutputExistsError(f"{target} exists already; choose another name or pass force=True")
    group = probeinterface.ProbeGroup()
    for name, members in _by_probe(channels).items():
        group.add_probe(_foreign_probe(probeinterface, name, members))
    if not group.probes:
        raise ProbeError("none of the amplifier channels has a site; assign a probe first")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        probeinterface.write_probeinterface(temporary, group)
        replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def pathway(name: str) -> tuple[int, ...]:
    """Return a wiring that probeinterface knows by name, e.g. ``H32>RHD2132``: amplifier channel of sites 1, 2, ..."""
    from probeinterface import wiring

    known: dict[str, Any] = wiring.pathways
    if name not in known:
        raise ProbeError(f"unknown wiring {name!r}; known: {', '.join(sorted(known))}; or pass a list of channels")
    return tuple(int(c) for c in known[name])


def _probe(probe: Any) -> ProbeFile:
    scale = _UM_PER_UNIT.get(str(probe.si_units))
    if scale is None:
        raise ProbeError(f"unknown length unit {probe.si_units!r}; known: {', '.join(_UM_PER_UNIT)}")
    ids = [str(c) for c in probe.contact_ids] if probe.contact_ids is not None else []
    numbers = _numbers(ids, len(probe.contact_positions))
    shanks = _shanks(probe)
    sites = tuple(
        PlacedSite(numbers[i], shanks[i], _site(probe, i, scale), ids[i] if ids else "") for i in range(len(numbers))
    )
    wiring = probe.device_channel_indices
    annotations = probe.annotations
    name = str(annotations.get("model_name") or annotations.get("name") or "")
    return ProbeFile(name, sites, None if wiring is None else tuple(int(c) for c in wiring))


def _site(probe: Any, i: int, scale: float) -> Site:
    place = [scale * float(v) for v in probe.contact_positions[i]] + [0.0]
    shape = str(probe.contact_shapes[i])
    size = probe.contact_shape_params[i]
    if shape == "circle":
        width = height = 2 * scale * float(size["radius"])
        area = 3.141592653589793 * width * height / 4
    else:
        width = scale * float(size["width"])
        height = scale * float(size.get("height", size["width"]))
        area = width * height
    return Site(place[0], place[1], place[2], shape=shape, area_um2=area, width_um=width, height_um=height)


def _numbers(ids: list[str], n: int) -> list[int]:
    """Return contact ids as site numbers where they are distinct positive integers, else 1, 2, ..."""
    if len(set(ids)) == n and all(i.isascii() and i.isdigit() and int(i) > 0 for i in ids):
        return [int(i) for i in ids]
    return list(range(1, n + 1))


def _shanks(probe: Any) -> list[int]:
    """Number the shanks 0, 1, ...: by their ids where those are numbers, else in the order of their first contact."""
    ids = [str(s) for s in probe.shank_ids] if probe.shank_ids is not None else []
    distinct = list(dict.fromkeys(ids))
    if all(i.isascii() and i.isdigit() for i in distinct):
        distinct.sort(key=int)
    order = {shank: i for i, shank in enumerate(distinct)}
    return [order[s] for s in ids] if ids else [0] * len(probe.contact_positions)


def _by_probe(channels: ChannelTable) -> dict[str, list[tuple[int, Channel]]]:
    """Group amplifier channels that have a site by port and probe; with their position among the amplifier channels."""
    found: dict[str, list[tuple[int, Channel]]] = {}
    for position, column in enumerate(channels.columns_of(SignalType.AMP)):
        channel = channels[int(column)]
        if channel.site is not None:
            port = channel.port.name if channel.port is not None else "?"
            key = f"{port}/{channel.probe_id or 'probe'}/{channel.probe_idx or 0}"
            found.setdefault(key, []).append((position, channel))
    return found


def _foreign_probe(probeinterface: Any, name: str, members: list[tuple[int, Channel]]) -> Any:
    placed = [(c, c.site) for _, c in members if c.site is not None]
    probe = probeinterface.Probe(ndim=3 if any(s.z_um for _, s in placed) else 2, si_units="um")
    probe.set_contacts(
        positions=[([s.x_um, s.y_um, s.z_um] if probe.ndim == 3 else [s.x_um, s.y_um]) for _, s in placed],
        shapes=["circle" if s.shape in ("circle", "") else s.shape for _, s in placed],
        shape_params=[_size(s) for _, s in placed],
        shank_ids=[str(c.shank) for c, _ in placed],
    )
    probe.set_contact_ids(
        [c.contact_id or str(c.site_num if c.site_num > 0 else i + 1) for i, (c, _) in enumerate(placed)]
    )
    probe.set_device_channel_indices([position for position, _ in members])
    probe.annotate(name=name, model_name=placed[0][0].probe_id)
    return probe


def _size(site: Site) -> dict[str, float]:
    if site.shape == "rect":
        return {"width": site.width_um, "height": site.height_um}
    if site.shape == "square":
        return {"width": site.width_um}
    return {"radius": site.width_um / 2 or radius_um(site.area_um2)}
