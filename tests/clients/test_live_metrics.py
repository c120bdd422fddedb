"""Metrics of the live stream, embedded and in a process of its own."""

from __future__ import annotations

import time

import numpy as np
import pytest

from ranvier import AllegoClient
from ranvier.exceptions import ConfigurationError, SignalSelectionError, TimeRangeError
from ranvier.models import KpiServiceMode, SpikeDetectParams, TimeRangeSpec


def test_stream_and_range(allego: AllegoClient) -> None:
    allego.set_kpi_packet_dur(0.25)
    with pytest.raises(TimeRangeError):
        allego.get_kpi_metrics(["RMS"])
    allego.start_streaming()
    time.sleep(1.2)
    got = allego.get_kpi_metrics(["RMS", "NUM_PTS", "NOISE_UV", ("STREAM", "NUM_PTS")], [3, 1], stream_lookback_sec=0.5)
    assert got.answered_mode == KpiServiceMode.STREAM
    assert got.channel_indices == (3, 1)
    start, stop = got.time_range.timestamp
    assert stop - start == 15_000
    assert start % 7500 == 0
    assert got.values[:, 1].tolist() == [15_000, 15_000]
    assert (got.values[:, 3] >= 15_000).all()
    signal = allego.get_signals(list(got.time_range.sec), [3, 1])
    assert signal.amp.shape == (2, 15_000)
    np.testing.assert_allclose(got.values[:, 0], np.sqrt((signal.amp**2).mean(axis=1)), rtol=1e-5)
    each = allego.get_kpi_metrics_series(["RMS", "NUM_PTS"], [3, 1], list(got.time_range.sec))
    assert [w.values[:, 1].tolist() for w in each.windows] == [[7500, 7500]] * 2
    np.testing.assert_allclose(
        each.windows[1].values[:, 0], np.sqrt((signal.amp[:, 7500:] ** 2).mean(axis=1)), rtol=1e-5
    )
    newest = allego.get_kpi_metrics_series(["RMS"], stream_lookback_sec=0.5)
    assert (newest.answered_mode, [w.values.shape for w in newest.windows]) == (KpiServiceMode.STREAM, [(32, 1)] * 2)
    a, b = got.time_range.sec[0] + 0.05, got.time_range.sec[0] + 0.4
    exact = allego.get_kpi_metrics(["MAX", "NUM_PTS"], [3], [a, b])
    assert exact.answered_mode == KpiServiceMode.RANGE
    part = allego.get_signals([a, b], [3]).amp
    assert exact.values[0].tolist() == pytest.approx([part.max(), part.shape[1]])
    assert allego.get_kpi_metrics(["SD"], time_range=TimeRangeSpec.lookback(0.3)).values.shape == (32, 1)
    status = allego.get_kpi_status()
    assert status.is_tracking_signal_cache
    assert (status.packet_dur, status.num_sigs) == (0.25, 32)
    assert 2 <= status.num_packets <= status.num_packets_memory
    assert status.headroom is not None
    assert status.headroom > 1
    consumers = {c.name: c for c in allego.details().consumers}
    assert consumers["metrics"].shed_samples == 0


def test_parameters_and_errors(allego: AllegoClient) -> None:
    allego.set_kpi_packet_dur(0.25)
    allego.start_streaming()
    time.sleep(0.8)
    loud = allego.get_kpi_metrics(["NUM_EVENTS"]).values[:, 0]
    assert loud.sum() > 0
    assert len(allego.set_event_params(SpikeDetectParams(thr=[-5000.0, 5000.0]))) == 32
    try:
        time.sleep(0.6)
        assert allego.get_kpi_metrics(["NUM_EVENTS"]).values.sum() == 0
        assert allego.get_event_params()[0].thr == [-5000.0, 5000.0]
    finally:
        allego.set_event_params(SpikeDetectParams(thr_sd=[-5.0, 5.0]))
    with pytest.raises(ConfigurationError, match="noise_uv"):
        allego.get_kpi_metrics(["KURTOSIS"])
    with pytest.raises(SignalSelectionError):
        allego.get_kpi_metrics(["RMS"], [999])
    with pytest.raises(ConfigurationError):
        allego.get_kpi_metrics(["RMS"], stream_lookback_sec=-1.0)
    with pytest.raises(ConfigurationError):
        allego.get_kpi_metrics(["RMS"], stream_group_id="another")
    with pytest.raises(ConfigurationError):
        allego.set_kpi_update_period(0.0)
    allego.set_kpi_update_period(0.5)
    assert allego.get_kpi_status().update_period == 0.5
