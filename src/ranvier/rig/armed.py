"""Who armed what: outputs that a client armed go off when that client is gone."""

from __future__ import annotations

from ranvier.models.rig import LoopSettings
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

    def arm_loop(self, settings: LoopSettings, *, client: str = "") -> None:
        """Arm the loop; it goes off when the calling client is gone."""
        caller = current_caller()
        name = client or caller.name
        super().arm_loop(settings, client=name)
        self._caller_id, self._armed_name = caller.id, name

    def caller_gone(self, caller: Caller) -> None:
        """Disarm what a client armed that left or died."""
        if caller.id == self._caller_id:
            self._loop.client_gone(self._armed_name)
