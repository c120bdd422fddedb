"""Signals and spikes around events through VidereClient: a recording with a response in, numbers and pictures out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ranvier import VidereClient
from ranvier.exceptions import ConfigurationError, DatasetError, ProbeError, SignalSelectionError
from ranvier.models import DatasetMetadata, KpiMetric, KpiMetricId, KpiMetricsResult, SignalType
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings import Block, Header, SpikeTrains, format_for_type
from ranvier.recordings.channels import plain_channels

FS = 1000
START = 3000
N = 20 * FS
EVENTS = np.arange(START + 500, START + N, 1000)  # 20 rising edges, the last one 500 samples before the end


def samples() -> np.ndarray:
    """Return noise, a response 50 ms after each event that grows with the channel, a burst at 100 Hz, and the line."""
    rng = np.random.default_rng(8)
    x = np.zeros((N, 17), dtype=np.float32)
    x[:, :16] = rng.standard_normal((N, 16)) * 5
    t = np.arange(200) / FS
    for event in EVENTS - START:
        x[event + 50, :16] += 10 * np.arange(16)
        x[event + 100 : event + 300, 2] += 30 * np.sin(2 * np.pi * 100 * t)
        x[event : event + 100, 16] = 1
    return x


@pytest.fixture
def videre() -> Iterator[VidereClient]:
    with VidereClient(progress=False) as client:
        yield client


@pytest.fixture
def dataset(videre: VidereClient, tmp_path: Path) -> DatasetMetadata:
    sink_type = format_for_type(RadiensFileType.XDAT).sink
    assert sink_type is not None
    with sink_type(tmp_path / "rec", Header(fs=FS, channels=plain_channels(amp=16, din=1), start=START)) as sink:
        sink.write(Block(samples(), START))
        path = sink.commit()
    return videre.set_probe(videre.link_data_file(path), "a1x16_5mm150_177", override=True)


def test_average_around_the_edges_of_a_line(videre: VidereClient, dataset: DatasetMetadata) -> None:
    found = videre.get_peri_event_average(dataset, pre_sec=0.1, post_sec=0.45, baseline_sec=(-0.1, 0.0))
    assert (found.events.found, found.events.used) == (20, 20)
    assert found.event_sec.tolist() == (EVENTS / FS).tolist()
    at_50 = np.argmin(np.abs(found.sec - 0.05))
    np.testing.assert_allclose(found.mean_uv[:, at_50], 10 * np.arange(16), atol=5)
    assert found.sem_uv.mean() == pytest.approx(5 / np.sqrt(20), rel=0.2)
    assert found.to_dataframe().shape == (550, 16)
    assert videre.get_peri_event_average(dataset, post_sec=0.6).events.at_edge == 1
    falling = videre.get_peri_event_average(dataset, state=0, pre_sec=0.1, post_sec=0.1, channels=[15])
    assert falling.mean_uv[0, 50] == pytest.approx(150, abs=8)


def test_events_may_be_given(videre: VidereClient, dataset: DatasetMetadata) -> None:
    table = videre.get_events(dataset).filter(state=1)
    shape = {"pre_sec": 0.1, "post_sec": 0.1, "channels": [3, 1]}
    by_line = videre.get_peri_event_average(dataset, **shape)
    by_table = videre.get_peri_event_average(dataset, events=table, **shape)
    by_time = videre.get_peri_event_average(dataset, events=list(EVENTS / FS), **shape, keep_trials=True)
    np.testing.assert_array_equal(by_line.mean_uv, by_table.mean_uv)
    np.testing.assert_array_equal(by_line.mean_uv, by_time.mean_uv)
    assert by_time.trials_uv is not None
    assert by_time.trials_uv.shape == (20, 2, 200)
    assert by_line.channel_indices == (3, 1)
    with pytest.raises(ConfigurationError, match="state=None"):
        videre.get_peri_event_average(dataset, events=table, state=0)
    with pytest.raises(ConfigurationError, match="line 0: 20 falling"):
        videre.get_peri_event_average(dataset, line=7)
    with pytest.raises(ConfigurationError, match="post_sec"):
        videre.get_peri_event_average(dataset, post_sec=-1)
    with pytest.raises(SignalSelectionError, match="40"):
        videre.get_peri_event_average(dataset, channels=[40])


def test_filters_apply(videre: VidereClient, dataset: DatasetMetadata) -> None:
    videre.set_dsp_group(dataset, stage="stage2", params=[{"type": "highpass", "freq": 300.0}])
    raw = videre.get_peri_event_average(dataset, channels=[2], pre_sec=0.0, post_sec=0.4)
    high = videre.get_peri_event_average(dataset, channels=[2], pre_sec=0.0, post_sec=0.4, apply_dsp=True)
    burst = slice(150, 280)
    assert np.ptp(high.mean_uv[0, burst]) < 0.2 * np.ptp(raw.mean_uv[0, burst])


def test_time_frequency_shows_the_burst(videre: VidereClient, dataset: DatasetMetadata) -> None:
    found = videre.get_peri_event_spectrogram(
        dataset, channels=[2, 9], pre_sec=0.3, post_sec=0.3, window_sec=0.1, f_range_hz=(30, 300)
    )
    assert found.normalized.shape == (2, len(found.frequencies_hz), len(found.sec))
    at = np.argmin(np.abs(found.frequencies_hz - 100)), np.argmin(np.abs(found.sec - 0.2))
    assert found.normalized[0][at] > 15
    assert abs(found.normalized[1][at]) < 6
    assert found.normalized[0, :, found.sec < 0].mean() == pytest.approx(0, abs=0.5)
    with pytest.raises(ConfigurationError, match="one of db, z, none"):
        videre.get_peri_event_spectrogram(dataset, normalization="percent")


def test_current_sources_of_a_response(videre: VidereClient, dataset: DatasetMetadata) -> None:
    found = videre.get_peri_event_csd(dataset, pre_sec=0.02, post_sec=0.1)
    assert found.csd_na_mm3.shape == (16, 120)
    assert found.events == 20
    with pytest.raises(ProbeError):
        videre.get_peri_event_csd(dataset, channels=[0, 7])


@pytest.fixture
def with_spikes(videre: VidereClient, tmp_path: Path) -> DatasetMetadata:
    counter = np.sort(np.concatenate([EVENTS + 30, EVENTS + 33, np.arange(START, START + N, 400)]))
    unit = np.where(np.isin(counter, np.concatenate([EVENTS + 30, EVENTS + 33])), 2, 5).astype(np.int32)
    trains = SpikeTrains(counter.astype(np.int64), unit, np.zeros(len(counter), np.int32))
    sink_type = format_for_type(RadiensFileType.NEX5).sink
    assert sink_type is not None
    header = Header(fs=FS, channels=plain_channels(amp=1, din=1), start=START)
    with sink_type(tmp_path / "spikes", header) as sink:
        sink.write(Block(samples()[:, 15:], START))
        sink.write_spike_trains("sorted", trains)
        path = sink.commit()
    return videre.link_data_file(path)


def test_spikes_around_events(videre: VidereClient, dataset: DatasetMetadata, with_spikes: DatasetMetadata) -> None:
    found = videre.get_psth(with_spikes, events=list(EVENTS / FS), pre_sec=0.1, post_sec=0.2)
    driven = int(np.argmax(found.rate_hz.max(axis=1)))
    assert found.centers_sec[np.argmax(found.rate_hz[driven])] == pytest.approx(0.035)
    assert found.rate_hz[driven].max() == pytest.approx(200)
    assert found.to_dataframe().shape == (30, len(found.units))
    assert len(found.plot(unit=found.units[driven]).figure.axes) == 2
    with pytest.raises(DatasetError, match="0 sets of spikes"):
        videre.get_psth(dataset)


def test_results_draw_themselves(videre: VidereClient, dataset: DatasetMetadata) -> None:
    many = videre.get_peri_event_average(dataset, pre_sec=0.1, post_sec=0.3)
    assert "from the tip" in many.plot().get_ylabel()
    few = videre.get_peri_event_average(dataset, pre_sec=0.1, post_sec=0.3, channels=[2, 15])
    assert len(few.plot().collections) == 2
    nothing = videre.get_peri_event_average(dataset, events=[0.1])
    assert nothing.plot().get_title() == "0 of 1 events"
    picture = videre.get_peri_event_spectrogram(dataset, channels=[2], pre_sec=0.3, post_sec=0.3, window_sec=0.1)
    assert picture.plot().get_xlabel() == "s from the event"
    assert len(videre.get_peri_event_csd(dataset).plot().lines) == 17


def test_values_draw_themselves_on_the_probe(videre: VidereClient, dataset: DatasetMetadata) -> None:
    bands = videre.get_band_power(dataset, {"burst": (90, 110), "rest": (200, 400)})
    ax = bands.plot(dataset, band="burst")
    assert ax.get_ylabel() == "µm from the tip"
    assert np.argmax(ax.collections[1].get_array()) == 2
    with pytest.raises(ConfigurationError, match="burst, rest"):
        bands.plot(dataset, band="gamma")
    quality = videre.get_channel_quality(dataset)
    assert len(quality.plot(dataset).collections) == 1
    noise = quality.plot(dataset.channel_metadata, measure="noise_uv").collections[1].get_array()
    np.testing.assert_allclose(noise, quality.noise_uv)
    metrics = KpiMetricsResult(
        channel_indices=(3, 0), metrics=(KpiMetricId(name=KpiMetric.RMS),), signal_type=SignalType.AMP,
        values=[[4.0], [np.nan]], time_range=dataset.time_range,
    )  # fmt: skip
    assert metrics.plot(dataset, "rms").collections[1].get_array().tolist() == [4.0]
    assert metrics.plot(dataset, "rms").figure.axes[-1].get_ylabel() == "RMS, µV"
    with pytest.raises(ConfigurationError, match="there are RMS"):
        metrics.plot(dataset, KpiMetric.SD)
