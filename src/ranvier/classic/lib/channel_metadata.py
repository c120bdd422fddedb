"""``radiens.lib.channel_metadata``: channels as a table, and in the three index spaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ranvier.classic.lib._from_models import member, shown
from ranvier.classic.utils.constants import KeyIdxs
from ranvier.classic.utils.enums import Port, SignalType, SignalUnits
from ranvier.models import channels as models
from ranvier.models import signals

if TYPE_CHECKING:
    import pandas as pd

#: Columns of the table that are fields of ``ranvier.models.ChannelInfo`` by another (or the same) name.
_FIELDS = {
    "chan_name": "name",
    "ntv_key_idx": "ntv_idx",
    "site_num": "site_num",
    "color_group_idx": "color_group_idx",
    "selected": "is_selected",
    "site_shape": "site_shape",
    "site_ctr_x": "probe_x",
    "site_ctr_y": "probe_y",
    "site_ctr_z": "probe_z",
    "site_lim_x_min": "site_lim_x_min",
    "site_lim_y_min": "site_lim_y_min",
    "site_lim_z_min": "site_lim_z_min",
    "site_lim_x_max": "site_lim_x_max",
    "site_lim_y_max": "site_lim_y_max",
    "site_lim_z_max": "site_lim_z_max",
    "site_ctr_tcs_x": "tissue_x",
    "site_ctr_tcs_y": "tissue_y",
    "site_ctr_tcs_z": "tissue_z",
    "sys_key_idx": "sys_idx",
    "site_area_um2": "site_area_um2",
    "sensor_id": "sensor_id",
    "probe_id": "probe_id",
    "headstage_id": "headstage_id",
    "ntv_chan_name": "ntv_name",
    "sensor_uid": "sensor_id",
    "dataset_key_idx": "dset_idx",
    "dataset_key_idx_abs": "dset_idx",
}

COLUMNS = (
    "port",
    "chan_name",
    "chan_type",
    "ntv_key_idx",
    "site_num",
    "color_group_idx",
    "selected",
    "audio",
    "site_shape",
    "site_ctr_x",
    "site_ctr_y",
    "site_ctr_z",
    "site_lim_x_min",
    "site_lim_y_min",
    "site_lim_z_min",
    "site_lim_x_max",
    "site_lim_y_max",
    "site_lim_z_max",
    "site_ctr_tcs_x",
    "site_ctr_tcs_y",
    "site_ctr_tcs_z",
    "sensor_units",
    "sys_key_idx",
    "site_area_um2",
    "scs_to_tcs",
    "sensor_id",
    "probe_id",
    "headstage_id",
    "ntv_chan_name",
    "sensor_uid",
    "dataset_key_idx",
    "dataset_key_idx_abs",
)


class ChannelMetadata:
    """The channels of a dataset or of the live stream.

    Signal types may be given as members, names (any case) or numbers.

    Notes
    -----
    Positions are micrometres. (The documented package hands on what its server sends, which is tens of micrometres,
    without saying so.)
    """

    def __init__(self, channels: models.ChannelMetadata) -> None:
        self._channels = channels

    @property
    def model(self) -> models.ChannelMetadata:
        """The typed metadata (an addition to the documented API)."""
        return self._channels

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per channel, amplifier channels first, in dataset order; positions in um, NaN without a site."""
        import pandas as pd

        rows = [
            _row(self._channels, kind, ntv) for kind in signals.SignalType for ntv in self._channels.index(kind).ntv
        ]
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        table.index.name = "dyn_sort_idx"
        return table

    @property
    def attributes(self) -> dict[str, Any]:
        """What concerns all channels; ``fs`` in Hz."""
        ours = self._channels
        return {
            "dataset_uid": ours.dataset_uid,
            "fs": ours.fs,
            "source_label": ours.source_label,
            "neighbor_max_radius_um": ours.neighbor_max_radius_um,
            "signal_units": self.sig_units,
            "has_discrete": ours.has_discrete,
            "has_continuous_amp": ours.has_continuous_amp,
        }

    def index(self, stype: SignalType | str | int) -> KeyIdxs:
        """Return the indices of all channels of a type."""
        found = self._channels.index(_kind(stype))
        return KeyIdxs(list(found.ntv), list(found.dset), list(found.sys))

    def sel_index(self, stype: SignalType | str | int) -> KeyIdxs:
        """Return the indices of the selected channels of a type."""
        found = self._channels.selected_index(_kind(stype))
        return KeyIdxs(list(found.ntv), list(found.dset), list(found.sys))

    def num_sigs(self, stype: SignalType | str | int) -> int:
        """Return how many channels of a type there are."""
        return len(self._channels.index(_kind(stype)).ntv)

    def sel_num_sigs(self, stype: SignalType | str | int) -> int:
        """Return how many channels of a type are selected."""
        return len(self._channels.selected_index(_kind(stype)).ntv)

    def num_sigs_total(self) -> int:
        """Return how many channels there are."""
        return sum(self.num_sigs(kind) for kind in SignalType)

    @property
    def num_selected_sigs_total(self) -> int:
        """How many channels are selected."""
        return sum(self.sel_num_sigs(kind) for kind in SignalType)

    @property
    def sig_units(self) -> dict[SignalType, SignalUnits]:
        """The unit of each type."""
        return {
            member(SignalType, kind): member(SignalUnits, unit) for kind, unit in self._channels.signal_units.items()
        }

    @property
    def sensor_spec(self) -> dict[str, list[dict[str, Any]]]:
        """The probes on each port, ``'A'`` to ``'H'``: ids, and the extent of their sites in um."""
        found: dict[str, dict[str, list[models.ChannelInfo]]] = {port.name: {} for port in Port}
        for ntv in self._channels.index(signals.SignalType.AMP).ntv:
            info = self._channels.get_channel_info(ntv, signals.SignalType.AMP)
            if info.port is not None:
                found[info.port.name].setdefault(info.probe_id, []).append(info)
        return {port: [_sensor(sites) for sites in probes.values()] for port, probes in found.items()}

    def site_positions(self, stype: SignalType | str | int = SignalType.AMP) -> dict[int, models.SitePosition]:
        """Return the position of each site by native index, um; channels without a site are absent."""
        kind = _kind(stype)
        infos = (self._channels.get_channel_info(ntv, kind) for ntv in self._channels.index(kind).ntv)
        return {info.ntv_idx: info.site_position for info in infos if info.site_position is not None}

    def __repr__(self) -> str:
        return shown(self, fs=self._channels.fs, **{kind.name.lower(): self.num_sigs(kind) for kind in SignalType})


#: Fields of the typed metadata that hold one value per channel.
_PER_CHANNEL = (
    "chan_names",
    "ntv_chan_names",
    "probe_ids",
    "headstage_ids",
    "sensor_ids",
    "site_nums",
    "color_group_idxs",
    "ports",
    "probe_idxs",
    "shank_ids",
)


def restricted(
    channels: models.ChannelMetadata, ntv: Mapping[signals.SignalType, Sequence[int] | npt.NDArray[np.integer[Any]]]
) -> models.ChannelMetadata:
    """Return the metadata of some channels only: native indices by type, in that order; other types are left out."""
    wanted = {kind: [int(i) for i in some] for kind, some in ntv.items() if len(some)}
    rows = {kind: _positions(channels.index(kind).ntv, some) for kind, some in wanted.items()}
    keys = {kind: _pick(channels.index(kind), at) for kind, at in rows.items()}
    selected = {kind: {*channels.selected_index(kind).ntv} for kind in wanted}
    marked = {kind: [at for at, i in enumerate(some) if i in selected[kind]] for kind, some in wanted.items()}
    sites = channels.site_positions
    return channels.model_copy(
        update={
            "sig_map": keys,
            "selected_sig_map": {kind: _pick(keys[kind], at) for kind, at in marked.items()},
            "num_channels": {kind: len(at) for kind, at in rows.items()},
            "selected_num_channels": {kind: len(at) for kind, at in marked.items()},
            "site_positions": [sites[at] for at in rows.get(signals.SignalType.AMP, ())] if sites else [],
            **{name: _take(getattr(channels, name), rows) for name in _PER_CHANNEL},
        }
    )


def _positions(known: Sequence[int], wanted: Sequence[int]) -> list[int]:
    at = {ntv: position for position, ntv in enumerate(known)}
    return [at[ntv] for ntv in wanted]


def _pick(keys: models.KeyIdxs, rows: Sequence[int]) -> models.KeyIdxs:
    return models.KeyIdxs(
        ntv=[keys.ntv[i] for i in rows], dset=[keys.dset[i] for i in rows], sys=[keys.sys[i] for i in rows]
    )


def _take(
    values: Mapping[signals.SignalType, Sequence[Any]] | None, rows: Mapping[signals.SignalType, Sequence[int]]
) -> dict[signals.SignalType, list[Any]] | None:
    """Return per-channel values of some rows; types that have none are left out."""
    if values is None:
        return None
    return {kind: [values[kind][i] for i in at] for kind, at in rows.items() if values.get(kind)}


def _kind(stype: SignalType | str | int) -> signals.SignalType:
    return signals.SignalType[SignalType.parse(stype).name]


def _row(channels: models.ChannelMetadata, kind: signals.SignalType, ntv: int) -> dict[str, Any]:
    info = channels.get_channel_info(ntv, kind)
    unit = channels.signal_units.get(kind)
    return {
        **{column: getattr(info, field) for column, field in _FIELDS.items()},
        "port": None if info.port is None else info.port.name,
        "chan_type": member(SignalType, kind),
        "audio": [False, False],
        "sensor_units": None if unit is None else member(SignalUnits, unit),
        "scs_to_tcs": [info.scs_to_tcs_x, info.scs_to_tcs_y, info.scs_to_tcs_z],
    }


def _sensor(sites: Sequence[models.ChannelInfo]) -> dict[str, Any]:
    """Return one probe; the wireframe, which this engine does not keep, is the rectangle around the sites."""
    boxes = [site for site in sites if site.has_position]
    x = [edge for site in boxes for edge in (site.site_lim_x_min, site.site_lim_x_max) if edge is not None]
    y = [edge for site in boxes for edge in (site.site_lim_y_min, site.site_lim_y_max) if edge is not None]
    lim_x, lim_y = ([min(edges), max(edges)] if edges else [0.0, 0.0] for edges in (x, y))
    shift = boxes[0] if boxes else None
    return {
        "probe_id": sites[0].probe_id,
        "headstage_id": sites[0].headstage_id,
        "sensor_uid": sites[0].sensor_id,
        "x_min": lim_x[0],
        "x_max": lim_x[1],
        "y_min": lim_y[0],
        "y_max": lim_y[1],
        "wireframe_x": [lim_x[0], lim_x[1], lim_x[1], lim_x[0], lim_x[0]],
        "wireframe_y": [lim_y[0], lim_y[0], lim_y[1], lim_y[1], lim_y[0]],
        "wireframe_vtx_x_lim": lim_x,
        "wireframe_vtx_y_lim": lim_y,
        "sensor_pos": {
            "x": 0.0 if shift is None else shift.scs_to_tcs_x,
            "y": 0.0 if shift is None else shift.scs_to_tcs_y,
            "z": 0.0 if shift is None else shift.scs_to_tcs_z,
            "ring_angle": 0.0,
            "axial_angle": 0.0,
            "arc_angle": 0.0,
        },
    }
