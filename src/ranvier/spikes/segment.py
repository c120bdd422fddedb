"""A run of spikes in time order: as it lies in a file, or in memory."""

from __future__ import annotations

from bisect import bisect_left
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.spikes.columns import KNOWN, Columns
from ranvier.spikes.index import RowIndex, build

I64 = npt.NDArray[np.int64]


class Segment:
    """Columns of equal length, in time order; those that are missing read as their default.

    Parameters
    ----------
    by_unit, by_site
        Their indexes where the file has them; otherwise they are built when first asked for.
    """

    def __init__(self, columns: Columns, by_unit: RowIndex | None = None, by_site: RowIndex | None = None) -> None:
        self.columns = columns
        self.samples: I64 = columns["sample_index"]
        self.first, self.last = (int(self.samples[0]), int(self.samples[-1])) if len(self.samples) else (0, -1)
        self._given = {"unit": by_unit, "site": by_site}

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def by_unit(self) -> RowIndex:
        """Rows of each unit, as sorted (before curation)."""
        return self._given["unit"] or build(self.column("unit"))

    @cached_property
    def by_site(self) -> RowIndex:
        """Rows of each site."""
        return self._given["site"] or build(self.column("site"))

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return a column."""
        found = self.columns.get(name)
        if found is None:
            dtype, missing = KNOWN[name]
            return np.broadcast_to(np.array(missing, dtype), len(self))
        return found

    def window(self, start: int | None, stop: int | None) -> tuple[int, int]:
        """Return the rows ``[a, b)`` with ``start <= sample < stop``."""
        a = 0 if start is None else int(np.searchsorted(self.samples, start, side="left"))
        b = len(self) if stop is None else int(np.searchsorted(self.samples, stop, side="left"))
        return a, max(a, b)

    def cut(self, rows: npt.NDArray[np.integer], start: int | None, stop: int | None) -> npt.NDArray[np.integer]:
        """Return those of ascending rows whose spikes lie in a window; reads a few samples, not all."""
        samples = self.samples
        a = 0 if start is None else bisect_left(rows, start, key=lambda row: int(samples[row]))
        b = len(rows) if stop is None else bisect_left(rows, stop, key=lambda row: int(samples[row]))
        return rows[a : max(a, b)]
