"""Every method of the classic MetricsClient on the live stream, called, with its effect."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from ranvier.classic import AllegoClient
from ranvier.classic.metrics_client import DEFAULT_METRICS, MetricsClient
from ranvier.classic.utils.enums import MetricID, MetricMode, MetricName

CACHE = {
    "dsource_id", "num_packets_memory", "num_sigs", "packet_dur_sec", "update_period_sec", "beta", "is_tracking_cache",
    "num_packets", "persistence_sec", "memory_bytes", "TR",
}  # fmt: skip


@pytest.fixture
def allego() -> Iterator[AllegoClient]:
    with AllegoClient(embedded=True) as client:
        client.restart("sim-spikes")
        client.signal_metrics().set_packet_duration(0.25)
        yield client
        client.signal_metrics().set_event_threshold_level(5, 5, "sd")
        client.set_streaming("off")


def test_values_are_those_of_the_stream(allego: AllegoClient) -> None:
    metrics = allego.signal_metrics()
    assert isinstance(metrics, MetricsClient)
    with pytest.raises(ValueError):
        metrics.get_metrics()  # nothing streams
    allego.set_streaming("on")
    time.sleep(1.2)
    count = len(allego.get_channel_metadata().index("amp").ntv)
    found = metrics.get_metrics(0.5)
    assert (found.val.shape, found.val.dtype) == ((2, count, 6), np.float64)
    assert found.metric_ids == DEFAULT_METRICS
    assert (found.packet_dur_sec, found.ntv_idxs) == (0.25, list(range(count)))
    assert found.TR.dur_sec == pytest.approx(0.5)
    signal = allego._typed.get_signals(found.TR.sec.tolist(), found.ntv_idxs).amp
    assert signal is not None
    for packet, part in enumerate(np.split(signal, 2, axis=1)):
        assert np.allclose(found.val[packet, :, 0], np.sqrt((part**2).mean(axis=1)), rtol=1e-4)
    one = [MetricID(MetricMode.BASE, MetricName.NUM_PTS)]
    fs = allego.get_status().sample_freq
    for span in (found.TR, found.TR.sec, found.TR.sec.tolist()):
        assert metrics.get_metrics(span, one, [3]).val.tolist() == [[[fs / 4]], [[fs / 4]]]
    assert metrics.get_metrics(np.array([0.3, np.nan]), ["num_pts"], np.int64(3)).val.shape == (2, 1, 1)
    assert metrics.get_metrics().num_packets >= 3, "the last five seconds, of what there is"
    status = metrics.get_metrics_status()
    assert (status.type, status.datasource_id, status.packet_dur_sec) == ("cache", "Live Signals", 0.25)
    assert (status.num_sigs, status.is_calculating_metrics) == (count, True)
    assert set(status.attributes["cache"]) == CACHE
    assert status.TR.dur_sec == pytest.approx(status.num_packets * 0.25)


def test_parameters_have_their_effect(allego: AllegoClient) -> None:
    metrics = allego.signal_metrics()
    rate = [MetricID(MetricMode.BASE, MetricName.EVENT_RATE)]
    allego.set_streaming("on")
    time.sleep(0.8)
    assert metrics.get_metrics(metrics=rate).val.sum() > 0
    count = len(metrics.get_params())
    assert metrics.set_event_threshold_level(5000, 5000).startswith(f"[{count} channels] event threshold")
    assert metrics.set_event_window(0.4, 1.2).startswith(f"[{count} channels] event window")
    assert metrics.set_event_shadow(2.0) == f"[{count} channels] event shadow 2.0 ms,"
    assert metrics.set_event_threshold(neg_thr="off", ntv_idxs=[1]).startswith("[1 channels]")
    table = metrics.get_params()
    assert table["thr"][0] == [-5000.0, 5000.0]
    assert table["shadow"].tolist() == pytest.approx([2.0] * count)
    assert table["thr_wdw"][0] == pytest.approx([0.4, 1.2])
    assert [table["thr_activated"][i][0] for i in (0, 1)] == [True, False]
    metrics.set_event_threshold("on", "on")
    time.sleep(0.6)
    assert np.nansum(metrics.get_metrics(metrics=rate).val) == 0


def test_what_only_files_have(allego: AllegoClient) -> None:
    for only_files in (allego.signal_metrics().clear, allego.signal_metrics().calculate):
        with pytest.raises(RuntimeError, match="live stream"):
            only_files()
    for wrong in ("soon", [], [1, 2, 3], {}):
        allego.set_streaming("on")
        with pytest.raises(ValueError, match="no time range"):
            allego.signal_metrics().get_metrics(wrong)
    with pytest.raises(ValueError, match="NOISE_UV"):
        allego.signal_metrics().get_metrics(metrics=["loudness"])
    with pytest.raises(TypeError, match="native index"):
        allego.signal_metrics().get_metrics(ntv_idxs={})  # type: ignore[arg-type]
