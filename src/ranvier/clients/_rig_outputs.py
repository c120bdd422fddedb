"""Stimulation, analog and digital outputs, impedances, registers, the closed loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from typing_extensions import deprecated

from ranvier.clients._rig_arguments import flag, model, number, whole
from ranvier.clients._rig_base import RigClient
from ranvier.exceptions import ConfigurationError, RadiensError
from ranvier.models.dac import AnalogOutRegister
from ranvier.models.dio import DigitalOutRegister
from ranvier.models.flex import (
    FlexPort,
    FlexStimKeypressIndex,
    coerce_indices,
    coerce_port,
    coerce_stim_keypress_index,
)
from ranvier.models.impedance import Impedance
from ranvier.models.rig import LatePolicy, LoopSettings, PulseRecord, SafetyLimits
from ranvier.models.status import SinapsStatusRegisters
from ranvier.models.stim import StimParams, StimStep, StimStepState, coerce_stim_step
from ranvier.models.triggers import ManualStimTriggerRequest, ManualStimTriggerToggleRequest


class StimulationClient(RigClient):
    """Calls on stimulation."""

    def get_stim_params(self) -> dict[int, StimParams]:
        """Return the stimulation of every configured channel, by system (SYS) index; times in us."""
        return self._rig.outputs.stim_params()

    def set_stim_params(self, params: Mapping[int, StimParams]) -> None:
        """Set channels one after the other, in the order given; only while it does not stream.

        Parameters
        ----------
        params
            By system (SYS) index, which wins over ``stim_sys_chan_idx``. Times in us (``refractory_period`` too),
            amplitudes in uA.

        Raises
        ------
        RadiensError
            An empty mapping.
        ConfigurationError
            A channel that cannot stimulate, is set beyond the safety limits (the message says which, and by how
            much), or while it streams. Channels before it stay set.
        """
        if not params:
            raise RadiensError("set_stim_params() was given no channel; pass {system index: StimParams}")
        wanted = []
        for key, value in params.items():
            index = whole("the system index", key)
            wanted.append(model(StimParams, value, f"params[{index}]").model_copy(update={"stim_sys_chan_idx": index}))
        for one in wanted:
            self._rig.outputs.set_stim_params(one)

    def get_stim_step(self) -> StimStepState:
        """Return the step size of the stimulation current."""
        return self._rig.outputs.stim_step()

    def set_stim_step(self, *, step: StimStep | str | int) -> None:
        """Set the step size of the stimulation current, for all channels; only while it does not stream."""
        self._rig.outputs.set_stim_step(coerce_stim_step(step))

    def set_stim_trigger(self, *, trigger: FlexStimKeypressIndex, on: bool) -> None:
        """Press or release a manual trigger, 1-8; a press needs armed outputs and a stream."""
        self._rig.outputs.keypress(int(coerce_stim_keypress_index(trigger)), flag("on", on))

    def toggle_stim_trigger(self, *, trigger: FlexStimKeypressIndex) -> None:
        """Change the state of a manual trigger, 1-8."""
        self._rig.outputs.keypress(int(coerce_stim_keypress_index(trigger)))

    @deprecated("manual_stim_trigger() was removed in 0.1.0 of the API; use set_stim_trigger()")
    def manual_stim_trigger(self, request: ManualStimTriggerRequest) -> None:
        """Press or release a manual trigger, as older releases had it."""
        asked = model(ManualStimTriggerRequest, request, "request")
        self.set_stim_trigger(trigger=asked.trigger, on=asked.trigger_on)

    @deprecated("manual_stim_trigger_toggle() was removed in 0.1.0 of the API; use toggle_stim_trigger()")
    def manual_stim_trigger_toggle(self, request: ManualStimTriggerToggleRequest) -> None:
        """Change the state of a manual trigger, as older releases had it."""
        self.toggle_stim_trigger(trigger=model(ManualStimTriggerToggleRequest, request, "request").trigger)

    # --- safety: additions to the documented API -----------------------------------------------------------------

    def arm_outputs(self) -> None:
        """Allow stimulation pulses. They stop when this client closes or dies, streaming ends, or the engine dies.

        ConfigurationError where a configured channel is beyond the limits or cannot be played (an addition).
        """
        self._rig.outputs.arm(client=self._name)

    def disarm_outputs(self) -> None:
        """Let no pulse start from now on; one that runs is finished, so that no charge stays (an addition)."""
        self._rig.outputs.disarm()

    def emergency_stop(self) -> None:
        """Disarm stimulation and closed loop, whoever armed them; legal at any time (an addition)."""
        try:
            self._rig.outputs.disarm()
        finally:
            self._rig.triggers.disarm_loop()
            self._loop_armed = False

    def get_safety_limits(self) -> SafetyLimits:
        """Return the stimulation limits in force: charge per phase (nC), Shannon's k, imbalance (an addition)."""
        return self._rig.outputs.safety_limits()

    def set_safety_limits(self, limits: SafetyLimits, *, reason: str) -> None:
        """Change the stimulation limits; change and reason are recorded, and shown in :meth:`details` (an addition)."""
        self._rig.outputs.set_safety_limits(model(SafetyLimits, limits, "limits"), reason=reason)

    def get_pulses(self) -> list[PulseRecord]:
        """Return every pulse delivered since streaming began, by sample counter (an addition)."""
        return self._rig.outputs.pulses()


class OutputsClient(StimulationClient):
    """Calls on outputs and registers."""

    def get_dac_reg(self) -> AnalogOutRegister:
        """Return gain, high-pass and routing of the analog outputs; -1 stands for no channel."""
        return self._rig.outputs.dac()

    def set_dac_gain(self, gain: int) -> None:
        """Set the gain of the analog outputs, as the instrument counts it."""
        self._rig.outputs.set_dac_gain(whole("gain", gain))

    def set_dac_stream(self, dac_idx: int, ntv_chan_idx: int) -> None:
        """Route an amplifier channel (native index, -1 for none) to an analog output."""
        self._rig.outputs.set_dac_stream(whole("dac_idx", dac_idx), whole("ntv_chan_idx", ntv_chan_idx))

    def set_dac_off(self) -> None:
        """Route nothing to any analog output."""
        self._rig.outputs.set_dac_off()

    def set_dac_highpass(self, enable: bool, cutoff_freq: float) -> None:
        """Set the high-pass of the analog outputs; corner in Hz."""
        self._rig.outputs.set_dac_highpass(flag("enable", enable), number("cutoff_freq", cutoff_freq))

    def get_dio_reg(self) -> DigitalOutRegister:
        """Return mode and registers of the digital outputs."""
        return self._rig.outputs.dio()

    def set_dio_manual(self, chan_idx: int, state: bool) -> None:
        """Drive a digital output by hand; all outputs change to the manual mode."""
        self._rig.outputs.set_dio_manual(whole("chan_idx", chan_idx), flag("state", state))

    def set_dio_events(self, chan_idx: int, threshold: float, polarity: bool) -> None:
        """Drive a digital output by threshold crossings.

        Parameters
        ----------
        chan_idx
            Output; it watches what the analog output of that index carries (see :meth:`set_dac_stream`).
        threshold
            In uV.
        polarity
            True for upward crossings.
        """
        self._rig.outputs.set_dio_events(
            whole("chan_idx", chan_idx), number("threshold", threshold), flag("polarity", polarity)
        )

    def set_dio_gated(self, polarity: bool) -> None:
        """Hold the digital outputs high (True) or low (False) while it streams."""
        self._rig.outputs.set_dio_gated(flag("polarity", polarity))

    def set_dio_pulse(self, interval_sec: float, duration_sec: float, chan_idx: int = -1) -> None:
        """Pulse a digital output (-1 for all) with this period and length, in seconds."""
        self._rig.outputs.set_dio_pulse(
            number("interval_sec", interval_sec), number("duration_sec", duration_sec), whole("chan_idx", chan_idx)
        )

    # --- the instrument ------------------------------------------------------------------------------------------

    def get_intan_impedance(self, port: FlexPort) -> Impedance:
        """Measure the electrodes of a port (ohm, degrees), kept in the engine's store; not while streaming."""
        return self._rig.outputs.impedance(coerce_port(port))

    def load_all_mosi(self, register_vals: Sequence[int]) -> None:
        """Load the MOSI registers, 32-bit values."""
        self._rig.outputs.load_all_mosi([whole("a register value", value) for value in register_vals])

    def transmit_mosi(self) -> None:
        """Send the MOSI registers."""
        self._rig.outputs.transmit_mosi()

    def read_wire_out(self, wire_out_address: int) -> int:
        """Read a wire-out register."""
        return self._rig.outputs.read_wire_out(whole("wire_out_address", wire_out_address))

    def get_sinaps_status_registers(self) -> SinapsStatusRegisters:
        """Read the registers of a SiNAPS probe."""
        return self._rig.outputs.sinaps_status()

    def flash_sinaps(self, bitfile: str) -> None:
        """Flash a SiNAPS; CapabilityError on simulators."""
        self._rig.outputs.flash_sinaps(str(bitfile))

    # --- closed loop: additions to the documented API ------------------------------------------------------------

    def arm_closed_loop(
        self,
        channels: Sequence[int],
        threshold_uv: float,
        *,
        dout_idx: int,
        pulse_sec: float = 0.001,
        refractory_sec: float = 0.005,
        deadline_ms: float = 5.0,
        late: LatePolicy | str = LatePolicy.LATE,
        highpass_hz: float | None = None,
    ) -> None:
        """Answer threshold crossings of amplifier channels with a pulse on a digital output (an addition).

        Ends when this client closes or dies. ``details().loop`` counts events, edges and missed deadlines, with the
        latency in ms (of the software alone where the source is simulated).

        Parameters
        ----------
        channels
            Native indices.
        threshold_uv
            In uV; negative for downward crossings.
        dout_idx
            Digital output.
        late
            What happens to an event whose deadline has passed: ``skip``, ``late`` or ``disarm``.
        highpass_hz
            Causal high-pass in front of the detector; None for the raw signal.
        """
        settings = LoopSettings(
            channels=tuple(coerce_indices(channels)),
            threshold_uv=number("threshold_uv", threshold_uv),
            dout_idx=whole("dout_idx", dout_idx),
            pulse_sec=number("pulse_sec", pulse_sec),
            refractory_sec=number("refractory_sec", refractory_sec),
            deadline_ms=number("deadline_ms", deadline_ms),
            late=_policy(late),
            highpass_hz=None if highpass_hz is None else number("highpass_hz", highpass_hz),
        )
        self._rig.triggers.arm_loop(settings, client=self._name)
        self._loop_armed = True

    def disarm_closed_loop(self) -> None:
        """Turn the closed loop off (an addition)."""
        self._rig.triggers.disarm_loop()
        self._loop_armed = False


def _policy(late: LatePolicy | str) -> LatePolicy:
    try:
        return LatePolicy(late.lower())
    except (ValueError, AttributeError):
        raise ConfigurationError(f"late={late!r} is no policy; accepted: {', '.join(LatePolicy)}") from None
