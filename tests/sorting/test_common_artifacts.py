"""Artifacts on most sites at once, smaller than what is left out for its size alone. All data simulated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ranvier.recordings.channels import Site, plain_channels
from ranvier.recordings.memory import ArrayRecording
from ranvier.sorting.common_artifacts import BEYOND_SD, FAR_UM, SHARE, CommonArtifacts
from ranvier.sorting.crew import crew
from ranvier.sorting.geometry import Geometry
from ranvier.sorting.offline import SortedUnits, average_waveforms, sort_recording
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.source import SortSource
from ranvier.sorting.window import Window

FS = 30_000
F32 = npt.NDArray[np.float32]


def row_of_sites(count: int, pitch_um: float) -> Geometry:
    return Geometry(np.stack([np.zeros(count), pitch_um * np.arange(count)], axis=1), np.zeros(count, np.int32))


def finder(count: int = 32, pitch_um: float = 25.0, *, referenced: bool = True) -> CommonArtifacts:
    columns = np.arange(count, dtype=np.int64)
    return CommonArtifacts(row_of_sites(count, pitch_um), np.full(count, 10.0), columns, referenced=referenced)


def quiet(count: int = 32) -> F32:
    return (10 * np.random.default_rng(1).standard_normal((2000, count))).astype(np.float32)


def test_rows_are_those_of_the_definition() -> None:
    x = quiet()
    sizes = np.random.default_rng(2).uniform(-200, 200, 32).astype(np.float32)
    for row in range(100, 2000, 100):
        x[row] += sizes * (row / 1000)
    found = finder().rows(x)
    expected = []
    for row in range(0, 2000, 2):
        largest = int(np.abs(x[row]).argmax())
        far = np.abs(np.arange(32) - largest) * 25.0 > FAR_UM
        beyond = np.abs(x[row, far] - np.median(x[row, far])) > 10.0 * BEYOND_SD
        if beyond.mean() >= SHARE and (np.abs(x[row]) > 10.0 * BEYOND_SD).mean() >= SHARE:
            expected.append(row)
    assert len(expected) > 10
    assert set(expected) <= set(found.tolist()) <= set(range(100, 2000, 100))


def test_a_large_spike_and_its_share_in_a_reference_are_no_artifact() -> None:
    x = quiet()
    x[500] += 1500.0 * np.exp(-0.5 * ((np.arange(32) - 9) / 3.0) ** 2).astype(np.float32)
    x[500] -= x[500].mean()
    assert np.mean(np.abs(x[500]) > 50.0) > 0.9  # on all sites
    assert finder().rows(x).tolist() == []


def test_without_a_reference_one_size_on_all_sites_is_one() -> None:
    x = quiet(8)
    x[500:503] += 200.0
    assert finder(8, 500.0, referenced=False).rows(x).tolist() == [500, 502]


def test_probes_that_a_spike_can_fill_tell_nothing() -> None:
    x = quiet(8)
    x[500:503] += 200.0
    assert finder(8, 20.0, referenced=False).rows(x).tolist() == []
    silent = CommonArtifacts(row_of_sites(2, 20.0), np.full(2, np.nan), np.arange(2), referenced=False)
    assert silent.rows(x[:, :2]).tolist() == []


def test_artifacts_cost_no_units_and_make_none() -> None:
    clean, times = recording(0.0)
    damaged, _ = recording(600.0)
    found = sort_recording(damaged, seed=1)
    assert found.blanked > 60 * 120
    assert _hits(found, times) > 0.95 * _hits(sort_recording(clean, seed=1), times)
    assert len(found) == 2


def test_a_unit_that_fired_in_no_block_that_is_looked_at_has_no_mean() -> None:
    """Silently: warnings are errors here."""
    made, _ = recording(0.0)
    window = Window.of(SorterParameters(), float(FS))
    source = SortSource(made, SorterParameters(), stop=3 * FS, margin=2 * window.samples)
    nothing = np.empty(0, np.int64)
    with crew(1, lambda: None) as team:
        source.learn_noise(team)
        mean = average_waveforms(source, window, nothing, nothing.astype(np.int32), np.zeros(1, np.int32), team)
    assert mean.shape == (1, window.samples, 20)
    assert np.isnan(mean).all()


def recording(size_uv: float) -> tuple[ArrayRecording, npt.NDArray[np.int64]]:
    """Two units on a row of 20 sites, and 90 transients of another size on every one."""
    random = np.random.default_rng(5)
    n = 20 * FS
    x = (8 * random.standard_normal((n, 20))).astype(np.float32)
    shape = -160.0 * np.exp(-0.5 * (np.arange(-20, 40) / 4.0) ** 2)
    times = np.sort(random.choice(np.arange(100, n - 300, 200), 700, replace=False))
    for k, t in enumerate(times):
        site = 3 if k % 2 else 14
        x[t : t + 60, site] += shape
        x[t : t + 60, site + 1] += 0.4 * shape
    for t in random.integers(1000, n - 1000, 90):
        x[t : t + 150] += size_uv * np.exp(-np.arange(150) / 20.0)[:, None] * random.uniform(0.5, 1.5, 20)
    table = plain_channels(amp=20)
    table = table.with_channels(replace(c, site=Site(0.0, 40.0 * i)) for i, c in enumerate(table))
    return ArrayRecording(x, FS, table, simulated=True, name="made"), times + 20


def _hits(found: SortedUnits, times: npt.NDArray[np.int64]) -> int:
    return int(sum(np.abs(found.sample_index - t).min() < 12 for t in times))
