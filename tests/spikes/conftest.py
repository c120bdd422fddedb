"""A small set of spikes that every test of stores uses."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import pytest
from spike_tools import FS, columns

from ranvier.spikes import SiteRecord, StoreInfo, UnitRecord


@pytest.fixture
def spikes() -> dict[str, npt.NDArray[Any]]:
    return columns(4000)


@pytest.fixture
def info() -> StoreInfo:
    sites = tuple(SiteRecord(ntv=i, x_um=0.0, y_um=20.0 * i, noise_sd_uv=8.0) for i in range(8))
    return StoreInfo(FS, start=1000, stop=301_000, sites=sites, sorter="test", parameters={"thr": 5}, seed=7)


@pytest.fixture
def units() -> list[UnitRecord]:
    return [UnitRecord(u, site=u, x_um=0.0, y_um=20.0 * u, snr=5.0 + u, mean_abs_peak_uv=80.0) for u in range(1, 6)]
