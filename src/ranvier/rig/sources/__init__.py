"""Sources by mode: simulators, a recording played live, instruments; :mod:`~ranvier.rig.sources.modes` is the table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ranvier.exceptions import CapabilityError, ConfigurationError
from ranvier.models.ports import Port
from ranvier.models.status import BackboneMode
from ranvier.rig.clock import Clock
from ranvier.rig.source import Source
from ranvier.rig.sources.modes import MODES, SAMPLING_RATES_HZ, Kind, refusal

__all__ = ["MODES", "SAMPLING_RATES_HZ", "make_source"]


def make_source(
    mode: BackboneMode,
    *,
    replay: Path | None = None,
    loop: bool = True,
    seed: int = 1,
    clock: Clock | None = None,
    ports: Mapping[Port, int] | None = None,
) -> Source:
    """Return the source of a mode, stopped; it has default channels until it is configured.

    Parameters
    ----------
    replay
        The recording of the data-source mode (``folder#stream`` names one of several streams); it belongs to no other.
    loop
        Whether the replay begins again at its end.
    seed
        Of simulators: of everything that is random.
    clock
        What paces it; the machine's where not given.
    ports
        Of simulators: amplifier channels per port; 32 on port A where not given.

    Raises
    ------
    CapabilityError
        An instrument that this version cannot drive; the message names what is missing.
    ConfigurationError
        The data-source mode without a recording, or another mode with one.
    RecordingError
        The path is no recording.
    """
    entry = MODES[mode]
    if entry.missing:
        raise CapabilityError(refusal(entry))
    if entry.kind == Kind.REPLAYED:
        if replay is None:
            raise ConfigurationError(f"{mode.name} plays a recording: name it with replay=<path>")
        from ranvier.rig.sources.replay import ReplaySource

        return ReplaySource.open(Path(replay), loop=loop, clock=clock)
    if replay is not None:
        raise ConfigurationError(
            f"{mode.name} plays no recording; {BackboneMode.SMARTBOX_SIM_DATASOURCE.name} would play {replay}"
        )
    from ranvier.rig.sources.simulator import SimulatorSource

    return SimulatorSource(mode, ports=ports, seed=seed, clock=clock)
