"""Simulators: ports and limits, orders that show in the signal, what is measured, registers, catching up."""

from __future__ import annotations

import threading
from fractions import Fraction

import numpy as np
import pytest

from ranvier.exceptions import CapabilityError, ConfigurationError, SourceError
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.models.status import BackboneMode as Mode
from ranvier.probes import assign
from ranvier.rig.clock import FakeClock, RealClock
from ranvier.rig.source import PortScan
from ranvier.rig.sources.artifacts import Delivered
from ranvier.rig.sources.modes import SAMPLING_RATES_HZ
from ranvier.rig.sources.registers import SIMULATED_BOARD_ID
from ranvier.rig.sources.simulator import SimulatorSource
from ranvier.rig.wiring import AMP_GAIN_UV, in_order, stream_channels

DOUT0, DIN1 = -2, -3


def simulator(mode: Mode = Mode.SMARTBOX_SIM_GEN_SINE, **settings: object) -> SimulatorSource:
    return SimulatorSource(mode, clock=FakeClock(), **{"ports": {Port.A: 8}, **settings})  # type: ignore[arg-type]


def read(source: SimulatorSource, blocks: int) -> np.ndarray:
    return np.concatenate([source.read(1.0).samples for _ in range(blocks)])  # type: ignore[union-attr]


def test_channels_count_through_the_ports() -> None:
    source = simulator(ports={Port.H: 3, Port.B: 2})
    table = source.channels
    assert [s.port for s in source.scan()] == [Port.B, Port.H]
    assert [(c.type.name, c.ntv, c.sys) for c in table] == [
        ("AMP", 0, 0), ("AMP", 1, 1), ("AMP", 2, 2), ("AMP", 3, 3), ("AMP", 4, 4),
        ("AIN", 0, 5), ("AIN", 1, 6), ("DIN", 0, 7), ("DIN", 1, 8), ("DOUT", 0, 9), ("DOUT", 1, 10),
    ]  # fmt: skip
    assert [c.name for c in table][:6] == ["pri_0", "pri_1", "pri_2", "pri_3", "pri_4", "aux_0"]
    assert [c.ntv_name for c in table][:5] == ["port_B_0", "port_B_1", "port_H_0", "port_H_1", "port_H_2"]


def test_all_rates_and_a_thousand_channels_play() -> None:
    source = simulator(Mode.SMARTBOX_SIM_GEN_SINE_MULTI_BAND)
    for rate in SAMPLING_RATES_HZ:
        source.configure(rate, source.channels)
        source.start()
        assert len(read(source, 5)) == 5 * round(Fraction(rate) / 100)
        source.stop()
    wide = simulator(Mode.SMARTBOX_SIM_GEN_SINE_MAPPED, ports=dict.fromkeys(Port, 128))
    wide.start()
    assert read(wide, 2).shape == (600, 1030)
    assert wide.channels.count(SignalType.AMP) == 1024


@pytest.mark.parametrize("ports", [{}, {Port.A: 129}, {Port.A: 0}, {Port.B: -1}])
def test_ports_have_limits(ports: dict[Port, int]) -> None:
    with pytest.raises(ConfigurationError, match="channels per port"):
        SimulatorSource(Mode.SMARTBOX_SIM_GEN_SINE, ports=ports or {Port.A: 0})


def test_plugging_changes_the_channels_and_only_while_stopped() -> None:
    source = simulator()
    source.plug(Port.C, "passthrough_64", 64)
    assert source.channels.count(SignalType.AMP) == 72
    source.plug(Port.A, "", 0)
    assert list(source.scan()) == [PortScan(Port.C, "passthrough_64", 64)]
    with pytest.raises(ConfigurationError, match="at most 1024"):
        source.plug(Port.C, "", 0)
    source.start()
    with pytest.raises(ConfigurationError, match="stop it"):
        source.plug(Port.D, "passthrough_64", 64)


def test_counts_have_the_gains_of_the_channels() -> None:
    source = simulator()
    source.start()
    block = source.read(1.0)
    assert block is not None
    assert block.gain is not None
    assert block.gain[:8].tolist() == [AMP_GAIN_UV] * 8
    signal = block.physical()
    expected = 200 * np.sin(2 * np.pi * 20 * np.arange(300) / 30_000)
    np.testing.assert_allclose(signal[:, 3], expected, atol=AMP_GAIN_UV / 2 + 1e-3)
    assert not block.samples.flags.writeable
    np.testing.assert_allclose(signal[:, 8], np.sin(np.pi * np.arange(300) / 30_000), atol=2e-4)  # AIN: 1 V, 2 s


def test_inputs_do_not_depend_on_where_a_block_ends() -> None:
    lengths = (0.0101, 0.1377)
    parts = []
    for block_sec in lengths:
        source = simulator(block_sec=block_sec, seed=9)
        source.start()
        parts.append(read(source, int(2.2 / block_sec))[:60_000, 8:])
    np.testing.assert_array_equal(*parts)
    assert set(np.unique(parts[0][:, 2:4])) == {0, 1}, "two seconds without a pulse"


def test_outputs_keep_their_state_when_it_stops() -> None:
    source = simulator()
    assert source.set_digital_out(0, True) == 0
    source.start()
    assert read(source, 2)[:, DOUT0].all()
    source.set_digital_out(1, True)
    source.stop()
    source.start()
    samples = read(source, 2)
    assert samples[:, -2:].all()
    with pytest.raises(ConfigurationError, match="0 to 1"):
        source.set_digital_out(2, True)


def test_loopback_wires_an_output_to_an_input() -> None:
    source = simulator(loopback=True)
    source.start()
    read(source, 1)
    edges = [source.set_digital_out(0, True)]
    read(source, 1)
    edges.append(source.set_digital_out(0, False))
    samples = read(source, 2)
    assert edges == [300, 600]
    assert not samples[:, DIN1].any()
    source.set_digital_out(0, True)
    source.set_digital_out(0, False)
    source.set_digital_out(0, True)
    samples = read(source, 1)
    np.testing.assert_array_equal(samples[:, DIN1], samples[:, DOUT0])
    assert samples[:, DIN1].all(), "the last of several orders at one counter holds"


def test_an_order_holds_from_the_present_also_when_reading_is_behind() -> None:
    clock = FakeClock()
    source = SimulatorSource(Mode.SMARTBOX_SIM_GEN_SINE, ports={Port.A: 2}, clock=clock)
    source.start()
    read(source, 1)
    clock.advance(0.5)
    assert source.behind_samples == 15_000
    assert source.buffer_level() == pytest.approx(0.5)
    at = source.set_digital_out(0, True)
    assert at == 15_300
    level = read(source, 60)[:, DOUT0]
    assert level.tolist() == [0] * 15_000 + [1] * 3_000
    assert source.behind_samples == 0


def with_probe(source: SimulatorSource) -> None:
    table = assign(source.channels, probe="a1x16_5mm100_177", port=Port.A, wiring=range(16), override=True)
    source.configure(float(source.fs), table)


def test_stimulation_shows_decays_with_time_and_distance_and_saturates() -> None:
    quiet, source = (simulator(ports={Port.A: 16, Port.B: 4}) for _ in range(2))
    for one in (quiet, source):
        with_probe(one)
        one.start()
        read(one, 2)
    site = 6
    at = source.stimulate(site, [-20.0] * 6)
    assert at == 600
    got, plain = read(source, 5), read(quiet, 5)
    artifact = (got.astype(int) - plain)[:, :20] * AMP_GAIN_UV
    assert not artifact[:, 16:].any(), "an artifact on another port"
    assert got[:6, site].max() == -32768, "it does not saturate at the stimulated site"
    heights = [source.channels[c].site.y_um for c in range(16)]  # type: ignore[union-attr]
    order = np.argsort([abs(heights[c] - heights[site]) for c in range(16)], kind="stable")
    first = np.abs(artifact[0, order])
    assert (np.diff(first[1:]) <= AMP_GAIN_UV).all(), "not smaller further away"
    far = int(order[-1])
    assert np.abs(artifact[0, far]) > 5 * AMP_GAIN_UV
    tail = np.abs(artifact[6:, far])
    assert tail[0] > tail[60] > tail[150]
    assert np.abs(artifact[6 + 480 + 20 :]).max() <= AMP_GAIN_UV, "it never ends"


def test_the_artifact_does_not_depend_on_the_length_of_blocks() -> None:
    parts = []
    for block_sec in (0.010, 0.001, 0.0037):
        source = simulator(block_sec=block_sec)
        source.start()
        source.stimulate(2, [5.0, -5.0] * 40, (10, 20))
        parts.append(read(source, int(0.04 / block_sec))[:1000])
    np.testing.assert_array_equal(parts[0], parts[1])
    np.testing.assert_array_equal(parts[0][:1000], parts[2])


def test_a_settled_amplifier_reads_zero() -> None:
    source = simulator()
    source.start()
    read(source, 1)
    at = source.stimulate(1, [-10.0] * 6 + [10.0] * 6, (30, 60))
    assert at == 330
    samples = read(source, 2)
    assert not samples[: 30 + 12 + 60, 1].any()
    assert samples[30 + 12 + 60 :, 1].any()
    assert samples[:100, 0].all(), "another amplifier was settled too"


def test_pulses_are_logged_by_counter_once_they_are_played() -> None:
    source = simulator()
    source.start()
    assert source.stimulate(3, [1.0, -1.0], (50, 0)) == 50
    assert source.delivered == []
    read(source, 1)
    assert source.delivered == [Delivered(50, 3, (1.0, -1.0), (50, 0))]
    source.stop()
    source.start()
    assert source.delivered == []


def test_pulses_can_be_placed_ahead_and_dropped_before_they_begin() -> None:
    quiet, source = simulator(), simulator()
    for one in (quiet, source):
        one.start()
        read(one, 1)
    assert source.stimulate(1, [5.0, -5.0], at=700) == 700
    assert source.stimulate(1, [5.0, -5.0], (10, 0), at=100) == 310, "the past cannot be changed"
    assert source.stimulate(2, [5.0], (50, 0), at=900) == 900
    read(source, 1)
    assert source.stop_stimulation() == 600
    got, plain = read(source, 3), read(quiet, 4)[300:]
    assert [d.counter for d in source.delivered] == [310]
    np.testing.assert_array_equal(got[300:], plain[300:])


def test_samples_tell_when_they_were_taken() -> None:
    clock = FakeClock(50.0)
    source = SimulatorSource(Mode.SMARTBOX_SIM_GEN_SINE, ports={Port.A: 2}, clock=clock)
    assert source.sample_time(0) is None
    source.start()
    assert source.sample_time(29_999) == pytest.approx(51.0)
    read(source, 1)
    assert clock.monotonic() == pytest.approx(source.sample_time(299), abs=1e-6)


@pytest.mark.parametrize(
    ("channel", "waveform", "settle", "named"),
    [
        (8, [1.0], (0, 0), "system index 8"),
        (-1, [1.0], (0, 0), "system index -1"),
        (0, [], (0, 0), "one per sample"),
        (0, [2551.0], (0, 0), "2550"),
        (0, [float("nan")], (0, 0), "nan"),
        (0, [1.0], (-1, 0), "negative"),
    ],
)
def test_bad_pulses_are_refused(channel: int, waveform: list[float], settle: tuple[int, int], named: str) -> None:
    source = simulator()
    with pytest.raises(ConfigurationError, match="start streaming"):
        source.stimulate(0, [1.0])
    source.start()
    with pytest.raises(ConfigurationError, match=named):
        source.stimulate(channel, waveform, settle)
    assert source.delivered == []


def test_impedance_by_native_index_falls_with_the_area() -> None:
    source = simulator(ports={Port.A: 16, Port.B: 16})
    with_probe(source)
    found = source.measure_impedance(Port.B)
    assert list(found) == list(range(16, 32))
    assert found == source.measure_impedance(Port.B)
    assert all(5e5 < ohm < 2e6 and -75 <= phase <= -60 for ohm, phase in found.values())
    with pytest.raises(ConfigurationError, match="A, B"):
        source.measure_impedance(Port.C)
    large = assign(source.channels, probe="a1x16_5mm100_703", port=Port.A, wiring=range(16), override=True)
    small = source.measure_impedance(Port.A)
    source.configure(30_000.0, large)
    assert source.measure_impedance(Port.A)[3][0] == pytest.approx(small[3][0] * 177 / 703)
    source.start()
    with pytest.raises(ConfigurationError, match="stop it"):
        source.measure_impedance(Port.A)


def test_registers_come_back_once_transmitted() -> None:
    source = simulator()
    source.load_mosi([7, -1, 2**32 - 2])
    assert source.read_wire_out(0x20) == 0
    source.transmit_mosi()
    assert [source.read_wire_out(a) for a in range(0x20, 0x24)] == [7, 2**32 - 1, 2**32 - 2, 0]
    assert source.read_wire_out(0x3E) == SIMULATED_BOARD_ID
    with pytest.raises(ConfigurationError, match="32 bits"):
        source.load_mosi([2**32])
    with pytest.raises(ConfigurationError, match="30"):
        source.load_mosi([0] * 31)
    with pytest.raises(ConfigurationError, match="0x40"):
        source.read_wire_out(0x40)


def test_sinaps_registers_tell_a_calibrated_probe_and_flashing_is_refused() -> None:
    source = simulator(ports={Port.A: 10})
    source.start()
    read(source, 3)
    registers = source.sinaps_status()
    assert registers.calibration_state
    assert registers.firmware_version == "SIMULATED"
    shanks = [getattr(registers, f"num_active_pixels_shank{i}") for i in range(4)]
    assert shanks == [3, 3, 2, 2]
    assert registers.host_counter == registers.fpga_counter == 900
    with pytest.raises(CapabilityError, match=r"new\.bit"):
        source.flash_sinaps("new.bit")


def test_truth_is_that_of_the_signal() -> None:
    source = simulator(Mode.SMARTBOX_SIM_GEN_SPIKES, ports={Port.A: 16, Port.D: 16})
    source.start()
    signal = read(source, 100) * AMP_GAIN_UV
    truth = source.ground_truth(0, 30_000)
    assert len(truth) > 20
    assert set(truth.site.tolist()) <= set(range(32))
    assert np.median([signal[c, s] for c, s in zip(truth.counter, truth.site, strict=True)]) < -40
    assert len(source.ground_truth(-500, 0)) == 0
    with pytest.raises(CapabilityError, match="no spikes"):
        simulator().ground_truth(0, 10)


def test_reading_in_one_thread_and_ordering_in_others() -> None:
    source = SimulatorSource(Mode.SMARTBOX_SIM_GEN_SINE, ports={Port.A: 4}, clock=FakeClock(), block_sec=0.001)
    source.start()
    ordered: list[int] = []
    done = threading.Event()

    def order() -> None:
        state = True
        while not done.is_set():
            ordered.append(source.set_digital_out(1, state))
            state = not state
            done.wait(0.0005)

    thread = threading.Thread(target=order)
    thread.start()
    level = read(source, 400)[:, -1]
    done.set()
    thread.join()
    flips = np.flatnonzero(np.diff(level)) + 1
    assert ordered == sorted(ordered)
    assert set(flips.tolist()) <= set(ordered)


def test_the_real_clock_paces_it() -> None:
    source = SimulatorSource(Mode.SMARTBOX_SIM_GEN_SINE, ports={Port.A: 2}, clock=RealClock(), block_sec=0.005)
    source.start()
    clock = RealClock()
    began = clock.monotonic()
    for _ in range(20):
        assert source.read(1.0) is not None
    assert 0.09 < clock.monotonic() - began < 2.0
    source.stop()
    with pytest.raises(SourceError, match="does not run"):
        source.read(0.1)


def test_only_simulated_modes_are_simulated() -> None:
    with pytest.raises(ConfigurationError, match="no simulator"):
        SimulatorSource(Mode.INTAN_USB2)
    assert "SIMULATED" in repr(simulator())
    assert in_order([PortScan(Port.B, "", 2), PortScan(Port.A, "", 0)]) == [PortScan(Port.B, "", 2)]
    assert len(stream_channels([PortScan(Port.B, "", 2)])) == 2
