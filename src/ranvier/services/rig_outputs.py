"""What a rig sends out: stimulation, analog and digital outputs, and what starts recordings and pulses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ranvier.models.dac import AnalogOutRegister
from ranvier.models.dio import DigitalOutRegister
from ranvier.models.impedance import Impedance
from ranvier.models.ports import Port
from ranvier.models.rig import (
    LoopSettings,
    PulseRecord,
    SafetyLimits,
)
from ranvier.models.status import SinapsStatusRegisters
from ranvier.models.stim import StimParams, StimStep, StimStepState
from ranvier.models.triggers import TriggerChannel, TriggerState


class RigOutputs(Protocol):
    """Stimulation, analog and digital outputs, impedance."""

    def stim_params(self) -> dict[int, StimParams]:
        """Return the stimulation of every configured channel, by SYS index."""
        ...

    def set_stim_params(self, params: StimParams) -> None:
        """Set one channel; refused while streaming, beyond the safety limits, and where it cannot stimulate."""
        ...

    def stim_step(self) -> StimStepState:
        """Return the current step size."""
        ...

    def set_stim_step(self, step: StimStep) -> None:
        """Set the current step size."""
        ...

    def keypress(self, keypress: int, on: bool | None = None) -> None:
        """Set (or, for None, toggle) a manual trigger, 1-8."""
        ...

    def arm(self, *, client: str) -> None:
        """Allow pulses; they stop when that client is gone, or the engine dies."""
        ...

    def disarm(self) -> None:
        """Emergency stop: no pulse starts from now on."""
        ...

    def safety_limits(self) -> SafetyLimits:
        """Return the limits in force."""
        ...

    def set_safety_limits(self, limits: SafetyLimits, *, reason: str) -> None:
        """Change the limits; the reason and the change are recorded."""
        ...

    def pulses(self) -> list[PulseRecord]:
        """Return every pulse delivered since streaming began."""
        ...

    def dac(self) -> AnalogOutRegister:
        """Return gain, high-pass and routing of the analog outputs."""
        ...

    def set_dac_gain(self, gain: int) -> None:
        """Set the gain of the analog outputs."""
        ...

    def set_dac_stream(self, dac_idx: int, ntv_chan_idx: int) -> None:
        """Route an amplifier channel (NTV) to an analog output; -1 for none."""
        ...

    def set_dac_off(self) -> None:
        """Route nothing to any analog output."""
        ...

    def set_dac_highpass(self, enable: bool, cutoff_hz: float) -> None:
        """Set the high-pass of the analog outputs."""
        ...

    def dio(self) -> DigitalOutRegister:
        """Return mode and registers of the digital outputs."""
        ...

    def set_dio_manual(self, chan_idx: int, state: bool) -> None:
        """Drive a digital output by hand."""
        ...

    def set_dio_events(self, chan_idx: int, threshold_uv: float, positive: bool) -> None:
        """Drive a digital output by threshold crossings of an amplifier channel."""
        ...

    def set_dio_gated(self, polarity: bool) -> None:
        """Hold the digital outputs while streaming or recording."""
        ...

    def set_dio_pulse(self, interval_sec: float, duration_sec: float, chan_idx: int) -> None:
        """Pulse a digital output; -1 for all."""
        ...

    def impedance(self, port: Port) -> Impedance:
        """Measure the electrodes of a port; stored with its date."""
        ...

    def load_all_mosi(self, register_values: Sequence[int]) -> None:
        """Load the MOSI registers (a simulator echoes them)."""
        ...

    def transmit_mosi(self) -> None:
        """Send the MOSI registers."""
        ...

    def read_wire_out(self, address: int) -> int:
        """Read a wire-out register."""
        ...

    def sinaps_status(self) -> SinapsStatusRegisters:
        """Read the SiNAPS registers."""
        ...

    def flash_sinaps(self, bitfile: str) -> None:
        """Flash a SiNAPS; CapabilityError on simulators."""
        ...


class RigTriggers(Protocol):
    """Recording triggers, and the closed loop from threshold events to a digital output."""

    def enable(self, channel: TriggerChannel, port: Port | None = None) -> None:
        """Enable a trigger; without splitting by port one is active at a time."""
        ...

    def disable(self, channel: TriggerChannel, port: Port | None = None) -> None:
        """Disable a trigger; T_NONE disables all."""
        ...

    def state(self) -> TriggerState:
        """Return the enabled triggers."""
        ...

    def arm_loop(self, settings: LoopSettings, *, client: str = "") -> None:
        """Answer threshold crossings of amplifier channels with an edge on a digital output."""
        ...

    def disarm_loop(self) -> None:
        """Turn the closed loop off."""
        ...
