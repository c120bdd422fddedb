"""The gap model: gaps are found where they are, jitter and drift are none, nothing is ever dropped."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.recordings.stamps import packets_to_read, place_packets

FS = Fraction(32_000)
MICROSECONDS = 1_000_000


def stamps_of(gaps, *, packets=60, size=512, jitter_us=0.0, drift=0.0, seed=0, first=5_000_000):
    """Rows, stamps and gap table of made packets; ``gaps`` are (packet, samples)."""
    counters = np.arange(packets) * size
    for packet, samples in gaps:
        counters[packet:] += samples
    jitter = np.random.default_rng(seed).uniform(-jitter_us, jitter_us, packets)
    ticks = first + np.rint(counters / 32_000 * 1e6 * (1 + drift) + jitter).astype(np.int64)
    return np.arange(packets) * size, ticks, counters


@settings(deadline=None)
@given(
    gaps=st.lists(st.tuples(st.integers(2, 57), st.integers(100, 10**6)), max_size=4, unique_by=lambda g: g[0]),
    jitter=st.floats(0, 400),
    drift=st.floats(-1e-4, 1e-4),
    seed=st.integers(0, 99),
)
def test_gaps_are_found_through_jitter_and_drift(gaps, jitter, drift, seed):
    rows, ticks, counters = stamps_of(gaps, jitter_us=jitter, drift=drift, seed=seed)
    placed = place_packets(rows, ticks, 60 * 512, FS, MICROSECONDS, origin=5_000_000)
    assert placed.segments.rows == 60 * 512
    assert len(placed.segments.gaps) == len(gaps)
    wanted = [samples for _, samples in sorted(gaps)]
    got = [gap.stop - gap.start for gap in placed.segments.gaps]
    # Jitter of two stamps and the drift over the gap itself are all that can be wrong.
    for mine, theirs in zip(got, wanted, strict=True):
        assert abs(mine - theirs) <= 2 * jitter * 0.032 + abs(drift) * theirs + 2
    if jitter == drift == 0:
        assert got == wanted
        np.testing.assert_array_equal(placed.counters_of(ticks), counters)


def test_events_between_and_outside_packets():
    rows, ticks, _ = stamps_of([(30, 1000)])
    placed = place_packets(rows, ticks, 60 * 512, FS, MICROSECONDS, origin=5_000_000)
    assert placed.counters_of([5_000_000 - 1_000_000, 5_000_000 + 16_000 * 3 + 8_000]).tolist() == [
        -32_000,
        3 * 512 + 256,
    ]
    assert placed.counters_of([int(ticks[-1]) + 10_000_000]).tolist() == [59 * 512 + 1000 + 320_000]


def test_one_late_packet_is_jitter_and_a_lasting_step_is_not():
    rows, ticks, _ = stamps_of([])
    ticks[20] += 50_000
    placed = place_packets(rows, ticks, 60 * 512, FS, MICROSECONDS)
    assert not placed.segments.gaps
    assert any("50.000 ms" in note for note in placed.notes)
    ticks[21:] += 50_000
    assert [g.stop - g.start for g in place_packets(rows, ticks, 60 * 512, FS, MICROSECONDS).segments.gaps] == [1600]


def test_the_tolerance_is_stated_and_can_be_set():
    rows, ticks, _ = stamps_of([(30, 20)])
    placed = place_packets(rows, ticks, 60 * 512, FS, MICROSECONDS)
    assert not placed.segments.gaps
    assert any("up to 1 ms" in note for note in placed.notes)
    strict = place_packets(rows, ticks, 60 * 512, FS, MICROSECONDS, tolerance_sec=1e-4)
    assert [tuple(g) for g in strict.segments.gaps] == [(160_000 + 30 * 512, 160_000 + 30 * 512 + 20)]


@pytest.mark.parametrize("damage", [2**61, -(2**40), 0])
def test_damaged_stamps_drop_nothing(damage):
    rows, ticks, _ = stamps_of([])
    ticks[30:] = damage
    placed = place_packets(rows, ticks, 60 * 512, FS, MICROSECONDS)
    assert placed.segments.rows == 60 * 512
    assert not placed.segments.gaps
    assert any("counted on" in note for note in placed.notes)
    assert np.all(np.diff(placed.clock.counter) > 0)


@pytest.mark.filterwarnings("error")
def test_stamps_far_outside_stay_within_counters():
    rows, ticks, _ = stamps_of([])
    placed = place_packets(rows, ticks, 60 * 512, Fraction(1_000_000), Fraction(1, 1000), drifts=False)
    found = placed.counters_of(np.array([-(2**62), ticks[0], 2**62]))
    assert found[0] < -(2**60)
    assert found[2] > 2**60


def test_only_stretches_with_a_step_are_read():
    _, ticks, _ = stamps_of([(7_123, 200)], packets=40_000, drift=5e-4)
    asked = []

    def at(packets):
        asked.append(len(packets))
        return ticks[packets]

    chosen = packets_to_read(at, 40_000, 512, FS, MICROSECONDS)
    assert sum(asked) + len(chosen) < 8_000
    placed = place_packets(chosen * 512, ticks[chosen], 40_000 * 512, FS, MICROSECONDS, origin=5_000_000)
    assert [tuple(g) for g in placed.segments.gaps] == [(7_123 * 512, 7_123 * 512 + 200)]
