"""Folding packets: the statistics of many, as if they were one."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from ranvier.metrics import packet_columns as k
from ranvier.metrics.fold_kernels import fold_moments, fold_sums, median_columns
from ranvier.metrics.packets import PacketTable

Floats = npt.NDArray[np.float64]


class Totals:
    """Statistics of one stretch of signal per channel, each computed when it is asked for.

    Parameters
    ----------
    table
        The packets (and parts of packets, at the edges) of the stretch, in time order.
    fs, packet_samples
        Rate, and the length of a whole packet.
    span_samples
        Length of the stretch, gaps included.
    """

    def __init__(self, table: PacketTable, fs: float, packet_samples: float, span_samples: int) -> None:
        self._table = table
        self.fs = fs
        self._packet_samples = packet_samples
        self.span_samples = span_samples
        self.channels = table.exact.shape[2]

    def count(self, row: int) -> Floats:
        """Return the sum of a count over packets, ``(channels,)``."""
        out = np.zeros((1, self.channels))
        fold_sums(self._table.single[:, row], out)
        return np.asarray(out[0])

    def total(self, row: int) -> Floats:
        """Return the sum of an exact column over packets."""
        return np.asarray(self._table.exact[:, row].sum(axis=0))

    @cached_property
    def moments(self) -> tuple[Floats, Floats, Floats]:
        """Samples, mean, and sum of squares about it (Chan, Golub, LeVeque 1983)."""
        return self._moments(k.N, k.MEAN, k.M2)

    @cached_property
    def isi_moments(self) -> tuple[Floats, Floats, Floats]:
        """The same, outside event windows."""
        return self._moments(k.ISI_N, k.ISI_MEAN, k.ISI_M2)

    def _moments(self, n: int, mean: int, m2: int) -> tuple[Floats, Floats, Floats]:
        out = np.zeros((3, self.channels))
        single, exact = self._table.single, self._table.exact
        fold_moments(single[:, n], exact[:, mean], exact[:, m2], out)
        return out[0], out[1], out[2]

    def least(self, row: int) -> Floats:
        """Return the least of a column, inf where there is none."""
        if not len(self._table):
            return np.full(self.channels, np.inf)
        return np.asarray(self._table.single[:, row].min(axis=0), np.float64)

    def most(self, row: int) -> Floats:
        """Return the largest of a column, -inf where there is none."""
        if not len(self._table):
            return np.full(self.channels, -np.inf)
        return np.asarray(self._table.single[:, row].max(axis=0), np.float64)

    def counter_of(self, row: int, at: int, *, largest: bool) -> Floats:
        """Return the sample counter (float64) of the first extreme of a column, NaN where there is none."""
        if not len(self._table):
            return np.full(self.channels, np.nan)
        values = self._table.single[:, row]
        packet = values.argmax(axis=0) if largest else values.argmin(axis=0)
        offset = self._table.single[packet, at, np.arange(self.channels)]
        return np.asarray(self._table.origin[packet] + offset.astype(np.float64))

    @cached_property
    def mad(self) -> Floats:
        """Median over packets of their median absolute deviations.

        Packets that are less than half filled count only for channels that have no other.
        """
        mads = np.ascontiguousarray(self._table.single[:, k.MAD])
        filled = self._table.single[:, k.N] >= self._packet_samples / 2
        if not filled.all():
            mads = np.where(filled | ~filled.any(axis=0), mads, np.float32(np.nan))
        out = np.empty(self.channels)
        median_columns(mads, out)
        return out
