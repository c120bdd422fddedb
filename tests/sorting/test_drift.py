"""Sorting of simulated tissue that moves: templates follow it; where it stands still, nothing changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from ranvier.exceptions import JobCancelledError
from ranvier.models.spikesorter import SpikeSorterPhase
from ranvier.recordings.channels import Site, plain_channels
from ranvier.recordings.memory import ArrayRecording
from ranvier.sorting.basis import Basis
from ranvier.sorting.clouds import Clouds, detrended
from ranvier.sorting.drift import Drift
from ranvier.sorting.following import Follower, Rests, moved_templates
from ranvier.sorting.geometry import Geometry
from ranvier.sorting.motion import Motion
from ranvier.sorting.moving import Mover
from ranvier.sorting.offline import SortedUnits, sort_recording
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.residues import Residues, ResidueSums, moved_residues
from ranvier.sorting.templates import Templates, component_overlaps
from ranvier.sorting.whitening import Whitening
from ranvier.sorting.window import Window

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
RATE = 20_000
SECONDS = 40.0
ROWS = 12
#: Depth, distance from the probe, amplitude and width of each unit.
UNITS = [
    (35.0, 12.0, 230.0, 3.0),
    (80.0, 20.0, 150.0, 4.0),
    (110.0, 15.0, 190.0, 2.5),
    (160.0, 18.0, 140.0, 3.5),
    (205.0, 14.0, 260.0, 3.0),
]


def sites() -> F64:
    """Two staggered columns, 22 um pitch."""
    rows = np.arange(ROWS) * 22.0
    return np.concatenate([np.stack([0 * rows, rows], 1), np.stack([24 + 0 * rows, rows + 11.0], 1)])


def course(time_sec: F64, range_um: float) -> F64:
    """Return a triangle from end to end and back."""
    return range_um * (np.abs((time_sec / SECONDS * 2.0) % 2.0 - 1.0) - 0.5)


def simulated(range_um: float, seed: int = 7, seconds: float = SECONDS) -> tuple[ArrayRecording, I64, I64]:
    """Return a simulated recording in white noise, its spikes and their units."""
    random = np.random.default_rng(seed)
    samples, where = int(seconds * RATE), sites()
    x = (7.0 * random.standard_normal((samples, len(where)))).astype(np.float32)
    time = np.arange(-14, 36, dtype=np.float64)
    times, units = [], []
    for u, (depth, beside, amplitude, width) in enumerate(UNITS):
        train = (np.cumsum(0.004 + random.exponential(0.08, int(20 * seconds))) * RATE).astype(np.int64)
        train = train[(train > 100) & (train < samples - 100)]
        shape = -np.exp(-0.5 * (time / width) ** 2) + 0.35 * np.exp(-0.5 * ((time / width - 3.0) / 2.0) ** 2)
        seen_at = depth + course(train / RATE, range_um)
        apart = np.sqrt((where[None, :, 0] - 12.0) ** 2 + (where[None, :, 1] - seen_at[:, None]) ** 2 + beside**2)
        profile = amplitude * np.exp(-(apart - beside) / 30.0)
        for t, p in zip(train, profile, strict=True):
            x[t - 14 : t + 36] += np.outer(shape, p).astype(np.float32)
        times.append(train)
        units.append(np.full(len(train), u))
    table = plain_channels(amp=len(where))
    table = table.with_channels(replace(c, site=Site(*where[i])) for i, c in enumerate(table))
    return ArrayRecording(x, RATE, table, simulated=True, name="simulated"), *map(np.concatenate, (times, units))


def accuracies(found: SortedUnits, times: I64, units: I64) -> list[float]:
    """Return the best accuracy of each true unit (0.5 ms)."""
    best = []
    for g in range(len(UNITS)):
        true, of_one = times[units == g], [0.0]
        for k in range(len(found)):
            train = found.sample_index[found.unit == k]
            near = np.searchsorted(train, true + 10, side="right") - np.searchsorted(train, true - 10)
            hits = int(np.count_nonzero(near))
            of_one.append(hits / (len(true) + len(train) - hits))
        best.append(max(of_one))
    return best


@pytest.fixture(scope="module")
def moving() -> tuple[ArrayRecording, I64, I64]:
    return simulated(30.0)


@pytest.fixture(scope="module")
def followed(moving: tuple[ArrayRecording, I64, I64]) -> SortedUnits:
    return sort_recording(moving[0], workers=2)


def test_units_of_moving_tissue_stay_whole(moving: tuple[ArrayRecording, I64, I64], followed: SortedUnits) -> None:
    _, times, units = moving
    assert min(accuracies(followed, times, units)) > 0.9
    assert len(followed) == len(UNITS)
    depths = [depth for depth, *_ in UNITS]
    np.testing.assert_allclose(followed.position_um[:, 1], depths, atol=15.0)
    assert 0.9 < np.median(followed.amplitude) < 1.1


def test_the_motion_is_told_with_the_result(followed: SortedUnits) -> None:
    [motion] = followed.motion
    wanted = course(motion.time_sec, 30.0)
    error = motion.shift_um - wanted
    assert np.sqrt(np.mean((error - error.mean()) ** 2)) < 2.5
    assert np.abs(motion.shift_um).min() < 2.0  # it counts from a displacement of the recording


@pytest.mark.slow
def test_templates_that_stand_still_lose_moving_units(moving: tuple[ArrayRecording, I64, I64]) -> None:
    recording, times, units = moving
    still = sort_recording(recording, SorterParameters(motion=False))
    assert not still.motion
    assert np.mean(accuracies(still, times, units)) < 0.85


@pytest.mark.slow
def test_moving_templates_give_the_same_bits_for_any_number_of_workers(
    moving: tuple[ArrayRecording, I64, I64], followed: SortedUnits
) -> None:
    for workers in (1, 3):
        again = sort_recording(moving[0], workers=workers)
        for name in ("sample_index", "unit", "amplitude", "energy", "templates_uv", "position_um"):
            np.testing.assert_array_equal(getattr(again, name), getattr(followed, name))


@pytest.mark.slow
def test_motion_is_told_from_all_blocks_where_half_of_them_are_learned_from(
    moving: tuple[ArrayRecording, I64, I64], followed: SortedUnits
) -> None:
    recording, times, units = moving
    found = sort_recording(recording, SorterParameters(train_sec=SECONDS / 2))
    assert min(accuracies(found, times, units)) > 0.9
    np.testing.assert_allclose(found.motion[0].shift_um, followed.motion[0].shift_um, atol=5.0)


def test_progress_rises_and_it_can_be_cancelled_while_templates_are_measured(
    moving: tuple[ArrayRecording, I64, I64],
) -> None:
    seen: list[float] = []

    def progress(phase: SpikeSorterPhase, fraction: float) -> None:
        seen.append(fraction)

    with pytest.raises(JobCancelledError):
        sort_recording(moving[0], progress=progress, cancelled=lambda: bool(seen) and seen[-1] > 0.72)
    assert seen == sorted(seen)
    assert 0.72 < seen[-1] < 0.8


def test_tissue_that_stands_still_is_sorted_as_if_nobody_looked() -> None:
    recording, times, units = simulated(0.0, seconds=16.0)
    looked, blind = sort_recording(recording), sort_recording(recording, SorterParameters(motion=False))
    assert looked.motion == ()
    for name in ("sample_index", "unit", "amplitude", "energy", "templates_uv"):
        np.testing.assert_array_equal(getattr(looked, name), getattr(blind, name))
    assert min(accuracies(looked, times, units)) > 0.95


# --- the parts ---------------------------------------------------------------------------------------------------


def two_shanks() -> tuple[Geometry, Whitening]:
    """Return two shanks in noise that is white already."""
    one = sites()
    positions = np.concatenate([one, one + np.array([10_000.0, 0.0])])
    group = np.repeat([0, 1], len(one)).astype(np.int32)
    unit = np.eye(len(positions), dtype=np.float32)
    return Geometry(positions, group), Whitening(np.ones(len(positions)), unit, unit)


def field(positions: F64, depth: float) -> F64:
    """Return what sites of the first shank see of a source beside it."""
    apart = np.hypot(positions[:, 0] - 12.0, positions[:, 1] - depth)
    return np.asarray(30.0 / np.sqrt(1.0 + (apart / 25.0) ** 2) ** 3)


def drifting() -> tuple[Drift, Templates]:
    """Return a drift of the first shank of two, and a unit on each."""
    geometry, noise = two_shanks()
    steps = np.stack([np.arange(-5, 6), np.zeros(11, np.int64)], axis=1)
    still = Motion(np.arange(11.0), np.zeros(11), np.zeros(11))
    basis = Basis(np.eye(1, 9, 4, dtype=np.float32), np.eye(1, 9, 4, dtype=np.float32), 4)
    weights = np.zeros((2, len(geometry.group), 1), np.float32)
    weights[0, :24, 0] = field(geometry.positions_um[:24], 120.0)
    weights[1, 24:, 0] = field(geometry.positions_um[:24], 90.0)
    return Drift((still, still), steps, 2.0, Mover(geometry, noise)), Templates(weights, basis, geometry)


def test_templates_move_with_their_shank_only_and_are_themselves_at_the_reference() -> None:
    drift, templates = drifting()
    near = drift.geometry.nearest(500.0, 64)
    moved = moved_templates(templates, drift, near)
    np.testing.assert_array_equal(moved.at(np.array([0, 0])).weights, templates.weights)
    for step in (-5, -2, 3, 5):
        seen = moved.at(np.array([step, 0])).weights[:, :, 0]
        wanted = field(drift.geometry.positions_um[:24], 120.0 + 2.0 * step)
        assert np.linalg.norm(seen[0, :24] - wanted) < 0.1 * np.linalg.norm(wanted)
        np.testing.assert_array_equal(seen[1], templates.weights[1, :, 0])


def test_what_spikes_show_corrects_moved_templates_where_they_were_seen() -> None:
    drift, templates = drifting()
    moved = moved_templates(templates, drift, drift.geometry.nearest(500.0, 64))
    rests, unit = Rests(moved), np.zeros(200, np.int32)
    wanted = 1.2 * moved.weights[0, -1]  # at the last step the unit is larger than kriging thinks
    rests.add(10, unit, np.repeat(wanted[None] - moved.weights[0, -1], 200, axis=0))
    corrected = rests.corrected()
    error = np.linalg.norm(corrected.weights[0, -1] - wanted) / np.linalg.norm(wanted - moved.weights[0, -1])
    assert error < 0.1  # 12 spikes' worth of doubt
    np.testing.assert_allclose(corrected.weights[0, 0], moved.weights[0, 0], atol=1e-3)
    np.testing.assert_array_equal(corrected.weights[1], moved.weights[1])


def test_features_come_home_and_matchers_are_held_in_bounds() -> None:
    drift, templates = drifting()
    near = drift.geometry.nearest(500.0, 64)
    follower = Follower(moved_templates(templates, drift, near), SorterParameters(), Window(21, 39, 5))
    unit = np.array([0, 1, 0], np.int32)
    for block in range(11):
        seen = np.float32(0.9) * follower.expected(block, unit)
        home = follower.registered(block, unit, np.full(3, 0.9, np.float32), seen)
        np.testing.assert_allclose(home, 0.9 * follower.expected(5, unit), atol=1e-4)
        assert follower.matcher(block) is follower.matcher(block)
        largest = follower.matcher(block).templates.sites[0]
        assert drift.geometry.distance_um[largest, follower.main_sites(block, unit)[0]] < 30.0
    assert len(follower._held) <= 4


def test_residues_move_with_their_shank_and_come_home() -> None:
    drift, templates = drifting()
    geometry, moving = drift.geometry, moved_templates(templates, drift, drift.geometry.nearest(500.0, 64))
    wave = np.sin(np.arange(15.0))
    wanted = np.zeros((2, len(geometry.group), 15))
    wanted[0, :24] = field(geometry.positions_um[:24], 150.0)[:, None] * wave
    wanted[1, 24:] = field(geometry.positions_um[:24], 60.0)[:, None] * wave
    near = geometry.nearest(np.inf, 96)[templates.sites]
    at_home = np.stack([wanted[u, near[u]] for u in range(2)]).astype(np.float32)
    steps = np.array([5, 0])
    there = moved_residues(Residues(near, at_home), moving.at(steps), drift, steps)
    seen = there.dense(len(geometry.group))
    expected = field(geometry.positions_um[:24], 160.0)[:, None] * wave
    assert np.linalg.norm(seen[0, :24] - expected) < 0.1 * np.linalg.norm(expected)
    np.testing.assert_allclose(seen[1], wanted[1], atol=1e-4)
    sums = ResidueSums(moving.at(steps))
    sums.sums, sums.energy = 40.0 * there.waveforms, np.array([40.0, 40.0])
    home = sums.at_reference(templates, drift, 10)
    assert np.linalg.norm(home.sums[0] - 40.0 * at_home[0]) < 0.1 * np.linalg.norm(40.0 * at_home[0])
    np.testing.assert_allclose(home.sums[1], 40.0 * at_home[1], atol=1e-2)
    assert home.energy.tolist() == [40.0, 40.0]


def clouds(apart: float, shift_um: F64, trend: float) -> Clouds:
    """Return two units with a distance between them, both following the displacement with a trend."""
    random = np.random.default_rng(1)
    geometry, _ = two_shanks()
    near = geometry.nearest(60.0, 8)
    features = random.standard_normal((len(shift_um), near.shape[1], 2)).astype(np.float32)
    half = len(shift_um) // 2
    features[:, :, 0] += (trend * shift_um)[:, None]
    features[half:, 0, 1] += apart
    members = [np.arange(half), np.arange(half, len(shift_um))]
    identity = component_overlaps(np.linalg.qr(random.standard_normal((9, 2)))[0].T.astype(np.float32))
    return Clouds(features, shift_um, members, [5, 5], near, geometry, identity, SorterParameters())


def test_pieces_along_the_displacement_are_one_cloud_and_two_neurons_are_not() -> None:
    side_by_side = np.tile(np.arange(0.0, 20.0, 2.0), 60)
    one_behind_the_other = np.sort(side_by_side)
    half_way = np.concatenate([np.tile(np.arange(low, low + 16.0, 2.0), 40) for low in (0.0, 6.0)])
    assert clouds(0.0, one_behind_the_other, 0.5).are_one([(0, 0)], [(1, 0)])
    assert clouds(0.0, half_way, 0.5).are_one([(0, 0)], [(1, 0)])
    assert not clouds(9.0, half_way, 0.5).are_one([(0, 0)], [(1, 0)])
    assert not clouds(0.0, side_by_side, 0.5).are_one([(0, 0)], [(1, 0)])
    flat = clouds(0.0, one_behind_the_other, 0.5).features.reshape(600, -1)
    assert np.abs(np.corrcoef(detrended(flat, one_behind_the_other)[:, 0], one_behind_the_other)[0, 1]) < 0.1
