"""Every documented method of the typed VidereClient and CurateClient, and of what they share."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from every_call import Engine, typed, wait_until

import ranvier.models as m
from ranvier.exceptions import DatasetError
from ranvier.models.dataset import ProtocolSpec, TransformEdge, TransformNode
from ranvier.recordings import open_session

AMP = m.SignalType.AMP
FS = 30_000


@typed("BaseFileClient", "__init__", "server_version", "healthcheck", "link_data_file", "list_data_sources",
       "list_data_source_ids", "clear_data_sources", "get_tailing_state")  # fmt: skip
def linking(e: Engine) -> None:
    client = e.videre()
    assert client.server_version == (5, 7, 0)
    assert client.healthcheck() is None
    ds = client.link_data_file(e.recording)
    assert isinstance(ds, m.DatasetMetadata)
    assert (list(ds.time_range.sec), ds.time_range.fs) == ([3.0, 5.0], FS)
    assert ds.id in client.list_data_source_ids()
    assert client.list_data_sources()[ds.id].base_name == ds.base_name
    state = client.get_tailing_state(ds)
    assert isinstance(state, m.TailingState)
    assert (state.is_live, state.available_time_range.dur_sec) == (False, 2.0)
    assert client.clear_data_sources(ds.id) == [ds.id]
    assert ds.id not in client.list_data_source_ids()


@typed("BaseFileClient", "export_data_source", "list_directory", "copy_data_source_file", "move_data_source_file",
       "remove_data_source_file")  # fmt: skip
def files(e: Engine) -> None:
    client, base = e.videre(), e.recording.with_name("rec_SIMULATED")
    assert [type(info).__name__ for info in client.list_directory(e.folder)] == ["FileInfo"]
    client.copy_data_source_file(base, e.folder / "copy")
    client.move_data_source_file(e.folder / "copy", e.folder / "moved")
    assert {info.base_name for info in client.list_directory(e.folder)} == {"rec_SIMULATED", "moved"}
    client.remove_data_source_file(e.folder / "moved", force=True)
    assert len(client.list_directory(e.folder)) == 1
    client.export_data_source(e.recording, e.folder / "out" / "as.nwb")
    assert np.allclose(
        client.get_signals(e.folder / "out" / "as.nwb", [3.0, 3.1], [4]).amp,
        client.get_signals(e.recording, [3.0, 3.1], [4]).amp,
        atol=0.2,
    )


@typed("VidereClient", "get_signals", "get_dsp_group", "set_dsp_group", "get_channel_metadata")
def signals(e: Engine) -> None:
    client = e.videre()
    found = client.get_signals(e.recording, [3.25, 3.75], [5, 2])
    assert isinstance(found, m.SignalArrays)
    assert (found.amp.shape, found.amp.dtype) == ((2, FS // 2), np.float64)
    assert 1 < np.abs(found.amp).max() < 10_000  # uV
    assert client.get_channel_metadata(e.recording).num_channels[AMP] == 16
    client.set_dsp_group(e.recording, stage="stage2", params=[{"type": "highpass", "freq": 300.0}])
    group = client.get_dsp_group(e.recording)
    assert isinstance(group, m.DSPGroup)
    assert [one.freq for one in group.software_stage2] == [300.0]  # Hz
    filtered = client.get_signals(e.recording, [3.25, 3.75], [5, 2], apply_dsp=True)
    assert not np.allclose(filtered.amp, found.amp)
    client.set_dsp_group(e.recording, stage="stage2", params=[])


@typed("VidereClient", "set_selected_channels", "select_channels", "deselect_channels", "set_channel_groups")
def selection(e: Engine) -> None:
    client = e.videre()

    def chosen(ds: Any) -> list[int]:
        return list(ds.channel_metadata.selected_sig_map[AMP].ntv)

    assert chosen(client.set_selected_channels(e.recording, [1, 2])) == [1, 2]
    assert chosen(client.select_channels(e.recording, [5])) == [1, 2, 5]
    assert chosen(client.deselect_channels(e.recording, [1])) == [2, 5]
    groups = client.set_channel_groups(e.recording, [[2], [5]]).channel_metadata
    assert len({groups.get_channel_info(ntv, AMP).color_group_idx for ntv in (2, 5)}) == 2
    client.set_selected_channels(e.recording, "all")


@typed("VidereClient", "get_kpi_metrics", "get_kpi_status", "kpi_calculate", "kpi_clear", "set_kpi_packet_dur",
       "get_kpi_metrics_series", "get_kpi_bundle_stats")  # fmt: skip
def metrics(e: Engine) -> None:
    client = e.videre()
    client.set_kpi_packet_dur(e.recording, 0.5)
    client.kpi_calculate(e.recording)
    status = client.get_kpi_status(e.recording)
    assert isinstance(status, m.KpiStatus)
    assert (status.packet_dur, status.num_packets) == (0.5, 3)  # s; the last one may still grow
    signal = client.get_signals(e.recording, [3.0, 5.0], [3, 1]).amp
    found = client.get_kpi_metrics(e.recording, ["RMS", "MAX"], [3, 1])
    assert isinstance(found, m.KpiMetricsResult)
    expected = np.stack([np.sqrt((signal**2).mean(axis=1)), signal.max(axis=1)], axis=1)  # uV
    assert np.allclose(found.values, expected, rtol=1e-4)
    series = client.get_kpi_metrics_series(e.recording, ["RMS"], None, [3, 1])
    assert [window.values.shape for window in series.windows] == [(2, 1)] * 4
    stats = client.get_kpi_bundle_stats(e.recording, [("RMS", "MAX")], None, [3, 1])
    assert stats.windows[0].values[0] == pytest.approx(series.windows[0].values.max())
    client.kpi_clear(e.recording)
    assert client.get_kpi_status(e.recording).num_packets == 0


@typed("VidereClient", "get_spikes_ids", "get_spikes_spec", "get_spikes_by_channel", "get_spikes_by_neuron",
       "get_neurons", "get_units")  # fmt: skip
def spikes(e: Engine) -> None:
    client = e.videre()
    with open_session(e.recording) as session:
        truth = session.spike_trains["ground_truth"]
    client.convert_spikes(e.recording)
    own, inside = client.get_spikes_ids(e.recording)
    assert client.link_data_file(e.recording).associated_spikes_ids == [own, inside]
    spec = client.get_spikes_spec(e.recording)
    assert isinstance(spec, m.SpikesSpec)
    assert (spec.biointerface_id, spec.num_sites, spec.time_range) == (own, 16, (3.0, 5.0))
    assert client.get_spikes_spec(e.recording, spikes_id=inside).biointerface_id == inside
    assert spec.num_neurons == len(set(truth.unit.tolist()))
    inside_range = (truth.counter >= 3.5 * FS) & (truth.counter < 4.5 * FS)
    site = int(np.bincount(truth.site[inside_range]).argmax())
    channel = client.get_spikes_by_channel(e.recording, [site], [3.5, 4.5], True)[site]
    assert isinstance(channel, m.ChannelSpikeData)
    mine = inside_range & (truth.site == site)
    assert np.array_equal(channel.timestamps, truth.counter[mine] / FS)  # s
    assert np.array_equal(channel.labels, truth.unit[mine])
    assert (channel.waveforms.shape, channel.waveforms.dtype) == ((mine.sum(), 90), np.float32)
    unit = int(truth.unit[mine][0])
    neuron = client.get_spikes_by_neuron(e.recording, time_range=[3.5, 4.5], include_waveforms=True)[unit]
    assert isinstance(neuron, m.NeuronSpikeData)
    assert np.array_equal(neuron.timestamps, truth.counter[inside_range & (truth.unit == unit)] / FS)
    assert 10 < np.abs(neuron.waveforms.mean(axis=0)).max() < 1000  # uV
    neurons = client.get_neurons(e.recording)
    assert isinstance(neurons, m.NeuronsResult)
    (info,) = (n for found in neurons.neurons_by_channel.values() for n in found if n.spike_label == str(unit))
    count = int(np.count_nonzero(truth.unit == unit))
    assert (info.spike_count, info.spike_rate) == (count, count / 2.0)  # Hz
    (short,) = (u for u in client.get_units(e.recording) if u.label == unit)
    assert isinstance(short, m.Unit)
    assert (short.spike_count, short.probe_y, short.snr) == (count, info.pos_probe[1], info.snr)
    made = client.merge_units(e.recording, sorted(set(truth.unit.tolist()))[:2])
    assert made in {u.label for u in client.get_units(e.recording)}


@typed("VidereClient", "get_spectral", "get_batch_spectral", "get_spectral_info")
def spectra(e: Engine) -> None:
    client = e.videre()
    query = m.SpectralQuery(
        ntv_chan_idxs=(0, 3), ranges=((4.0, 0.5, 0.5),), algorithm=m.SpectralAlgorithm.WELCH,
        welch_config=m.WelchConfig(segment_duration_sec=0.5),
    )  # fmt: skip
    found = client.get_spectral(e.recording, query)
    assert isinstance(found, m.SpectralResult)
    density = np.asarray(found.ranges[0].channels[1].power)
    assert density.shape == found.freq_axis.shape
    signal = client.get_signals(e.recording, [3.5, 4.5], [3]).amp[0]
    total = density.sum() * (found.freq_axis[1] - found.freq_axis[0])  # uV^2
    assert total == pytest.approx(signal.var(), rel=0.5)
    both = client.get_batch_spectral([(e.recording, query), (e.recording, query)])
    assert isinstance(both, m.BatchSpectralResult)
    info = client.get_spectral_info(fs=FS, duration_sec=1.0, num_channels=2, query=query)
    assert isinstance(info, m.SpectralInfoResult)
    assert info.achieved_df_hz == pytest.approx(2.0)


@typed("VidereClient", "get_provenance")
def provenance(e: Engine) -> None:
    client = e.videre()
    made = client.highpass(e.recording, 300.0, e.folder / "out" / "hp")
    found = client.get_provenance(made)
    assert isinstance(found, m.Provenance)
    assert [op.filter.type.name for op in found.record.ops if op.filter is not None] == ["HIGHPASS"]


#: Each transform: its arguments between the dataset and the output, and what must be true of before and after (uV).
TRANSFORMS: dict[str, tuple[tuple[Any, ...], Callable[[Any, Any], Any]]] = {
    "slice_time": ((3.5, 4.5), lambda x, y: y.shape[1] == FS),
    "downsample": ((10,), lambda x, y: y.shape[1] == x.shape[1] // 10),
    "highpass": ((300.0,), lambda x, y: y.std() < x.std()),
    "lowpass": ((100.0,), lambda x, y: np.abs(np.diff(y)).max() < np.abs(np.diff(x)).max()),
    "bandpass": ((300.0, 5000.0), lambda x, y: y.std() < x.std()),
    "bandstop": ((300.0, 5000.0), lambda x, y: y.std() < x.std()),
    "notch": ((50.0, 4.0), lambda x, y: y.shape == x.shape and not np.array_equal(x, y)),
    "car": ((), lambda x, y: np.abs(y.mean(axis=0)).max() < 0.1),
    "virtual_ref": ((2,), lambda x, y: np.allclose(y[0], x[0] - x[2], atol=0.3) and not y[2].any()),
    "paired_ref": ((2, 0), lambda x, y: np.allclose(y[0], x[0] - x[2], atol=0.3)),
    "slice_channels": (([0, 3],), lambda x, y: np.allclose(y, x[[0, 3]], atol=0.2)),
}


def transformed(e: Engine, client: Any) -> None:
    before = client.get_signals(e.recording).amp
    for name, (arguments, holds) in TRANSFORMS.items():
        made = getattr(client, name)(e.recording, *arguments, e.folder / "out" / name)
        assert isinstance(made, m.DatasetMetadata), name
        after = client.get_signals(made).amp
        assert after.dtype == np.float64
        assert holds(before, after), name


@typed("VidereClient", *TRANSFORMS)
def transforms_of_videre(e: Engine) -> None:
    transformed(e, e.videre())


@typed("CurateClient", "__init__", *TRANSFORMS)
def transforms_of_curate(e: Engine) -> None:
    transformed(e, e.curate())


def protocol(e: Engine, client: Any) -> None:
    source, high = TransformNode.source(client.link_data_file(e.recording)), TransformNode.highpass(300.0)
    nodes = [source, high, TransformNode.sink("done", str(e.folder / "out"), m.RadiensFileType.XDAT)]
    edges = [TransformEdge(source=a.id, target=b.id) for a, b in pairwise(nodes)]
    spec = client.set_protocol(nodes, edges, protocol_id="hp")
    assert spec == client.get_protocol("hp") == ProtocolSpec(id="hp", node_count=3)
    assert "hp" in {one.id for one in client.get_all_protocols()}
    assert client.apply_protocol("hp") is None
    single = client.highpass(e.recording, 300.0, e.folder / "out" / "alone")
    done = client.get_signals(e.folder / "out" / "done.xdat").amp
    assert np.array_equal(done, client.get_signals(single).amp)
    with pytest.raises(DatasetError):
        client.get_protocol("another")


PROTOCOL = ("set_protocol", "get_protocol", "get_all_protocols", "apply_protocol")


@typed("VidereClient", *PROTOCOL)
def protocol_of_videre(e: Engine) -> None:
    protocol(e, e.videre())


@typed("CurateClient", *PROTOCOL)
def protocol_of_curate(e: Engine) -> None:
    protocol(e, e.curate())


#: Each bulk transform, its arguments, and the single one that gives the same.
BULK: dict[str, tuple[Any, ...]] = {
    "bulk_highpass": (300.0,),
    "bulk_lowpass": (100.0,),
    "bulk_bandpass": (300.0, 5000.0),
    "bulk_bandstop": (300.0, 5000.0),
    "bulk_notch": (50.0, 4.0),
    "bulk_downsample": (10,),
    "bulk_slice_time": (3.5, 4.5),
}


def bulk(e: Engine, client: Any) -> None:
    for name, arguments in BULK.items():
        getattr(client, name)([e.recording], *arguments, e.folder / name, "_made")
        (header,) = (e.folder / name).glob("rec*made*.xdat.json")
        target = header.with_suffix("")
        single = getattr(client, name.removeprefix("bulk_"))(e.recording, *arguments, e.folder / name / "alone")
        assert np.array_equal(client.get_signals(target).amp, client.get_signals(single).amp), name


@typed("VidereClient", *BULK)
def bulk_of_videre(e: Engine) -> None:
    bulk(e, e.videre())


@typed("CurateClient", *BULK)
def bulk_of_curate(e: Engine) -> None:
    bulk(e, e.curate())


@typed("VidereClient", "spike_sort", "get_spike_sorter_ids", "get_spike_sorter_state", "get_spike_sorter_dashboard",
       "get_detect_params", "set_detect_params", "update_detect_params", "spike_sorter_delete")  # fmt: skip
def sorting(e: Engine) -> None:
    client = e.videre()
    client.convert(e.recording, e.folder / "copy.xdat")
    ds = client.concatenate([e.recording, e.folder / "copy.xdat"], e.folder / "long.session.json", gap_sec=0.1)
    client.set_detect_params(ds.id, m.SpikeDetectParams(thr_sd=[-5.0, np.nan]), [2])  # SD
    client.update_detect_params(ds.id, m.SpikeDetectParams(is_enabled=False), [0])
    params = client.get_detect_params(ds.id, [0, 2])
    assert (params[0].is_enabled, params[2].thr_sd[0]) == (False, -5.0)
    spikes = client.spike_sort(m.SpikeSorterLaunchParams(dsource_id=ds.id, seed=1))
    assert (e.folder / "long.spikes").is_file()
    assert spikes in client.link_data_file(e.folder / "long.session.json").associated_spikes_ids
    assert client.get_spike_sorter_ids(ds) == [spikes]
    assert client.get_spike_sorter_state(spikes).phase == m.SpikeSorterPhase.COMPLETE
    general = client.get_spike_sorter_dashboard(spikes).general
    assert (general.sorter_type, general.datasource_id) == (m.SpikeSorterType.VEX_FILE, ds.id)
    assert (general.num_total_sites, general.num_enabled_sites) == (16, 15)
    assert general.num_neurons == len(client.get_units(ds, spikes_id=spikes))
    client.spike_sorter_delete(spikes)
    with pytest.raises(DatasetError, match="no sorter"):
        client.spike_sorter_command(spikes, "rebase")
    assert (e.folder / "long.spikes").is_file()


@typed("VidereClient", "spike_sorter_launch", "spike_sorter_command", "spike_sorter_cancel")
def sorters(e: Engine) -> None:
    client, before = e.videre(), {p.name for p in e.folder.iterdir()}
    launch = m.SpikeSorterLaunchParams(
        dsource_id=str(e.recording), is_auto_on=False, sub_cmd=m.SpikeSorterSubCommand.DETECT_ONLY
    )
    result = client.spike_sorter_launch(launch)
    assert isinstance(result, m.SpikeSorterLaunchResult)
    sorter = result.spike_sorter_id
    assert not client.get_spike_sorter_state(sorter).is_on
    client.spike_sorter_command(sorter, "on")
    wait_until(lambda: not client.get_spike_sorter_state(sorter).is_on)
    assert {p.name for p in e.folder.iterdir()} - before == {"rec_SIMULATED.spikes"}
    assert sum(len(c.timestamps) for c in client.get_spikes_by_channel(e.recording, spikes_id=sorter).values()) > 10
    client.spike_sorter_cancel(sorter)
    other = client.spike_sorter_launch(launch.model_copy(update={"sink_dsrc_id": "other"})).spike_sorter_id
    client.spike_sorter_cancel(other)
    with pytest.raises(DatasetError):
        client.get_spike_sorter_state(other)
