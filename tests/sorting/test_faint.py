"""Faint units that one site sees: thresholds in SD of the noise along a template, and what is no more than its tail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from ranvier.recordings.channels import Site, plain_channels
from ranvier.recordings.memory import ArrayRecording
from ranvier.sorting.basis import Basis, learn_basis, quiet_products
from ranvier.sorting.count_kernels import STEP_SD
from ranvier.sorting.faint import beyond_noise, stands_out
from ranvier.sorting.geometry import Geometry
from ranvier.sorting.matching import Matcher
from ranvier.sorting.offline import SortedUnits, sort_recording
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.reservoir import members_of
from ranvier.sorting.templates import Templates
from ranvier.sorting.trained import TrainedUnits, load_units
from ranvier.sorting.whitening import Whitening
from ranvier.sorting.window import Window

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
RATE = 30_000
PARAMETERS = SorterParameters()
WINDOW = Window.of(PARAMETERS, float(RATE))
#: Without the noise along the template: what the sorter was before.
UNAWARE = SorterParameters(match_noise_sd=1e-6, min_excess_sd=1e-6, rare_units=False)


def coloured(rows: int, columns: int, seed: int) -> F32:
    """Return noise of SD 1 whose neighbouring samples are alike."""
    white = np.random.default_rng(seed).standard_normal((rows + 4, columns))
    smooth = sum(white[k : k + rows] for k in range(5)) / np.sqrt(5.0)
    return np.asarray(smooth, np.float32)


def one_site_basis(noise: F32) -> Basis:
    products, count = quiet_products(noise, WINDOW.samples)
    empty = np.empty((0, WINDOW.samples), np.float32)
    return learn_basis(empty, WINDOW.before, WINDOW.after, 6, RATE, 0, products / count)


def template(basis: Basis, energy: float) -> Templates:
    weights = (np.sqrt(energy) * basis.prototypes[0] @ basis.components.T)[None, None]
    geometry = Geometry(np.zeros((1, 2)), np.zeros(1, np.int32))
    return Templates(weights.astype(np.float32), basis, geometry)


def test_the_noise_along_a_template_is_that_of_its_projections() -> None:
    noise = coloured(300_000, 1, 1)
    spiky = noise.copy()
    for at in range(500, 299_000, 3_000):  # spikes do not count
        spiky[at : at + 20] -= 40.0
    units = template(one_site_basis(spiky), 64.0)
    along = units.waveforms[0, :, 0] / np.sqrt(units.norms[0])
    measured = np.convolve(noise[:, 0], along[::-1], mode="valid").std()
    assert units.noise_sd[0] == pytest.approx(measured, rel=0.05)
    assert units.noise_sd[0] > 1.5
    unmeasured = replace(units.basis, noise=None)
    assert Templates(units.weights, unmeasured, units.geometry).noise_sd.tolist() == [1.0]


def test_noise_is_not_matched_and_what_is_lies_just_above_the_threshold() -> None:
    noise = coloured(40 * RATE, 1, 2)
    units = template(one_site_basis(noise), 70.0)
    counts = np.ascontiguousarray(np.round(noise.T / np.float32(STEP_SD)).astype(np.int16))
    aware, unaware = (Matcher(units, p, WINDOW) for p in (PARAMETERS, UNAWARE))
    found, before = aware.match(counts), unaware.match(counts)
    assert len(before) > 8 * len(found)
    above = unaware.beyond(before.unit, before.amplitude)
    assert above.min() > -0.02
    assert not beyond_noise([np.arange(len(above))], above, PARAMETERS)[0]
    # a larger template's threshold is half its energy, as before
    large = template(units.basis, 900.0)
    assert Matcher(large, PARAMETERS, WINDOW).thresholds.tolist() == Matcher(large, UNAWARE, WINDOW).thresholds.tolist()


def test_spikes_that_lie_just_above_their_threshold_are_no_unit() -> None:
    random = np.random.default_rng(3)
    half = np.abs(random.standard_normal(4000)) + 0.05  # its typical spike is at the threshold
    tail = random.exponential(0.25, 4000)
    beyond = np.concatenate([half, tail]).astype(np.float32)
    unit = np.repeat(np.array([2, 0], np.int32), 4000)
    assert beyond_noise(members_of(unit, 4), beyond, PARAMETERS).tolist() == [False, False, True, False]


def test_a_trough_that_is_not_quite_large_enough_needs_its_waveform() -> None:
    basis = one_site_basis(coloured(100_000, 1, 4))
    clear, faint = template(basis, 110.0), template(basis, 40.0)
    assert clear.noise_sd[0] * 4.5 < np.sqrt(110.0)
    for snr, expected in ((2.4, (True, True)), (2.1, (True, False)), (1.5, (False, False))):
        told = tuple(bool(stands_out(units, np.array([snr]), PARAMETERS)[0]) for units in (clear, faint))
        assert told == expected


def test_trained_units_keep_what_is_known_of_the_noise(tmp_path: Path) -> None:
    units = template(one_site_basis(coloured(100_000, 1, 5)), 80.0)
    one = np.eye(1, dtype=np.float32)
    for basis in (units.basis, replace(units.basis, noise=None)):
        templates = Templates(units.weights, basis, units.geometry)
        label = np.array([1], np.int32)
        trained = TrainedUnits(
            templates, Whitening(np.ones(1), one, one), WINDOW, PARAMETERS, label, np.zeros((1, 2)), "digest", 10.0
        )
        trained.save(tmp_path / "units.npz")
        loaded = load_units(tmp_path / "units.npz").templates
        np.testing.assert_array_equal(loaded.noise_sd, templates.noise_sd)


def single_sites(seconds: float = 60.0) -> tuple[ArrayRecording, list[I64]]:
    """Return four sites far from each other: a large unit, two faint ones, and none."""
    rows = int(seconds * RATE)
    x = 8.0 * coloured(rows, 4, 6)
    random = np.random.default_rng(7)
    time = np.arange(-20, 40)
    wave = -np.exp(-0.5 * (time / 3.5) ** 2) + 0.3 * np.exp(-0.5 * ((time - 14) / 7.0) ** 2)
    trains = []
    for site, depth_uv in enumerate((150.0, 33.0, 36.0)):
        gaps = 0.005 + random.exponential(0.25, int(8 * seconds))
        train = (np.cumsum(gaps) * RATE).astype(np.int64)
        train = train[train < rows - 100]
        for at in train[train > 30]:
            x[at - 20 : at + 40, site] += (depth_uv * random.normal(1.0, 0.08) * wave).astype(np.float32)
        trains.append(train)
    table = plain_channels(amp=4)
    table = table.with_channels(replace(c, site=Site(0.0, 1000.0 * i)) for i, c in enumerate(table))
    return ArrayRecording(x, RATE, table, simulated=True, name="single sites"), trains


def accuracies(found: SortedUnits, trains: list[I64]) -> list[float]:
    best = []
    for train in trains:
        each = [0.0]
        for k in range(len(found)):
            own = found.sample_index[found.unit == k]
            hits = int(np.count_nonzero(np.searchsorted(own, train + 12) - np.searchsorted(own, train - 12)))
            each.append(hits / (len(train) + len(own) - hits))
        best.append(max(each))
    return best


def test_faint_units_of_single_sites_are_found_and_noise_is_none() -> None:
    recording, trains = single_sites()
    found = sort_recording(recording, seed=1, workers=1)
    assert len(found) == 3
    large, *faint = accuracies(found, trains)
    assert large > 0.98
    assert min(faint) > 0.6
    before = accuracies(sort_recording(recording, UNAWARE, seed=1, workers=1), trains)
    assert min(before) < 0.5  # they drowned in noise
