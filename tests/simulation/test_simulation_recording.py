from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.exceptions import ConfigurationError, ProbeError, TimeRangeError
from ranvier.models.signals import SignalType
from ranvier.simulation import SimulatedRecording, SimulationSpec
from ranvier.simulation.ttl import Lines

FS = 30000


def test_a_simulated_recording_says_so(small: SimulatedRecording) -> None:
    assert small.simulated is True
    for text in (small.name, str(small.path), repr(small)):
        assert "SIMULATED" in text
    assert (small.fs, small.start, small.stop) == (Fraction(FS), int(1.5 * FS), int(7.5 * FS))
    assert [small.channels.count(kind) for kind in SignalType] == [16, 2, 2, 2]
    assert small.channels.wiring_verified is True
    assert small.channels.geometry_source == "simulated"
    assert small.provenance["simulated"] is True
    assert small.provenance["seed"] == 5
    assert small.provenance["stages"][0]["parameters"]["probe"] == "a1x16_5mm50_177"
    assert SimulationSpec(**small.provenance["stages"][0]["parameters"]) == small.spec


def test_the_default_starts_at_ten_seconds_with_64_channels() -> None:
    recording = SimulatedRecording()
    assert recording.start == 10 * FS
    assert recording.channels.count(SignalType.AMP) == 64
    assert recording.duration_sec == 20


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_chunks_are_invisible(small: SimulatedRecording, data: st.DataObject) -> None:
    start = data.draw(st.integers(small.start, small.stop - 2))
    stop = data.draw(st.integers(start + 1, min(small.stop, start + 20000)))
    columns = data.draw(st.lists(st.integers(0, 21), min_size=1, max_size=22))
    whole = small.read(start, stop, columns).samples
    edges = sorted({start, stop, *data.draw(st.lists(st.integers(start, stop), max_size=6))})
    parts = [small.read(a, b, columns).samples for a, b in pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    # and so are the other columns
    np.testing.assert_array_equal(small.read(start, stop).samples[:, columns], whole)


def test_order_and_threads_are_invisible(small: SimulatedRecording) -> None:
    ranges = [(a, a + 5000) for a in range(small.start, small.stop, 5000)]
    forward = [small.read(*r).samples for r in ranges]
    again = SimulatedRecording(small.spec)
    with ThreadPoolExecutor(4) as pool:
        backward = list(pool.map(lambda r: again.read(*r).samples, reversed(ranges)))
    for a, b in zip(forward, reversed(backward), strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_process_computes_the_same(small: SimulatedRecording) -> None:
    copy = pickle.loads(pickle.dumps(small))
    span = (small.start + 100, small.start + 5000)
    np.testing.assert_array_equal(copy.read(*span).samples, small.read(*span).samples)


def test_seeds_decide(small: SimulatedRecording) -> None:
    other = SimulatedRecording(small.spec.model_copy(update={"seed": 6}))
    a, b = (r.read(small.start, small.start + 3000).samples for r in (small, other))
    assert not np.array_equal(a[:, 0], b[:, 0])
    assert not np.array_equal(small.ground_truth().counter, other.ground_truth().counter)


def test_spikes_stand_where_the_truth_says(quiet: SimulatedRecording) -> None:
    """Average the signal around the spikes of each unit and compare with the template."""
    truth = quiet.ground_truth()
    before = quiet.template_before
    data = quiet.read(quiet.start, quiet.stop, range(32)).samples
    clear = 90
    for unit in quiet.units:
        counters = truth.counter[truth.unit == unit.id]
        others = truth.counter[truth.unit != unit.id]
        gap = np.abs(others[np.searchsorted(others, counters).clip(0, len(others) - 1)] - counters)
        gap = np.minimum(gap, np.abs(others[(np.searchsorted(others, counters) - 1).clip(0)] - counters))
        own = np.diff(counters, prepend=-(10**9), append=10**12)
        lonely = counters[(gap > clear) & (own[:-1] > clear) & (own[1:] > clear)]
        lonely = lonely[(lonely > quiet.start + clear) & (lonely < quiet.stop - clear)]
        assert len(lonely) > 20
        snippets = np.stack([data[c - quiet.start - before : c - quiet.start + 40] for c in lonely])
        mean = snippets.mean(axis=0)
        template = quiet.template_uv(unit.id)[: before + 40]
        row, channel = np.unravel_index(np.argmin(mean), mean.shape)
        assert (row, channel) == (before, unit.peak_ntv)
        # spikes that follow in a burst are smaller, jitter is 6 %, phases blur the trough a little
        assert mean.min() == pytest.approx(template.min(), rel=0.12)
        alike = np.corrcoef(mean.ravel(), template.ravel())[0, 1]
        assert alike > 0.995


def test_each_spike_has_its_own_amplitude(quiet: SimulatedRecording) -> None:
    truth, amplitudes = quiet.ground_truth(), quiet.amplitudes(quiet.start, quiet.stop)
    assert len(truth) == len(amplitudes)
    assert np.array_equal(truth.site, [quiet.units[u - 1].peak_ntv for u in truth.unit])
    assert set(truth.units) == {u.id for u in quiet.units}
    assert 0.03 < np.std(amplitudes) < 0.12
    data = quiet.read(quiet.start, quiet.stop, range(32)).samples
    biggest = max(quiet.units, key=lambda u: u.amplitude_uv)
    mine = truth.unit == biggest.id
    at = truth.counter[mine] - quiet.start
    trough = np.array([data[max(0, t - 1) : t + 2, biggest.peak_ntv].min() for t in at])
    np.testing.assert_allclose(np.median(trough / (-biggest.amplitude_uv * amplitudes[mine])), 1.0, atol=0.06)


def test_gaps_are_missing_in_signals_events_and_truth(small: SimulatedRecording) -> None:
    assert [(g.start / FS, g.stop / FS) for g in small.segments.gaps] == [(3.0, 3.25), (5.0, 5.01)]
    block = small.read(small.start, small.stop).samples
    inside = slice(3 * FS - small.start, int(3.25 * FS) - small.start)
    assert np.all(np.isnan(block[inside, :18]))
    assert np.all(block[inside, 18:] == 0)
    assert not np.isnan(block[inside.stop :][: FS // 2]).any()
    for counters in (small.ground_truth().counter, small.events().counter):
        assert not np.any((counters >= 3 * FS) & (counters < 3.25 * FS))
    # the clock runs on over a gap: the same samples as in a recording without one
    whole = SimulatedRecording(small.spec.model_copy(update={"gaps_sec": ()}))
    after = (4 * FS, 4 * FS + 2000)
    np.testing.assert_array_equal(small.read(*after).samples, whole.read(*after).samples)


def test_events_are_the_edges_of_the_digital_columns(small: SimulatedRecording) -> None:
    whole = SimulatedRecording(small.spec.model_copy(update={"gaps_sec": (), "duration_sec": 60.0}))
    events = whole.events()
    assert set(events.source) == {"DIN"}
    for line in (0, 1):
        level = whole.read(whole.start, whole.stop, [18 + line]).samples[:, 0]
        assert set(np.unique(level)) == {0, 1}
        edge = np.flatnonzero(np.diff(level)) + 1
        mine = events.line == line
        np.testing.assert_array_equal(events.counter[mine] - whole.start, edge)
        np.testing.assert_array_equal(events.state[mine], level[edge])
    rising = events.counter[(events.line == 0) & (events.state == 1)]
    period = np.diff(rising) / FS
    assert period.mean() == pytest.approx(1.0, abs=0.01)
    assert 0.005 < period.std() < 0.03
    echo = whole.read(whole.start, whole.stop, [20]).samples[:, 0]
    np.testing.assert_array_equal(echo[30:], whole.read(whole.start, whole.stop, [18]).samples[:-30, 0])
    assert not whole.read(whole.start, whole.stop, [21]).samples.any()


@settings(deadline=None)
@given(start=st.integers(0, 10**9), length=st.integers(1, 10**5), cut=st.floats(0, 1))
def test_edges_do_not_depend_on_how_they_are_asked_for(start: int, length: int, cut: float) -> None:
    lines = Lines(SimulationSpec(ttl_period_sec=0.05, ttl_jitter_sec=0.05))
    middle = start + int(cut * length)
    for line in (0, 1):
        counter, state = lines.edges(line, start, start + length)
        assert np.all(np.diff(counter) > 0)
        assert np.all(np.diff(state) != 0)
        parts = [lines.edges(line, start, middle)[0], lines.edges(line, middle, start + length)[0]]
        np.testing.assert_array_equal(np.concatenate(parts), counter)


def test_analog_inputs_are_volts(small: SimulatedRecording) -> None:
    whole = SimulatedRecording(small.spec.model_copy(update={"gaps_sec": (), "duration_sec": 20.0}))
    sine, ramp = whole.read(whole.start, whole.stop, [16, 17]).samples.T
    assert (sine.min(), sine.max()) == pytest.approx((-1, 1), abs=1e-4)
    assert (ramp.min(), ramp.max()) == pytest.approx((0, 3.3), abs=1e-3)
    assert sine[0] == pytest.approx(np.sin(2 * np.pi * 1.5 / 2), abs=1e-3)


def test_memory_that_is_given_is_used(small: SimulatedRecording) -> None:
    out = np.full((4000, 3), np.nan, np.float32)
    block = small.read(small.start, small.start + 3000, [2, 0, 2], out=out)
    assert np.shares_memory(block.samples, out)
    np.testing.assert_array_equal(out[:3000, 0], out[:3000, 2])
    assert np.isnan(out[3000:]).all()


def test_live_simulations_may_run_past_the_end(small: SimulatedRecording) -> None:
    out = np.empty((500, 22), np.float32)
    small.fill(small.stop + 10**9, np.arange(22), out)
    assert np.isfinite(out).all()
    with pytest.raises(TimeRangeError):
        small.read(small.stop, small.stop + 10)


def test_it_opens_like_a_file(small: SimulatedRecording) -> None:
    session = small.session()
    assert session.stream() is small
    assert len(session.events[""]) > 10
    assert len(session.spike_trains["ground truth"]) == len(small.ground_truth())
    assert session.provenance["simulated"] is True


def test_no_units_and_odd_rates() -> None:
    recording = SimulatedRecording(SimulationSpec(num_units=0, fs=24414.0625, duration_sec=1.0, probe="buz32"))
    assert recording.fs == Fraction(3125000, 128)
    assert len(recording.ground_truth()) == 0
    assert np.isfinite(recording.read(recording.start, recording.stop).samples).all()


def test_channels_that_are_not_there_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"noisy_channels \[64\].*0 to 63"):
        SimulatedRecording(SimulationSpec(noisy_channels=(64,)))
    with pytest.raises(ProbeError, match="near matches"):
        SimulatedRecording(SimulationSpec(probe="a1x16"))


def test_chunks_are_invisible_where_spikes_are_cut(quiet: SimulatedRecording) -> None:
    counters = quiet.ground_truth(quiet.start + 5000, quiet.start + 60000).counter[:40]
    whole = quiet.read(quiet.start, quiet.start + 62000, range(32)).samples
    for shift in (-20, -5, 0, 12, 40):
        cuts = [quiet.start, *np.unique(counters + shift).tolist(), quiet.start + 62000]
        parts = [quiet.read(a, b, range(32)).samples for a, b in pairwise(cuts)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_spikes_lie_between_samples(quiet: SimulatedRecording) -> None:
    """The parabola through the trough's samples has its vertex where the simulation put the spike."""
    spikes = quiet._population.spikes(quiet.start + 100, quiet.stop - 100)
    biggest = max(quiet.units, key=lambda u: u.amplitude_uv)
    mine = spikes.unit == biggest.id - 1
    data = quiet.read(quiet.start, quiet.stop, [biggest.peak_ntv]).samples[:, 0].astype(float)
    at = spikes.counter[mine] - quiet.start
    left, middle, right = data[at - 1], data[at], data[at + 1]
    vertex = 0.5 * (left - right) / (left - 2 * middle + right)
    declared = (spikes.phase[mine] + 0.5) / 4 - 0.5
    assert np.median(np.abs(vertex - declared)) < 0.08
    assert {0, 1, 2, 3} == set(spikes.phase[mine])
