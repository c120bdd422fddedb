"""What classic scripts get wrong: the documented errors, with the valid words in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ranvier.classic import AllegoClient, CurateClient, FileSystemClient, VidereClient
from ranvier.classic.lib.dataset_metadata import DatasetMetadata
from ranvier.classic.utils.enums import MetricName, Port, RecordMode, SignalType, StreamMode, SystemMode
from ranvier.classic.utils.util import make_signal_selector, make_time_range
from ranvier.exceptions import ClientClosedError, RadiensError, ServerDiscoveryError


@pytest.fixture
def videre() -> Iterator[VidereClient]:
    with VidereClient() as client:
        yield client


@pytest.fixture
def ds(videre: VidereClient, made: Path) -> DatasetMetadata:
    return videre.link_data_file(made, calc_metrics=False)


@pytest.mark.parametrize("enum", [SystemMode, StreamMode, RecordMode, Port, SignalType, MetricName])
def test_names_and_numbers_parse_and_wrong_ones_list_the_valid(enum: Any) -> None:
    for member in enum:
        for word in (
            member,
            member.name,
            member.name.lower(),
            f" {member.name} ",
            member.value,
            np.int32(member.value),
        ):
            assert enum.parse(word) is member
    for wrong in ("no such thing", 999, ""):
        with pytest.raises(ValueError) as caught:
            enum.parse(wrong)
        assert isinstance(caught.value, RadiensError)
        for member in enum:
            assert member.name in str(caught.value)
    for wrong in (None, [], 1.5):
        with pytest.raises(TypeError):
            enum.parse(wrong)


def test_unknown_hubs(videre: VidereClient, ds: DatasetMetadata, made: Path, tmp_path: Path) -> None:
    calls: list[Callable[[], object]] = [
        lambda: videre.link_data_file(made, hub_name="x"),
        lambda: videre.get_dataset_ids(hub_name="x"),
        lambda: videre.clear_dataset(dataset_id="all", hub_name="x"),
        lambda: videre.list_dir(tmp_path, hub_name="x"),
        lambda: videre.summa_list_sessions(hub_name="x"),
        lambda: videre.signals().get_signals([3, 4], dataset_metadata=ds, hub_name="x"),
        lambda: videre.signal_metrics().get_params(ds, hub_name="x"),
        lambda: CurateClient().dsp_car(made, tmp_path / "o", hub_name="x"),
        lambda: FileSystemClient().ls(tmp_path, hub_name="x"),
    ]
    calls += [lambda kind=kind: kind("x") for kind in (VidereClient, CurateClient, FileSystemClient)]
    for call in calls:
        with pytest.raises(ServerDiscoveryError, match="known are 'default'"):
            call()


def test_closed_clients(made: Path, tmp_path: Path) -> None:
    videre, curate, files, allego = VidereClient(), CurateClient(), FileSystemClient(), AllegoClient(embedded=True)
    signals, metrics, live = videre.signals(), videre.signal_metrics(), allego.signal_metrics()
    ds = videre.link_data_file(made, calc_metrics=False)
    for client in (videre, curate, files, allego):
        client.close()
        client.close()  # twice is no error
    calls: list[Callable[[], object]] = [
        videre.get_dataset_ids,
        videre.summa_list_sessions,
        lambda: videre.link_data_file(made),
        lambda: signals.get_signals([3, 4], dataset_metadata=ds),
        lambda: metrics.get_params(ds),
        lambda: curate.dsp_car(made, tmp_path / "o"),
        lambda: files.ls(tmp_path),
        allego.get_status,
        allego.get_signals,
        live.get_params,
        live.get_metrics_status,
        lambda: allego.set_streaming("on"),
    ]
    for call in calls:
        with pytest.raises(ClientClosedError):
            call()


RANGES: list[Any] = ["soon", {}, [], [3.5, 3.5], [4.0, 3.0], [np.nan, 4.0], np.nan, [3, 3.5, 4], -1.0, [100, 200]]


@pytest.mark.parametrize("wrong", RANGES, ids=str)
def test_time_ranges_that_are_none(videre: VidereClient, ds: DatasetMetadata, wrong: Any) -> None:
    for call in (
        lambda: videre.signals().get_signals(wrong, sig_type="amp", dataset_metadata=ds),
        lambda: videre.signals().get_psd(wrong, dataset_metadata=ds),
        lambda: videre.signal_metrics().get_metrics(wrong, dataset_metadata=ds),
    ):
        with pytest.raises(ValueError) as caught:
            call()
        assert isinstance(caught.value, RadiensError)


@pytest.mark.parametrize(
    ("span", "start"),
    [
        ([3.5, 4.0], 3.5),
        ((3.5, 4.0), 3.5),
        (np.array([3.5, 4.0], dtype=np.float32), 3.5),
        (make_time_range([3.5, 4.0], fs=30_000.0), 3.5),
        ([0.5, np.nan], 4.5),
        (np.array([0.5, np.nan]), 4.5),
        (0.5, 4.5),
        ([0.5], 4.5),
    ],
    ids=str,
)
def test_time_ranges_in_every_form(videre: VidereClient, ds: DatasetMetadata, span: Any, start: float) -> None:
    pick = make_signal_selector(amp=[1])
    found = videre.signals().get_signals(span, sig_sel=pick, dataset_metadata=ds)
    assert found.TR.sec.tolist() == pytest.approx([start, start + 0.5])
    metrics = videre.signal_metrics().get_metrics(span, ["NUM_PTS"], 1, dataset_metadata=ds)
    assert metrics.val.sum() == 15_000
    psd = videre.signals().get_psd(span, sig_sel=pick, freq_resolution=4, dataset_metadata=ds)
    assert psd.TR.dur_sec == pytest.approx(0.5, abs=0.01)


def test_tables_keep_their_columns_when_empty(videre: VidereClient, tmp_path: Path) -> None:
    assert list(videre.get_dataset_ids().columns) == ["dataset ID", "base name"]
    assert len(videre.list_dir(tmp_path).columns) == len(FileSystemClient().ls(tmp_path).datasource_table.columns) == 14
    with AllegoClient(embedded=True) as allego:
        assert len(allego.workspace().workspace_list().columns) == 7
        assert len(allego.signal_metrics().get_params().columns) == 12


def test_wrong_arguments(videre: VidereClient, ds: DatasetMetadata) -> None:
    metrics, get = videre.signal_metrics(), videre.signals().get_signals
    wrong: list[tuple[type[Exception], Callable[[], object]]] = [
        (ValueError, lambda: videre.link_data_file(ds.path, ftype="docx")),
        (ValueError, lambda: get([3, 4], sig_type="volts", dataset_metadata=ds)),
        (ValueError, lambda: get([3, 4], "backwards", dataset_metadata=ds)),
        (ValueError, lambda: get([3, 4], sig_sel=[1, 2], dataset_metadata=ds)),  # type: ignore[arg-type]
        (
            ValueError,
            lambda: get([3, 4], sig_type="amp", ntv_idxs="some", dataset_metadata=ds),
        ),
        (ValueError, lambda: get([3, 4], sig_type="amp", ntv_idxs=[99], dataset_metadata=ds)),
        (ValueError, lambda: videre.signals().get_psd([3, 4], window="kaiser", dataset_metadata=ds)),
        (ValueError, lambda: metrics.get_metrics(metrics=["LOUDNESS"], dataset_metadata=ds)),
        (ValueError, lambda: metrics.get_metrics(metrics=[], dataset_metadata=ds)),
        (ValueError, lambda: metrics.get_metrics(ntv_idxs=[99], dataset_metadata=ds)),
        (ValueError, lambda: metrics.set_packet_duration(-1, ds)),
        (TypeError, lambda: metrics.set_packet_duration("long", ds)),  # type: ignore[arg-type]
        (TypeError, lambda: metrics.set_event_window("a", 1, ds)),  # type: ignore[arg-type]
        (ValueError, lambda: videre.summa_launch_session_analysis(dataset_ids=[])),
        (ValueError, lambda: videre.summa_launch_session_analysis(dataset_ids=[ds.id], bin_dur_sec=0)),
    ]
    for kind, call in wrong:
        with pytest.raises(kind) as caught:
            call()
        assert isinstance(caught.value, RadiensError)
