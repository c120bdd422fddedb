"""The offline sorter on recordings whose spikes we put there ourselves (simulated); kernels by their references."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from ranvier.exceptions import ConfigurationError, DataProcessingError, DatasetError, JobCancelledError
from ranvier.models.spikesorter import SpikeSorterPhase
from ranvier.recordings.channels import Site, plain_channels
from ranvier.recordings.memory import ArrayRecording
from ranvier.sorting.count_kernels import STEP_SD
from ranvier.sorting.match_kernels import pursue, pursue_reference
from ranvier.sorting.offline import SortedUnits, sort_recording
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.peak_kernels import (
    exclusive_peaks,
    exclusive_peaks_reference,
    exclusive_troughs_reference,
    troughs_of,
)
from ranvier.sorting.residual_kernels import (
    features_at,
    features_at_reference,
    features_of,
)
from ranvier.sorting.shadows import shadows
from ranvier.sorting.shape_strips import projections
from ranvier.sorting.templates import PHASES, component_overlaps, fractional_shift

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
RATE = 30_000
CHANNELS = 16


def spike(width: float) -> F32:
    time = np.arange(-20, 50) / width
    return np.asarray(-np.exp(-0.5 * time**2) + 0.35 * np.exp(-0.5 * ((time - 3.0) / 2.0) ** 2), np.float32)


def simulated(seconds: float = 20.0, seed: int = 5) -> tuple[ArrayRecording, I64, npt.NDArray[np.int64]]:
    """Return a simulated two-column probe with five units in white noise, and their spikes."""
    random = np.random.default_rng(seed)
    samples = int(seconds * RATE)
    sites = np.stack([np.tile([0.0, 25.0], CHANNELS // 2), np.arange(CHANNELS) * 12.5], axis=1)
    x = (7.0 * random.standard_normal((samples, CHANNELS))).astype(np.float32)
    times, units = [], []
    for u, (depth, amplitude, width) in enumerate(
        [(10.0, 220.0, 4.0), (60.0, 120.0, 6.0), (95.0, 160.0, 3.5), (140.0, 90.0, 5.0), (185.0, 260.0, 4.5)]
    ):
        gaps = 0.004 + random.exponential(0.1, int(15 * seconds))
        train = (np.cumsum(gaps) * RATE).astype(np.int64)
        train = train[(train > 100) & (train < samples - 100)]
        profile = amplitude * np.exp(-np.hypot(sites[:, 0] - 12.0, sites[:, 1] - depth) / 30.0)
        wave = spike(width)[:, None] * profile[None].astype(np.float32)
        for t in train:
            x[t - 20 : t + 50] += wave
        times.append(train)
        units.append(np.full(len(train), u))
    order = np.argsort(np.concatenate(times), kind="stable")
    table = plain_channels(amp=CHANNELS)
    table = table.with_channels(replace(c, site=Site(*sites[i])) for i, c in enumerate(table))
    recording = ArrayRecording(x, RATE, table, simulated=True, name="simulated")
    return recording, np.concatenate(times)[order], np.concatenate(units)[order]


def agreement(found: SortedUnits, times: I64, units: I64) -> tuple[list[float], int]:
    """Return the best accuracy of each true unit (0.4 ms), and the number of found units that are nobody's."""
    accuracy = np.zeros((int(units.max()) + 1, len(found)))
    for g in range(len(accuracy)):
        true = times[units == g]
        for k in range(len(found)):
            train = found.sample_index[found.unit == k]
            near = np.searchsorted(train, true + 12, side="right") - np.searchsorted(train, true - 12)
            hits = int(np.count_nonzero(near))
            accuracy[g, k] = hits / (len(true) + len(train) - hits)
    return accuracy.max(axis=1).tolist(), int(np.sum(accuracy.max(axis=0) < 0.2))


@pytest.fixture(scope="module")
def sorted_units() -> tuple[SortedUnits, I64, I64]:
    recording, times, units = simulated()
    return sort_recording(recording, workers=2), times, units


def test_every_simulated_unit_is_found_and_no_other(sorted_units: tuple[SortedUnits, I64, I64]) -> None:
    found, times, units = sorted_units
    accuracy, strangers = agreement(found, times, units)
    assert min(accuracy) > 0.95
    assert strangers == 0
    assert len(found) == 5


def test_units_are_where_and_as_large_as_they_were_made(sorted_units: tuple[SortedUnits, I64, I64]) -> None:
    found, _, _ = sorted_units
    np.testing.assert_allclose(found.position_um[:, 1], [10, 60, 95, 140, 185], atol=15.0)  # ends of the probe pull
    assert found.templates_uv.shape == (5, found.templates_uv.shape[1], CHANNELS)
    assert -80.0 < found.templates_uv.min() < -40.0  # of 260 uV: beside the site, filtered, referenced
    troughs = found.templates_uv.min(axis=2).argmin(axis=1)
    np.testing.assert_allclose(troughs, found.before, atol=6)
    assert np.all(found.snr > 3)
    assert np.all(np.diff(found.sample_index) >= 0)
    assert 0.8 < np.median(found.amplitude) < 1.2


def test_one_worker_gives_the_same_bits_as_three(sorted_units: tuple[SortedUnits, I64, I64]) -> None:
    found, _, _ = sorted_units
    recording, _, _ = simulated()
    for workers in (1, 3):
        again = sort_recording(recording, workers=workers)
        for name in ("sample_index", "unit", "amplitude", "energy", "templates_uv"):
            np.testing.assert_array_equal(getattr(again, name), getattr(found, name))


def test_progress_rises_and_a_cancelled_sort_ends_in_every_phase() -> None:
    recording, _, _ = simulated(8.0)
    seen: list[tuple[SpikeSorterPhase, float]] = []
    sort_recording(recording, progress=lambda phase, done: seen.append((phase, done)))
    fractions = [done for _, done in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)
    assert {phase for phase, _ in seen} == {
        SpikeSorterPhase.DETECTING,
        SpikeSorterPhase.TRAINING,
        SpikeSorterPhase.SORTING,
    }
    for phase in (SpikeSorterPhase.DETECTING, SpikeSorterPhase.TRAINING, SpikeSorterPhase.SORTING):
        now: list[SpikeSorterPhase] = []
        with pytest.raises(JobCancelledError, match="cancelled"):
            sort_recording(
                recording, progress=lambda at, _, now=now: now.append(at), cancelled=lambda p=phase, now=now: p in now
            )


def test_recordings_that_cannot_be_sorted_say_why() -> None:
    table = plain_channels(amp=4)
    with pytest.raises(DataProcessingError, match="too short"):
        sort_recording(ArrayRecording(np.zeros((1000, 4), np.float32), RATE, table))
    with pytest.raises(DataProcessingError, match="silent"):
        sort_recording(ArrayRecording(np.zeros((3 * RATE, 4), np.float32), RATE, table))
    with pytest.raises(DatasetError, match="no amplifier"):
        sort_recording(ArrayRecording(np.zeros((3 * RATE, 1), np.float32), RATE, plain_channels(din=1)))
    noise = np.random.default_rng(0).standard_normal((3 * RATE, 4)).astype(np.float32)
    with pytest.raises(ConfigurationError, match="twice"):
        sort_recording(ArrayRecording(noise, RATE, table), columns=np.array([1, 1]))
    for wrong in ({"components": 0}, {"band_hz": (600.0, 300.0)}, {"clusterer": "magic"}, {"match_threshold": (9, 3)}):
        with pytest.raises(ConfigurationError):
            SorterParameters(**wrong)  # type: ignore[arg-type]


def test_noise_alone_dead_channels_and_missing_samples_give_no_units() -> None:
    noise = 8.0 * np.random.default_rng(1).standard_normal((6 * RATE, CHANNELS)).astype(np.float32)
    noise[:, 3] = 0.0
    noise[RATE : RATE + 500] = np.nan
    assert len(sort_recording(ArrayRecording(noise, RATE))) == 0


def test_peaks_are_those_of_the_definition() -> None:
    random = np.random.default_rng(3)
    score = np.round(random.standard_normal((400, 6)), 1).astype(np.float32)
    near = np.array([[0, 1, -1], [1, 0, 2], [2, 1, 3], [3, 2, 4], [4, 3, 5], [5, 4, -1]], np.int32)
    threshold = np.full(6, 1.0, np.float32)
    got = (np.empty(300, np.int64), np.empty(300, np.int32))
    wanted = (np.empty(300, np.int64), np.empty(300, np.int32))
    found = exclusive_peaks(score, near, threshold, 5, 10, 390, *got)
    assert found == exclusive_peaks_reference(score, near, threshold, 5, 10, 390, *wanted) > 20
    np.testing.assert_array_equal(got[0][:found], wanted[0][:found])
    np.testing.assert_array_equal(got[1][:found], wanted[1][:found])


def test_troughs_are_those_of_the_definition() -> None:
    random = np.random.default_rng(4)
    counts = np.round(8 * random.standard_normal((6, 400))).astype(np.int16)
    near = np.array([[0, 1, -1], [1, 0, 2], [2, 1, 3], [3, 2, 4], [4, 3, 5], [5, 4, -1]], np.int32)
    wanted = (np.empty(300, np.int64), np.empty(300, np.int32))
    for last in (390, 395):  # the second within the last whole vector, and behind it
        found = exclusive_troughs_reference(counts, near, -9, 5, 10, last, *wanted)
        rows, columns = troughs_of(counts, near, -9, 5, 10, last)
        assert len(rows) == found > 20
        np.testing.assert_array_equal(rows, wanted[0][:found])
        np.testing.assert_array_equal(columns, wanted[1][:found])
    assert (counts[columns, rows] <= -9).all()


def test_matching_takes_the_same_spikes_as_its_definition() -> None:
    random = np.random.default_rng(6)
    waves = np.stack([spike(4.0)[10:50], spike(6.0)[10:50]])
    components = np.linalg.qr(waves.T)[0].T.astype(np.float32)
    weights = waves @ components.T * 12.0
    correlated = component_overlaps(np.ascontiguousarray(components))
    value = np.einsum("up,flpq,vq->fuvl", weights, correlated, weights).reshape(PHASES, 4, -1).astype(np.float32)
    x = random.standard_normal(800).astype(np.float32)
    for t, u, a in [(50, 0, 1.0), (82, 1, 0.9), (300, 1, 1.2), (325, 0, 1.0), (600, 0, 0.8)]:
        x[t : t + 40] += np.float32(a) * (weights[u] @ components)
    counts = np.rint(x[None] / STEP_SD).astype(np.int16)
    projected, step = projections(counts, STEP_SD, components, 1)
    projection = np.ascontiguousarray(step * np.einsum("up,tp->ut", weights, projected[:, :, 0]), np.float32)
    norms = (weights.astype(np.float64) ** 2).sum(axis=1)
    first, other = np.array([0, 2, 4]), np.array([0, 1, 0, 1], np.int32)
    results = []
    for run in (pursue, pursue_reference):
        rows, units = np.empty(50, np.int64), np.empty(50, np.int32)
        scale, fraction, gain = np.empty((3, 50), np.float32)
        found = run(
            projection.copy(), norms, np.array([40.0, 40.0]), 44.0, np.array([0.4, 2.5]), first, other, value, 10,
            rows, units, scale, fraction, gain,
        )  # fmt: skip
        results.append((found, rows[:found].tolist(), units[:found].tolist(), scale[:found].round(3).tolist()))
    assert results[0] == results[1]
    assert sorted(results[0][1]) == pytest.approx([50, 82, 300, 325, 600], abs=1)


def test_features_are_inner_products_on_the_sites_asked_for() -> None:
    random = np.random.default_rng(8)
    components = np.ascontiguousarray(np.linalg.qr(random.standard_normal((30, 3)))[0].T, np.float32)
    x = random.integers(-900, 900, (4, 120)).astype(np.int16)
    rows, columns = np.array([40, 52]), np.array([[0, 1, -1], [3, 2, 0]], np.int32)
    out, wanted = np.empty((2, 2, 3, 3), np.float32)
    features_at(x, rows, columns, components, out)
    features_at_reference(x, rows, columns, components, wanted)
    np.testing.assert_allclose(out, wanted, atol=1e-2)
    np.testing.assert_allclose(out[1, 0], components @ x[3, 52:82], atol=1e-2)
    assert not out[0, 2].any()
    np.testing.assert_array_equal(features_of(x, rows, columns, components), out * np.float32(STEP_SD))


def test_a_shift_by_half_a_sample_twice_is_a_shift_by_one() -> None:
    shape = spike(5.0)[None]
    twice = fractional_shift(fractional_shift(shape, 0.5), 0.5)
    np.testing.assert_allclose(twice[0, 2:], shape[0, 1:-1], atol=2e-2)


def test_a_train_that_follows_another_is_its_shadow_and_independent_ones_are_not() -> None:
    random = np.random.default_rng(2)
    train = np.sort(random.integers(0, 600 * RATE, 3000))
    follower = np.sort(np.concatenate([train[::2] + 36, np.sort(random.integers(0, 600 * RATE, 200))]))
    other = np.sort(random.integers(0, 600 * RATE, 2000))
    trains = [train, follower, other]
    assert shadows(trains, np.array([900.0, 100.0, 50.0]), np.zeros((3, 2)), RATE).tolist() == [False, True, False]
    assert not shadows(trains, np.array([900.0, 100.0, 50.0]), np.array([[0, 0], [0, 900], [0, 0.0]]), RATE).any()
    loose = random.integers(0, 600 * RATE, 700)
    behind = np.sort(np.concatenate([train[::3] + 40, other[::2] + 21, loose]))  # of two larger ones, by own lags
    both = [train, other, behind, other + 4000]
    assert shadows(both, np.array([900.0, 800.0, 50.0, 60.0]), np.zeros((4, 2)), RATE).tolist() == [0, 0, 1, 0]
    together = np.sort(np.concatenate([train[::2] + random.integers(-3, 4, 1500), loose]))  # neurons that fire together
    assert not shadows([train, together], np.array([900.0, 300.0]), np.zeros((2, 2)), RATE).any()
    assert shadows([train, together], np.array([9000.0, 300.0]), np.zeros((2, 2)), RATE).tolist() == [False, True]
    assert shadows(trains[:2], np.array([9000.0, 100.0]), np.array([[0, 0], [0, 900.0]]), RATE).tolist() == [0, 1]
    assert shadows([train, np.array([10**9])], np.array([9000.0, 300.0]), np.zeros((2, 2)), RATE).tolist() == [0, 0]
