"""Who armed what: outputs that a client armed go off when that client is gone."""

from __future__ import annotations

from collections.abc import Sequence

from ranvier.models.rig import LatePolicy
from ranvier.rig.outputs import Outputs
from ranvier.rig.triggers import Triggers
from ranvier.services.caller import Caller, current_caller


class ArmedOutputs(Outputs):
    """Outputs that know the connection behind the name of whoever armed them."""

    _caller_id = ""

    def arm(self, *, client: str = "") -> None:
        """Allow pulses; they stop when the calling client is gone, or the engine dies."""
        caller = current_caller()
        super().arm(client=client or caller.name)
        self._caller_id = caller.id

    def caller_gone(self, caller: Caller) -> None:
        """Disarm what a client armed that left or died."""
        if caller.id == self._caller_id and self.armed_by is not None:
            self.client_gone(self.armed_by)


class ArmedTriggers(Triggers):
    """Triggers that know who armed the closed loop."""

    _caller_id = ""
    _armed_name = ""

    def arm_loop(
        self,
        channels: Sequence[int],
        threshold_uv: float,
        *,
        dout_idx: int,
        pulse_sec: float = 0.001,
        refractory_sec: float = 0.005,
        deadline_ms: float = 5.0,
        late: LatePolicy = LatePolicy.LATE,
        highpass_hz: float | None = None,
        client: str = "",
    ) -> None:
        """Arm the loop; it goes off when the calling client is gone."""
        caller = current_caller()
        name = client or caller.name
        super().arm_loop(
            channels,
            threshold_uv,
            dout_idx=dout_idx,
            pulse_sec=pulse_sec,
            refractory_sec=refractory_sec,
            deadline_ms=deadline_ms,
            late=late,
            highpass_hz=highpass_hz,
            client=name,
        )
        self._caller_id, self._armed_name = caller.id, name

    def caller_gone(self, caller: Caller) -> None:
        """Disarm what a client armed that left or died."""
        if caller.id == self._caller_id:
            self._loop.client_gone(self._armed_name)
