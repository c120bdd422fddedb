"""Simulators: a signal that is a pure function of counter, settings and seed, played at the pace of a clock."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import CapabilityError, ConfigurationError, SourceError
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.models.simulation import SimulationSpec
from ranvier.models.status import BackboneMode, SinapsStatusRegisters
from ranvier.probes import assume_column
from ranvier.recordings import Block, ChannelTable, SpikeTrains
from ranvier.rig.clock import Clock, RealClock
from ranvier.rig.source import CAPABILITIES, PortScan, Source, SourceInfo
from ranvier.rig.sources.artifacts import Artifacts, Delivered
from ranvier.rig.sources.digital import OutputLines
from ranvier.rig.sources.impedance import simulated_impedance
from ranvier.rig.sources.modes import MODES, SAMPLING_RATES_HZ, Kind
from ranvier.rig.sources.pacing import Pacer
from ranvier.rig.sources.registers import EchoRegisters, sinaps_registers
from ranvier.rig.wiring import AMP_GAIN_UV, in_order, require_fit, require_rate, stream_channels
from ranvier.simulation.amplifier import AmplifierSignal
from ranvier.simulation.live import SIGNAL_MODELS, Places, SignalModel
from ranvier.simulation.live_kernels import convert
from ranvier.simulation.ttl import ANALOG_INPUTS, DIGITAL_LINES, Lines

#: What is plugged in where nobody says otherwise.
DEFAULT_PORTS: Mapping[Port, int] = {Port.A: 32}
MAX_PORT_CHANNELS = 128
MAX_CHANNELS = 1024
#: Largest current (uA) and number of analog outputs, as Intan's stimulation controller has them.
MAX_STIM_UA = 2550.0
NUM_DAC = 8
#: How far a simulator may be behind before its buffer counts as full.
BUFFER_SEC = 1.0
#: Probes on different ports do not hear the same neurons.
_PORT_DISTANCE_UM = 100_000.0
#: Inputs are computed in chunks of so many samples.
_CHUNK = 4096
#: With the loopback, digital output 0 is wired to digital input 1.
_LOOP_OUT, _LOOP_IN = 0, 1

I64 = npt.NDArray[np.int64]
I16 = npt.NDArray[np.int16]


class SimulatorSource(Source):
    """One of the simulated modes. int16 counts with the gains of Intan's instruments; counters begin at 0.

    Samples never get lost: a simulator that was held up catches up block by block, and ``buffer_level`` tells.
    Amplifier and input signals depend on counter, settings and seed alone; digital outputs and stimulation, which
    show in the signal, on what was ordered when.

    Parameters
    ----------
    mode
        One of the simulated modes of :data:`~ranvier.rig.sources.modes.MODES`.
    ports
        Amplifier channels per port; 32 on port A where not given. ``plug`` changes them.
    block_sec
        Length of a block.
    loopback
        Whether digital output 0 is wired to digital input 1.
    """

    def __init__(
        self,
        mode: BackboneMode,
        *,
        ports: Mapping[Port, int] | None = None,
        seed: int = 1,
        clock: Clock | None = None,
        block_sec: float = 0.010,
        loopback: bool = False,
    ) -> None:
        entry = MODES[mode]
        if entry.kind != Kind.SIMULATED:
            raise ConfigurationError(f"{mode.name} is no simulator; take make_source({mode.name})")
        self._make = SIGNAL_MODELS[entry.signal]
        self.info = SourceInfo(
            mode=mode,
            name=f"SIMULATED {entry.label}",
            simulated=True,
            sampling_rates_hz=SAMPLING_RATES_HZ,
            capabilities=frozenset(CAPABILITIES) - ({"ground_truth"} if "truth" not in entry.plays else set()),
            max_stim_ua=MAX_STIM_UA,
            num_dac=NUM_DAC,
            max_channels=MAX_CHANNELS,
        )
        self.seed = seed
        self.block_sec = block_sec
        self.loopback = loopback
        self.fs = Fraction(30_000)
        self._pacer = Pacer(clock or RealClock())
        self._lock = threading.Lock()
        self._outputs = OutputLines(DIGITAL_LINES)
        self._artifacts = Artifacts()
        self._registers = EchoRegisters()
        self._running = False
        self._next = 0
        self._model: SignalModel | None = None
        self._set_ports([PortScan(port, f"passthrough_{n}", n) for port, n in (ports or DEFAULT_PORTS).items()])

    def scan(self) -> Sequence[PortScan]:
        return tuple(self._ports)

    def plug(self, port: Port, headstage_id: str, num_channels: int) -> None:
        self._require_stopped("change what is plugged in")
        others = [s for s in self._ports if s.port != port]
        self._set_ports([*others, PortScan(port, headstage_id, num_channels)])

    def default_channels(self) -> ChannelTable:
        return stream_channels(self._ports, ain=ANALOG_INPUTS, din=DIGITAL_LINES, dout=DIGITAL_LINES)

    def configure(self, fs_hz: float, channels: ChannelTable) -> None:
        self._require_stopped("change rate or channels")
        require_rate(self.info.name, fs_hz, self.info.sampling_rates_hz)
        require_fit(self.info.name, channels, self.channels)
        self.fs, self.channels = Fraction(fs_hz), channels
        self._model = None

    def start(self) -> None:
        if self._running:
            return
        amp, rows = self.channels.count(SignalType.AMP), max(1, round(self.block_sec * self.fs))
        model = self.model()
        self._amp = np.arange(amp, dtype=np.int64)
        self._analog_uv = np.empty((rows, amp), np.float32)
        model.fill(0, self._amp, self._analog_uv)  # whatever has to be compiled or made is ready before time runs
        convert(self._analog_uv, 1 / AMP_GAIN_UV, np.empty((rows, amp), np.int16))
        self._inputs = _Inputs(SimulationSpec(seed=self.seed, fs=float(self.fs)), self.channels)
        self._gains, self._offsets = self.channels.gains, self.channels.offsets
        self._prepared: I16 | None = None
        with self._lock:
            self._outputs.restart()
            self._artifacts = Artifacts()
            self._next = 0
            self._pacer.start(self.fs)
            self._running = True

    def read(self, timeout_sec: float) -> Block | None:
        if not self._running:
            raise SourceError(f"{self.info.name} was read while it does not run; start it")
        start, stop = self._next, self._next + len(self._analog_uv)
        if self._prepared is None:
            self._prepared = self._prepare(start)  # while the samples are not due yet
        if not self._pacer.wait(stop, timeout_sec):
            return None
        counts, self._prepared = self._prepared, None
        with self._lock:
            if self._artifacts.touches(start, stop):
                self._artifacts.apply(start, self._analog_uv)
                convert(self._analog_uv, 1 / AMP_GAIN_UV, counts)
            outputs = counts[:, -DIGITAL_LINES:]
            self._outputs.fill(start, outputs)
            if self.loopback:
                counts[:, -2 * DIGITAL_LINES + _LOOP_IN] = outputs[:, _LOOP_OUT]
            self._next = stop
        counts.flags.writeable = False
        return Block(counts, start, self._gains, self._offsets)

    def stop(self) -> None:
        self._running = False

    def close(self) -> None:
        self.stop()

    def buffer_level(self) -> float:
        return min(1.0, self.behind_samples / float(BUFFER_SEC * self.fs))

    @property
    def behind_samples(self) -> int:
        """Samples that a clock says were taken and nobody has read yet; 0 where it does not run."""
        return max(0, self._pacer.taken() - self._next) if self._running else 0

    @property
    def delivered(self) -> list[Delivered]:
        """The current waveforms that were played since the start, as far as they are over or in progress."""
        with self._lock:
            return [d for d in self._artifacts.played if d.counter < self._next]

    def set_digital_out(self, line: int, state: bool) -> int:
        if not 0 <= line < DIGITAL_LINES:
            raise ConfigurationError(f"{self.info.name} has the digital outputs 0 to {DIGITAL_LINES - 1}, not {line}")
        with self._lock:
            counter = self._counter_now()
            self._outputs.change(line, counter, bool(state))
            return counter

    def stimulate(
        self,
        sys_chan_idx: int,
        waveform_ua: Sequence[float],
        settle: tuple[int, int] = (0, 0),
        *,
        at: int | None = None,
    ) -> int:
        waveform = tuple(float(i) for i in waveform_ua)
        self._require_pulse(sys_chan_idx, waveform, settle)
        with self._lock:
            counter = max(self._counter_now() + settle[0], at or 0)
            pulse = Delivered(counter, sys_chan_idx, waveform, settle)
            self._artifacts.play(pulse, self.channels, float(self.fs))
            return counter

    def stop_stimulation(self) -> int:
        with self._lock:
            counter = self._counter_now()
            self._artifacts.drop(counter)
            return counter

    def sample_time(self, counter: int) -> float | None:
        return self._pacer.time_of(counter) if self._running else None

    def measure_impedance(self, port: Port) -> Mapping[int, tuple[float, float]]:
        self._require_stopped("measure impedances")
        amp = [self.channels[int(c)] for c in self.channels.columns_of(SignalType.AMP)]
        found = [c for c in amp if c.port == port]
        if not found:
            present = ", ".join(s.port.name for s in self._ports)
            raise ConfigurationError(f"nothing is on port {port.name}; there are headstages on {present}")
        return {c.ntv: simulated_impedance(self.seed, c) for c in found}

    def ground_truth(self, start: int, stop: int) -> SpikeTrains:
        model = self.model()
        if not isinstance(model, AmplifierSignal) or "ground_truth" not in self.info.capabilities:
            raise CapabilityError(f"{self.info.name} has no spikes; the modes spikes and broadband have")
        return model.ground_truth(max(start, 0), max(start, stop, 0))

    def load_mosi(self, values: Sequence[int]) -> None:
        self._registers.load(values)

    def transmit_mosi(self) -> None:
        self._registers.transmit()

    def read_wire_out(self, address: int) -> int:
        return self._registers.read(address)

    def sinaps_status(self) -> SinapsStatusRegisters:
        return sinaps_registers(self.channels.count(SignalType.AMP), self._next)

    def model(self) -> SignalModel:
        """Return the signal of the amplifier channels; tables are made when it is first asked for."""
        if self._model is None:
            self._model = self._make(self.fs, _places(self.channels), self.seed)
        return self._model

    def _prepare(self, start: int) -> I16:
        """Compute what does not depend on orders."""
        model = self.model()
        model.fill(start, self._amp, self._analog_uv)
        model.look_ahead(start, len(self._analog_uv))
        counts = np.empty((len(self._analog_uv), len(self.channels)), np.int16)
        convert(self._analog_uv, 1 / AMP_GAIN_UV, counts)
        self._inputs.fill(start, counts[:, len(self._amp) :])
        return counts

    def _counter_now(self) -> int:
        """Return the first counter that something ordered now can still change."""
        return max(self._next, self._pacer.taken()) if self._running else 0

    def _set_ports(self, scans: Sequence[PortScan]) -> None:
        found = in_order(scans)
        wrong = [s for s in scans if not 0 <= s.num_channels <= MAX_PORT_CHANNELS]
        total = sum(s.num_channels for s in found)
        if wrong or not 0 < total <= MAX_CHANNELS:
            raise ConfigurationError(
                f"{self.info.name} takes 1 to {MAX_PORT_CHANNELS} channels per port and at most {MAX_CHANNELS}; "
                f"asked for {', '.join(f'{s.port.name} {s.num_channels}' for s in scans)}"
            )
        self._ports = found
        self.channels = self.default_channels()
        self._model = None

    def _require_stopped(self, what: str) -> None:
        if self._running:
            raise ConfigurationError(f"{self.info.name} runs; stop it to {what}")

    def _require_pulse(self, sys_chan_idx: int, waveform: Sequence[float], settle: tuple[int, int]) -> None:
        if not self._running:
            raise ConfigurationError(f"{self.info.name} does not run; start streaming before stimulating")
        known = [c.sys for c in self.channels if c.type == SignalType.AMP]
        if sys_chan_idx not in known:
            raise ConfigurationError(
                f"no amplifier channel with system index {sys_chan_idx}; there are {known[0]} to {known[-1]}"
            )
        if not waveform or not all(abs(i) <= self.info.max_stim_ua for i in waveform):
            raise ConfigurationError(
                f"a waveform needs currents of at most {self.info.max_stim_ua:g} uA, one per sample; this one has "
                f"{len(waveform)}, the largest {max(map(abs, waveform), default=0.0):g} uA"
            )
        if min(settle) < 0:
            raise ConfigurationError(f"settle {settle}: samples before and after cannot be negative")


class _Inputs:
    """Analog and digital inputs as counts, computed in chunks; a pure function of the counter."""

    def __init__(self, spec: SimulationSpec, channels: ChannelTable) -> None:
        self._lines = Lines(spec)
        self._channels = [c for c in channels if c.type in (SignalType.AIN, SignalType.DIN)]
        self._chunk = -1
        self._counts = np.empty((_CHUNK, len(self._channels)), np.int16)

    def fill(self, start: int, out: I16) -> None:
        """Write the inputs from ``start`` on into the first columns of ``out``."""
        at = start
        while at < start + len(out):
            chunk, first = divmod(at, _CHUNK)
            if chunk != self._chunk:
                self._compute(chunk)
            n = min(_CHUNK - first, start + len(out) - at)
            out[at - start : at - start + n, : len(self._channels)] = self._counts[first : first + n]
            at += n

    def _compute(self, chunk: int) -> None:
        start, stop = chunk * _CHUNK, (chunk + 1) * _CHUNK
        for i, channel in enumerate(self._channels):
            is_analog = channel.type == SignalType.AIN
            make = self._lines.analog_v if is_analog else self._lines.levels
            self._counts[:, i] = np.rint(make(channel.ntv, start, stop) / channel.gain)
        self._chunk = chunk


def _places(channels: ChannelTable) -> Places:
    """Return where the sites of the amplifier channels are, those of different ports far apart."""
    amp = [c for c in assume_column(channels) if c.type == SignalType.AMP]
    return tuple(
        (c.site.x_um + _PORT_DISTANCE_UM * (c.port or 0), c.site.y_um, c.site.z_um) for c in amp if c.site is not None
    )
