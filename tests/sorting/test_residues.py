"""What spikes show beyond their templates: measured, subtracted with them, and not taken for spikes (simulated)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from white_counts import counts_of

from ranvier.sorting.basis import Basis, learn_basis, textbook_shapes
from ranvier.sorting.geometry import Geometry
from ranvier.sorting.matching import Matcher
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.residual_kernels import (
    products_at_lags,
    products_at_lags_reference,
    subtract_templates,
    subtract_templates_reference,
    subtract_waveforms,
    subtract_waveforms_reference,
)
from ranvier.sorting.residues import MOST_MISSED, Residues, ResidueSums, whole_overlaps
from ranvier.sorting.templates import PHASES, Templates
from ranvier.sorting.window import Window

F32 = npt.NDArray[np.float32]
SAMPLES, BEFORE, CHANNELS = 61, 21, 8
#: Where the large unit's spikes begin, where the small one's do.
LARGE, SMALL = np.arange(300, 20_000, 200), np.array([340, 7_745, 11_100, 15_500])


def basis() -> Basis:
    shapes = textbook_shapes(BEFORE, SAMPLES - BEFORE - 1, 30_000.0)
    return learn_basis(np.concatenate([shapes, shapes, shapes]), BEFORE, SAMPLES - BEFORE - 1, 6, 30_000.0, 0)


def known() -> Templates:
    """Return a large unit and a small one beside it, alike over time."""
    shapes = basis()
    trough = shapes.prototypes[0] @ shapes.components.T
    trough /= np.linalg.norm(trough)
    weights = np.zeros((2, CHANNELS, len(shapes.components)), np.float32)
    weights[0, 2:5] = np.array([12.0, 40.0, 12.0])[:, None] * trough
    weights[1, 5:7] = np.array([9.0, 6.0])[:, None] * trough
    places = np.stack([np.zeros(CHANNELS), 20.0 * np.arange(CHANNELS)], axis=1)
    return Templates(weights, shapes, Geometry(places, np.zeros(CHANNELS, np.int32)))


def beyond(templates: Templates) -> F32:
    """Return what the large unit shows beyond its template, ``(samples, channels)``: a wave behind it, farther up."""
    wave = np.zeros((SAMPLES + 45, CHANNELS), np.float32)
    wave[40 : 40 + SAMPLES] = 0.9 * templates.waveforms[1]
    return wave


def signal(templates: Templates, seed: int, partner: float = 0.0) -> F32:
    random = np.random.default_rng(seed)
    white = random.standard_normal((20_400, CHANNELS)).astype(np.float32)
    wave = beyond(templates)
    for row in LARGE:
        white[row : row + SAMPLES] += templates.waveforms[0]
        white[row : row + len(wave)] += wave * (1.0 + partner)
    for row in SMALL:
        white[row : row + SAMPLES] += templates.waveforms[1]
    return white


def matcher(templates: Templates, residues: Residues | None = None) -> Matcher:
    return Matcher(templates, SorterParameters(), Window(BEFORE, SAMPLES - BEFORE - 1, 15, 2), residues)


def measured(templates: Templates, white: F32, units: list[int]) -> Residues:
    """Return residues, measured with a matcher that knows some of the units."""
    some = templates.take(np.array(units))
    plain = matcher(some)
    counts = counts_of(white)
    matched = plain.match(counts)
    plain.subtract(counts, matched)
    sums = ResidueSums(some)
    sums.add(counts, matched.row, matched.unit, matched.amplitude)
    return sums.means()


def small_ones(matcher: Matcher, white: F32) -> list[int]:
    matched = matcher.match(counts_of(white))
    assert np.sum(matched.unit == 0) == len(LARGE)
    return [int(row) for row in matched.row[matched.unit == 1]]


def test_waves_behind_a_large_spike_are_no_spikes_of_a_small_unit_and_real_ones_among_them_are_found() -> None:
    templates = known()
    residues = measured(templates, signal(templates, 1), [0])
    both = Residues(
        np.concatenate([residues.sites, np.full_like(residues.sites, -1)]), np.repeat(residues.waveforms, 2, 0)
    )
    white = signal(templates, 2)
    fooled = small_ones(matcher(templates), white)
    assert len(fooled) > len(LARGE) / 2
    found = small_ones(matcher(templates, both), white)
    assert len(found) == len(SMALL)
    np.testing.assert_allclose(found, SMALL, atol=1)


def test_a_measured_residue_is_what_was_put_there_and_nothing_elsewhere() -> None:
    templates = known()
    residues = measured(templates, signal(templates, 1), [0])
    dense = np.zeros((residues.length, CHANNELS))
    dense[:, residues.sites[0][residues.sites[0] >= 0]] = residues.waveforms[0][residues.sites[0] >= 0].T
    wanted = beyond(templates)
    assert np.sum((dense - wanted) ** 2) < 0.1 * np.sum(wanted**2)
    assert not dense[:, 0].any()  # noise alone gives no mean there


def test_a_unit_that_fires_with_another_and_is_not_known_yet_stays_to_be_found() -> None:
    templates = known()
    far = (beyond(templates) ** 2).sum() / templates.norms[0]
    partner = np.sqrt(1.5 * MOST_MISSED / far)
    residues = measured(templates, signal(templates, 1, partner), [0])
    assert not residues.waveforms.any()


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 0.75])
def test_overlaps_with_residues_are_projections_of_whole_spikes(fraction: float) -> None:
    templates = known()
    random = np.random.default_rng(3)
    waveforms = random.standard_normal((2, CHANNELS, SAMPLES + 45)).astype(np.float32)
    sites = np.tile(np.arange(CHANNELS, dtype=np.int32), (2, 1))
    sites[1, 3:] = -1
    residues = Residues(sites, waveforms)
    plain, whole = templates.overlaps, whole_overlaps(templates, residues)
    behind, phase, later = 45, int(fraction * PHASES), int(fraction + 0.5)
    for u in range(2):
        rest = np.zeros((3 * SAMPLES + 90, CHANNELS))
        used = sites[u] >= 0
        rest[SAMPLES + later : 2 * SAMPLES + 45 + later, sites[u][used]] = waveforms[u][used].T
        for k in range(whole.first[u], whole.first[u + 1]):
            v = whole.other[k]
            same = np.flatnonzero(plain.other[plain.first[u] : plain.first[u + 1]] == v)
            for lag in (-50, 0, 33, 100):
                at = SAMPLES + lag
                wanted = float((rest[at : at + SAMPLES] * templates.waveforms[v]).sum())
                if len(same) and abs(lag) < SAMPLES:
                    wanted += plain.value[phase, plain.first[u] + same[0], SAMPLES - 1 + lag]
                assert whole.value[phase, k, behind + SAMPLES - 1 + lag] == pytest.approx(wanted, abs=1e-2)


def test_features_have_their_own_spike_whole_and_nothing_of_those_that_overlap_it() -> None:
    templates = known()
    white = np.zeros((400, CHANNELS), np.float32)
    white[100 : 100 + SAMPLES] += templates.waveforms[0]
    white[112 : 112 + SAMPLES] += 1.1 * templates.waveforms[1]
    plain = matcher(templates)
    counts = counts_of(white)
    matched = plain.match(counts)
    assert matched.unit.tolist() == [0, 1]
    plain.subtract(counts, matched)
    columns = np.array([[3, 4, 5], [5, 6, -1]], np.int32)
    clean = plain.features(matched, counts, columns)
    np.testing.assert_allclose(clean[0], templates.weights[0, [3, 4, 5]], atol=0.8)
    np.testing.assert_allclose(clean[1, :2], 1.1 * templates.weights[1, [5, 6]], atol=0.8)
    assert not clean[1, 2].any()


def test_subtracting_is_what_its_definition_says_at_the_ends_too() -> None:
    random = np.random.default_rng(5)
    x = random.integers(-900, 900, (21, 150)).astype(np.int16)
    x[5, 40:70] = 32_700
    sites = np.array([[3, 5, 20], [7, -1, -1], [-1, -1, -1]], np.int32)
    rows, units = np.array([-9, 40, 60, 130, 41]), np.array([0, 1, 2, 0, 0], np.int32)
    amplitudes = np.array([0.8, 1.2, 1.0, 1.5, 1.0], np.float32)
    waveforms = 300.0 * random.standard_normal((3, 3, 30)).astype(np.float32)
    got, wanted = x.copy(), x.copy()
    subtract_waveforms(got, rows, units, amplitudes, sites, waveforms)
    subtract_waveforms_reference(wanted, rows, units, amplitudes, sites, waveforms)
    np.testing.assert_array_equal(got, wanted)
    assert (got[7] != x[7]).sum() >= 29
    assert got[5, 41:71].max() == 32_767  # the largest count, not one round the end of int16
    phases, first, places = np.array([1, 0, 2, 1, 0]), np.array([0, 3, 4, 4]), np.array([3, 5, 20, 7], np.int32)
    weights = 300.0 * random.standard_normal((4, 2)).astype(np.float32)
    shapes = random.standard_normal((3, 2, 30)).astype(np.float32)
    got, wanted = x.copy(), x.copy()
    subtract_templates(got, rows, units, phases, amplitudes, first, places, weights, shapes)
    subtract_templates_reference(wanted, rows, units, phases, amplitudes, first, places, weights, shapes)
    np.testing.assert_allclose(got, wanted, atol=1)  # fused products round once
    assert (got != wanted).mean() < 0.01
    assert np.flatnonzero(got[:, 0] != x[:, 0]).tolist() == [3, 5, 20]  # of a template that begins before the block


def test_products_at_lags_are_those_of_the_definition() -> None:
    random = np.random.default_rng(6)
    shapes, components = random.standard_normal((3, 40)).astype(np.float32), random.standard_normal((2, 9))
    components = components.astype(np.float32)
    got, wanted = np.empty((2, 3, 2, 48), np.float32)
    products_at_lags(shapes, components, got)
    products_at_lags_reference(shapes, components, wanted)
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    assert got[0, 1, 0] == pytest.approx(shapes[0, 0] * components[1, 8])
