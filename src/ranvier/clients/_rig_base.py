"""A client of a rig: joining it, leaving it, and asking how it stands."""

from __future__ import annotations

import itertools
from contextlib import suppress

from ranvier.clients._engine import EngineClient
from ranvier.connect import leave, open_rig
from ranvier.exceptions import CapabilityError, ConfigurationError, RadiensError
from ranvier.models.common import ServiceEndpoint
from ranvier.models.rig import RigStatus, SourceStatus
from ranvier.services.caller import Caller
from ranvier.services.rig import Rig

_NUMBERS = itertools.count(1)


class RigClient(EngineClient[Rig]):
    """A client of one rig.

    Parameters
    ----------
    address
        Rig to use: argument > ``RANVIER_ADDRESS`` > the running rig process of this user > a new one, which starts
        with a simulator. An address that fails raises ServerDiscoveryError; there is no falling back.
    embedded
        Run the rig inside this process, for tests and documentation: it ends with the process.
    require_hardware
        Refuse simulators: starting to stream or record, and reading, raise CapabilityError while the source is one.

    Notes
    -----
    The keywords are additions to the documented API. The rig lives in a process of its own, and streams and records
    on when its clients leave or crash.
    """

    def __init__(self, *, address: str | None = None, embedded: bool = False, require_hardware: bool = False) -> None:
        super().__init__(open_rig(address, embedded=embedded))
        self._require_hardware = require_hardware
        self._number = next(_NUMBERS)
        self._loop_armed = False

    @property
    def _rig(self) -> Rig:
        return self._engine

    def healthcheck(self, service: ServiceEndpoint = ServiceEndpoint.ALLEGO_LIFECYCLE) -> None:
        """Return if the rig answers.

        Raises
        ------
        ConfigurationError
            An endpoint that is no part of a rig (a ValueError).
        ServerCommunicationError
            The rig's process does not answer.
        """
        service = ServiceEndpoint(service)
        if not service.value.startswith("ALLEGO_"):
            raise ConfigurationError(f"{service.value} is no part of a rig; ask a VidereClient")
        self._rig.control.status()

    def details(self) -> RigStatus:
        """Return everything a person at the rig wants to see (an addition to the documented API).

        State, source (and whether it is SIMULATED), lost samples, who records and where, minutes left on the disk,
        consumers that shed work, latency of the closed loop, stimulation, warnings. Never waits for other calls.
        """
        return self._rig.control.details()

    def close(self) -> None:
        """Leave the rig: it streams and records on. Outputs and a closed loop that this client armed are disarmed."""
        super().close()

    def _leave(self, engine: Rig) -> None:
        try:
            self._disarm(engine)
        finally:
            leave(engine)

    def _disarm(self, engine: Rig) -> None:
        with suppress(RadiensError):  # an engine that is gone has nothing armed
            if self._loop_armed:
                engine.triggers.disarm_loop()
            outputs = engine.control.details().outputs
            if outputs is not None and outputs.armed_by == self._name:
                engine.outputs.disarm()

    @property
    def _name(self) -> str:
        """What this client is called in status and files; unique in its process."""
        return f"{Caller.here().name}, client {self._number}"

    def _check_hardware(self) -> None:
        if self._require_hardware:
            source = self.details().source
            if source.simulated:
                raise CapabilityError(
                    f"{source.name} is a simulator and this client was made with require_hardware=True; "
                    "restart(mode=...) takes an instrument"
                )

    def __repr__(self) -> str:
        name = type(self).__name__
        if self._opened is None:
            return f"<{name} closed>"
        try:
            details = self._opened.control.details()
        except RadiensError as error:
            return f"<{name} {error}>"
        return f"<{name} {marked(details.source)}, {details.state.value}>"


def marked(source: SourceStatus) -> str:
    """Return the name of a source, with the mark SIMULATED where it is no instrument."""
    unmarked = source.simulated and "SIMULATED" not in source.name
    return f"SIMULATED {source.name}" if unmarked else source.name
