"""Averages, spectrograms and spikes around events against plain NumPy, and what must hold for any tile."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from ranvier.aligned.average import average
from ranvier.aligned.results import (
    average_result,
    csd_result,
    histogram_result,
    time_frequency_result,
)
from ranvier.aligned.spikes import counts_around, spikes_around
from ranvier.aligned.time_frequency import Columns, mean_power
from ranvier.aligned.windows import Window, choose, trials
from ranvier.dsp import Chain
from ranvier.dsp.view import FilteredRecording
from ranvier.exceptions import ConfigurationError
from ranvier.models.aligned import EventQuery, TimeFrequencyQuery
from ranvier.models.dsp import DSPParams, DSPType, FilterStage
from ranvier.recordings import Events, SpikeTrains
from ranvier.recordings.memory import ArrayRecording
from ranvier.recordings.segments import Segments
from ranvier.spectral.downsampled import DownsampledRecording
from ranvier.spectral.fft_kernels import RAW
from ranvier.spectral.frames import Framing

FS = Fraction(1000)
START = 700
NO_EVENTS = Events.empty()


def recording(rows: int = 6000, channels: int = 3, seed: int = 0, **more: object) -> ArrayRecording:
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((rows, channels)) * 20 + 300).astype(np.float32)
    return ArrayRecording(x, FS, start=START, **more)  # type: ignore[arg-type]


def columns(r: ArrayRecording) -> np.ndarray:
    return np.arange(len(r.channels), dtype=np.int64)


def at_sec(counters: list[int], **more: object) -> EventQuery:
    return EventQuery(at_sec=np.array(counters) / float(FS), pre_sec=0.1, post_sec=0.2, **more)  # type: ignore[arg-type]


def test_average_equals_numpy() -> None:
    r = recording()
    counters = [900, 950, 2000, 2001, 5500]  # overlapping windows too
    found = average_result(
        r, r.channels, NO_EVENTS, at_sec(counters), columns(r), baseline_sec=(-0.1, -0.02), keep_trials=True
    )
    cut = np.stack([r.samples[c - START - 100 : c - START + 200] for c in counters]).astype(np.float64)
    cut -= cut[:, :80].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found.mean_uv, cut.mean(axis=0).T, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found.sem_uv, (cut.std(axis=0, ddof=1) / np.sqrt(5)).T, rtol=1e-10)
    np.testing.assert_allclose(found.trials_uv, cut.transpose(0, 2, 1), atol=1e-4)
    np.testing.assert_allclose(found.sec, np.arange(-100, 200) / 1000)
    assert found.n.tolist() == [5, 5, 5]
    assert found.event_sec.tolist() == [c / 1000 for c in counters]


def test_events_that_do_not_fit_are_counted() -> None:
    segments = Segments.from_runs([(START, 2000), (START + 2500, 2000)])
    rng = np.random.default_rng(1)
    r = ArrayRecording(rng.standard_normal((4000, 2)).astype(np.float32), FS, segments=segments)
    counters = [750, 799, 800, 2500, 2501, 2900, 3299, 3300, 5000, 5001]
    found = average_result(r, r.channels, NO_EVENTS, at_sec(counters), columns(r))
    assert (found.events.found, found.events.used, found.events.at_edge, found.events.at_gap) == (10, 4, 3, 3)
    assert found.event_sec.tolist() == [0.8, 2.5, 3.3, 5.0]
    assert "3 at an edge, 3 at a gap" in found.warnings[0]
    apart = average_result(
        r, r.channels, NO_EVENTS, at_sec([800, 900, 1000, 1099, 1100], min_interval_sec=0.2), columns(r)
    )
    assert apart.event_sec.tolist() == [0.8, 1.0]
    assert apart.events.too_close == 3


def test_a_missing_sample_takes_only_its_channel_out() -> None:
    r = recording()
    r.samples[1500 - START, 1] = np.nan
    found = average_result(r, r.channels, NO_EVENTS, at_sec([1400, 1550, 4000]), columns(r))
    assert found.n.tolist() == [3, 1, 3]
    two = r.samples[4000 - START - 100 : 4000 - START + 200, 1]
    np.testing.assert_allclose(found.mean_uv[1], two)
    assert np.isnan(found.sem_uv[1]).all()
    assert "1 channel(s) lack samples" in found.warnings[0]
    none = average_result(r, r.channels, NO_EVENTS, at_sec([10]), columns(r))
    assert np.isnan(none.mean_uv).all()
    assert none.n.tolist() == [0, 0, 0]
    assert "no event is left" in none.warnings[1]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(START + 40, START + 2940), min_size=1, max_size=12),
    st.integers(1, 4000),
    st.integers(0, 40),
    st.integers(1, 60),
    st.integers(0, 300),
)
def test_neither_tiles_nor_spans_change_a_bit(
    counters: list[int], tile: int, before: int, after: int, reach: int
) -> None:
    segments = Segments.from_runs([(START, 1200), (START + 1300, 1700)])
    x = np.random.default_rng(2).standard_normal((2900, 2)).astype(np.float32)
    r = ArrayRecording(x, FS, segments=segments)
    window = Window(before, after)
    at, _ = choose(np.sort(np.array(counters, dtype=np.int64)), segments, window)
    for i, cut in trials(r, at, window, columns(r), reach=reach, tile_values=tile):
        np.testing.assert_array_equal(cut, r.read(int(at[i]) - before, int(at[i]) + after, columns(r)).samples)
    one = average(r, at, window, columns(r), baseline=(0, 1))
    two = average(r, at, window, columns(r), baseline=(0, 1), reach=reach, tile_values=tile)
    np.testing.assert_array_equal(one.mean, two.mean)
    np.testing.assert_array_equal(one.sem, two.sem)


def test_filters_and_decimation_are_the_same_for_any_tile() -> None:
    from ranvier.curation.groups import chain_of

    r = recording(20_000)
    params = DSPParams(type=DSPType.HIGHPASS, stage=FilterStage.STAGE2, freq=40.0)
    filtered = FilteredRecording(r, chain_of([params], FS, r.channels))
    at = np.array([3000, 3100, 9000, 15_000], dtype=np.int64)
    for source, window, events in (
        (filtered, Window(50, 100), at),
        (DownsampledRecording(filtered, 4), Window(12, 25), at // 4),
    ):
        found = [average(source, events, window, columns(r), reach=1000, tile_values=n) for n in (1 << 20, 777, 31)]
        for other in found[1:]:
            np.testing.assert_array_equal(found[0].mean, other.mean)
        cuts = [source.read(int(e) - window.before, int(e) + window.after).samples for e in events]
        np.testing.assert_allclose(found[0].mean, np.mean(cuts, axis=0).T, atol=1e-3)
    assert isinstance(filtered._chain, Chain)


def test_decimation_keeps_slow_signals_where_they_are() -> None:
    t = np.arange(20_000) / 1000
    x = np.sin(2 * np.pi * 5 * t)[:, None].astype(np.float32)
    r = ArrayRecording(x, FS)
    query = EventQuery(at_sec=np.arange(2, 18, 0.2), pre_sec=0.1, post_sec=0.1)  # always the same phase
    slow = average_result(r, r.channels, NO_EVENTS, query, columns(r), samp_freq_hz=100.0)
    assert len(slow.sec) < 40
    np.testing.assert_allclose(slow.mean_uv[0], np.sin(2 * np.pi * 5 * slow.sec), atol=0.02)


def test_events_of_the_recording_are_chosen_by_line_and_edge() -> None:
    r = recording()
    events = Events.merge(
        Events.ttl([1000, 1100, 2000, 2100], [0, 0, 0, 0], [1, 0, 1, 0], source="DIN"),
        Events.ttl([1500], [2], [1], source="DIN"),
    )
    shape = {"pre_sec": 0.1, "post_sec": 0.2}
    rising = average_result(r, r.channels, events, EventQuery(line=0, **shape), columns(r))
    assert rising.event_sec.tolist() == [1.0, 2.0]
    falling = average_result(r, r.channels, events, EventQuery(line=0, state=0, **shape), columns(r))
    assert falling.event_sec.tolist() == [1.1, 2.1]
    with pytest.raises(ConfigurationError, match=r"2 lines.*'DIN' line 0: 2 rising; source 'DIN' line 2: 1 rising"):
        average_result(r, r.channels, events, EventQuery(**shape), columns(r))
    with pytest.raises(ConfigurationError, match=r"source='X'.*line 0: 2 falling"):
        average_result(r, r.channels, events, EventQuery(source="X", **shape), columns(r))
    with pytest.raises(ConfigurationError, match="none at all"):
        average_result(r, r.channels, NO_EVENTS, EventQuery(**shape), columns(r))
    with pytest.raises(ConfigurationError, match="baseline"):
        average_result(r, r.channels, events, EventQuery(line=0, **shape), columns(r), baseline_sec=(-0.2, 0.0))
    with pytest.raises(ConfigurationError, match="no numbers"):
        average_result(r, r.channels, events, EventQuery(at_sec=[np.nan], **shape), columns(r))


def test_power_around_events_equals_scipy() -> None:
    r = recording(8000)
    r.samples[3000, 2] = np.nan
    query = EventQuery(at_sec=np.array([2.0, 3.3, 3.5, 6.0]), pre_sec=0.3, post_sec=0.4)
    how = TimeFrequencyQuery(window_sec=0.128, step_sec=0.05, f_range_hz=(20, 200), normalization="z")
    found = time_frequency_result(r, r.channels, NO_EVENTS, query, how, columns(r))
    assert found.n.tolist() == [4, 4, 2]
    assert found.sec[6] == 0
    assert found.sec[-1] < 0.4
    each = []
    for e in (2000, 3300, 3500, 6000):
        frames = []
        for sec in found.sec:
            first = e - START + round(sec * 1000) - 64
            _, p = signal.periodogram(r.samples[first : first + 128].astype(np.float64), 1000, "hann", axis=0)
            frames.append(p)
        each.append(frames)
    mean = np.mean(each, axis=0)  # (times, bins, channels)
    f = np.fft.rfftfreq(128, 1e-3)
    keep = (f >= 20) & (f <= 200)
    np.testing.assert_allclose(found.frequencies_hz, f[keep])
    np.testing.assert_allclose(found.power_uv2_hz[:2], mean[:, keep, :2].transpose(2, 1, 0), rtol=1e-6)
    base = found.power_uv2_hz[:, :, found.sec < 0]
    z = (found.power_uv2_hz - base.mean(axis=2)[:, :, None]) / base.std(axis=2, ddof=1)[:, :, None]
    np.testing.assert_allclose(found.normalized, z)
    db = time_frequency_result(
        r, r.channels, NO_EVENTS, query, how.model_copy(update={"normalization": "db"}), columns(r)
    )
    np.testing.assert_allclose(db.normalized, 10 * np.log10(found.power_uv2_hz / base.mean(axis=2)[:, :, None]))
    with pytest.raises(ConfigurationError, match="baseline"):
        time_frequency_result(r, r.channels, NO_EVENTS, query.model_copy(update={"pre_sec": 0.0}), how, columns(r))
    wrong = how.model_copy(update={"f_range_hz": (600.0, 700.0)})
    with pytest.raises(ConfigurationError, match="no frequency"):
        time_frequency_result(r, r.channels, NO_EVENTS, query, wrong, columns(r))


@pytest.mark.parametrize("n", [64, 63])
def test_columns_are_centred_on_the_event(n: int) -> None:
    where = Columns(Framing(FS, np.ones((1, n)), 16, RAW), 32, 5)
    x = np.zeros((400, 1), dtype=np.float32)
    x[200 - n // 2 : 200 + n - n // 2] = 1.0  # exactly the window of the column at the event
    power, events = mean_power(ArrayRecording(x, FS), np.array([200], dtype=np.int64), where, np.array([0]))
    assert events.tolist() == [1]
    assert np.argmax(power[0, 0]) == 2
    assert power[0, 0, 2] == pytest.approx(n / float(FS))
    assert abs(where.sec[2]) <= 0.5e-3


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 300), max_size=60),
    st.lists(st.integers(0, 300), max_size=8),
    st.integers(0, 5),
    st.integers(1, 5),
    st.integers(1, 20),
)
def test_spikes_around_events_equal_a_plain_loop(
    spikes: list[int], events: list[int], before_bins: int, after_bins: int, width: int
) -> None:
    s, e = (np.sort(np.array(x, dtype=np.int64)) for x in (spikes, events))
    before, bins = before_bins * width, before_bins + after_bins
    pairs = [(i, c - t) for i, t in enumerate(e) for c in s if t - before <= c < t + after_bins * width]
    found = spikes_around(s, e, before, after_bins * width)
    assert list(zip(found.event.tolist(), found.offset.tolist(), strict=True)) == pairs
    np.testing.assert_array_equal(s[found.spike] - e[found.event], found.offset)
    per_event = np.zeros((len(e), bins))
    for i, offset in pairs:
        per_event[i, (offset + before) // width] += 1
    counts, variance = counts_around(s, e, before, width, bins)
    np.testing.assert_array_equal(counts, per_event.sum(axis=0))
    if len(e) > 1:
        np.testing.assert_allclose(variance, per_event.var(axis=0, ddof=1), atol=1e-9)


def test_histogram_in_hertz() -> None:
    r = recording(60_000)
    events = np.arange(2000, 58_000, 500)
    rng = np.random.default_rng(5)
    driven = np.sort(np.concatenate([events + 20, events + 21, rng.integers(START, 60_000, 600)]))
    other = np.sort(rng.integers(START, 60_000, 500))
    counter = np.concatenate([driven, other])
    order = np.argsort(counter, kind="stable")
    unit = np.repeat([3, 8], [len(driven), len(other)])[order].astype(np.int32)
    trains = SpikeTrains(counter[order] * 30, unit, np.zeros(len(unit), np.int32), fs=Fraction(30_000))
    query = EventQuery(at_sec=events / 1000, pre_sec=0.1, post_sec=0.1)
    found = histogram_result(r, NO_EVENTS, query, trains, None, 0.01)
    assert found.units == (3, 8)
    assert found.rate_hz.shape == (2, 20)
    np.testing.assert_allclose(found.edges_sec, np.arange(-10, 11) / 100)
    assert found.centers_sec[np.argmax(found.rate_hz[0])] == pytest.approx(0.025)
    assert found.rate_hz[0].max() == pytest.approx(200 + 600 / 59.3, rel=0.1)
    assert found.counts[1].sum() == (found.raster_unit == 8).sum()
    np.testing.assert_allclose(found.counts / (len(events) * 0.01), found.rate_hz)
    only = histogram_result(r, NO_EVENTS, query, trains, [8], 0.007)
    assert (only.units, only.edges_sec[0], len(only.edges_sec)) == ((8,), -0.105, 31)
    with pytest.raises(ConfigurationError, match=r"no unit \[4\].*\[3, 8\]"):
        histogram_result(r, NO_EVENTS, query, trains, [4], 0.01)
    with pytest.raises(ConfigurationError, match="shorter than a sample"):
        histogram_result(r, NO_EVENTS, query, trains, None, 1e-5)
    nowhere = histogram_result(r, NO_EVENTS, at_sec([5]), trains, None, 0.01)
    assert np.isnan(nowhere.rate_hz).all()


def test_current_sources_are_those_of_the_average() -> None:
    from ranvier.probes import assume_column
    from ranvier.recordings.channels import plain_channels
    from ranvier.spectral.current_source import current_source_density

    table = assume_column(plain_channels(amp=5))
    r = recording(channels=5)
    query = at_sec([2000, 3000, 10])
    found = csd_result(r, table, NO_EVENTS, query, columns(r))
    mean = average_result(r, table, NO_EVENTS, query, columns(r))
    order = np.argsort(mean.depth_um)
    np.testing.assert_array_equal(found.potential_uv, mean.mean_uv[order])
    np.testing.assert_array_equal(found.csd_na_mm3, current_source_density(mean.mean_uv[order], found.spacing_um))
    assert found.events == 2


def test_memory_has_a_stated_limit() -> None:
    r = recording()
    far = EventQuery(at_sec=[2.0], pre_sec=0, post_sec=10_000)
    with pytest.raises(ConfigurationError, match="more than 10,000,000"):
        average_result(r, r.channels, NO_EVENTS, far, columns(r))
    many = EventQuery(at_sec=np.full(400_000, 3.0), pre_sec=0.05, post_sec=0.05)
    with pytest.raises(ConfigurationError, match="400000 trials"):
        average_result(r, r.channels, NO_EVENTS, many, columns(r), keep_trials=True)
