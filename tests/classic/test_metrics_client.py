"""Every method of the classic MetricsClient on datasets, called, with its effect."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ranvier import VidereClient as TypedClient
from ranvier.classic import CurateClient, VidereClient
from ranvier.classic.lib.dataset_metadata import DatasetMetadata
from ranvier.classic.metrics_client import DEFAULT_METRICS, MetricsClient
from ranvier.classic.utils.enums import MetricID, MetricMode, MetricName

PARAMS = ["ntv_idx", "chan_enabled", "thr_activated", "thr", "thr_sd", "thr_wdw", "shadow", "weak_thr_activated"]
PARAMS += ["weak_thr", "weak_thr_sd", "thr_wdw_pts", "shadow_pts"]


@pytest.fixture
def videre() -> Iterator[VidereClient]:
    with VidereClient() as client:
        yield client


@pytest.fixture
def ds(videre: VidereClient, made: Path, tmp_path: Path) -> DatasetMetadata:
    for file in made.parent.glob("rec_SIMULATED*"):
        if file.is_file() and file.suffix != ".kpi":
            shutil.copy(file, tmp_path)
    return videre.link_data_file(tmp_path / made.name, calc_metrics=False)


@pytest.fixture
def metrics(videre: VidereClient) -> MetricsClient:
    return videre.signal_metrics()


def test_values_are_those_of_the_signals(metrics: MetricsClient, ds: DatasetMetadata) -> None:
    found = metrics.get_metrics(dataset_metadata=ds)
    assert found.val.shape == (2, 16, 6)
    assert found.val.dtype == np.float64
    assert found.metric_ids == DEFAULT_METRICS
    assert (found.packet_dur_sec, found.ntv_idxs) == (1.0, list(range(16)))
    with TypedClient(progress=False) as typed:
        signal = typed.get_signals(ds.id, [3.0, 4.0], "all").amp
    assert signal is not None
    assert np.allclose(found.val[0, :, 0], np.sqrt((signal**2).mean(axis=1)), rtol=1e-3)
    one = MetricID(MetricMode.BASE, MetricName.MAX)
    some = metrics.get_metrics([3.0, 4.0], [one], 4, dataset_metadata=ds)
    assert some.val.shape == (1, 1, 1)
    assert some.val[0, 0, 0] == pytest.approx(signal[4].max(), abs=1e-2)


def test_calculate_status_and_clear(metrics: MetricsClient, ds: DatasetMetadata) -> None:
    assert metrics.get_metrics_status(ds).num_packets == 0
    metrics.calculate(ds)
    status = metrics.get_metrics_status(ds)
    # the last second might still grow: the engine computes it anew each time
    assert (status.num_packets, status.packet_dur_sec, status.type, status.num_sigs) == (1, 1.0, "file", 16)
    assert status.TR.sec.tolist() == [3.0, 4.0]
    assert not status.is_calculating_metrics
    assert status.attributes["file"]["kpi"]["is_complete"]
    assert {"time_range", "packet_dur_sec", "beta", "is_tracking_cache", "persistence_sec"} <= set(status.attributes)
    metrics.set_packet_duration(0.5, ds)
    metrics.calculate(ds)
    assert metrics.get_metrics_status(ds).num_packets == 3
    metrics.clear(ds)
    assert metrics.get_metrics_status(ds).num_packets == 0


def test_parameters_are_in_ms(metrics: MetricsClient, ds: DatasetMetadata) -> None:
    assert metrics.set_event_window(0.4, 1.2, ds).startswith("[16 channels] event window: pre-threshold=0.4 ms")
    assert metrics.set_event_shadow(2.0, ds) == "[16 channels] event shadow 2.0 ms,"
    table = metrics.get_params(ds)
    assert list(table.columns) == PARAMS
    assert table["ntv_idx"].tolist() == list(range(16))
    assert table["thr_wdw"][0][:2] == pytest.approx([0.4, 1.2])
    assert table["shadow"].tolist() == pytest.approx([2.0] * 16)
    assert table["shadow_pts"][0] in (60, None)


def test_levels_and_switches(metrics: MetricsClient, ds: DatasetMetadata) -> None:
    assert metrics.set_event_threshold_level(40, 60, dataset_metadata=ds).startswith("[16 channels] event threshold")
    metrics.set_event_threshold_level(pos_thr=90, ntv_idxs=[2, 3], dataset_metadata=ds)
    thr = metrics.get_params(ds)["thr"]
    assert thr[0] == [-40.0, 60.0]
    assert thr[2] == [-40.0, 90.0], "a level that is not given stays"
    metrics.set_event_threshold_level(4, 4, "sd", dataset_metadata=ds)
    assert metrics.get_params(ds)["thr_sd"][1] == [-4.0, 4.0]
    metrics.set_event_threshold(neg_thr="off", ntv_idxs=5, dataset_metadata=ds)
    assert metrics.get_params(ds)["thr_activated"][5][0] is False
    metrics.set_event_threshold(neg_thr="ON", dataset_metadata=ds)
    assert metrics.get_params(ds)["thr_activated"][5][0] is True
    metrics.set_event_threshold_level(400, 400, weak_thr=True, dataset_metadata=ds)
    assert metrics.get_params(ds)["weak_thr"][0] == [-400.0, 400.0]


def test_thresholds_have_their_effect(metrics: MetricsClient, ds: DatasetMetadata) -> None:
    rate = [MetricID(MetricMode.BASE, MetricName.EVENT_RATE)]
    metrics.set_event_threshold_level(15, 15, dataset_metadata=ds)
    many = metrics.get_metrics(metrics=rate, dataset_metadata=ds).val.sum()
    metrics.set_event_threshold_level(5000, 5000, dataset_metadata=ds)
    assert many > 0
    assert np.nansum(metrics.get_metrics(metrics=rate, dataset_metadata=ds).val) == 0


def test_linking_computes_in_the_background(videre: VidereClient, ds: DatasetMetadata) -> None:
    videre.link_data_file(Path(ds.path) / ds.base_name)
    until = time.monotonic() + 30
    while videre.signal_metrics().get_metrics_status(ds).num_packets < 1 and time.monotonic() < until:
        time.sleep(0.05)
    assert videre.signal_metrics().get_metrics_status(ds).num_packets == 1


def test_bad_requests(metrics: MetricsClient, ds: DatasetMetadata) -> None:
    with pytest.raises(ValueError, match="dataset_metadata must be given"):
        metrics.get_params()
    with pytest.raises(TypeError, match="no DatasetMetadata"):
        metrics.get_params("id")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="neither 'uV' nor 'sd'"):
        metrics.set_event_threshold_level(1, 1, "mV", dataset_metadata=ds)
    with pytest.raises(ValueError, match="neither 'on' nor 'off'"):
        metrics.set_event_threshold("maybe", dataset_metadata=ds)
    with pytest.raises(TypeError, match="no number"):
        metrics.set_event_shadow([1], ds)  # type: ignore[arg-type]


def test_curate_has_them_too(ds: DatasetMetadata) -> None:
    with CurateClient() as curate:
        assert curate.signal_metrics().get_metrics_status(ds).datasource_id == ds.id
