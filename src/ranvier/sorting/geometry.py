"""Where sites are, and which are near to each other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from ranvier.models.signals import SignalType
from ranvier.recordings.channels import ChannelTable

F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]

#: Sites of different ports, probes or shanks are this far apart at least: no unit spans two shanks.
_SHANK_STEP_UM = 10_000.0


@dataclass(frozen=True)
class Geometry:
    """Positions of the sites that are sorted.

    Attributes
    ----------
    positions_um
        ``(channels, 2)``: x and y on the probe, shanks and probes moved apart so that they share nothing.
    group
        ``(channels,)``: number of the shank (of port and probe) that a site is on.
    """

    positions_um: F64
    group: I32

    @property
    def offset_um(self) -> F64:
        """``(channels,)``: how far x was moved."""
        return np.asarray(self.group * _SHANK_STEP_UM, np.float64)

    @cached_property
    def distance_um(self) -> F64:
        """``(channels, channels)``."""
        return np.asarray(cdist(self.positions_um, self.positions_um), np.float64)

    def along(self) -> npt.NDArray[np.int64]:
        """Return the order in which sites follow each other along the shanks: near sites lie together in memory."""
        x, y = self.positions_um.T
        return np.asarray(np.lexsort((x, y, self.group)), np.int64)

    def take(self, chosen: npt.NDArray[np.int64]) -> Geometry:
        """Return some sites, in that order."""
        return Geometry(self.positions_um[chosen], self.group[chosen])

    def nearest(self, radius_um: float, most: int) -> I32:
        """Return for each site itself and its neighbours, nearest first: ``(channels, most)``, -1 for none."""
        count = len(self.positions_um)
        order = np.argsort(self.distance_um, axis=1, kind="stable")[:, :most]
        apart = np.take_along_axis(self.distance_um, order, axis=1)
        near = np.where(apart <= radius_um, order, -1).astype(np.int32)
        near = near[:, : max(1, int((near >= 0).sum(axis=1).max()))]
        near[:, 0] = np.arange(count)
        return np.ascontiguousarray(near)


def geometry_of(channels: ChannelTable, columns: npt.NDArray[np.int64]) -> Geometry:
    """Return the geometry of some amplifier columns; sites without a position stand alone."""
    keys: dict[tuple[object, ...], int] = {}
    group = np.zeros(len(columns), np.int32)
    positions = np.zeros((len(columns), 2))
    for i, column in enumerate(columns):
        channel = channels[int(column)]
        key: tuple[object, ...] = (channel.port, channel.probe_id, channel.probe_idx, channel.shank)
        if channel.site is None or channel.type != SignalType.AMP:
            key = (*key, "alone", i)
        else:
            positions[i] = channel.site.x_um, channel.site.y_um
        group[i] = keys.setdefault(key, len(keys))
    moved = positions.copy()
    moved[:, 0] += group * _SHANK_STEP_UM
    return Geometry(moved, group)
