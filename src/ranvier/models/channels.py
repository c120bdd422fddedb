"""Channels: what each index means, where each site lies."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ranvier.exceptions import DatasetError
from ranvier.models._base import Model
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType

__all__ = [
    "COLOR_GROUP_UNSET",
    "SITE_NUM_UNSET",
    "AreaUnits",
    "ChannelInfo",
    "ChannelMetadata",
    "KeyIdxs",
    "SignalUnits",
    "SitePosition",
]

#: Site number of a channel without a probe site.
SITE_NUM_UNSET = -23
#: Color group of a channel that has none.
COLOR_GROUP_UNSET = 2147483647

T = TypeVar("T")


class SignalUnits(IntEnum):
    """Unit of a signal type."""

    UNKNOWN = 0
    MICROVOLTS = 1
    VOLTS = 2
    BINARY = 3


class AreaUnits(IntEnum):
    """Unit of a site area."""

    SQUARE_MICROMETERS = 0
    SQUARE_MILLIMETERS = 1
    SQUARE_CENTIMETERS = 2
    SQUARE_NANOMETERS = 3
    SQUARE_METERS = 4


#: How many of each unit one square micrometre is.
_PER_UM2 = {
    AreaUnits.SQUARE_MICROMETERS: 1.0,
    AreaUnits.SQUARE_MILLIMETERS: 1e-6,
    AreaUnits.SQUARE_CENTIMETERS: 1e-8,
    AreaUnits.SQUARE_NANOMETERS: 1e6,
    AreaUnits.SQUARE_METERS: 1e-12,
}


class KeyIdxs(Model):
    """The channels of one signal type in the three index spaces; the lists run in parallel, in dataset order."""

    ntv: list[int]
    dset: list[int]
    sys: list[int]


class SitePosition(Model):
    """Where one electrode site lies; all lengths in micrometres.

    Attributes
    ----------
    probe_x, probe_y, probe_z
        Centre in probe coordinates; y grows from the tip up.
    tissue_x, tissue_y, tissue_z
        Centre in tissue coordinates: probe plus ``scs_to_tcs``.
    site_shape
        ``"circle"``, ``"rect"``, ...
    site_area_um2
        Area in um^2.
    site_lim_x_min ... site_lim_z_max
        Bounding box in probe coordinates.
    scs_to_tcs_x, scs_to_tcs_y, scs_to_tcs_z
        Shift from probe (sensor) to tissue coordinates.
    """

    probe_x: float
    probe_y: float
    probe_z: float
    tissue_x: float
    tissue_y: float
    tissue_z: float
    site_shape: str
    site_area_um2: float
    site_lim_x_min: float
    site_lim_x_max: float
    site_lim_y_min: float
    site_lim_y_max: float
    site_lim_z_min: float
    site_lim_z_max: float
    scs_to_tcs_x: float
    scs_to_tcs_y: float
    scs_to_tcs_z: float

    @property
    def bounding_box_size(self) -> tuple[float, float, float]:
        """Extent of the site along x, y, z in um."""
        return (
            self.site_lim_x_max - self.site_lim_x_min,
            self.site_lim_y_max - self.site_lim_y_min,
            self.site_lim_z_max - self.site_lim_z_min,
        )

    @property
    def bounding_box_center(self) -> tuple[float, float, float]:
        """Middle of the site's limits along x, y, z in um."""
        return (
            (self.site_lim_x_min + self.site_lim_x_max) / 2,
            (self.site_lim_y_min + self.site_lim_y_max) / 2,
            (self.site_lim_z_min + self.site_lim_z_max) / 2,
        )

    def get_area(self, unit: AreaUnits) -> float:
        """Return the site area in a unit."""
        return self.site_area_um2 * _PER_UM2[unit]


class ChannelInfo(Model):
    """One channel: its indices, names, and site; positions as :class:`SitePosition`, None where there is none.

    Attributes
    ----------
    ntv_idx, dset_idx, sys_idx
        The channel in the three index spaces (see :class:`~ranvier.models.signals.KeyIndex`).
    site_num
        1-based number of the site on its probe; ``SITE_NUM_UNSET`` without a probe.
    color_group_idx
        Color group; ``COLOR_GROUP_UNSET`` where it has none.
    port, probe_idx
        Headstage port, and which probe on that port (0-based); None where unknown.
    """

    ntv_idx: int
    dset_idx: int
    sys_idx: int
    signal_type: SignalType
    name: str
    ntv_name: str
    is_selected: bool
    probe_id: str
    headstage_id: str
    sensor_id: str
    site_num: int = 0
    color_group_idx: int = 0
    probe_x: float | None = None
    probe_y: float | None = None
    probe_z: float | None = None
    tissue_x: float | None = None
    tissue_y: float | None = None
    tissue_z: float | None = None
    site_shape: str = ""
    site_area_um2: float | None = None
    site_lim_x_min: float | None = None
    site_lim_x_max: float | None = None
    site_lim_y_min: float | None = None
    site_lim_y_max: float | None = None
    site_lim_z_min: float | None = None
    site_lim_z_max: float | None = None
    scs_to_tcs_x: float | None = None
    scs_to_tcs_y: float | None = None
    scs_to_tcs_z: float | None = None
    port: Port | None = None
    probe_idx: int | None = None

    @property
    def has_position(self) -> bool:
        """Whether the channel has a site with a complete position."""
        return all(getattr(self, name) is not None for name in SitePosition.model_fields)

    @property
    def site_position(self) -> SitePosition | None:
        """The site, or None without position."""
        if not self.has_position:
            return None
        return SitePosition(**{name: getattr(self, name) for name in SitePosition.model_fields})

    @property
    def bounding_box_size(self) -> tuple[float, float, float] | None:
        """Extent of the site along x, y, z in um, or None without position."""
        site = self.site_position
        return None if site is None else site.bounding_box_size

    @property
    def bounding_box_center(self) -> tuple[float, float, float] | None:
        """Middle of the site's limits along x, y, z in um, or None without position."""
        site = self.site_position
        return None if site is None else site.bounding_box_center

    def get_area(self, unit: AreaUnits) -> float | None:
        """Return the site area in a unit, or None without position."""
        site = self.site_position
        return None if site is None else site.get_area(unit)


class ChannelMetadata(Model):
    """All channels of a dataset or live stream.

    Lists per signal type run parallel to ``sig_map[type].ntv``; a type that the dataset does not have is absent.

    Attributes
    ----------
    fs
        Sampling rate in Hz.
    neighbor_max_radius_um
        Sites closer than this are neighbours, in um.
    sig_map, selected_sig_map
        Indices of all channels, and of the selected ones.
    site_positions
        Sites of the amplifier channels, parallel to ``sig_map[AMP].ntv``; empty where there is no geometry.
    site_nums, color_group_idxs, ports, probe_idxs
        Per channel, as in :class:`ChannelInfo`; may be absent.
    wiring_verified
        True where the map from site to amplifier channel is known, False where identity was assumed, None if not told.
    geometry_source
        Where positions come from: ``"file"``, ``"probe name"``, ``"probeinterface"``, ``"assumed"``.
    shank_ids
        0-based shank per channel.
    unit_sources
        Where the unit of each type comes from: ``"file"``, ``"assumed"`` or ``"user"``.
    """

    dataset_uid: str
    fs: float
    source_label: str
    neighbor_max_radius_um: float
    signal_units: dict[SignalType, SignalUnits]
    has_discrete: bool
    has_continuous_amp: bool
    sig_map: dict[SignalType, KeyIdxs]
    selected_sig_map: dict[SignalType, KeyIdxs]
    num_channels: dict[SignalType, int]
    selected_num_channels: dict[SignalType, int]
    site_positions: list[SitePosition]
    chan_names: dict[SignalType, list[str]]
    ntv_chan_names: dict[SignalType, list[str]]
    probe_ids: dict[SignalType, list[str]]
    headstage_ids: dict[SignalType, list[str]]
    sensor_ids: dict[SignalType, list[str]]
    site_nums: dict[SignalType, list[int]] = Field(default_factory=dict)
    color_group_idxs: dict[SignalType, list[int]] = Field(default_factory=dict)
    ports: dict[SignalType, list[Port | None]] = Field(default_factory=dict)
    probe_idxs: dict[SignalType, list[int | None]] = Field(default_factory=dict)
    wiring_verified: bool | None = None
    geometry_source: str | None = None
    shank_ids: dict[SignalType, list[int]] | None = None
    unit_sources: dict[SignalType, str] | None = None

    @property
    def amp_site_count(self) -> int:
        """How many amplifier channels have a site."""
        return len(self.site_positions)

    @property
    def total_selected_channels(self) -> int:
        """How many channels are selected, over all types."""
        return sum(self.selected_num_channels.values())

    def index(self, sig_type: SignalType) -> KeyIdxs:
        """Return the indices of all channels of one type; empty lists where there are none."""
        return self.sig_map.get(sig_type) or KeyIdxs(ntv=[], dset=[], sys=[])

    def selected_index(self, sig_type: SignalType) -> KeyIdxs:
        """Return the indices of the selected channels of one type; empty lists where there are none."""
        return self.selected_sig_map.get(sig_type) or KeyIdxs(ntv=[], dset=[], sys=[])

    def get_num_channels(self, sig_type: SignalType) -> int:
        """Return how many channels of one type there are."""
        return self.num_channels.get(sig_type, 0)

    def all_amp_indices(self) -> npt.NDArray[np.int64]:
        """Return the native indices of all amplifier channels, int64 ``(n,)``."""
        return np.array(self.index(SignalType.AMP).ntv, dtype=np.int64)

    def get_channel_info(self, ntv_idx: int, sig_type: SignalType) -> ChannelInfo:
        """Return one channel by native index; DatasetError for an unknown one."""
        at = self._position("native", self.index(sig_type).ntv, ntv_idx, sig_type)
        keys = self.index(sig_type)
        site = _item(self.site_positions, at, None) if sig_type == SignalType.AMP else None
        return ChannelInfo(
            ntv_idx=ntv_idx,
            dset_idx=keys.dset[at],
            sys_idx=keys.sys[at],
            signal_type=sig_type,
            name=_item(self.chan_names.get(sig_type), at, ""),
            ntv_name=_item(self.ntv_chan_names.get(sig_type), at, ""),
            is_selected=ntv_idx in self.selected_index(sig_type).ntv,
            probe_id=_item(self.probe_ids.get(sig_type), at, ""),
            headstage_id=_item(self.headstage_ids.get(sig_type), at, ""),
            sensor_id=_item(self.sensor_ids.get(sig_type), at, ""),
            site_num=_item(self.site_nums.get(sig_type), at, SITE_NUM_UNSET),
            color_group_idx=_item(self.color_group_idxs.get(sig_type), at, COLOR_GROUP_UNSET),
            port=_item(self.ports.get(sig_type), at, None),
            probe_idx=_item(self.probe_idxs.get(sig_type), at, None),
            **({} if site is None else site.model_dump()),
        )

    def ntv_from_dset(self, dset_idx: int, sig_type: SignalType) -> int:
        """Return the native index of a dataset index; DatasetError for an unknown one."""
        keys = self.index(sig_type)
        return keys.ntv[self._position("dataset", keys.dset, dset_idx, sig_type)]

    def ntv_from_sys(self, sys_idx: int, sig_type: SignalType) -> int:
        """Return the native index of a system index; DatasetError for an unknown one."""
        keys = self.index(sig_type)
        return keys.ntv[self._position("system", keys.sys, sys_idx, sig_type)]

    def sys_indices_for_site_nums(self, sig_type: SignalType, site_nums: Sequence[int]) -> list[int]:
        """Return the system indices of sites, in the order asked; DatasetError for an unknown site."""
        known, sys = self.site_nums.get(sig_type, []), self.index(sig_type).sys
        return [sys[self._position("site", known, num, sig_type)] for num in site_nums]

    def sys_indices_for_color_groups(self, sig_type: SignalType, color_group_idxs: Sequence[int]) -> list[int]:
        """Return the system indices of all channels in some color groups, in dataset order."""
        wanted = set(color_group_idxs)
        groups = self.color_group_idxs.get(sig_type, [])
        return [sys for sys, group in zip(self.index(sig_type).sys, groups, strict=False) if group in wanted]

    def ntv_indices_for_sites(self, site_nums: Sequence[int], *, port: Port, probe_idx: int = 0) -> list[int]:
        """Return the native indices of amplifier sites of one probe, in the order asked.

        Channels that do not say which probe of a port they are on count as probe 0. DatasetError for an unknown site.
        """
        amp = SignalType.AMP
        ntv = self.index(amp).ntv
        found = {}
        for at, num in enumerate(self.site_nums.get(amp, [])):
            probe = _item(self.probe_idxs.get(amp), at, None)
            if _item(self.ports.get(amp), at, None) == port and (probe or 0) == probe_idx:
                found[num] = ntv[at]
        unknown = [num for num in site_nums if num not in found]
        if unknown:
            raise DatasetError(f"no site {unknown[:8]} on probe {probe_idx} of port {port.name}")
        return [found[num] for num in site_nums]

    @staticmethod
    def _position(space: str, known: Sequence[int], wanted: int, sig_type: SignalType) -> int:
        try:
            return known.index(wanted)
        except ValueError:
            have = f"{len(known)} from {min(known)} to {max(known)}" if known else "none of that type"
            raise DatasetError(
                f"no {sig_type.name} channel with {space} index {wanted}; the dataset has {have}"
            ) from None


def _item(values: Sequence[T] | None, at: int, default: T) -> T:
    """Return one of the per-channel values, which may be absent."""
    return values[at] if values is not None and at < len(values) else default
