"""Metrics through VidereClient: a recording in, numbers out; where packets are kept and when they are not used."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ranvier import VidereClient
from ranvier.exceptions import ConfigurationError, SignalSelectionError, TimeRangeError
from ranvier.models import DatasetMetadata, KpiMetric, SpikeDetectParams, TimeRangeSpec
from ranvier.models.dataset import RadiensFileType
from ranvier.models.dsp import FilterStage
from ranvier.recordings import Block, Header, format_for_type
from ranvier.recordings.channels import plain_channels

FS = 2000
START = 3000
N = 9 * FS + 500


def samples() -> np.ndarray:
    x = np.random.default_rng(4).normal(0, 5, (N, 8)).astype(np.float32)
    for at in range(150, N - 30, 170):
        x[at : at + 3, 2] -= 90
    return x


def write(folder: Path, x: np.ndarray, name: str = "made") -> Path:
    sink_type = format_for_type(RadiensFileType.XDAT).sink
    assert sink_type is not None
    header = Header(fs=FS, channels=plain_channels(amp=x.shape[1]), start=START)
    with sink_type(folder / name, header, force=True) as sink:
        sink.write(Block(x, START))
        return sink.commit()


@pytest.fixture
def videre() -> Iterator[VidereClient]:
    with VidereClient(progress=False) as client:
        yield client


@pytest.fixture
def dataset(videre: VidereClient, tmp_path: Path) -> DatasetMetadata:
    return videre.link_data_file(write(tmp_path, samples()))


def test_range(videre: VidereClient, dataset: DatasetMetadata) -> None:
    got = videre.get_kpi_metrics(dataset, ["RMS", KpiMetric.NUM_EVENTS, ("BASE", "TIMESTAMP_MIN")], [2, 0], [2.2, 7.7])
    assert got.channel_indices == (2, 0)
    assert got.time_range.timestamp == (4400, 15400)
    x = videre.get_signals(dataset, [2.2, 7.7], [2, 0]).amp
    np.testing.assert_allclose(got.values[:, 0], np.sqrt((x**2).mean(axis=1)), rtol=1e-6)
    assert got.values[0, 1] == pytest.approx(11000 / 170, abs=1)
    assert got.values[0, 2] == 4400 + x[0].argmin()


def test_whole_and_clipped(videre: VidereClient, dataset: DatasetMetadata) -> None:
    whole = videre.get_kpi_metrics(dataset, ["NUM_PTS"])
    assert whole.values.tolist() == [[N]] * 8
    assert videre.get_kpi_metrics(dataset, ["NUM_PTS"], time_range=[10.0, 99.0]).values[0, 0] == START + N - 20000
    assert videre.get_kpi_metrics(dataset, ["NUM_PTS"], time_range=TimeRangeSpec.lookback(1.5)).values[0, 0] == 3000
    videre.set_selected_channels(dataset, {"amp": [1, 3]})
    assert videre.get_kpi_metrics(dataset, ["SD"]).channel_indices == (1, 3)
    assert videre.get_kpi_metrics(dataset, ["SD"], []).channel_indices == (1, 3)


def test_series_and_bundles(videre: VidereClient, dataset: DatasetMetadata) -> None:
    packets = videre.get_kpi_metrics_series(dataset, ["NUM_PTS", "MEAN"], None)
    assert [w.time_range.timestamp for w in packets.windows][:2] == [(3000, 4000), (4000, 6000)]
    assert sum(w.values[0, 0] for w in packets.windows) == N
    series = videre.get_kpi_metrics_series(dataset, ["RMS"], 0.7, [1, 2], [2.0, 6.0])
    x = videre.get_signals(dataset, [2.0, 6.0], [1, 2]).amp
    for i, window in enumerate(series.windows):
        part = x[:, i * 1400 : (i + 1) * 1400]
        np.testing.assert_allclose(window.values[:, 0], np.sqrt((part**2).mean(axis=1)), rtol=1e-6)
    assert series.windows[-1].time_range.timestamp == (4000 + 5 * 1400, 12000)
    bundle = videre.get_kpi_bundle_stats(
        dataset, [("RMS", "MAX"), ("RMS", "MIN"), ("SNR", "COUNT"), "RMS"], 0.7, [1, 2], [2.0, 6.0]
    )
    for window, one in zip(series.windows, bundle.windows, strict=True):
        rms = window.values[:, 0]
        assert one.values == pytest.approx((rms.max(), rms.min(), 1, rms.mean()))


def test_bad_requests(videre: VidereClient, dataset: DatasetMetadata) -> None:
    with pytest.raises(ConfigurationError, match="noise_uv"):
        videre.get_kpi_metrics(dataset, ["KURTOSIS"])
    with pytest.raises(SignalSelectionError, match="99"):
        videre.get_kpi_metrics(dataset, ["RMS"], [0, 99])
    with pytest.raises(ValueError, match="lookback"):
        videre.get_kpi_metrics(dataset, ["RMS"], stream_lookback_sec=5.0)
    with pytest.raises(ConfigurationError, match="at least one"):
        videre.get_kpi_metrics(dataset, [])
    for span in ([0.0, 1.0], [50.0, 60.0]):
        with pytest.raises(TimeRangeError):
            videre.get_kpi_metrics(dataset, ["RMS"], time_range=span)
    for window in (0.0, -2.0):
        with pytest.raises(ConfigurationError):
            videre.get_kpi_metrics_series(dataset, ["RMS"], window)
    for packet in (0.0, -1.0, 1e4, float("nan")):
        with pytest.raises(ConfigurationError):
            videre.set_kpi_packet_dur(dataset, packet)


def test_durations_that_are_none(videre: VidereClient, dataset: DatasetMetadata) -> None:
    for span in ([3.0, 3.0], [4.0, 3.0], [float("nan"), 4.0]):
        with pytest.raises((TimeRangeError, ConfigurationError)):
            videre.get_kpi_metrics(dataset, ["RMS"], time_range=span)
    for lookback in (0.0, -1.0, float("nan")):
        with pytest.raises((TimeRangeError, ConfigurationError, ValueError)):
            videre.get_kpi_metrics(dataset, ["RMS"], time_range=TimeRangeSpec.lookback(lookback))
    one = videre.get_kpi_metrics_series(dataset, ["NUM_PTS"], 1e6)  # longer than the data: one window, all of it
    assert [(w.time_range.timestamp, w.values[0, 0]) for w in one.windows] == [((START, START + N), N)]


def test_channels_that_are_flat_saturated_or_not_connected(videre: VidereClient, tmp_path: Path) -> None:
    x = samples()[:, :5]
    x[:, 1], x[:, 3], x[FS : 3 * FS, 4] = 7.5, np.nan, np.nan
    x[:, 2] = np.where(np.arange(N) % 100 < 50, 6400.0, -6400.0)
    dataset = videre.link_data_file(write(tmp_path, x, "bad"))
    for again in range(2):  # from the signal, then from packets that were kept
        found = videre.get_kpi_metrics(dataset, list(KpiMetric))
        got = dict(zip([m.name for m in KpiMetric], found.values.T, strict=True))
        for name, values in got.items():
            assert np.isnan(values[3]) == (name not in ("NUM_PTS", "DUR_SEC")), (name, again)
            assert np.isfinite(values[0]) or "EVENT" in name or name == "SNR" or name.startswith("MEAN_"), name
        assert got["NUM_PTS"].tolist() == [N, N, N, 0, N - 2 * FS]
        assert (got["DUR_SEC"] == N / FS).all()
        assert (got["SD"][1], got["NOISE_UV"][1], got["RMS"][1], got["MAX"][2]) == (0.0, 0.0, 7.5, 6400.0)
        assert np.isnan([got["NUM_EVENTS"][1], got["SNR"][1], got["EVENT_RATE"][1]]).all()  # no noise to measure in
        there = np.concatenate([x[:FS, 4], x[3 * FS :, 4]]).astype(np.float64)
        np.testing.assert_allclose([got["MEAN"][4], got["SD"][4]], [there.mean(), there.std()], rtol=1e-6)
        missing = videre.get_kpi_metrics(dataset, ["NUM_PTS", "RMS"], [4], [(START + FS + 10) / FS, START / FS + 2])
        assert missing.values[0, 0] == 0
        assert np.isnan(missing.values[0, 1])
        videre.kpi_calculate(dataset)


def test_packets_are_kept_and_cleared(videre: VidereClient, dataset: DatasetMetadata, tmp_path: Path) -> None:
    before = videre.get_kpi_status(dataset)
    assert (before.num_packets, before.num_packets_total, before.packet_dur) == (0, 10, 1.0)
    videre.kpi_calculate(dataset)
    status = videre.get_kpi_status(dataset)
    assert status.num_packets == 9  # the last one is not whole
    assert Path(status.packet_file) == tmp_path / "made.kpi"
    wanted = videre.get_kpi_metrics(dataset, ["RMS", "NOISE_UV", "SNR"]).values
    videre.set_kpi_packet_dur(dataset, 0.5)
    assert videre.get_kpi_status(dataset).num_packets == 0
    videre.set_kpi_packet_dur(dataset, 1.0)
    np.testing.assert_array_equal(videre.get_kpi_metrics(dataset, ["RMS", "NOISE_UV", "SNR"]).values, wanted)
    videre.kpi_clear(dataset)
    assert not (tmp_path / "made.kpi").exists()
    assert videre.get_kpi_status(dataset).num_packets == 0
    np.testing.assert_array_equal(videre.get_kpi_metrics(dataset, ["RMS", "NOISE_UV", "SNR"]).values, wanted)


def test_background(videre: VidereClient, tmp_path: Path) -> None:
    dataset = videre.link_data_file(write(tmp_path, samples(), "other"), calc_metrics=True)
    until = time.monotonic() + 30
    while videre.get_kpi_status(dataset).num_packets < 9 and time.monotonic() < until:
        time.sleep(0.02)
    assert videre.get_kpi_status(dataset).num_packets == 9


def test_parameters(videre: VidereClient, dataset: DatasetMetadata) -> None:
    first = videre.get_event_params(dataset)
    assert [p.ntv_chan_idx for p in first] == list(range(8))
    assert first[0].thr_sd == [-5.0, 5.0]
    rate = videre.get_kpi_metrics(dataset, ["EVENT_RATE"]).values[:, 0]
    assert rate[2] == pytest.approx(FS / 170, rel=0.03)
    assert (rate[[0, 1, 3]] < 0.5).all()
    videre.set_event_params(dataset, SpikeDetectParams(ntv_chan_idx=2, thr=[-500.0, 500.0]))
    assert videre.get_kpi_metrics(dataset, ["NUM_EVENTS"]).values[2, 0] == 0
    videre.set_event_params(dataset, SpikeDetectParams(is_set_thr=[False, False]))
    assert np.isnan(videre.get_kpi_metrics(dataset, ["NUM_EVENTS"]).values).all()
    with VidereClient(progress=False) as again:
        assert again.get_event_params(dataset.id)[2].thr == [-500.0, 500.0]
    with pytest.raises(SignalSelectionError):
        videre.set_event_params(dataset, SpikeDetectParams(ntv_chan_idx=77))
    with pytest.raises(ConfigurationError, match="ms instead of s"):
        videre.set_event_params(dataset, SpikeDetectParams(shadow=1.0))


def test_another_file_under_the_same_name(videre: VidereClient, dataset: DatasetMetadata, tmp_path: Path) -> None:
    videre.kpi_calculate(dataset)
    write(tmp_path, 3 * samples())
    assert videre.get_kpi_metrics(dataset, ["SD"], [0]).values[0, 0] == pytest.approx(15, rel=0.05)


def test_another_data_file_under_an_untouched_json(tmp_path: Path) -> None:
    """Packets are of all files of a recording: numbers of the old samples were given once."""
    path = write(tmp_path, samples())
    with VidereClient(progress=False) as videre:
        before = videre.link_data_file(path)
        videre.kpi_calculate(before)
        assert videre.get_kpi_metrics(before, ["SD"], [0]).values[0, 0] == pytest.approx(5, rel=0.05)
    data = tmp_path / "made_data.xdat"
    np.multiply(np.fromfile(data, np.float32), np.float32(3)).tofile(data)
    with VidereClient(progress=False) as videre:
        after = videre.link_data_file(path)
        assert videre.get_kpi_metrics(after, ["SD"], [0]).values[0, 0] == pytest.approx(15, rel=0.05)


def test_a_data_file_that_is_changed_while_it_is_linked(
    videre: VidereClient, dataset: DatasetMetadata, tmp_path: Path
) -> None:
    """Stored packets were of the old samples, and were given, until it was linked again."""
    videre.kpi_calculate(dataset)
    before = videre.get_kpi_metrics(dataset, ["SD", "NOISE_UV"]).values
    data = np.memmap(tmp_path / "made_data.xdat", np.float32, "r+")
    data *= np.float32(3)
    data.flush()
    del data
    after = videre.get_kpi_metrics(dataset, ["SD", "NOISE_UV"]).values
    np.testing.assert_allclose(after, 3 * before, rtol=1e-5)
    assert videre.get_kpi_status(dataset).num_packets == 9


def test_filters_of_the_dataset_count(videre: VidereClient, dataset: DatasetMetadata) -> None:
    plain = videre.get_kpi_metrics(dataset, ["SD"], [0]).values[0, 0]
    videre.set_dsp_group(dataset, stage=FilterStage.STAGE2, params=[lowpass()])
    assert videre.get_kpi_metrics(dataset, ["SD"], [0]).values[0, 0] < 0.6 * plain
    videre.set_dsp_group(dataset, stage=FilterStage.STAGE2, params=[])
    assert videre.get_kpi_metrics(dataset, ["SD"], [0]).values[0, 0] == plain


def lowpass() -> dict[str, object]:
    return {"type": "LOWPASS", "stage": "STAGE2", "freq": 100.0}


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a folder that may not be written")
def test_folder_that_cannot_be_written(videre: VidereClient, dataset: DatasetMetadata, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        videre.kpi_calculate(dataset)
        status = videre.get_kpi_status(dataset)
    finally:
        tmp_path.chmod(0o700)
    assert status.num_packets == 9
    assert "in memory" in status.note


def test_a_store_that_cannot_be_made(videre: VidereClient, dataset: DatasetMetadata, tmp_path: Path) -> None:
    (tmp_path / "made.kpi").mkdir()
    videre.kpi_calculate(dataset)
    status = videre.get_kpi_status(dataset)
    assert status.num_packets == 9
    assert "in memory" in status.note
    assert status.packet_file == ""


def test_a_growing_recording_is_extended(videre: VidereClient, tmp_path: Path) -> None:
    counts = np.round(samples()).astype("<i2")
    path = tmp_path / "grows.bin"
    counts[: 4 * FS].tofile(path)
    shape = {"fs": FS, "num_channels": 8, "gain_uv": 1.0}
    path.with_name("grows.bin.json").write_text(json.dumps(shape))
    dataset = videre.link_data_file(path)
    videre.kpi_calculate(dataset)
    assert videre.get_kpi_status(dataset).num_packets == 3  # an event at the end of the fourth may still reach beyond
    with path.open("ab") as handle:
        counts[4 * FS :].tofile(handle)
    values = videre.get_kpi_metrics(dataset, ["NUM_PTS", "RMS"]).values
    assert videre.get_kpi_status(dataset).num_packets == 9
    assert values[0, 0] == N
    np.testing.assert_allclose(values[:, 1], np.sqrt((counts.astype(float) ** 2).mean(axis=0)), rtol=1e-6)
    held = np.memmap(path, "<i2", "r+")  # what was there already is changed in place: that is another recording
    held *= 2
    held.flush()
    doubled = videre.get_kpi_metrics(dataset, ["NUM_PTS", "RMS"]).values
    assert doubled[0, 0] == N
    np.testing.assert_allclose(doubled[:, 1], 2 * values[:, 1], rtol=1e-6)
