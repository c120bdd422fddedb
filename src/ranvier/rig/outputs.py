"""Stimulation, analog and digital outputs, impedance: the service in front of the source's outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from ranvier.exceptions import CapabilityError, ConfigurationError, RadiensError
from ranvier.models.dac import AnalogOutRegister
from ranvier.models.dio import DigitalOutRegister
from ranvier.models.impedance import Impedance
from ranvier.models.ports import Port
from ranvier.models.rig import OutputStatus, PulseRecord, SafetyLimits
from ranvier.models.status import SinapsStatusRegisters
from ranvier.models.stim import StimParams, StimStep, StimStepState
from ranvier.recordings.block import Block
from ranvier.rig.dac import Dac
from ranvier.rig.dio import Dio
from ranvier.rig.impedance import measure_impedance
from ranvier.rig.safety import check_limits, describe_change
from ranvier.rig.source import Source
from ranvier.rig.state import Action, StateMachine
from ranvier.rig.stim import DEFAULT_STEP, StimPlan, plan_stimulation
from ranvier.rig.stim_inputs import Keys, check_key
from ranvier.rig.stim_player import Gate, PulseLog, StimPlayer
from ranvier.store import Store


class Outputs:
    """Outputs of one rig (``services.rig_outputs.RigOutputs``), a hook of the pump, and a part of workspaces.

    Nothing is armed by itself: not by a workspace, not by a restart, and a stream that ends disarms.

    Parameters
    ----------
    source
        Returns the source in force.
    machine
        The rig's state.
    store
        Keeps impedances and every change of the limits.
    """

    def __init__(self, source: Callable[[], Source], machine: StateMachine, store: Store) -> None:
        self._source = source
        self._machine = machine
        self._store = store
        self._params: dict[int, StimParams] = {}
        self._step = DEFAULT_STEP
        self._limits = SafetyLimits()
        self._limits_reason = ""
        self._gate = Gate()
        self._keys = Keys()
        self._log = PulseLog()
        self._player: StimPlayer | None = None
        self._ignored = 0
        self._head = 0  # counter behind the last sample that arrived
        self._fault = ""
        self.dac_outputs = Dac(source)
        self.dio_outputs = Dio(source, self.dac_outputs.routed_to)

    # --- stimulation ---------------------------------------------------------------------------------------------

    def stim_params(self) -> dict[int, StimParams]:
        """Return the stimulation of every configured channel, by SYS index."""
        return dict(self._params)

    def set_stim_params(self, params: StimParams) -> None:
        """Set one channel; ConfigurationError where it streams, exceeds a limit, or cannot be played; it says why.

        The limits hold for channels that are not enabled too: what is saved can be enabled.
        """
        with self._machine.control:
            self._machine.require(Action.SET_STIM_PARAMS)
            self._plan(params)
            self._params[int(params.stim_sys_chan_idx)] = params

    def stim_step(self) -> StimStepState:
        """Return the step size of the current."""
        return StimStepState(stim_step=self._step)

    def set_stim_step(self, step: StimStep) -> None:
        """Set the step size of the current; refused where a configured channel cannot be played with it."""
        step = StimStep(step)
        with self._machine.control:
            self._machine.require(Action.SET_STIM_PARAMS)
            for params in self._params.values():
                self._plan(params, step=step)
            self._step = step

    def keypress(self, keypress: int, on: bool | None = None) -> None:
        """Press or release a key, or (None) change its state; ConfigurationError where a press could do nothing."""
        keypress = check_key(keypress)
        wanted = not self._keys.down(keypress) if on is None else bool(on)
        if wanted and not self._gate.is_open:
            raise ConfigurationError(f"key {keypress}: the outputs are not armed; arm() lets pulses start")
        if wanted and not self._machine.streams:
            raise ConfigurationError(f"key {keypress}: nothing streams, so no pulse can start; start streaming")
        self._keys.set(keypress, wanted)

    def arm(self, *, client: str) -> None:
        """Allow pulses. Everything configured is checked again, against the source and the limits of now."""
        with self._machine.control:
            self._enabled_plans()
            if self._machine.streams:
                self._prepare()
            self._fault = ""
            self._gate.open(client)

    def disarm(self) -> None:
        """Emergency stop: no pulse starts from now on; one that runs is finished, so that it leaves no charge."""
        self._gate.shut()
        self._keys.release_all()
        self._drop_queued()

    @property
    def armed_by(self) -> str | None:
        """The client that armed; None while nothing is armed."""
        return self._gate.client

    def client_gone(self, client: str) -> None:
        """Disarm what that client armed."""
        if client == self._gate.client:
            self.disarm()
            self._fault = f"disarmed: client {client or '(unnamed)'} is gone"

    def safety_limits(self) -> SafetyLimits:
        """Return the limits in force."""
        return self._limits

    def set_safety_limits(self, limits: SafetyLimits, *, reason: str) -> None:
        """Change the limits for as long as this rig lives; written to the store first, with the reason.

        Refused while streaming, without a reason, and where a configured channel would be beyond the new limits.
        """
        if not reason.strip():
            raise ConfigurationError("changing the safety limits needs a reason; it is recorded")
        check_limits(limits)
        with self._machine.control:
            self._machine.require(Action.SET_STIM_PARAMS)
            for params in self._params.values():
                self._plan(params, limits=limits)
            self._store.safety_log.add(reason.strip(), self._limits.model_dump(), limits.model_dump())
            self._limits, self._limits_reason = limits, reason.strip()

    def pulses(self) -> list[PulseRecord]:
        """Return every pulse delivered since streaming began, by counter."""
        return self._log.records()

    def status(self) -> OutputStatus:
        """Return who armed, what was played, the limits, and what a person at the rig should know."""
        changed = describe_change(SafetyLimits(), self._limits)
        return OutputStatus(
            armed_by=self._gate.client,
            pulses=len(self._log),
            ignored_triggers=self._ignored + (self._player.ignored if self._player is not None else 0),
            limits=self._limits,
            limits_changed=f"{changed} ({self._limits_reason})" if changed else "",
            notes=tuple(self._notes()),
        )

    # --- analog and digital --------------------------------------------------------------------------------------

    def dac(self) -> AnalogOutRegister:
        """Return gain, high-pass and routing of the analog outputs."""
        return self.dac_outputs.register()

    def set_dac_gain(self, gain: int) -> None:
        """Set the gain of the analog outputs, 0-7."""
        self.dac_outputs.set_gain(gain)

    def set_dac_stream(self, dac_idx: int, ntv_chan_idx: int) -> None:
        """Route an amplifier channel (NTV) to an analog output; -1 for none."""
        self.dac_outputs.set_stream(dac_idx, ntv_chan_idx)

    def set_dac_off(self) -> None:
        """Route nothing to any analog output."""
        self.dac_outputs.off()

    def set_dac_highpass(self, enable: bool, cutoff_hz: float) -> None:
        """Set the high-pass of the analog outputs."""
        self.dac_outputs.set_highpass(enable, cutoff_hz)

    def dio(self) -> DigitalOutRegister:
        """Return mode and registers of the digital outputs."""
        return self.dio_outputs.register()

    def set_dio_manual(self, chan_idx: int, state: bool) -> None:
        """Drive a digital output by hand."""
        self.dio_outputs.set_manual(chan_idx, state)

    def set_dio_events(self, chan_idx: int, threshold_uv: float, positive: bool) -> None:
        """Drive a digital output by threshold crossings of what the analog output of that index carries."""
        self.dio_outputs.set_events(chan_idx, threshold_uv, positive)

    def set_dio_gated(self, polarity: bool) -> None:
        """Hold the digital outputs at ``polarity`` while streaming."""
        self.dio_outputs.set_gated(polarity)

    def set_dio_pulse(self, interval_sec: float, duration_sec: float, chan_idx: int) -> None:
        """Pulse a digital output while streaming; -1 for all."""
        self.dio_outputs.set_pulse(interval_sec, duration_sec, chan_idx)

    # --- the instrument ------------------------------------------------------------------------------------------

    def impedance(self, port: Port) -> Impedance:
        """Measure the electrodes of a port; kept in the store per probe, with the date. Not while streaming."""
        with self._machine.control:
            self._machine.require(Action.MEASURE_IMPEDANCE)
            return measure_impedance(self._source(), Port(port), self._store)

    def load_all_mosi(self, register_values: Sequence[int]) -> None:
        """Load the MOSI registers, 32-bit values."""
        values = [int(value) for value in register_values]
        wrong = [value for value in values if not 0 <= value < 2**32]
        if wrong:
            raise ConfigurationError(f"MOSI registers are 32-bit values from 0, got {wrong[:4]}")
        self._source().load_mosi(values)

    def transmit_mosi(self) -> None:
        """Send the MOSI registers."""
        self._source().transmit_mosi()

    def read_wire_out(self, address: int) -> int:
        """Read a wire-out register."""
        return int(self._source().read_wire_out(int(address)))

    def sinaps_status(self) -> SinapsStatusRegisters:
        """Read the SiNAPS registers."""
        return self._source().sinaps_status()

    def flash_sinaps(self, bitfile: str) -> None:
        """Flash a SiNAPS; CapabilityError on simulators."""
        info = self._source().info
        if info.simulated:
            raise CapabilityError(f"{info.name} is simulated: there is nothing to flash with {bitfile}")
        self._source().flash_sinaps(bitfile)

    # --- the pump's hook -----------------------------------------------------------------------------------------

    def stream_started(self) -> None:
        """Begin a stream: the log is emptied; what is enabled can be triggered once it is armed."""
        self._log.clear()
        self._keys.release_all()
        self._ignored = self._head = 0
        self._prepare()
        self.dio_outputs.stream_started()

    def on_block(self, block: Block, arrival_monotonic: float) -> None:
        """Look for triggers and play what is due; a source that fails to play disarms."""
        self._head = block.stop
        player = self._player
        try:
            if player is not None and len(block):
                player.on_block(block, self._source())
            self.dio_outputs.on_block(block)
        except RadiensError as error:
            self._gate.shut()
            self._fault = f"disarmed: {error}"

    def stream_stopped(self) -> None:
        """End a stream: nothing stays armed. Pulses behind the last sample that arrived were not delivered."""
        self.disarm()
        if self._player is not None:
            self._ignored += self._player.ignored
        self._player = None
        self._log.forget_from(self._head)
        self.dio_outputs.stream_stopped()

    def reset(self) -> None:
        """Forget the stimulation and every output setting: another source, or other channels."""
        self.disarm()
        self._params.clear()
        self._step = DEFAULT_STEP
        self._player = None
        self.dac_outputs.reset()
        self.dio_outputs.reset()

    # --- workspaces ----------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Return the settings as plain data. Arming and limits are no settings: no workspace can bring them."""
        return {
            "stim_params": [params.model_dump(mode="json") for params in self._params.values()],
            "stim_step": self._step.name,
            "dac": self.dac_outputs.snapshot(),
            "dio": self.dio_outputs.snapshot(),
        }

    def validate(self, document: Mapping[str, Any]) -> None:
        """Raise ConfigurationError for data that ``snapshot`` cannot have made."""
        self._parse(document)
        self.dac_outputs.validate(document["dac"])
        self.dio_outputs.validate(document["dio"])

    def restore(self, document: Mapping[str, Any]) -> None:
        """Take saved settings over, checked against the source and the limits in force."""
        with self._machine.control:
            self._machine.require(Action.SET_STIM_PARAMS)
            found, step = self._parse(document)
            for params in found:
                self._plan(params, step=step)
            self.disarm()
            self._params = {int(params.stim_sys_chan_idx): params for params in found}
            self._step = step
            self.dac_outputs.restore(document["dac"])
            self.dio_outputs.restore(document["dio"])

    def _parse(self, document: Mapping[str, Any]) -> tuple[list[StimParams], StimStep]:
        try:
            found = [StimParams.model_validate(params) for params in document["stim_params"]]
            step = StimStep[document["stim_step"]]
            (document["dac"], document["dio"])
        except (KeyError, TypeError, ValidationError) as error:
            raise ConfigurationError(f"the outputs of this workspace cannot be read: {error!r}") from error
        return found, step

    # --- inside --------------------------------------------------------------------------------------------------

    def _plan(
        self, params: StimParams, *, step: StimStep | None = None, limits: SafetyLimits | None = None
    ) -> StimPlan:
        source = self._source()
        return plan_stimulation(
            params,
            channels=source.channels,
            fs=source.fs,
            info=source.info,
            limits=self._limits if limits is None else limits,
            step=self._step if step is None else step,
        )

    def _enabled_plans(self) -> dict[int, StimPlan]:
        return {sys_idx: self._plan(params) for sys_idx, params in self._params.items() if params.enabled}

    def _prepare(self) -> None:
        """Make the player of this stream; channels that cannot be played any more keep everything disarmed."""
        try:
            plans = self._enabled_plans()
        except RadiensError as error:
            self._gate.shut()
            self._player = None
            self._fault = f"stimulation is off: {error}"
            return
        if self._player is not None:
            self._ignored += self._player.ignored
        self._player = StimPlayer(plans, self._source().fs, self._keys, self._log, self._gate) if plans else None

    def _drop_queued(self) -> None:
        if self._player is None:
            return
        try:
            self._log.forget_from(self._source().stop_stimulation())
        except RadiensError as error:  # the instrument failed: what it had is at most 0.1 s
            self._fault = f"the source could not drop what it had queued: {error}"

    def _notes(self) -> list[str]:
        notes = [self._fault] if self._fault else []
        for params in self._params.values():
            try:
                plan = self._plan(params)
            except RadiensError as error:
                notes.append(f"cannot be played now: {error}")
                continue
            notes += [*plan.notes, *plan.verdict.notes]
        return notes
