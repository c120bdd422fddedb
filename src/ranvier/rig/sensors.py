"""Which headstage and probe are on which port, and what that makes of the channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ranvier.exceptions import ConfigurationError, ProbeError
from ranvier.models.channels import ChannelMetadata
from ranvier.models.ports import Port
from ranvier.models.rig import SensorAssignmentInfo
from ranvier.models.signals import SignalType
from ranvier.probes import KNOWN_PROBES, assign, assume_column, channel_metadata, parse_headstage, parse_probe_name
from ranvier.probes.headstages import KNOWN_HEADSTAGES
from ranvier.probes.names import PROBE_PREFIX
from ranvier.recordings import ChannelTable
from ranvier.rig.source import PortScan, Source
from ranvier.rig.sources.modes import MODES, Kind
from ranvier.rig.state import Action, StateMachine
from ranvier.rig.wiring import bare
from ranvier.store import Store

#: The stream that a rig's channel metadata describe.
STREAM_ID = "Live Signals"
#: What simulators have where nobody assigned anything, by number of channels: (headstage, probe).
DEFAULT_SENSORS: Mapping[int, tuple[str, str]] = {
    16: ("acute_smartlink_A16", "a1x16_5mm150_177"),
    32: ("passthrough_32", "a1x32_poly3_8mm50s_177"),
    64: ("passthrough_64", "v1x64_poly3_10mm25s_177"),
    128: ("passthrough_128", "a8x16_5mm100_200_177"),
}
_SETTING = "rig.sensors"
#: All simulators share their sensors.
_SIMULATED = "simulated"

Assignments = dict[Port, tuple[str, str]]


class Sensors:
    """Service ``RigSensors``: headstages and probes on ports, kept in the store, and the channels that follow.

    On simulators a headstage is plugged in by assigning it; on everything else it must be there. All simulators share
    their sensors; every other source has its own.

    Parameters
    ----------
    source
        Returns the source in force.
    changed
        Called after the channels of the source changed.
    """

    def __init__(
        self,
        source: Callable[[], Source],
        machine: StateMachine,
        store: Store,
        *,
        changed: Callable[[], None] | None = None,
    ) -> None:
        self._source = source
        self._machine = machine
        self._store = store
        self._changed = changed
        self.notes: tuple[str, ...] = ()

    def available(self) -> Mapping[str, Mapping[str, int]]:
        """Return the known ids and their channels: ``headstages``, ``probes``; other names of their grammars work."""
        headstages = {*KNOWN_HEADSTAGES, *(headstage for headstage, _ in DEFAULT_SENSORS.values())}
        probes = {*KNOWN_PROBES, *(probe for _, probe in DEFAULT_SENSORS.values())}
        return {
            "headstages": {id: parse_headstage(id).channels for id in sorted(headstages)},
            "probes": {id: parse_probe_name(id).site_count for id in sorted(probes)},
        }

    def assigned(self) -> list[SensorAssignmentInfo]:
        """Return what is on each port that has channels."""
        source = self._source()
        return [_info(source.channels, scan) for scan in source.scan()]

    def assign(self, port: Port, headstage: str, probe: str) -> ChannelMetadata:
        """Put a headstage and a probe (ids, aliases, or a probeinterface file) on a port; idle only.

        Without a headstage a simulator takes a passthrough one of the probe's size. Both empty: on simulators nothing
        is on the port any more; elsewhere its sites count as unknown.

        Raises
        ------
        ProbeError
            Unknown names; a headstage, probe and port of different numbers of channels.
        ConfigurationError
            Where the rig is not idle, nothing is on the port, or there are more channels than the source can take.
        """
        with self._machine.during(Action.ASSIGN_SENSOR):
            source = self._source()
            wanted = dict(self._in_force(source))
            scans = self._scans_with(source, port, headstage, probe, wanted)
            table = _build(source, scans, wanted)
            _plug(source, scans)
            source.configure(float(source.fs), table)
            self._remember(source, wanted)
            self.notes = ()
        if self._changed is not None:
            self._changed()
        return self.metadata()

    def apply(self, fs_hz: float | None = None) -> ChannelTable:
        """Scan the source and give it its channels; what the store remembers and no longer fits is left out and noted.

        For ``restart``, ``scan_ports`` and a change of the sampling rate (``fs_hz``); the caller holds the machine.
        """
        source = self._source()
        stored = self._stored(source)
        self.notes = ()
        if stored and _is_simulator(source):
            _plug(
                source,
                [PortScan(p, parse_headstage(h).id, parse_headstage(h).channels) for p, (h, _) in stored.items()],
            )
        wanted = self._in_force(source)
        scans = source.scan()
        for port in sorted(wanted):
            try:
                _build(source, scans, {port: wanted[port]})
            except ProbeError as error:
                self.notes += (f"the sensor of port {port.name} was left out: {error}",)
                wanted = {p: pair for p, pair in wanted.items() if p != port}
        table = _build(source, scans, wanted)
        source.configure(float(source.fs) if fs_hz is None else fs_hz, table)
        return table

    def metadata(self) -> ChannelMetadata:
        """Return the channels of the source in force."""
        source = self._source()
        return channel_metadata(source.channels, fs=source.fs, dataset_uid=STREAM_ID, source_label=source.info.name)

    def _in_force(self, source: Source) -> Assignments:
        """Return what is assigned to the ports where something is: stored, or a simulator's defaults."""
        stored, found = self._stored(source), {s.port: s.num_channels for s in source.scan()}
        if not stored and _is_simulator(source):
            stored = {port: DEFAULT_SENSORS[n] for port, n in found.items() if n in DEFAULT_SENSORS}
        return {port: pair for port, pair in stored.items() if port in found}

    def _scans_with(
        self, source: Source, port: Port, headstage: str, probe: str, wanted: Assignments
    ) -> list[PortScan]:
        """Return what will be plugged in, and enter the assignment into ``wanted``."""
        scans = {s.port: s for s in source.scan()}
        if not headstage and not probe:
            wanted.pop(port, None)
            if _is_simulator(source):
                scans.pop(port, None)
            return list(scans.values())
        if not probe:
            raise ProbeError(f"port {port.name}: name the probe too, or neither to take the headstage away")
        if _is_simulator(source):
            stage = parse_headstage(headstage or f"passthrough_{_site_count(probe)}")
            if stage.channels != _site_count(probe):
                raise ProbeError(
                    f"headstage {stage.id} has {stage.channels} channels, but probe {probe} has {_site_count(probe)} "
                    f"sites; take a headstage and a probe of the same size"
                )
            scans[port] = PortScan(port, stage.id, stage.channels)
            headstage = stage.id
        elif port not in scans:
            present = ", ".join(p.name for p in sorted(scans)) or "no port"
            raise ConfigurationError(f"nothing is on port {port.name} of {source.info.name}; there is on {present}")
        wanted[port] = (headstage, _portable(probe))
        return list(scans.values())

    def _stored(self, source: Source) -> Assignments:
        known = self._store.settings.get(_SETTING, {}).get(_profile(source), {})
        return {Port[name]: (pair[0], pair[1]) for name, pair in known.items()}

    def _remember(self, source: Source, wanted: Assignments) -> None:
        everything = dict(self._store.settings.get(_SETTING, {}))
        everything[_profile(source)] = {port.name: list(pair) for port, pair in sorted(wanted.items())}
        self._store.settings.set(_SETTING, everything)


def _build(source: Source, scans: Sequence[PortScan], wanted: Assignments) -> ChannelTable:
    """Return the channels of a source with the sites of its sensors; an assumed column where nobody knows any."""
    table = bare(source.channels, scans) if _is_simulator(source) else source.default_channels()
    for port, (headstage, probe) in sorted(wanted.items()):
        simulated = range(next(s.num_channels for s in scans if s.port == port)) if _is_simulator(source) else None
        table = assign(table, probe=probe, headstage=headstage or None, port=port, wiring=simulated, override=True)
    if _is_simulator(source) and wanted:
        # whatever is uncertain about the real probe, the simulation lies exactly where it says
        table = replace(table, geometry_source="simulated")
    return assume_column(table)


def _plug(source: Source, scans: Sequence[PortScan]) -> None:
    """Let a simulator have these headstages and no others."""
    if not _is_simulator(source):
        return
    before = {s.port: s for s in source.scan()}
    wanted = {s.port: s for s in scans}
    for port in sorted({*before, *wanted}, key=lambda p: (p in before and p not in wanted, p)):
        if wanted.get(port) != before.get(port):
            after = wanted.get(port, PortScan(port, "", 0))
            source.plug(port, after.headstage_id, after.num_channels)


def _is_simulator(source: Source) -> bool:
    return "plug" in source.info.capabilities


def _profile(source: Source) -> str:
    """Return under which name the sensors of a source are kept."""
    if _is_simulator(source):
        return _SIMULATED
    replayed = MODES[source.info.mode].kind == Kind.REPLAYED
    return source.info.name if replayed else source.info.mode.name


def _info(channels: ChannelTable, scan: PortScan) -> SensorAssignmentInfo:
    amp = [channels[int(c)] for c in channels.columns_of(SignalType.AMP)]
    probes = [c.probe_id for c in amp if (c.port or Port.A) == scan.port and c.probe_id]
    return SensorAssignmentInfo(
        port=scan.port,
        headstage_id=scan.headstage_id,
        probe_id=probes[0].removeprefix(PROBE_PREFIX) if probes else "",
        num_channels=scan.num_channels,
        wiring_verified=channels.wiring_verified,
    )


def _site_count(probe: str) -> int:
    if _is_file(probe):
        from ranvier.probes import read_probeinterface

        return sum(len(p.sites) for p in read_probeinterface(Path(probe)))
    return parse_probe_name(probe).site_count


def _portable(probe: str) -> str:
    """Return a probe as another process will understand it."""
    return str(Path(probe).expanduser().absolute()) if _is_file(probe) else probe


def _is_file(probe: str) -> bool:
    return probe.lower().endswith(".json")
