"""Channels, events and spikes, and their JSON and npz forms."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ranvier.checks.readers import same_events
from ranvier.checks.sinks import probe_channels
from ranvier.exceptions import DatasetError, RecordingError
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.recordings import Channel, ChannelTable, Events, SpikeTrains, plain_channels
from ranvier.recordings.channel_json import channels_from_json, channels_to_json
from ranvier.recordings.sidecar import (
    events_from_json,
    events_to_json,
    json_bytes,
    spike_trains_from_npz,
    spike_trains_to_npz,
)

HERE = Path("sidecar.json")


class TestChannels:
    def test_index_spaces(self) -> None:
        table = plain_channels(amp=3, ain=2, din=1, dout=1)
        assert [c.name for c in table] == ["pri_0", "pri_1", "pri_2", "aux_0", "aux_1", "din_0", "dout_0"]
        assert table.columns_for_ntv(SignalType.AIN, [1, 0]).tolist() == [4, 3]
        part = table.take([2, 4])
        assert [(c.ntv, c.sys) for c in part] == [(2, 2), (1, 4)]
        assert part.columns_for_ntv(SignalType.AMP, [2]).tolist() == [0]
        assert table.is_digital.tolist() == [False] * 5 + [True] * 2

    def test_unknown_indices_are_named(self) -> None:
        table = plain_channels(amp=5).take([0, 1, 4])
        with pytest.raises(DatasetError, match=r"no AMP channel with native index \[2, 7\]; this dataset has 0-1, 4"):
            table.columns_for_ntv(SignalType.AMP, [2, 4, 7])

    def test_disorder_and_repeats_are_refused(self) -> None:
        amp, ain = (Channel(kind, 0, 0, "x") for kind in (SignalType.AMP, SignalType.AIN))
        with pytest.raises(DatasetError, match="ordered"):
            ChannelTable((ain, amp))
        with pytest.raises(DatasetError, match="occur twice"):
            ChannelTable((amp, amp))

    def test_json_keeps_every_field(self) -> None:
        table = probe_channels(4, ain=1, din=1)
        odd = replace(table[0], impedance_ohm=1.5e6, contact_id="e1", probe_idx=1, gain=0.5, offset=-1.0, port=Port.C)
        odd = replace(odd, skew_samples=7 / 13)
        table = table.with_channels([odd, *table.channels[1:]])
        data = json.loads(json_bytes(channels_to_json(table)))
        assert channels_from_json(data, HERE) == table

    def test_skew_survives_slices_and_is_none_in_sidecars_that_do_not_know_it(self) -> None:
        table = plain_channels(amp=3)
        table = table.with_channels(replace(c, skew_samples=c.ntv / 4) for c in table)
        assert table.take([2, 0]).skew_samples.tolist() == [0.5, 0.0]
        data = channels_to_json(table)
        data["columns"].pop("skew_samples")
        assert channels_from_json(data, HERE).skew_samples.tolist() == [0.0, 0.0, 0.0]

    @pytest.mark.parametrize("key", ["columns", "geometry_source", "type", "site", "ntv", "unit"])
    def test_damaged_json_is_named(self, key: str) -> None:
        data = channels_to_json(probe_channels(2))
        (data if key in data else data["columns"]).pop(key)
        with pytest.raises(RecordingError, match=r"sidecar\.json: its channel table is damaged"):
            channels_from_json(data, HERE)


class TestEvents:
    def test_order_merge_and_between(self) -> None:
        a = Events.ttl([5, 1, 5], [0, 1, 2], [1, 0, 1])
        b = Events(np.array([3]), np.array([-1]), np.array([-1]), ("message",), ("go",))
        merged = Events.merge(a, b, Events.empty())
        assert merged.counter.tolist() == [1, 3, 5, 5]
        assert merged.line.tolist() == [1, -1, 0, 2]
        assert merged.text == ("", "go", "", "")
        assert len(merged.between(3, 5)) == 1
        same_events(events_from_json(json.loads(json_bytes(events_to_json(merged))), HERE), merged)
        assert len(Events.merge()) == 0

    @pytest.mark.parametrize("damage", [{"counter": [3, 1]}, {"line": [1]}, {"state": ["x", 1]}, {"text": None}])
    def test_damaged_json_is_named(self, damage: dict) -> None:
        data = {**events_to_json(Events.ttl([1, 2], [0, 0], [1, 0])), **damage}
        with pytest.raises(RecordingError, match=r"sidecar\.json: its table of events is damaged"):
            events_from_json(data, HERE)

    def test_comparison_sees_every_column(self) -> None:
        events = Events.ttl([1, 2], [0, 1], [1, 0])
        same_events(events, events)
        for change in ({"counter": events.counter + 1}, {"line": events.line + 1}, {"source": ("a", "b")}):
            with pytest.raises(AssertionError):
                same_events(replace(events, **change), events)


class TestSpikes:
    def test_npz(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        at = np.sort(rng.integers(0, 1000, 30))
        unit, site = rng.integers(0, 3, (2, 30)).astype(np.int32)
        waveforms = rng.normal(size=(30, 4, 8)).astype(np.float32)
        trains = {
            "a/b": SpikeTrains(at, unit, site, waveforms, {1: "good", 2: "mua"}),
            "c": SpikeTrains(at, unit, site),
        }
        path = tmp_path / "spikes.npz"
        path.write_bytes(spike_trains_to_npz(trains))
        got = spike_trains_from_npz(path, "a/b")
        assert np.array_equal(got.counter, at)
        assert np.array_equal(got.waveforms, waveforms)
        assert got.unit_names == {1: "good", 2: "mua"}
        assert spike_trains_from_npz(path, "c").waveforms is None
        for content in (path.read_bytes()[:-100], b"", b"PK"):
            path.write_bytes(content)
            with pytest.raises(RecordingError, match=r"spikes\.npz: its spike trains cannot be read"):
                spike_trains_from_npz(path, "c")
