"""Headstages and probes: assigned by id or alias, remembered, refused where they do not fit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ranvier.exceptions import ConfigurationError, ProbeError
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.models.status import BackboneMode as Mode
from ranvier.probes import write_probeinterface
from ranvier.recordings.memory import ArrayRecording
from ranvier.rig.clock import FakeClock
from ranvier.rig.sensors import STREAM_ID, Sensors
from ranvier.rig.source import Source
from ranvier.rig.sources import make_source
from ranvier.rig.sources.replay import ReplaySource
from ranvier.rig.state import Action, StateMachine
from ranvier.store import Store


class Bench:
    """Sensors of one source after the other, on one store."""

    def __init__(self, store: Store) -> None:
        self.machine = StateMachine()
        self.source: Source = make_source(Mode.SMARTBOX_SIM_GEN_SPIKES, clock=FakeClock())
        self.changes = 0
        self.sensors = Sensors(lambda: self.source, self.machine, store, changed=self._changed)

    def take(self, source: Source) -> None:
        self.source = source
        self.sensors.apply()

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Store(tmp_path) as store:
        yield Bench(store)


def on_ports(bench: Bench) -> list[tuple[str, str, str, int]]:
    return [(s.port.name, s.headstage_id, s.probe_id, s.num_channels) for s in bench.sensors.assigned()]


def test_what_is_available_can_be_assigned(bench: Bench) -> None:
    known = bench.sensors.available()
    assert {"passthrough_32", "RHD2164"} <= set(known["headstages"])
    assert {"a4x8_5mm100_200_177", "buz64"} <= set(known["probes"])
    assert (known["headstages"]["RHD2164"], known["probes"]["a8x1_tet_7mm_200_121"]) == (64, 32)
    bench.sensors.apply()
    bench.sensors.assign(Port.A, "passthrough_32", "a4x8_5mm100_200_177")
    assert on_ports(bench) == [("A", "passthrough_32", "a4x8_5mm100_200_177", 32)]


def test_a_simulator_begins_with_a_probe(bench: Bench) -> None:
    table = bench.sensors.apply()
    assert on_ports(bench) == [("A", "passthrough_32", "a1x32_poly3_8mm50s_177", 32)]
    assert table == bench.source.channels
    assert table.geometry_source == "simulated"
    assert table.wiring_verified
    amp = [c for c in table if c.type == SignalType.AMP]
    assert all(c.site is not None and c.headstage_id == "hstg__passthrough_32" for c in amp)
    assert table.gains[0] == 0.195


def test_aliases_and_prefixes_work(bench: Bench) -> None:
    metadata = bench.sensors.assign(Port.C, "hstg__passthrough_64", "poly3-64")
    assert on_ports(bench)[1] == ("C", "passthrough_64", "v1x64_poly3_10mm25s_177", 64)
    assert metadata.dataset_uid == STREAM_ID
    assert metadata.num_channels[SignalType.AMP] == 96
    assert metadata.ports[SignalType.AMP][31:33] == [Port.A, Port.C]
    index = metadata.sig_map[SignalType.AMP]
    assert index.ntv == index.sys == list(range(96))
    assert metadata.sig_map[SignalType.DIN].sys == [98, 99]
    assert metadata.wiring_verified
    assert bench.changes == 1


def test_without_a_headstage_a_simulator_takes_one_that_fits(bench: Bench) -> None:
    bench.sensors.assign(Port.B, "", "buz-64")
    assert on_ports(bench)[1] == ("B", "passthrough_64", "buz64", 64)


def test_sensors_can_be_taken_away(bench: Bench) -> None:
    bench.sensors.assign(Port.B, "", "buz-64")
    bench.sensors.assign(Port.A, "", "")
    assert on_ports(bench) == [("B", "passthrough_64", "buz64", 64)]
    with pytest.raises(ConfigurationError, match="1 to 128"):
        bench.sensors.assign(Port.B, "", "")
    assert on_ports(bench) == [("B", "passthrough_64", "buz64", 64)]


@pytest.mark.parametrize(
    ("headstage", "probe", "named"),
    [
        ("pass-64", "4x8-32", "headstage passthrough_64 has 64 channels, but probe 4x8-32 has 32"),
        ("nothing-64", "4x8-32", "nothing-64"),
        ("pass-32", "unheard-of", "unheard-of"),
        ("pass-32", "", "name the probe"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(bench: Bench, headstage: str, probe: str, named: str) -> None:
    bench.sensors.apply()
    before, channels = on_ports(bench), bench.source.channels
    with pytest.raises(ProbeError, match=named):
        bench.sensors.assign(Port.B, headstage, probe)
    assert on_ports(bench) == before
    assert bench.source.channels is channels
    assert bench.changes == 0


def test_more_channels_than_the_source_takes_are_refused(bench: Bench) -> None:
    bench.sensors.apply()
    for port in list(Port):
        bench.sensors.assign(port, "", "a8x16_5mm100_200_177")
    assert bench.source.channels.count(SignalType.AMP) == 1024
    with pytest.raises(ConfigurationError, match="128 channels per port"):
        bench.sensors.assign(Port.H, "", "a8x17_5mm100_200_177")
    assert bench.source.channels.count(SignalType.AMP) == 1024


def test_only_while_idle(bench: Bench) -> None:
    bench.sensors.apply()
    bench.machine.to(Action.START_STREAMING)
    with pytest.raises(ConfigurationError, match="stop streaming first"):
        bench.sensors.assign(Port.A, "pass-32", "4x8-32")


def test_what_was_assigned_is_remembered_for_all_simulators(bench: Bench, tmp_path: Path) -> None:
    bench.sensors.assign(Port.A, "pass-32", "4x8-32")
    bench.sensors.assign(Port.F, "pass-32", "buz-32")
    expected = [("A", "passthrough_32", "a4x8_5mm100_200_177", 32), ("F", "passthrough_32", "buz32", 32)]
    bench.take(make_source(Mode.SMARTBOX_SIM_GEN_LFP, clock=FakeClock()))
    assert on_ports(bench) == expected
    with Store(tmp_path) as store:
        later = Bench(store)
        later.sensors.apply(20_000.0)
        assert on_ports(later) == expected
        assert later.source.fs == 20_000


def test_a_probe_file_is_assigned_by_path(bench: Bench, tmp_path: Path) -> None:
    bench.sensors.apply()
    path = write_probeinterface(tmp_path / "probe.json", bench.source.channels)
    bench.sensors.assign(Port.D, "", str(path))
    assert on_ports(bench)[1][3] == 32
    bench.take(make_source(Mode.SMARTBOX_SIM_GEN_SINE, clock=FakeClock()))
    assert [s.port for s in bench.source.scan()] == [Port.A, Port.D]


def test_a_replay_keeps_the_geometry_of_its_file_until_told_otherwise(
    bench: Bench, short_recording: ArrayRecording
) -> None:
    bench.take(ReplaySource(short_recording, clock=FakeClock()))
    assert on_ports(bench) == [("A", "", "", 4)]
    assert bench.source.channels.geometry_source == "assumed"
    assert not bench.source.channels.wiring_verified
    bench.sensors.assign(Port.A, "", "a1x4_5mm100_177")
    assert on_ports(bench) == [("A", "", "a1x4_5mm100_177", 4)]
    assert not bench.source.channels.wiring_verified
    with pytest.raises(ProbeError, match="4 amplifier channels"):
        bench.sensors.assign(Port.A, "", "a4x8_5mm100_200_177")
    with pytest.raises(ConfigurationError, match="nothing is on port B"):
        bench.sensors.assign(Port.B, "", "a1x4_5mm100_177")
    bench.take(ReplaySource(short_recording, clock=FakeClock()))
    assert on_ports(bench) == [("A", "", "a1x4_5mm100_177", 4)]
    bench.sensors.assign(Port.A, "", "")
    assert bench.source.channels.geometry_source == "assumed"


def test_what_fits_no_longer_is_left_out_and_noted(bench: Bench, short_recording: ArrayRecording) -> None:
    bench.take(ReplaySource(short_recording, clock=FakeClock()))
    bench.sensors.assign(Port.A, "", "a1x4_5mm100_177")
    other = ArrayRecording(np.zeros((10, 3), np.int16), 10_000.0, name="short")
    bench.take(ReplaySource(other, clock=FakeClock()))
    assert on_ports(bench) == [("A", "", "", 3)]
    assert len(bench.sensors.notes) == 1
    assert "port A" in bench.sensors.notes[0]
    bench.take(make_source(Mode.SMARTBOX_SIM_GEN_SINE, clock=FakeClock()))
    assert bench.sensors.notes == ()


def test_a_source_without_its_own_sensors_has_a_column_that_says_so(bench: Bench) -> None:
    bench.take(make_source(Mode.SMARTBOX_SIM_GEN_SINE, clock=FakeClock(), ports={Port.A: 7}))
    assert bench.source.channels.geometry_source == "assumed"
    assert bench.source.channels[3].site is not None
