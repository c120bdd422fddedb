from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from scripted_source import ScriptedSource

from ranvier.exceptions import CapabilityError, ConfigurationError, SourceError, TimeRangeError
from ranvier.models.core_config import CableDelay
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.dsp import DSPParams, DSPType, FilterStage, FreqSpecBand
from ranvier.models.ports import Port
from ranvier.models.rig import RigState
from ranvier.models.signals import SignalType
from ranvier.models.status import BackboneMode
from ranvier.rig.clock import FakeClock
from ranvier.rig.rig import Rig

SINE, SPIKES, PRO = (
    BackboneMode.SMARTBOX_SIM_GEN_SINE,
    BackboneMode.SMARTBOX_SIM_GEN_SPIKES,
    BackboneMode.SMARTBOX_PRO,
)


def wait_for(what: Callable[[], bool], sec: float = 10.0) -> None:
    until = time.monotonic() + sec
    while not what():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.002)


class Bench:
    def __init__(self, home: Path) -> None:
        self.clock = FakeClock()
        self.sources: list[ScriptedSource] = []
        self.rig = Rig(home, clock=self.clock, make=self.make)

    def make(self, mode: BackboneMode, replay: Path | None, loop: bool) -> ScriptedSource:
        if mode == PRO:
            raise CapabilityError("SMARTBOX_PRO needs a driver that this version does not have")
        source = ScriptedSource(self.clock, mode=mode)
        source.on_read = lambda: time.sleep(0.0005)
        self.sources.append(source)
        return source

    @property
    def source(self) -> ScriptedSource:
        return self.sources[-1]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.rig.close()


def test_a_new_rig_is_idle_and_says_so(bench: Bench) -> None:
    status, details = bench.rig.control.status(), bench.rig.control.details()
    assert status.is_connected
    assert status.streaming.primary_cache_t_range == [0.0, 0.0]
    assert [(p.port, p.channel_count) for p in status.ports] == [(Port.A, 4)]
    assert (status.gpio_channel_count.n_aux, status.gpio_channel_count.n_din) == (1, 2)
    assert details.state == RigState.IDLE
    assert details.source.simulated
    assert "SIMULATED" in repr(bench.rig)
    assert bench.rig.signals.channel_metadata().source_label.startswith("SIMULATED")


def test_streaming_fills_the_cache_and_a_new_stream_empties_it(bench: Bench) -> None:
    control = bench.rig.control
    control.start_streaming()
    wait_for(lambda: bench.rig.signals.cached()[1] > 100)
    control.start_streaming()
    assert control.status().streaming.primary_cache_t_range[1] > 0.1
    control.stop_streaming()
    held = bench.rig.signals.cached()
    assert held[1] > 100
    bench.source.gate = threading.Semaphore(0)
    control.start_streaming()
    assert bench.rig.signals.cached() == (0, 0)
    bench.source.gate.release(3)
    wait_for(lambda: bench.rig.signals.cached() == (0, 15))


def test_restart_takes_another_source_or_changes_nothing(bench: Bench) -> None:
    control = bench.rig.control
    first = bench.source
    with pytest.raises(CapabilityError, match="driver"):
        control.restart(PRO)
    with pytest.raises(CapabilityError, match="simulator"):
        control.restart(SINE, require_hardware=True)
    assert bench.rig.core.source is first
    assert "close" not in first.log
    control.restart(SINE)
    assert first.log[-1] == "close"
    assert control.core_config().backbone_mode == SINE
    control.start_streaming()
    with pytest.raises(ConfigurationError, match="stop streaming first"):
        control.restart(SPIKES)


def test_core_config_all_or_nothing(bench: Bench) -> None:
    control = bench.rig.control
    with pytest.raises(ConfigurationError, match="500, 1000, 2000"):
        control.set_core_config(samp_freq=30_000.0, loop_dur=20.0)
    with pytest.raises(ConfigurationError, match="pcache_persistence"):
        control.set_core_config(loop_dur=20.0, pcache_persistence=0.0)
    before = control.core_config()
    assert before.stream_loop_dur_ms == 5
    delay = CableDelay(port=Port.B, cableDelay=4, isAuto=False)
    control.set_core_config(samp_freq=2000.0, loop_dur=20.0, pcache_persistence=2.0, cable_delay=delay)
    after = control.core_config()
    assert (after.base_samp_freq, after.stream_loop_dur_ms) == (2000.0, 20)
    assert after.cable_delays == {1: delay}
    control.start_streaming()
    assert bench.source.block_sec == 0.02
    wait_for(lambda: bench.rig.signals.cached()[1] > 5000)
    start, stop = bench.rig.signals.cached()
    assert stop - start == 4000


def test_a_new_rate_drops_filters_that_cannot_exist_there_and_says_so(bench: Bench) -> None:
    rig = bench.rig
    low, high = (
        DSPParams(type=DSPType.LOWPASS, stage=FilterStage.STAGE1, freq=100.0),
        DSPParams(
            type=DSPType.BANDPASS, stage=FilterStage.STAGE1, freq_spec_band=FreqSpecBand(low_freq=100, high_freq=400)
        ),
    )
    rig.dsp.set(FilterStage.STAGE1, [low, high])
    rig.control.set_core_config(samp_freq=500.0)
    assert rig.dsp.get().software_stage1 == [low]
    assert any("BANDPASS was dropped" in text for text in rig.control.details().warnings)


def test_losses_show_in_details(bench: Bench) -> None:
    source = bench.source
    source.steps = [source.block(10, 0), source.block(10, 25)]
    bench.rig.control.start_streaming()
    wait_for(lambda: bench.rig.control.details().source.received_samples > 50)
    details = bench.rig.control.details()
    assert (details.source.lost_samples, details.source.jumps) == (15, 1)
    assert any("15 samples were lost" in text for text in details.warnings)


def test_a_stalling_source_is_a_fault_and_can_be_restarted(bench: Bench) -> None:
    bench.source.then = "silence"
    control = bench.rig.control
    control.start_streaming()
    wait_for(lambda: control.details().state == RigState.FAULT)
    assert "stalls" in control.details().source.fault
    assert not control.status().is_connected
    assert not bench.rig.busy()
    bench.source.then = "samples"
    control.start_streaming()
    wait_for(lambda: bench.rig.signals.cached()[1] > 20)
    assert control.details().source.fault == ""


def test_a_source_that_does_not_start(bench: Bench) -> None:
    bench.source.fail_start = True
    with pytest.raises(SourceError, match="no instrument"):
        bench.rig.control.start_streaming()
    assert bench.rig.control.details().state == RigState.FAULT
    bench.rig.control.stop_streaming()
    assert bench.rig.control.details().state == RigState.IDLE


def test_two_clients_at_once(bench: Bench) -> None:
    """Control calls of many threads run one at a time; each is refused or done, and the end is consistent."""
    control = bench.rig.control
    errors: list[Exception] = []

    def client(seed: int) -> None:
        rng = np.random.default_rng(seed)
        calls = [control.start_streaming, control.stop_streaming, lambda: control.restart(SINE), control.scan_ports]
        for i in rng.integers(0, len(calls), 30):
            try:
                calls[i]()
            except ConfigurationError:
                pass
            except Exception as error:  # noqa: BLE001
                errors.append(error)

    threads = [threading.Thread(target=client, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert bench.rig.core.pump.runs == bench.rig.core.machine.streams
    control.stop_streaming()
    assert all(source.log[-1] == "close" for source in bench.sources[:-1])


def test_ground_truth(bench: Bench) -> None:
    control = bench.rig.control
    with pytest.raises(TimeRangeError):
        control.ground_truth(TimeRangeSpec.lookback(1.0))
    control.start_streaming()
    wait_for(lambda: bench.rig.signals.cached()[1] > 400)
    truth = control.ground_truth(TimeRangeSpec.subset(0.1, 0.3))
    np.testing.assert_array_equal(truth.timestamp, [100, 150, 200, 250])
    assert (truth.state == 1).all()
    assert "SIMULATED" in truth.source[0]


def test_scan_selects_everything_again(bench: Bench) -> None:
    bench.rig.signals.set_selected({SignalType.AMP: [1]})
    assert bench.rig.signals.channel_metadata().selected_num_channels[SignalType.AMP] == 1
    assert bench.rig.control.scan_ports().selected_num_channels[SignalType.AMP] == 4
