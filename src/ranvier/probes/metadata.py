"""From the channel table of a recording to the ChannelMetadata of the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import DatasetError
from ranvier.models.channels import ChannelMetadata, KeyIdxs, SitePosition
from ranvier.models.signals import SignalType
from ranvier.probes.layouts import radius_um
from ranvier.recordings.channels import TYPE_ORDER, Channel, ChannelTable, Site

#: Neighbours lie within this multiple of the typical distance from a site to its nearest one ...
NEIGHBOR_PITCHES = 2.0
#: ... but further away than this they see different cells (um).
NEIGHBOR_LIMIT_UM = 250.0


def channel_metadata(
    channels: ChannelTable,
    *,
    fs: float | Fraction,
    dataset_uid: str,
    source_label: str,
    selected: Mapping[SignalType, Sequence[int]] | None = None,
    has_discrete: bool = False,
) -> ChannelMetadata:
    """Describe the channels of a dataset in the three index spaces.

    Lists run in file order. DSET is the position among the channels of a type in this dataset; NTV and SYS are what
    the channels had when they were recorded, and survive slicing. Types without channels are absent.

    Parameters
    ----------
    selected
        Native indices of the selected channels of some types; the others follow ``Channel.selected``.
    has_discrete
        Whether the dataset also holds spikes.

    Raises
    ------
    DatasetError
        A selection names a channel that is not there.

    Notes
    -----
    ``site_positions`` is parallel to ``sig_map[AMP].ntv``, and empty where no channel has a site (assign a probe, or
    assume a column, first). A channel that is not connected to a site of the probe stands there with shape ``""`` and
    zeros, as recordings write it; its site number is ``SITE_NUM_UNSET``.
    """
    members = {kind: [channels[int(c)] for c in channels.columns_of(kind)] for kind in TYPE_ORDER}
    members = {kind: found for kind, found in members.items() if found}
    chosen = {kind: _selected(kind, found, selected) for kind, found in members.items()}
    amp = members.get(SignalType.AMP, [])
    has_sites = any(c.site is not None for c in amp)
    return ChannelMetadata(
        dataset_uid=dataset_uid,
        fs=float(fs),
        source_label=source_label,
        neighbor_max_radius_um=neighbor_radius_um(channels),
        signal_units={kind: found[0].unit for kind, found in members.items()},
        has_discrete=has_discrete,
        has_continuous_amp=bool(amp),
        sig_map={kind: _keys(found, range(len(found))) for kind, found in members.items()},
        selected_sig_map={kind: _keys(members[kind], positions) for kind, positions in chosen.items()},
        num_channels={kind: len(found) for kind, found in members.items()},
        selected_num_channels={kind: len(positions) for kind, positions in chosen.items()},
        site_positions=[site_position(c.site) for c in amp] if has_sites else [],
        chan_names={kind: [c.name for c in found] for kind, found in members.items()},
        ntv_chan_names={kind: [c.ntv_name for c in found] for kind, found in members.items()},
        probe_ids={kind: [c.probe_id for c in found] for kind, found in members.items()},
        headstage_ids={kind: [c.headstage_id for c in found] for kind, found in members.items()},
        sensor_ids={kind: [sensor_id(c) for c in found] for kind, found in members.items()},
        site_nums={kind: [c.site_num for c in found] for kind, found in members.items()},
        color_group_idxs={kind: [c.color_group for c in found] for kind, found in members.items()},
        ports={kind: [c.port for c in found] for kind, found in members.items()},
        probe_idxs={kind: [c.probe_idx for c in found] for kind, found in members.items()},
        wiring_verified=channels.wiring_verified,
        geometry_source=channels.geometry_source if has_sites else None,
        shank_ids={kind: [c.shank for c in found] for kind, found in members.items()},
        unit_sources={kind: _unit_source(found) for kind, found in members.items()},
    )


def site_position(site: Site | None) -> SitePosition:
    """Return a site with its bounding box, all in um; zeros and shape ``""`` where a channel has none."""
    at = site or Site(0.0, 0.0, shape="")
    width, height = _extent(at)
    tissue = at.tissue_um
    return SitePosition(
        probe_x=at.x_um,
        probe_y=at.y_um,
        probe_z=at.z_um,
        tissue_x=tissue[0],
        tissue_y=tissue[1],
        tissue_z=tissue[2],
        site_shape=at.shape,
        site_area_um2=at.area_um2,
        site_lim_x_min=at.x_um - width / 2,
        site_lim_x_max=at.x_um + width / 2,
        site_lim_y_min=at.y_um - height / 2,
        site_lim_y_max=at.y_um + height / 2,
        site_lim_z_min=at.z_um,
        site_lim_z_max=at.z_um,
        scs_to_tcs_x=at.scs_to_tcs_um[0],
        scs_to_tcs_y=at.scs_to_tcs_um[1],
        scs_to_tcs_z=at.scs_to_tcs_um[2],
    )


def sensor_id(channel: Channel) -> str:
    """Return ``headstage/probe`` as recordings write it; ``""`` without a probe."""
    if not channel.probe_id:
        return ""
    return f"{channel.headstage_id}/{channel.probe_id}" if channel.headstage_id else channel.probe_id


def neighbor_radius_um(channels: ChannelTable) -> float:
    """Return within which distance two sites are neighbours, in um; 0 where fewer than two channels have one.

    Twice the median distance from a site to its nearest one on the same port, and at most 250 um: that reaches the
    second site up and down a column and across to the next columns of a polytrode or tetrode, and does not take
    sites of other shanks for neighbours unless the shanks are as close as the sites.
    """
    nearest: list[float] = []
    for places in _places_by_port(channels).values():
        if len(places) > 1:
            # one row at a time: a probe of thousands of sites would need a huge matrix of distances
            for i, place in enumerate(places):
                distance = np.linalg.norm(np.delete(places, i, axis=0) - place, axis=1)
                nearest.append(float(distance.min()))
    return min(NEIGHBOR_PITCHES * float(np.median(nearest)), NEIGHBOR_LIMIT_UM) if nearest else 0.0


def _places_by_port(channels: ChannelTable) -> dict[object, npt.NDArray[np.float64]]:
    places: dict[object, list[tuple[float, float, float]]] = {}
    for channel in channels:
        if channel.type == SignalType.AMP and channel.site is not None:
            site = channel.site
            places.setdefault((channel.port, channel.probe_idx), []).append((site.x_um, site.y_um, site.z_um))
    return {key: np.array(values) for key, values in places.items()}


def _extent(site: Site) -> tuple[float, float]:
    """Return width and height; those of a circle or square of the site's area where they are not told."""
    if site.width_um or site.height_um:
        return site.width_um or site.height_um, site.height_um or site.width_um
    side = 2 * radius_um(site.area_um2) if site.shape in ("circle", "") else site.area_um2**0.5
    return side, side


def _keys(members: list[Channel], positions: Sequence[int]) -> KeyIdxs:
    return KeyIdxs(
        ntv=[members[i].ntv for i in positions], dset=list(positions), sys=[members[i].sys for i in positions]
    )


def _selected(
    kind: SignalType, members: list[Channel], selected: Mapping[SignalType, Sequence[int]] | None
) -> list[int]:
    """Return the positions of the selected channels, in file order."""
    if selected is None or kind not in selected:
        return [i for i, c in enumerate(members) if c.selected]
    wanted = {int(i) for i in selected[kind]}
    unknown = sorted(wanted - {c.ntv for c in members})
    if unknown:
        raise DatasetError(f"no {kind.name} channel with native index {unknown[:8]} to select")
    return [i for i, c in enumerate(members) if c.ntv in wanted]


def _unit_source(members: list[Channel]) -> str:
    """Return where the unit of a type comes from; the least certain source where channels differ."""
    sources = {c.unit_source for c in members}
    return next((s for s in ("assumed", "user", "file") if s in sources), sorted(sources)[0])
