"""Every documented method of the classic clients, but those of the sorter."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from every_call import Engine, classics, wait_until

from ranvier.classic.curate_client import CurateClient
from ranvier.classic.lib.allego_lib import AllegoState
from ranvier.classic.lib.channel_metadata import ChannelMetadata
from ranvier.classic.lib.dataset_metadata import DatasetMetadata
from ranvier.classic.lib.fsys import COLUMNS, FileSysResponse
from ranvier.classic.lib.sig_metrics import SignalMetrics, SignalMetricsStatus
from ranvier.classic.lib.signals_snapshot import PSD, Signals
from ranvier.classic.lib.spikes import SpikesMetadata, SpikesSet
from ranvier.classic.lib.summa import SummaAnalysis, SummaStatus
from ranvier.classic.metrics_client import MetricsClient
from ranvier.classic.signals_client import SignalsClient
from ranvier.classic.spike_sorter_client import PARAM_COLUMNS, SpikeSorterClient
from ranvier.classic.spikes_client import NEURON_COLUMNS, SpikesClient
from ranvier.classic.utils.enums import ClientType, SystemMode
from ranvier.classic.utils.util import make_signal_selector
from ranvier.classic.workspace_client import COLUMNS as WORKSPACE_COLUMNS
from ranvier.classic.workspace_client import WorkspaceClient
from ranvier.exceptions import CapabilityError
from ranvier.recordings import open_session

FS = 30_000


@classics("AllegoClient", "__init__", "type", "get_status", "restart", "get_stream_loop_dur_ms", "set_sampling_freq",
          "get_channel_metadata", "get_available_sensors", "set_sensor")  # fmt: skip
def allego_set_up(e: Engine) -> None:
    client = e.classic_allego()
    assert client.type is ClientType.ALLEGO
    assert client.restart("sim-sine") is None
    status = client.get_status()
    assert isinstance(status, AllegoState)
    assert status.system_mode is SystemMode.SMARTBOX_SIM_GEN_SINE
    assert 0 < client.get_stream_loop_dur_ms() < 1000  # ms
    client.set_sampling_freq(20_000)
    assert client.get_status().sample_freq == 20_000  # Hz
    client.set_sampling_freq(FS)
    probes = client.get_available_sensors()["probes"]
    assert probes["a1x32_poly3_8mm50s_177"] == 32
    client.set_sensor("A", "passthrough_32", "a1x32_poly3_8mm50s_177")
    found = client.get_channel_metadata()
    assert isinstance(found, ChannelMetadata)
    assert found.num_sigs("amp") == 32
    client.restart("sim-spikes")


@classics("AllegoClient", "set_streaming", "get_signals", "set_time_to_cache_head", "set_recording",
          "set_recording_config")  # fmt: skip
def allego_stream(e: Engine) -> None:
    client = e.classic_allego()
    client.set_recording_config(str(e.folder), "live", 3, False)
    assert client.set_streaming("on").stream.mode == "S_ON"
    client.set_time_to_cache_head()
    time.sleep(0.3)
    signals, (start, end) = client.get_signals()
    assert (signals.dtype, signals.shape[0]) == (np.float32, len(client.get_channel_metadata().table))
    assert signals.shape[1] == round((end - start) * client.get_status().sample_freq) > 0
    assert client.set_recording("on").recording.mode == "R_ON"
    wait_until(lambda: client.get_status().recording.dur_sec > 0.05)
    assert client.set_recording("off").recording.mode == "R_OFF"
    assert client.set_streaming("off").stream.mode == "S_OFF"
    assert list(Path(e.folder).glob("live*_3*_data.xdat"))


@classics("AllegoClient", "get_digital_out_states", "set_digital_out_manual", "get_analog_out_settings",
          "set_analog_out_high_pass", "get_stim_params", "set_stim_params", "set_stim_step",
          "set_manual_stim_trigger")  # fmt: skip
def allego_outputs(e: Engine) -> None:
    client = e.classic_allego()
    client.set_digital_out_manual(True, False)
    assert [one["state"] for one in client.get_digital_out_states()["states"][:2]] == [True, False]
    client.set_digital_out_manual(False, False)
    assert client.set_analog_out_high_pass(250.0)["high_pass"] == {"enable": True, "cutoff_freq": 250.0}  # Hz
    assert set(client.get_analog_out_settings()) == {"dac", "gain", "high_pass"}
    client.set_stim_step(8)
    amplitudes = {"first_phase_amplitude_uA": 10, "second_phase_amplitude_uA": 10}
    client.set_stim_params({"stim_sys_chan_idx": 4, "enabled": True, "trigger_source_is_keypress": True, **amplitudes})
    assert len(client.get_stim_params()[4]) == 26
    before = len(client._typed.get_pulses())
    client.set_streaming("on")
    client.set_manual_stim_trigger(0)
    wait_until(lambda: len(client._typed.get_pulses()) == before + 1)
    client.set_manual_stim_trigger(0)


@classics("AllegoClient", "workspace", "signal_metrics", "spike_sorter", "spikes")
def allego_clients(e: Engine) -> None:
    client = e.classic_allego()
    assert isinstance(client.workspace(), WorkspaceClient)
    assert isinstance(client.signal_metrics(), MetricsClient)
    assert isinstance(client.spikes(), SpikesClient)
    assert isinstance(client.spike_sorter(), SpikeSorterClient)


@classics("WorkspaceClient", "__init__", "hubs", "id", "workspace_save", "workspace_switch", "workspace_delete",
          "workspace_current", "workspace_list")  # fmt: skip
def workspaces(e: Engine) -> None:
    client = e.sub(e.classic_allego().workspace())
    assert "default" in client.hubs
    assert client.id == ""
    assert client.workspace_save("mine", tags="t", notes="n") is None
    assert client.workspace_switch("mine") is None
    for table in (client.workspace_current(), client.workspace_list()):
        assert tuple(table.columns) == WORKSPACE_COLUMNS
        assert table["ID"].tolist() == ["mine"]
    client.workspace_delete("mine")
    assert len(client.workspace_list()) == 0


def measured(metrics: Any, dataset: DatasetMetadata | None, count: int) -> None:
    """Call what metrics of datasets and of the live stream share."""
    named = {"dataset_metadata": dataset}
    assert metrics.set_event_threshold_level(5, 5, "sd", **named).startswith(f"[{count} channels]")
    assert metrics.set_event_threshold("on", "off", **named).startswith(f"[{count} channels]")
    assert "pre-threshold=0.4 ms" in metrics.set_event_window(0.4, 1.2, **named)
    assert metrics.set_event_shadow(2.0, **named) == f"[{count} channels] event shadow 2.0 ms,"
    table = metrics.get_params(**named)
    assert isinstance(table, pd.DataFrame)
    assert table["shadow"].tolist() == pytest.approx([2.0] * count)  # ms
    assert table["thr_activated"][0] == [True, False]
    status = metrics.get_metrics_status(**named)
    assert isinstance(status, SignalMetricsStatus)
    assert status.packet_dur_sec == 0.5  # s
    found = metrics.get_metrics(**named)
    assert isinstance(found, SignalMetrics)
    assert (found.val.dtype, found.val.ndim, found.val.shape[1:]) == (np.float64, 3, (count, 6))
    assert (found.val[0, :, 0] > 1).all()  # RMS, uV
    metrics.set_event_threshold("on", "on", **named)


SHARED = ("set_event_threshold_level", "set_event_threshold", "set_event_window", "set_event_shadow",
          "set_packet_duration", "get_params", "get_metrics_status", "get_metrics", "clear", "calculate")  # fmt: skip


@classics("MetricsClient", "__init__", *SHARED)
def metrics_of_a_dataset(e: Engine) -> None:
    videre = e.classic_hub("VidereClient")
    dataset = videre.link_data_file(e.recording, calc_metrics=False)
    metrics = e.sub(videre.signal_metrics())
    metrics.set_packet_duration(0.5, dataset)
    metrics.calculate(dataset)
    measured(metrics, dataset, 16)
    metrics.clear(dataset)
    assert metrics.get_metrics_status(dataset).num_packets == 0


@classics("MetricsClient", *SHARED)
def metrics_of_the_stream(e: Engine) -> None:
    client = e.classic_allego()
    metrics = e.sub(client.signal_metrics())
    metrics.set_packet_duration(0.5)
    client.set_streaming("on")
    wait_until(lambda: client.get_status().stream.time_range[1] > 1.1)
    measured(metrics, None, client.get_channel_metadata().num_sigs("amp"))
    metrics.refuses(RuntimeError, "clear")  # as documented
    metrics.refuses(RuntimeError, "calculate")
    client.set_streaming("off")


@classics("VidereClient", "__init__", "hubs", "hub", "id", "type", "signal_metrics", "signals", "spike_sorter",
          "spikes", "dashboard")  # fmt: skip
def videre_itself(e: Engine) -> None:
    client = e.classic_hub("VidereClient")
    assert (client.hub, client.id, client.type) == (e.hub_name, "", ClientType.VIDERE)
    assert set(client.hubs["default"]) == {"ip_address", "ports"}
    assert isinstance(client.signal_metrics(), MetricsClient)
    assert isinstance(client.signals(), SignalsClient)
    assert isinstance(client.spikes(), SpikesClient)
    assert isinstance(client.spike_sorter(), SpikeSorterClient)
    client.refuses(CapabilityError, "dashboard")  # documented to come with its capability


@classics("VidereClient", "link_data_file", "get_data_file_metadata", "clear_dataset", "get_dataset_ids", "list_dir")
def videre_datasets(e: Engine) -> None:
    client = e.classic_hub("VidereClient")
    dataset = client.link_data_file(e.recording, calc_metrics=False)
    assert isinstance(dataset, DatasetMetadata)
    assert dataset.TR.sec.tolist() == [3.0, 5.0]
    assert client.get_data_file_metadata(dataset_id=dataset.id).id == dataset.id
    assert dataset.id in client.get_dataset_ids()["dataset ID"].tolist()
    gone, left = client.clear_dataset(dataset_id=dataset.id)
    assert (gone, list(left.columns)) == (1, ["dataset ID", "base name"])
    assert dataset.id not in left["dataset ID"].tolist()
    table = client.list_dir(e.folder)
    assert (list(table.columns), table["base_name"].tolist()) == (list(COLUMNS), ["rec_SIMULATED"])


SUMMA = ("list_sessions", "clear_sessions", "launch_session_analysis", "session_status",
         "get_session_aggregate_statistics", "get_session_datasource_statistics")  # fmt: skip


@classics("VidereClient", *(f"summa_{name}" for name in SUMMA))
def videre_summa(e: Engine) -> None:
    client = e.classic_hub("VidereClient")
    dataset = client.link_data_file(e.recording, calc_metrics=False)
    status = client.summa_launch_session_analysis("mine", [dataset.id], 0.5)
    assert isinstance(status, SummaStatus)
    wait_until(lambda: client.summa_session_status("mine").is_complete)
    assert client.summa_list_sessions()["mine"] == {"dsource_ids": [dataset.id]}
    both = client.summa_get_session_aggregate_statistics("mine")
    assert isinstance(both, SummaAnalysis)
    assert {one.counts.sum() for one in both.aggregate_stats.histogram.values()} == {4 * 16}
    each = client.summa_get_session_datasource_statistics("mine", [dataset.id])
    assert list(each.datasource_stats) == [dataset.id]
    assert client.summa_clear_sessions() is None
    assert client.summa_list_sessions() == {}


@classics("SpikesClient", "__init__", "get_spikes_metadata", "get_spike_rasters", "get_spike_waveforms",
          "get_spike_timestamps", "get_neuron_timestamps", "get_neurons", "convert_kilosort_output")  # fmt: skip
def spikes_of_a_dataset(e: Engine) -> None:
    videre, typed = e.classic_hub("VidereClient"), e.videre()
    typed.convert_spikes(e.recording)
    dataset = videre.link_data_file(e.recording, calc_metrics=False)
    client = e.sub(videre.spikes())
    truth = open_session(e.recording).spike_trains["ground_truth"]
    found = client.get_spike_timestamps(dataset.id, [3.5, 4.5])
    inside = (truth.counter >= 3.5 * FS) & (truth.counter < 4.5 * FS)
    assert found["timestamps"].tolist() == truth.counter[inside].tolist()  # sample counters
    assert found["labels"].tolist() == truth.unit[inside].tolist()
    assert (found["timestamps"].dtype, found["labels"].dtype) == (np.float64, np.int32)
    site = int(truth.site[0])
    by_neuron = client.get_neuron_timestamps(dataset.id, [3.0, 5.0], [site])
    assert sum(map(len, by_neuron.values())) == (truth.site == site).sum()
    raster = client.get_spike_rasters(dataset.id)
    assert isinstance(raster, pd.DataFrame)
    assert raster["timestamps"].tolist() == truth.counter.tolist()
    assert raster.attrs["time_range"] == [3.0, 5.0]  # s
    waveforms = client.get_spike_waveforms(dataset.id, [3.5, 4.5])
    assert (waveforms.dtype, len(waveforms)) == (np.float32, int(inside.sum()))
    assert 10 < np.abs(waveforms).max() < 1000  # uV
    neurons = client.get_neurons(dataset.id)
    assert tuple(neurons.columns) == NEURON_COLUMNS
    assert neurons["spike_count"].sum() == len(truth)
    about = client.get_spikes_metadata(dataset.id)
    assert isinstance(about, SpikesMetadata)
    assert len(about.neurons) == len(neurons)
    phy = e.folder / "phy"
    phy.mkdir()
    np.save(phy / "spike_times.npy", truth.counter - 3 * FS)
    np.save(phy / "spike_clusters.npy", truth.unit)
    assert client.convert_kilosort_output(e.folder, "phy", e.folder, "rec_SIMULATED", e.folder, "ks.spikes") is None
    assert client.get_spike_timestamps(videre.link_data_file(e.folder / "ks.spikes").id)["labels"].size == len(truth)


@classics("SpikesClient", "get_spikes_metadata", "get_spike_rasters", "get_recent_spikes", "get_spike_waveforms",
          "get_spike_timestamps", "get_neurons", "convert_kilosort_output")  # fmt: skip
def spikes_of_the_stream(e: Engine) -> None:
    client, allego = e.classic_allego(), e.allego()
    spikes = e.sub(client.spikes())
    spikes.refuses(RuntimeError, "get_spike_waveforms", "Live Signals")  # documented for Videre
    spikes.refuses(RuntimeError, "get_spike_timestamps", "Live Signals")
    spikes.refuses(RuntimeError, "convert_kilosort_output", e.folder)
    allego.spike_sorter_command(cmd="on")
    client.set_streaming("on")

    def some() -> bool:
        try:
            return spikes.get_recent_spikes(10.0).num_spikes_total > 20
        except ValueError:  # nothing was sorted yet
            return False

    wait_until(some)
    found = spikes.get_recent_spikes(10.0, max_spikes_per_chan=5)
    assert isinstance(found, SpikesSet)
    assert max(one["num_spikes"] for one in found.channels().values()) <= 5
    raster = spikes.get_spike_rasters()
    assert len(raster) > 20
    assert (np.diff(raster["timestamps"]) >= 0).all()
    about = spikes.get_spikes_metadata()
    assert sum(count[0] for count in about.sites["spike_count"]) >= len(raster)
    assert tuple(spikes.get_neurons().columns) == NEURON_COLUMNS
    allego.spike_sorter_command(cmd="off")
    client.set_streaming("off")


@classics("SignalsClient", "__init__", "get_signals", "get_psd")
def signals(e: Engine) -> None:
    videre = e.classic_hub("VidereClient")
    dataset = videre.link_data_file(e.recording, calc_metrics=False)
    client, pick = e.sub(videre.signals()), make_signal_selector(amp=[5, 2])
    found = client.get_signals([3.25, 3.75], sig_sel=pick, dataset_metadata=dataset)
    assert isinstance(found, Signals)
    assert (found.signals.amp.shape, found.signals.amp.dtype) == ((2, FS // 2), np.float64)
    assert 1 < np.abs(found.signals.amp).max() < 10_000  # uV
    psd = client.get_psd([3.0, 5.0], sig_sel=pick, dataset_metadata=dataset)
    assert isinstance(psd, PSD)
    assert psd.psd.shape == (2, len(psd.frequencies))
    assert 1 <= psd.frequencies[0] < psd.frequencies[-1] <= 300  # Hz
    assert (psd.psd > 0).all()  # uV^2/Hz


#: Each transform, its arguments before the paths, and what must be true of before and after.
TRANSFORMS: dict[str, tuple[tuple[Any, ...], Any]] = {
    "dsp_low_pass_filter": ((100.0,), lambda x, y: np.abs(np.diff(y)).max() < np.abs(np.diff(x)).max()),
    "dsp_high_pass_filter": ((300.0,), lambda x, y: y.std() < x.std()),
    "dsp_band_pass_filter": ((300.0, 5000.0), lambda x, y: y.std() < x.std()),
    "dsp_band_stop_filter": ((300.0, 5000.0), lambda x, y: y.std() < x.std()),
    "dsp_notch_filter": ((50.0, 4.0), lambda x, y: y.shape == x.shape and not np.array_equal(x, y)),
    "dsp_paired_diff": ((0, 2), lambda x, y: np.allclose(y[0], x[0] - x[2], atol=0.3)),
    "dsp_virtual_ref": ((2,), lambda x, y: np.allclose(y[0], x[0] - x[2], atol=0.3) and not y[2].any()),
    "dsp_car": ((), lambda x, y: np.abs(y.mean(axis=0)).max() < 0.1),
    "dsp_time_decimate": ((10,), lambda x, y: np.allclose(y, x[:, ::10], atol=0.2)),
    "dsp_slice_time": ((3.5, 4.5), lambda x, y: y.shape[1] == FS),
    "dsp_slice_channels": (([0, 1],), lambda x, y: np.allclose(y, x[2:], atol=0.2)),
}


@classics("CurateClient", *TRANSFORMS, "file_convert", "progress_bar", "dsp_progress", "dsp_stream", "dsp_clean_up")
def curate_transforms(e: Engine) -> None:
    client, typed = e.classic_hub("CurateClient"), e.videre()
    before = typed.get_signals(e.recording).amp
    for name, (arguments, holds) in TRANSFORMS.items():
        stream = getattr(client, name)(*arguments, e.recording, e.folder / "out" / name)
        assert isinstance(stream, str)
        client.progress_bar(stream)
        assert client.dsp_progress(stream) == 1.0
        assert holds(before, typed.get_signals(e.folder / "out" / f"{name}.xdat").amp), name
    stream = client.file_convert(e.recording, e.folder / "out" / "as", "nwb")
    client.progress_bar(stream)
    assert (e.folder / "out" / "as.nwb").exists()
    assert set(client.dsp_stream[stream]) == {"data_source", "protocol", "stream"}
    client.dsp_clean_up()
    assert client.dsp_stream == {}


@classics("CurateClient", "__init__", "hubs", "id", "type", "signal_metrics", "spikes")
def curate_itself(e: Engine) -> None:
    client = e.classic_hub("CurateClient")
    assert isinstance(client._client, CurateClient)
    assert (client.id, client.type) == ("", ClientType.CURATE)
    assert "default" in client.hubs
    assert isinstance(client.signal_metrics(), MetricsClient)
    assert isinstance(client.spikes(), SpikesClient)


@classics("FileSystemClient", "__init__", "hubs", "id", "ls", "list_dir", "cp", "copy_files", "rm", "delete_files",
          "mv", "rename_file", "link_data_file", "get_data_file_metadata")  # fmt: skip
def file_system(e: Engine) -> None:
    client = e.classic_hub("FileSystemClient")
    assert "default" in client.hubs
    assert client.id == ""
    found = client.ls(e.folder)
    assert isinstance(found, FileSysResponse)
    assert found.num_data_sources == 1

    def names() -> set[str]:
        return set(client.list_dir(e.folder)["base_name"])

    client.cp(e.recording, e.folder / "a")
    client.copy_files(e.recording, e.folder / "b")
    assert names() == {"rec_SIMULATED", "a", "b"}
    client.mv(e.folder / "a", e.folder / "c")
    client.rename_file(e.folder / "b", e.folder / "d")
    assert names() == {"rec_SIMULATED", "c", "d"}
    client.rm(e.folder / "c")
    client.delete_files(e.folder / "d")
    assert names() == {"rec_SIMULATED"}
    assert client.get_data_file_metadata(e.recording).TR.dur_sec == 2.0  # s
    assert isinstance(client.link_data_file(e.recording), DatasetMetadata)


def sorter_settings(sorter: Any, count: int) -> None:
    """Call what sorters of datasets and of the live stream share."""
    assert sorter.set_threshold_level(60, None) == f"[{count} channels] detect: neg thr=-60.00 uV, pos_thr=n/a"
    assert sorter.set_threshold_level(4.5, 5, "sd", [2]) == "[1 channels] detect: neg thr=-4.50 sd, pos_thr=5.00 sd"
    assert "no new threshold levels" in sorter.set_threshold_level()
    assert sorter.set_threshold("on", "off") == f"[{count} channels] detect: neg thr=on, pos_thr=off"
    told = sorter.set_spike_window(0.4, 1.2)  # ms
    assert "total=1.600 ms [48 points]" in told
    assert sorter.set_spike_shadow(2.0) == f"[{count} channels] shadow window: 2.000 ms [60 points]"
    params = sorter.get_params()
    assert tuple(params.columns) == PARAM_COLUMNS
    assert len(params) == count
    row = params.set_index("ntv_idx").loc[3]
    assert (row["thr"][0], row["thr_wdw"], row["shadow"], row["thr_activated"]) == (
        -60.0,
        [0.4, 1.2],
        2.0,
        [True, False],
    )
    assert params.set_index("ntv_idx").loc[2]["thr_sd"] == [-4.5, 5.0]


@classics("SpikeSorterClient", "__init__", "initialize", "rebase", "clear_spikes", "set_sorting",
          "set_threshold_level", "set_threshold", "set_spike_window", "set_spike_shadow", "get_params", "get_state",
          "get_dashboard")  # fmt: skip
def sorter_of_the_stream(e: Engine) -> None:
    client = e.classic_allego()
    count = client.get_channel_metadata().num_sigs("amp")
    sorter = e.sub(client.spike_sorter())
    assert sorter.initialize() is None
    sorter_settings(sorter, count)
    sorter.set_sorting("on")
    client.set_streaming("on")
    wait_until(lambda: sorter.get_dashboard()["value"]["num_spikes_processed"] > 5)
    board = sorter.get_dashboard()["value"]
    assert (board["ports"], board["num_sites_total"]) == (["A"], count)
    state = sorter.get_state()["value"]
    assert (state["mode"], state["is_on"], state["kernel_err_message"]) == ("ON", True, "")
    for forgets in (sorter.clear_spikes, sorter.rebase):
        wait_until(lambda: _processed(sorter) > 100)
        seen = _processed(sorter)
        forgets()
        assert _processed(sorter) < seen
    sorter.set_sorting("off")
    assert sorter.get_state()["value"]["mode"] == "OFF"
    client.set_streaming("off")
    sorter.refuses(ValueError, "set_sorting", "perhaps")
    sorter.refuses(ValueError, "set_threshold_level", 1, 2, "volt")
    sorter.initialize()
    assert sorter.get_params()["thr_sd"][0][0] == -4.5  # the default again


@classics("SpikeSorterClient", "launch_offline")
def sorter_of_a_dataset(e: Engine) -> None:
    client = e.classic_hub("VidereClient")
    dataset = client.link_data_file(e.recording, calc_metrics=False)
    sorter = e.sub(client.spike_sorter(dataset_metadata=dataset, force=True))
    assert sorter.get_state()["value"]["mode"] == "NOT_CONFIGURED"
    sorter_settings(sorter, 16)
    sorter.initialize()
    assert sorter.get_state()["value"]["message"] == "waits for ON"
    assert sorter.launch_offline(dataset) is None
    wait_until(lambda: not sorter.get_state()["value"]["is_on"])
    state = sorter.get_state()["value"]
    assert (state["phase"], state["frac_complete"], state["kernel_err_message"]) == ("COMPLETE", 1.0, "")
    board = sorter.get_dashboard()["value"]
    assert (board["num_sites_total"], board["time_range"]) == (16, [3.0, 5.0])
    assert (board["spikes_file_path"], board["spikes_file_base_name"]) == (str(e.folder), "rec_SIMULATED")
    whole = sorter.get_dashboard()
    assert whole.state["value"]["phase"] == "COMPLETE"
    assert whole.general["value"]["num_units"] == board["num_units"]
    stats = whole.summary_stats.set_index(["stat", "port"])
    assert stats.loc[("neuron_yield", "A"), "mean"] == board["num_units"] / board["num_sites_enabled"]
    assert stats.loc[("snr", "A"), "N"] == board["num_units"]
    sorter.rebase()
    assert sorter.get_state()["value"]["phase"] != "COMPLETE"  # it begins anew
    sorter.set_sorting("off")
    assert not sorter.get_state()["value"]["is_on"]
    assert sorter.get_dashboard()["value"]["num_units"] == board["num_units"]  # of the file, which stays
    assert (e.folder / "rec_SIMULATED.spikes").is_file()


def _processed(sorter: Any) -> int:
    return int(sorter.get_dashboard()["value"]["num_spikes_processed"])
