"""Rare faint units: the core of a cluster that is half noise, and a sort that finds one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from ranvier.recordings.channels import Site, plain_channels
from ranvier.recordings.memory import ArrayRecording
from ranvier.sorting.cores import CORE_SD, core_of
from ranvier.sorting.offline import sort_recording
from ranvier.sorting.parameters import SorterParameters

F32 = npt.NDArray[np.float32]
FEWEST = 30
#: Depth of the rare unit's trough, in noise of SD 8 uV, and its rate.
RARE_UV, RARE_HZ = 32.0, 1.5
#: Covariance of noise over components, and what a spike looks like in them.
NOISE = np.diag([3.4, 2.8, 2.0, 1.5, 1.2, 1.0])
SHAPE = np.array([0.9, -0.4, 0.1, 0.1, 0.0, 0.0])


def along_shape(features: F32) -> npt.NDArray[np.float64]:
    """Return projections on the shape in SD of noise along it."""
    return np.asarray(features[:, 0] @ SHAPE / np.sqrt(SHAPE @ NOISE @ SHAPE), np.float64)


def noise_beyond(size: float, count: int, random: np.random.Generator) -> F32:
    """Return noise as detection takes it: what it looks like along the shape is more than ``size`` SD."""
    features = random.multivariate_normal(np.zeros(6), NOISE, count)
    direction = NOISE @ SHAPE / np.sqrt(SHAPE @ NOISE @ SHAPE)
    sizes = np.sqrt(size**2 + 2.0 * random.exponential(1.0, count))  # the tail of a Gaussian process
    now = features @ SHAPE / np.sqrt(SHAPE @ NOISE @ SHAPE)
    features += (sizes - now)[:, None] * direction
    return features[:, None].astype(np.float32)


def spikes(size: float, count: int, random: np.random.Generator) -> F32:
    """Return spikes whose size along the shape has a mean of ``size`` SD."""
    energy = SHAPE @ SHAPE
    mean = size * np.sqrt(SHAPE @ NOISE @ SHAPE) / energy * SHAPE
    features = random.multivariate_normal(np.zeros(6), NOISE, count) + mean * random.normal(1.0, 0.08, (count, 1))
    return features[:, None].astype(np.float32)


@pytest.mark.parametrize("size", [4.9, 5.3])
def test_a_core_is_the_units_spikes(size: float) -> None:
    random = np.random.default_rng(1)
    own = spikes(size, 260, random)
    own = own[along_shape(own) > 3.5]
    cluster = np.concatenate([own, noise_beyond(3.5, 340, random)])
    core = core_of(cluster, NOISE, FEWEST)
    assert core is not None
    assert core[: len(own)].sum() > 0.85 * core.sum()
    assert core[: len(own)].mean() > 0.45
    assert along_shape(cluster[core]).min() > CORE_SD - 0.5


def test_noise_has_no_core_and_what_is_hardly_noise_is_left_alone() -> None:
    random = np.random.default_rng(2)
    for least in (3.0, 3.5, 4.0):
        assert core_of(noise_beyond(least, 2000, random), NOISE, FEWEST) is None
    assert core_of(spikes(5.5, 300, random), NOISE, FEWEST) is None  # all its own
    assert core_of(spikes(12.0, 300, random), NOISE, FEWEST) is None  # not faint
    assert core_of(spikes(5.0, FEWEST - 1, random), NOISE, FEWEST) is None
    assert core_of(spikes(3.0, 300, random), None, FEWEST) is None


def recording_with_a_rare_unit(seconds: float = 200.0) -> tuple[ArrayRecording, npt.NDArray[np.int64]]:
    """Return two sites far from each other, in coloured noise: a large unit, and a rare faint one."""
    rate, rows = 30_000, int(seconds * 30_000)
    random = np.random.default_rng(11)
    white = random.standard_normal((rows + 4, 2))
    x = 8.0 * sum(white[k : k + rows] for k in range(5)).astype(np.float32) / np.float32(np.sqrt(5.0))
    time = np.arange(-20, 40)
    wave = -np.exp(-0.5 * (time / 3.5) ** 2) + 0.3 * np.exp(-0.5 * ((time - 14) / 7.0) ** 2)
    trains = []
    for site, (depth_uv, rate_hz) in enumerate(((150.0, 5.0), (RARE_UV, RARE_HZ))):
        train = np.sort(random.choice(rows // 200, int(seconds * rate_hz), replace=False)) * 200 + 100
        for at in train[train < rows - 100]:
            x[at - 20 : at + 40, site] += (depth_uv * random.normal(1.0, 0.08) * wave).astype(np.float32)
        trains.append(train.astype(np.int64))
    table = plain_channels(amp=2)
    table = table.with_channels(replace(c, site=Site(0.0, 1000.0 * i)) for i, c in enumerate(table))
    return ArrayRecording(x, rate, table, simulated=True, name="rare"), trains[1]


def test_a_rare_faint_unit_is_found() -> None:
    recording, train = recording_with_a_rare_unit()
    found = sort_recording(recording, seed=1, workers=1)
    without = sort_recording(recording, SorterParameters(rare_units=False), seed=1, workers=1)
    assert len(found) == 2
    assert len(without) == 1
    own = found.sample_index[found.unit == int(np.flatnonzero(found.site == 1)[0])]
    hits = int(np.count_nonzero(np.searchsorted(own, train + 12) - np.searchsorted(own, train - 12)))
    assert hits / (len(train) + len(own) - hits) > 0.45
