"""Outputs: who may stimulate, when pulses play, and what ends them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outputs_fake import FIRST_AIN, FIRST_DIN, FakeSource, biphasic

from ranvier.exceptions import CapabilityError, ConfigurationError, SourceError
from ranvier.models.rig import SafetyLimits
from ranvier.models.stim import StimStep, StimTriggerEdgeOrLevel, StimTriggerHighOrLow
from ranvier.rig.clock import FakeClock
from ranvier.rig.outputs import Outputs
from ranvier.rig.state import Action, StateMachine
from ranvier.rig.stim_player import HORIZON_SEC
from ranvier.store import Store


class Bench:
    """Outputs on a fake source, driven block by block."""

    def __init__(self, home: Path, fs: int = 30_000) -> None:
        self.source = FakeSource(fs)
        self.machine = StateMachine()
        self.store = Store(home)
        self.clock = FakeClock()
        self.outputs = Outputs(lambda: self.source, self.machine, self.store)

    def stream(self) -> None:
        self.machine.to(Action.START_STREAMING)
        self.outputs.stream_started()

    def stop(self) -> None:
        self.machine.to(Action.STOP_STREAMING)
        self.outputs.stream_stopped()

    def run(self, blocks: int = 1, n: int = 30, **signals: object) -> None:
        for _ in range(blocks):
            block = self.source.block(n, **signals)  # type: ignore[arg-type]
            self.clock.advance(n / float(self.source.fs))
            self.outputs.on_block(block, self.clock.monotonic())

    @property
    def begun(self) -> list[int]:
        return [begun for begun, *_ in self.source.played]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def ready(bench: Bench, **params: object) -> Bench:
    bench.outputs.set_stim_params(biphasic(**params))
    bench.outputs.arm(client="me")
    bench.stream()
    bench.run()
    return bench


DIN_0 = {"trigger_source_idx": FIRST_DIN, "trigger_source_is_keypress": False}


# --- settings


def test_stimulation_is_kept_by_channel(bench: Bench) -> None:
    first, other = biphasic(0), biphasic(3, ua=5)
    bench.outputs.set_stim_params(first)
    bench.outputs.set_stim_params(other)
    assert bench.outputs.stim_params() == {0: first, 3: other}
    bench.outputs.set_stim_params(biphasic(0, ua=1))
    assert bench.outputs.stim_params()[0].first_phase_amplitude == 1


def test_nothing_changes_while_streaming_or_where_it_is_refused(bench: Bench) -> None:
    bench.outputs.set_stim_params(biphasic())
    with pytest.raises(ConfigurationError, match="exceed"):
        bench.outputs.set_stim_params(biphasic(ua=25.5, us=1000))
    bench.stream()
    for change in (
        lambda: bench.outputs.set_stim_params(biphasic(1)),
        lambda: bench.outputs.set_stim_step(StimStep.STIM_STEP_SIZE_1_UA),
        lambda: bench.outputs.set_safety_limits(SafetyLimits(charge_per_phase_nc=1), reason="x"),
    ):
        with pytest.raises(ConfigurationError, match="stop streaming"):
            change()
    assert bench.outputs.stim_params() == {0: biphasic()}


def test_channels_that_are_off_keep_to_the_limits_too(bench: Bench) -> None:
    with pytest.raises(ConfigurationError, match="exceed"):
        bench.outputs.set_stim_params(biphasic(ua=25.5, us=1000, enabled=False))


def test_a_step_that_does_not_fit_a_channel_is_refused(bench: Bench) -> None:
    bench.outputs.set_stim_params(biphasic(ua=10))
    with pytest.raises(ConfigurationError, match="beyond the range"):
        bench.outputs.set_stim_step(StimStep.STIM_STEP_SIZE_10_NA)
    bench.outputs.set_stim_step(StimStep.STIM_STEP_SIZE_500_NA)
    assert bench.outputs.stim_step().stim_step == StimStep.STIM_STEP_SIZE_500_NA


# --- limits


def test_limits_change_only_with_a_reason_and_the_store_keeps_it(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="reason"):
        bench.outputs.set_safety_limits(SafetyLimits(charge_per_phase_nc=8), reason="  ")
    assert bench.outputs.safety_limits() == SafetyLimits()
    assert bench.outputs.status().limits_changed == ""
    bench.outputs.set_safety_limits(SafetyLimits(charge_per_phase_nc=8), reason="saline bench")
    bench.outputs.set_stim_params(biphasic(ua=20, us=400))
    assert bench.outputs.status().limits_changed == "charge_per_phase_nc 4 -> 8 (saline bench)"
    (change,) = Store(tmp_path).safety_log.all()
    assert (change.reason, change.old["charge_per_phase_nc"], change.new["charge_per_phase_nc"]) == (
        "saline bench",
        4.0,
        8.0,
    )
    with pytest.raises(ConfigurationError, match="8 nC per phase exceed the limit of 4 nC"):
        bench.outputs.set_safety_limits(SafetyLimits(), reason="back to tissue")
    assert bench.outputs.safety_limits().charge_per_phase_nc == 8
    assert len(bench.store.safety_log.all()) == 1


def test_limits_that_cannot_be_recorded_do_not_change(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from ranvier.exceptions import StoreError

    def broken(*arguments: object) -> None:
        raise StoreError("read only")

    monkeypatch.setattr(bench.store.safety_log, "add", broken)
    with pytest.raises(StoreError):
        bench.outputs.set_safety_limits(SafetyLimits(charge_per_phase_nc=8), reason="bench")
    assert bench.outputs.safety_limits() == SafetyLimits()


def test_another_rig_begins_with_the_default_limits(bench: Bench, tmp_path: Path) -> None:
    bench.outputs.set_safety_limits(SafetyLimits(charge_per_phase_nc=8), reason="saline bench")
    assert Bench(tmp_path).outputs.safety_limits() == SafetyLimits()


# --- keys


def test_a_key_plays_one_pulse_and_the_log_tells(bench: Bench) -> None:
    ready(bench)
    at = bench.source.head + 30
    bench.outputs.keypress(1, True)
    bench.run(5)
    assert bench.begun == [at]
    np.testing.assert_allclose(bench.source.played[0][2], [-10] * 6 + [10] * 6)
    (pulse,) = bench.outputs.pulses()
    assert (pulse.counter, pulse.sys_chan_idx, pulse.cause, pulse.charge_nc) == (at, 0, "key 1", pytest.approx(2.0))
    bench.run(5)
    bench.outputs.keypress(1, True)  # it is down already
    bench.run(5)
    assert len(bench.begun) == 1
    bench.outputs.keypress(1)  # up
    bench.outputs.keypress(1)  # down again
    bench.run(5)
    assert len(bench.begun) == 2
    bench.outputs.keypress(2, True)  # nobody's key
    bench.run(5)
    assert len(bench.begun) == 2


def test_a_key_released_before_the_next_block_plays_all_the_same(bench: Bench) -> None:
    ready(bench)
    bench.outputs.keypress(1, True)
    bench.outputs.keypress(1, False)
    bench.run()
    assert len(bench.begun) == 1


def test_keys_that_can_do_nothing_are_refused(bench: Bench) -> None:
    bench.outputs.set_stim_params(biphasic())
    with pytest.raises(ConfigurationError, match="arm\\(\\)"):
        bench.outputs.keypress(1, True)
    bench.outputs.arm(client="me")
    with pytest.raises(ConfigurationError, match="nothing streams"):
        bench.outputs.keypress(1)
    bench.outputs.keypress(1, False)
    for wrong in (0, 9):
        with pytest.raises(ConfigurationError, match="keys are 1-8"):
            bench.outputs.keypress(wrong, True)


def test_a_key_can_trigger_on_release_and_as_a_level(bench: Bench) -> None:
    ready(bench, trigger_high_or_low=StimTriggerHighOrLow.LOW)
    bench.outputs.keypress(1, True)
    bench.run(3)
    assert bench.begun == []
    bench.outputs.keypress(1, False)
    bench.run(3)
    assert len(bench.begun) == 1


def test_a_level_repeats_pulses_as_the_refractory_period_allows(bench: Bench) -> None:
    ready(bench, refractory_period=2000, trigger_edge_or_level=StimTriggerEdgeOrLevel.LEVEL)
    bench.outputs.keypress(1, True)
    bench.run(20)
    distances = np.diff(bench.begun)
    assert len(distances) > 3
    assert (distances >= 12 + 60).all()
    assert (distances <= 12 + 60 + 30).all()
    bench.outputs.keypress(1, False)
    bench.run()
    count = len(bench.begun)
    bench.run(20)
    assert len(bench.begun) == count


# --- inputs


def test_a_rising_edge_triggers_and_a_standing_level_does_not(bench: Bench) -> None:
    bench.outputs.set_stim_params(biphasic(**DIN_0))
    bench.outputs.arm(client="me")
    bench.stream()
    bench.run(3, high={FIRST_DIN: slice(None)})  # high from the first sample: no edge
    assert bench.begun == []
    bench.run()
    bench.run(high={FIRST_DIN: slice(10, None)})
    assert len(bench.begun) == 1
    assert bench.outputs.pulses()[0].cause == f"input column {FIRST_DIN}"


def test_the_delay_counts_from_the_edge(bench: Bench) -> None:
    ready(bench, **DIN_0, post_trigger_delay=10_000)
    start = bench.source.head
    bench.run(high={FIRST_DIN: slice(7, None)})
    assert bench.begun == [start + 7 + 300]


def test_analog_inputs_and_falling_edges(bench: Bench) -> None:
    ready(
        bench,
        trigger_source_idx=FIRST_AIN,
        trigger_source_is_keypress=False,
        trigger_high_or_low=StimTriggerHighOrLow.LOW,
        post_trigger_delay=10_000,
    )
    start = bench.source.head
    bench.run(high={FIRST_AIN: slice(0, 20)})
    assert bench.begun == [start + 20 + 300]


def test_a_gap_hides_edges(bench: Bench) -> None:
    ready(bench, **DIN_0)
    bench.source.head += 100
    bench.run(high={FIRST_DIN: slice(None)})
    assert bench.begun == []


def test_refractory_is_counted_in_samples(bench: Bench) -> None:
    ready(bench, **DIN_0, post_trigger_delay=2_000, refractory_period=10_000)  # 60 and 300 samples
    start = bench.source.head
    high = np.zeros(1000, bool)
    edges = [5, 100, 5 + 60 + 12 + 300 - 1, 5 + 60 + 12 + 300 + 1]
    high[edges] = True
    for first in range(0, 1000, 20):
        bench.run(n=20, high={FIRST_DIN: high[first : first + 20]})
    assert bench.begun == [start + 5 + 60, start + edges[3] + 60]
    assert bench.outputs.status().ignored_triggers == 2


@settings(max_examples=25, deadline=None)
@given(
    edges=st.lists(st.integers(1, 1400), max_size=12),
    sizes=st.lists(st.integers(1, 120), min_size=1, max_size=12),
)
def test_delayed_pulses_do_not_depend_on_the_chunking(
    edges: list[int], sizes: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    high = np.zeros(1500, bool)
    high[edges] = True

    def play(cuts: list[int]) -> list[int]:
        bench = Bench(tmp_path_factory.mktemp("home"))
        bench.outputs.set_stim_params(biphasic(**DIN_0, post_trigger_delay=5_000, refractory_period=3000))
        bench.outputs.arm(client="me")
        bench.stream()
        at = k = 0
        while at < len(high):
            n = min(cuts[k % len(cuts)], len(high) - at)
            bench.run(n=n, high={FIRST_DIN: high[at : at + n]})
            at, k = at + n, k + 1
        return bench.begun

    assert play(sizes) == play([30])


# --- trains


def test_a_train_keeps_its_period_to_the_sample(bench: Bench) -> None:
    ready(bench, pulse_or_train=1, number_of_stim_pulses=50, pulse_train_period=10_000)
    bench.outputs.keypress(1, True)
    bench.run(600)
    assert len(bench.begun) == 50
    assert (np.diff(bench.begun) == 300).all()
    assert len(bench.outputs.pulses()) == 50


def test_nothing_is_queued_further_ahead_than_the_horizon(bench: Bench) -> None:
    ready(bench, pulse_or_train=1, number_of_stim_pulses=200, pulse_train_period=5_000)
    bench.outputs.keypress(1, True)
    horizon = HORIZON_SEC * 30_000
    for _ in range(100):
        bench.run()
        assert max(bench.begun) <= bench.source.head + horizon
    # The engine dies here: what is left to be played begins within the horizon, and then nothing.
    assert len(bench.begun) < 200


def test_two_channels_play_side_by_side(bench: Bench) -> None:
    bench.outputs.set_stim_params(biphasic(1, ua=5))
    ready(bench)
    bench.outputs.keypress(1, True)
    bench.run()
    assert sorted(sys for _, sys, *_ in bench.source.played) == [0, 1]


def test_channels_that_are_off_do_not_play_and_settling_is_passed_on(bench: Bench) -> None:
    bench.outputs.set_stim_params(biphasic(1, enabled=False))
    ready(
        bench,
        enable_amp_settle=True,
        pre_stim_amp_settle=100,
        post_stim_amp_settle=1000,
        post_trigger_delay=100,
        refractory_period=1000,
    )
    bench.outputs.keypress(1, True)
    bench.run()
    assert [(sys, settle) for _, sys, _, settle in bench.source.played] == [(0, (3, 30))]


# --- arming and what ends it


def test_nothing_plays_before_it_is_armed(bench: Bench) -> None:
    bench.outputs.set_stim_params(biphasic(**DIN_0))
    bench.stream()
    bench.run()
    bench.run(high={FIRST_DIN: slice(5, None)})
    assert bench.begun == []
    assert bench.outputs.status().ignored_triggers == 1
    bench.outputs.arm(client="me")
    bench.run()
    bench.run(high={FIRST_DIN: slice(5, None)})
    assert len(bench.begun) == 1


def test_the_emergency_stop_drops_what_is_queued(bench: Bench) -> None:
    ready(bench, pulse_or_train=1, number_of_stim_pulses=100, pulse_train_period=5_000)
    bench.outputs.keypress(1, True)
    bench.run(10)
    assert max(bench.begun) > bench.source.head
    bench.outputs.disarm()
    assert bench.outputs.armed_by is None
    assert max(bench.begun) <= bench.source.head
    assert [p.counter for p in bench.outputs.pulses()] == bench.begun
    before = len(bench.begun)
    bench.run(300)
    assert len(bench.begun) == before
    bench.outputs.arm(client="me")  # the train does not go on
    bench.run(300)
    assert len(bench.begun) == before


def test_arming_checks_again(bench: Bench) -> None:
    bench.outputs.set_stim_params(biphasic(us=100))
    bench.source.fs = Fraction(25_000)
    with pytest.raises(ConfigurationError, match=r"2\.5 samples"):
        bench.outputs.arm(client="me")
    assert bench.outputs.armed_by is None
    bench.stream()
    status = bench.outputs.status()
    assert "stimulation is off" in status.notes[0]


def test_outputs_go_off_when_their_client_is_gone(bench: Bench) -> None:
    ready(bench)
    bench.outputs.client_gone("somebody else")
    assert bench.outputs.armed_by == "me"
    bench.outputs.client_gone("me")
    assert bench.outputs.armed_by is None
    assert "client me is gone" in bench.outputs.status().notes[0]


def test_the_end_of_the_stream_disarms(bench: Bench) -> None:
    ready(bench)
    bench.outputs.keypress(1, True)
    bench.run(3)
    bench.stop()
    assert bench.outputs.armed_by is None
    assert len(bench.outputs.pulses()) == 1
    bench.stream()
    assert bench.outputs.pulses() == []
    bench.run(3)
    assert len(bench.begun) == 1


def test_pulses_that_the_end_of_the_stream_cut_off_are_not_logged(bench: Bench) -> None:
    ready(bench, pulse_or_train=1, number_of_stim_pulses=100, pulse_train_period=5_000)
    bench.outputs.keypress(1, True)
    bench.run(10)
    bench.stop()
    assert all(p.counter < bench.source.head for p in bench.outputs.pulses())


def test_a_source_that_fails_disarms_and_does_not_hurt_the_pump(bench: Bench) -> None:
    ready(bench)
    bench.outputs.keypress(1, True)
    bench.source.broken = True
    bench.run()
    assert bench.outputs.armed_by is None
    assert "the cable was pulled" in bench.outputs.status().notes[0]
    bench.outputs.disarm()  # also where the source cannot be told


def test_another_source_forgets_everything(bench: Bench) -> None:
    ready(bench)
    bench.stop()
    bench.outputs.set_dac_stream(0, 3)
    bench.outputs.reset()
    assert bench.outputs.stim_params() == {}
    assert bench.outputs.dac().channels[0].pri_ntv_chan_idx == -1


def test_status_tells_sites_of_unknown_area(bench: Bench) -> None:
    bench.outputs.set_stim_params(biphasic(5))
    (note,) = bench.outputs.status().notes
    assert "pri_5" in note
    assert "not known" in note


# --- the instrument


def test_impedances_are_kept_per_probe_with_their_date(bench: Bench, tmp_path: Path) -> None:
    from dataclasses import replace

    from ranvier.models.ports import Port

    channels = bench.source.channels
    bench.source.channels = channels.with_channels(
        replace(c, probe_id="P1" if c.ntv < 5 else "P2") if c.port is not None else c for c in channels
    )
    measured = bench.outputs.impedance(Port.A)
    assert [m.ntv_chan_idx for m in measured.measurements] == list(range(8))
    (scan,) = [one for one in Store(tmp_path).impedances.all() if one.probe_id == "P1"]
    assert scan.values[4] == (1e6 + 4, -60.0)
    assert len(scan.values) == 5
    assert scan.source.startswith("SIMULATED")
    assert scan.measured_utc.startswith("20")
    assert len(bench.store.impedances.all()) == 2
    with pytest.raises(ConfigurationError, match="port B"):
        bench.outputs.impedance(Port.B)
    bench.stream()
    with pytest.raises(ConfigurationError, match="stop streaming"):
        bench.outputs.impedance(Port.A)


def test_registers_echo(bench: Bench) -> None:
    bench.outputs.load_all_mosi([1, 2, 0xFFFFFFFF])
    bench.outputs.transmit_mosi()
    assert bench.outputs.read_wire_out(2) == 0xFFFFFFFF
    with pytest.raises(ConfigurationError, match="32-bit"):
        bench.outputs.load_all_mosi([-1])
    with pytest.raises(ConfigurationError, match="32-bit"):
        bench.outputs.load_all_mosi([2**32])


def test_flashing_a_simulator_is_refused(bench: Bench) -> None:
    with pytest.raises(CapabilityError, match="simulated"):
        bench.outputs.flash_sinaps("x.bit")
    bench.source = FakeSource(simulated=False)
    with pytest.raises(CapabilityError):
        bench.outputs.flash_sinaps("x.bit")


def test_sources_without_outputs_say_so(bench: Bench) -> None:
    from dataclasses import replace

    from ranvier.models.ports import Port

    bench.source.info = replace(bench.source.info, capabilities=frozenset(), num_dac=0)
    for call in (
        lambda: bench.outputs.set_stim_params(biphasic()),
        lambda: bench.outputs.set_dac_gain(1),
        lambda: bench.outputs.set_dio_manual(0, True),
        lambda: bench.outputs.impedance(Port.A),
    ):
        with pytest.raises(CapabilityError):
            call()


# --- workspaces


def test_a_snapshot_brings_back_everything_but_arming_and_limits(bench: Bench, tmp_path: Path) -> None:
    import json

    bench.outputs.set_stim_params(biphasic(2, ua=7, **DIN_0))
    bench.outputs.set_stim_step(StimStep.STIM_STEP_SIZE_200_NA)
    bench.outputs.set_stim_params(biphasic(2, ua=7.2, **DIN_0))
    bench.outputs.set_dac_stream(1, 4)
    bench.outputs.set_dac_gain(3)
    bench.outputs.set_dio_manual(1, True)
    bench.outputs.arm(client="me")
    saved = json.loads(json.dumps(bench.outputs.snapshot()))
    other = Bench(tmp_path / "other")
    other.outputs.validate(saved)
    other.outputs.restore(saved)
    assert other.outputs.stim_params() == bench.outputs.stim_params()
    assert other.outputs.stim_step() == bench.outputs.stim_step()
    assert other.outputs.dac() == bench.outputs.dac()
    assert other.outputs.dio() == bench.outputs.dio()
    assert other.source.level(1)
    assert other.outputs.armed_by is None


def test_a_snapshot_beyond_the_limits_of_now_is_refused_whole(bench: Bench, tmp_path: Path) -> None:
    bench.outputs.set_safety_limits(SafetyLimits(charge_per_phase_nc=8), reason="saline bench")
    bench.outputs.set_stim_params(biphasic(0, ua=20, us=400))
    saved = bench.outputs.snapshot()
    other = Bench(tmp_path / "other")
    other.outputs.set_stim_params(biphasic(3))
    with pytest.raises(ConfigurationError, match="exceed"):
        other.outputs.restore(saved)
    assert other.outputs.stim_params() == {3: biphasic(3)}


@pytest.mark.parametrize(
    "broken", [{}, {"stim_params": [{}]}, {"stim_step": "HUGE"}, {"dac": {"gain": 99}}, {"dio": {}}]
)
def test_data_that_cannot_be_read_is_refused(bench: Bench, broken: dict[str, object]) -> None:
    document = {**bench.outputs.snapshot(), **broken} if broken else {}
    with pytest.raises(ConfigurationError, match="workspace"):
        bench.outputs.validate(document)


def test_the_source_may_fail_while_the_stop_is_pressed(bench: Bench) -> None:
    ready(bench)
    bench.source.broken = True
    with pytest.raises(SourceError):
        bench.source.stop_stimulation()
    bench.outputs.disarm()
    assert bench.outputs.armed_by is None
    assert "could not drop" in bench.outputs.status().notes[0]
