"""What the classic clients return, made from typed results."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from ranvier import AllegoClient, VidereClient, models
from ranvier.classic.lib import (
    allego_lib,
    channel_metadata,
    dataset_metadata,
    fsys,
    sig_metrics,
    signals_snapshot,
    summa,
)
from ranvier.classic.utils.constants import KeyIdxs
from ranvier.classic.utils.enums import (
    FftWindow,
    MetricID,
    MetricMode,
    MetricName,
    Port,
    PsdScaling,
    RadiensFileType,
    SignalType,
    SignalUnits,
    SystemMode,
)
from ranvier.classic.utils.util import make_time_range
from ranvier.exceptions import ConfigurationError, TimeRangeError
from ranvier.models.kpi import KpiMetric, KpiMetricId, KpiMetricsSeriesResult, KpiMetricsWindow
from ranvier.models.simulation import SimulationSpec


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> models.DatasetMetadata:
    folder = tmp_path_factory.mktemp("lib")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RANVIER_HOME", str(folder / "home"))
        with VidereClient() as videre:
            return videre.simulate_recording(SimulationSpec(duration_sec=1.0), folder / "rec")


def test_channel_table(linked: models.DatasetMetadata) -> None:
    found = channel_metadata.ChannelMetadata(linked.channel_metadata)
    table = found.table
    assert tuple(table.columns) == channel_metadata.COLUMNS
    assert len(channel_metadata.COLUMNS) == 32
    assert table.index.name == "dyn_sort_idx"
    assert len(table) == found.num_sigs_total() > 0
    amp = table[table["chan_type"] == SignalType.AMP]
    assert (
        amp["ntv_key_idx"].tolist()
        == found.index("amp").ntv
        == linked.channel_metadata.index(models.SignalType.AMP).ntv
    )
    first = linked.channel_metadata.get_channel_info(amp["ntv_key_idx"].iloc[0], models.SignalType.AMP)
    assert amp["site_ctr_y"].iloc[0] == first.probe_y
    assert amp["scs_to_tcs"].iloc[0] == [first.scs_to_tcs_x, first.scs_to_tcs_y, first.scs_to_tcs_z]
    assert found.num_sigs(SignalType.AMP) == found.num_sigs(0) == len(amp)
    assert isinstance(found.sel_index("AMP"), KeyIdxs)
    assert found.num_selected_sigs_total == sum(found.sel_num_sigs(kind) for kind in SignalType)
    assert found.sig_units[SignalType.AMP] is SignalUnits.MICROVOLTS
    assert found.attributes["fs"] == linked.sampling_rate
    with pytest.raises(ValueError, match="AIN"):
        found.index("brain")


def test_a_table_without_channels_keeps_its_columns(linked: models.DatasetMetadata) -> None:
    nothing = channel_metadata.ChannelMetadata(channel_metadata.restricted(linked.channel_metadata, {}))
    assert tuple(nothing.table.columns) == channel_metadata.COLUMNS
    assert len(nothing.table) == nothing.num_sigs_total() == 0
    assert tuple(fsys.FileSysResponse().datasource_table.columns) == fsys.COLUMNS


def test_restricted_keeps_the_order_asked(linked: models.DatasetMetadata) -> None:
    whole = channel_metadata.ChannelMetadata(linked.channel_metadata)
    some = channel_metadata.ChannelMetadata(
        channel_metadata.restricted(linked.channel_metadata, {models.SignalType.AMP: [5, 2]})
    )
    assert some.index("amp").ntv == [5, 2]
    assert some.num_sigs("din") == 0
    by_ntv = whole.table[whole.table["chan_type"] == SignalType.AMP].set_index("ntv_key_idx")
    for column in ("chan_name", "site_ctr_x", "site_ctr_y", "sys_key_idx", "site_num"):
        assert some.table[column].tolist() == by_ntv.loc[[5, 2], column].tolist()
    assert list(some.site_positions("amp")) == [5, 2]


def test_sensors_of_ports(linked: models.DatasetMetadata) -> None:
    specs = channel_metadata.ChannelMetadata(linked.channel_metadata).sensor_spec
    assert list(specs) == list("ABCDEFGH")
    (sensor,) = specs["A"]
    assert sensor["probe_id"]
    assert sensor["x_max"] > sensor["x_min"]
    assert set(sensor["sensor_pos"]) == {"x", "y", "z", "ring_angle", "axial_angle", "arc_angle"}
    assert specs["B"] == []


def test_dataset(linked: models.DatasetMetadata) -> None:
    found = dataset_metadata.DatasetMetadata(linked)
    assert found.id == linked.id
    assert found.file_type is RadiensFileType.XDAT
    assert linked.time_range.n == found.TR.N
    assert found.TR.timestamp.tolist() == list(linked.time_range.timestamp)
    assert found.table.columns.tolist() == ["Value"]
    assert found.table.loc["sample freq", "Value"] == linked.sampling_rate
    found.table.loc["label", "Value"] = "mine"
    assert found.table.loc["label", "Value"] == "mine"
    assert set(found.attributes) >= {"dsource_id", "kpi_dsource_id", "TR", "source_mode", "base_name"}
    found.clear_dataset_id()
    assert found.id == ""
    strange = linked.model_copy(update={"file_type": models.RadiensFileType.SPIKEGLX})
    assert dataset_metadata.DatasetMetadata(strange).file_type.name == "SPIKEGLX"


def _signals(linked: models.DatasetMetadata, start: int, stop: int, rows: list[int]) -> signals_snapshot.Signals:
    arrays = models.SignalArrays(
        amp=np.arange(start, stop) + 100.0 * np.array(rows)[:, np.newaxis],
        time_range=models.TimeRange.from_samples(start, stop, 30000.0),
    )
    return signals_snapshot.Signals(arrays, linked.id, linked.channel_metadata, {models.SignalType.AMP: rows})


def test_signals_are_joined_where_they_follow(linked: models.DatasetMetadata) -> None:
    first, second = _signals(linked, 10, 20, [3, 1]), _signals(linked, 20, 25, [3, 1])
    first.concat(second)
    assert first.signals.amp.shape == (2, 15)
    assert np.array_equal(first.signals.amp[0], np.arange(10, 25) + 300.0)
    assert first.TR.timestamp.tolist() == [10, 25]
    assert first.channel_metadata.index("amp").ntv == [3, 1]
    assert first.signals.gpio_din.shape == (0, 15)
    with pytest.raises(TimeRangeError):
        first.concat(_signals(linked, 26, 30, [3, 1]))
    with pytest.raises(ValueError, match="channels"):
        first.concat(_signals(linked, 25, 30, [1, 3]))
    with pytest.raises(TypeError):
        first.concat(np.zeros((2, 3)))  # type: ignore[arg-type]


def test_spectra_survive_a_file(linked: models.DatasetMetadata, tmp_path: Path) -> None:
    dataset = dataset_metadata.DatasetMetadata(linked)
    psd = signals_snapshot.PSD(
        psd=np.array([[1.0, 2.0], [3.0, 4.0]]),
        frequencies=np.array([1.0, 2.0]),
        freq_range=np.array([1.0, 300.0]),
        freq_bin_width=1.0,
        window_type=FftWindow.HAMMING_p05,
        scaling=PsdScaling.ABSOLUTE,
        time_range=make_time_range(timestamp=[0, 3000], fs=dataset.TR.fs),
        dsource_id=linked.id,
        channel_metadata=channel_metadata.ChannelMetadata(
            channel_metadata.restricted(linked.channel_metadata, {models.SignalType.AMP: [7, 2]})
        ),
    )
    psd.save(tmp_path / "psd")
    again = signals_snapshot.PSD.load(tmp_path / "psd.npz", dataset)
    assert np.array_equal(again.psd, psd.psd)
    assert again.channel_metadata.index("amp").ntv == [7, 2]
    assert (again.window_type, again.TR.N) == (FftWindow.HAMMING_p05, 3000)
    assert again.units == {SignalType.AMP: "uV squared per Hz"}
    dataset.clear_dataset_id()
    with pytest.raises(ConfigurationError, match="is of dataset"):
        signals_snapshot.PSD.load(tmp_path / "psd.npz", dataset)


def test_state_of_a_rig(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with AllegoClient(embedded=True) as allego:
        state = allego_lib.AllegoState(allego.get_status(), allego.get_core_config())
    assert isinstance(state.system_mode, SystemMode)
    assert state.port_num_channels[Port.A] > 0
    assert (str(state.stream), str(state.recording), str(state.recording.mode)) == ("S_OFF", "R_OFF", "R_OFF")
    assert state.recording.index == -1
    assert capsys.readouterr().out == ""
    state.print()
    brief = capsys.readouterr().out
    state.print("verbose")
    verbose = capsys.readouterr().out
    assert "SIMULATED" in brief
    assert "S_OFF" in brief
    assert len(verbose.splitlines()) > len(brief.splitlines())
    with pytest.raises(ValueError, match="verbose"):
        state.print("all")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("/data/rat_a_3__uid0708-16-40-51.xdat.json", ("rat_a", 3, "0708-16-40-51")),
        ("/data/rat_3", ("rat", 3, "")),
        ("/data/rat.xdat", ("rat", -1, "")),
    ],
)
def test_names_of_recordings(name: str, parts: tuple[str, int, str]) -> None:
    with AllegoClient(embedded=True) as allego:
        status, core = allego.get_status(), allego.get_core_config()
    recording = status.recording.model_copy(update={"active_filename": name, "record_mode": models.RecordMode.ON})
    found = allego_lib.AllegoState(status.model_copy(update={"recording": recording}), core).recording
    assert (found.base_name, found.index, found.timestamp) == parts
    assert str(found) == found.mode == "R_ON"
    assert (found.file_name, Path(found.path)) == (name, Path("/data"))


def test_metrics_by_packet(capsys: pytest.CaptureFixture[str]) -> None:
    windows = [
        KpiMetricsWindow(
            time_range=models.TimeRange.from_samples(i * 100, i * 100 + 100, 1000.0), values=np.full((2, 1), float(i))
        )
        for i in range(3)
    ]
    series = KpiMetricsSeriesResult(
        channel_indices=(4, 9),
        metrics=(KpiMetricId(name=KpiMetric.RMS),),
        signal_type=models.SignalType.AMP,
        windows=tuple(windows),
    )
    found = sig_metrics.SignalMetrics.of(series, 0.1, "an id", 1000.0)
    assert found.val.shape == (found.num_packets, found.num_sigs, 1) == (3, 2, 1)
    assert found.metric_ids == [MetricID(MetricMode.BASE, MetricName.RMS)]
    assert found.TR.timestamp.tolist() == [0, 300]
    assert found.settings["num_metrics"] == 1
    found.print()
    assert "an id" in capsys.readouterr().out
    none = sig_metrics.SignalMetrics.of(series.model_copy(update={"windows": ()}), 0.1, "an id", 1000.0)
    assert none.val.shape == (0, 2, 1)
    assert sig_metrics.metric_spec(found.metric_ids[0]) == {"lbl": "V_rms", "units": "uV"}
    order = [MetricID(MetricMode.AVG, MetricName.SD), MetricID(MetricMode.BASE, MetricName.SNR), found.metric_ids[0]]
    assert [m.name.name for m in sig_metrics.sort_metric_ids(order)] == ["RMS", "SNR", "SD"]


def test_status_of_metrics_and_sessions(capsys: pytest.CaptureFixture[str]) -> None:
    found = sig_metrics.SignalMetricsStatus(
        time_range=make_time_range([0, 2], fs=1000),
        type="cache",
        datasource_id="Live Signals",
        num_sigs=32,
        packet_dur_sec=0.2,
        num_packets=10,
        is_calculating_metrics=True,
    )
    assert found.summary_table.loc["num_packetes", "Value"] == 10
    found.print()
    assert "Live Signals" in capsys.readouterr().out
    status = summa.SummaStatus("mine", False, 0.25, 1.0)
    assert "25%" in status.string()
    assert summa.SummaAnalysis("mine", status).aggregate_stats.metric_ids == []


def test_recordings_as_files() -> None:
    one = dataset_metadata.DatasetFileSet(
        dataset_metadata.FileSetDescriptor("/data", "rat", "xdat"),
        dataset_metadata.FileSetStat(
            num_files=3,
            num_bytes={"primary_data": 90, "meta_data": 10, "total": 100},
            has_meta_data_file=True,
            timestamp=datetime(2024, 1, 2, 3, 4, 5),
            num_chan=32,
            dur_sec=1.0,
            samp_freq=30000.0,
        ),
    )
    found = fsys.FileSysResponse([one])
    found.append(fsys.FileSysResponse([one], "done"))
    assert (found.num_data_sources, found.total_num_files, found.num_bytes, found.cmd_msg) == (2, 6, 200, "done")
    assert found.datasource_table["timestamp"].tolist() == ["2024-01-02 03:04:05"] * 2
    assert one.stat.fs == 30000.0
