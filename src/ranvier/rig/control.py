"""The state of a rig, and its control calls."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ranvier.exceptions import CapabilityError, ConfigurationError
from ranvier.models.channels import ChannelMetadata
from ranvier.models.core_config import CableDelay, CoreConfig
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.events import EventTable
from ranvier.models.ports import GPIOChannelCount, PortChannelCount
from ranvier.models.rig import RigState, RigStatus, SourceStatus
from ranvier.models.signals import SignalType
from ranvier.models.status import (
    BackboneMode,
    BackboneStatus,
    StreamingStatus,
    StreamMode,
)
from ranvier.recordings.timing import resolve_counters
from ranvier.rig.core import LOOP_RANGE_MS, PERSISTENCE_RANGE_SEC, Core
from ranvier.rig.reports import Reports
from ranvier.rig.source import Source
from ranvier.rig.state import Action

#: Cable delays are numbers of half steps of the sampling clock of a headstage.
CABLE_DELAY_RANGE = (0, 15)

SourceMaker = Callable[[BackboneMode, Path | None, bool], Source]


class Control:
    """Service ``RigControl``.

    Parameters
    ----------
    make
        Makes the source of a mode: ``make(mode, replay, loop)``.
    reports
        What the other parts tell.
    metadata
        Returns the channels of the stream.
    configure
        Scans the source's ports and gives it its channels, and a rate unless that is None.
    """

    def __init__(
        self,
        core: Core,
        make: SourceMaker,
        reports: Reports,
        metadata: Callable[[], ChannelMetadata],
        configure: Callable[[float | None], object],
    ) -> None:
        self._core = core
        self._make = make
        self._reports = reports
        self._metadata = metadata
        self._configure = configure
        self._cable_delays: dict[int, CableDelay] = {}

    # --- what is -------------------------------------------------------------------------------------------------

    def status(self) -> BackboneStatus:
        """Return the documented status; never waits for another call."""
        core = self._core
        source, span = core.source, core.cache.span()
        ports = [c.port for c in source.channels if c.type == SignalType.AMP and c.port is not None]
        return BackboneStatus(
            streaming=StreamingStatus(
                stream_mode=StreamMode.ON if core.machine.streams else StreamMode.OFF,
                primary_cache_t_range=[float(span.start / source.fs), float(span.stop / source.fs)],
                hardware_memory_level=source.buffer_level(),
            ),
            recording=self._reports.recording(),
            ports=[PortChannelCount(port=p, channel_count=ports.count(p)) for p in sorted(set(ports))],
            is_connected=core.machine.state != RigState.FAULT,
            gpio_channel_count=GPIOChannelCount(
                n_aux=source.channels.count(SignalType.AIN),
                n_din=source.channels.count(SignalType.DIN),
                n_dout=source.channels.count(SignalType.DOUT),
            ),
            simulated=source.info.simulated,
        )

    def details(self) -> RigStatus:
        """Return state, losses, consumers, disk, latency, warnings; never waits for another call."""
        core = self._core
        source, counts = core.source, core.pump.counts
        return RigStatus(
            state=core.machine.state,
            source=SourceStatus(
                mode=source.info.mode,
                name=source.info.name,
                simulated=source.info.simulated,
                fs_hz=float(source.fs),
                num_channels=len(source.channels),
                received_samples=counts.received_samples,
                lost_samples=counts.lost_samples,
                jumps=counts.jumps,
                nan_samples=counts.nan_samples,
                fault=core.machine.fault,
            ),
            clients=self._reports.clients(),
            consumers=tuple(consumer.status() for consumer in core.pump.consumers),
            disk=self._reports.disk(),
            loop=self._reports.loop(),
            outputs=self._reports.outputs(),
            recording_files=tuple(self._reports.files()),
            recorded_by=core.machine.recorded_by,
            engine_load=core.pump.load if core.pump.runs else 0.0,
            warnings=tuple(self._warnings()),
        )

    def core_config(self) -> CoreConfig:
        """Return rate, loop duration, mode, cable delays."""
        core = self._core
        return CoreConfig(
            allegoCoreServerPort="",
            baseSampFreq=float(core.source.fs),
            streamLoopDurMs=max(1, round(core.loop_ms)),
            backboneMode=core.mode,
            hasXDAQGPIOExpander=False,
            cableDelays=dict(self._cable_delays),
        )

    def ground_truth(self, time_range: TimeRangeSpec) -> EventTable:
        """Return the true spikes of a simulated source since streaming began (``line`` = unit, ``state`` = 1).

        Raises
        ------
        CapabilityError
            The source is no simulation that knows them.
        TimeRangeError
            The range lies outside the stream.
        """
        core = self._core
        source, first = core.source, core.cache.first
        if "ground_truth" not in source.info.capabilities:
            raise CapabilityError(f"{source.info.name} knows no true spikes; a simulator of spikes does")
        start = 0 if first is None else first
        start, stop = resolve_counters(time_range, start, core.cache.head, source.fs, "the stream")
        trains = source.ground_truth(start, stop)
        n = len(trains)
        return EventTable(
            sec=trains.counter / float(source.fs),
            timestamp=trains.counter,
            line=trains.unit,
            state=np.ones(n, np.int8),
            source=("SIMULATED spikes",) * n,
            text=("",) * n,
        )

    # --- what changes ---------------------------------------------------------------------------------------------

    def restart(
        self, mode: BackboneMode, *, replay: Path | None = None, loop: bool = True, require_hardware: bool = False
    ) -> None:
        """Take another source; where that fails, nothing changes."""
        core = self._core
        with core.machine.during(Action.RESTART):
            source = self._make(BackboneMode(mode), replay, loop)
            if require_hardware and source.info.simulated:
                source.close()
                raise CapabilityError(
                    f"{source.info.name} is a simulator and require_hardware=True was given; name the mode of the "
                    "instrument"
                )
            core.take(source, lambda: self._configure(None))
            core.replay, core.replay_loops = replay, loop
            self._cable_delays.clear()

    def start_streaming(self) -> None:
        """Start with an empty cache; harmless where it streams already. After a fault it tries the source again."""
        core = self._core
        with core.machine.during(Action.START_STREAMING):
            if not core.machine.streams:
                core.start()

    def stop_streaming(self) -> None:
        """Stop; harmless where it does not stream; refused while recording."""
        core = self._core
        with core.machine.during(Action.STOP_STREAMING):
            core.stop()

    def set_core_config(
        self,
        *,
        samp_freq: float | None = None,
        loop_dur: float | None = None,
        pcache_persistence: float | None = None,
        cable_delay: CableDelay | None = None,
    ) -> None:
        """Change what is given: all of it, or nothing.

        Parameters
        ----------
        samp_freq
            Sampling rate in Hz; the cache, selection and filters that do not fit start anew.
        loop_dur
            Period of the acquisition loop in ms: how long blocks are.
        pcache_persistence
            For how many seconds the cache remembers; less where memory does not allow it (``details().warnings`` says).
        """
        core = self._core
        with core.machine.during(Action.SET_CORE_CONFIG):
            rates = core.source.info.sampling_rates_hz
            if samp_freq is not None and not any(math.isclose(samp_freq, rate) for rate in rates):
                offered = ", ".join(f"{rate:g}" for rate in rates)
                raise ConfigurationError(
                    f"{core.source.info.name} does not sample at {samp_freq:g} Hz; it offers {offered}"
                )
            _check_range("loop_dur", loop_dur, LOOP_RANGE_MS, "ms")
            _check_range("pcache_persistence", pcache_persistence, PERSISTENCE_RANGE_SEC, "s")
            if cable_delay is not None:
                _check_range("cable_delay", cable_delay.cable_delay, CABLE_DELAY_RANGE, "steps")
            if samp_freq is not None and samp_freq != float(core.source.fs):
                self._configure(samp_freq)
                core.changed()
            if loop_dur is not None:
                core.loop_ms = loop_dur
            if pcache_persistence is not None:
                core.persistence_sec = pcache_persistence
            if cable_delay is not None:
                self._cable_delays[int(cable_delay.port)] = cable_delay

    def replace_cable_delays(self, delays: Sequence[CableDelay]) -> None:
        """Take all cable delays over."""
        with self._core.machine.during(Action.SET_CORE_CONFIG):
            for delay in delays:
                _check_range("cable_delay", delay.cable_delay, CABLE_DELAY_RANGE, "steps")
            self._cable_delays = {int(delay.port): delay for delay in delays}

    def scan_ports(self) -> ChannelMetadata:
        """Look again at what is plugged in; selection, stimulation and triggers start anew."""
        core = self._core
        with core.machine.during(Action.SCAN_PORTS):
            self._configure(None)
            core.changed()
            return self._metadata()

    def _warnings(self) -> list[str]:
        core = self._core
        found = [*core.warnings.values(), *core.pump.warnings.values()]
        if core.cache.shortened_sec:
            found.append(
                f"the live cache holds {core.cache.persistence_sec:.1f} s instead of {core.cache.shortened_sec:g} s: "
                "more would take too much memory"
            )
        counts = core.pump.counts
        if counts.lost_samples:
            found.append(f"{counts.lost_samples} samples were lost in {counts.jumps} jumps of the counter")
        if counts.nan_samples:
            found.append(f"{counts.nan_samples} samples came as NaN")
        if core.machine.fault:
            found.append(core.machine.fault)
        return found + [text for tell in self._reports.warnings for text in tell()]


def _check_range(name: str, value: float | None, limits: tuple[float, float], unit: str) -> None:
    if value is not None and not limits[0] <= value <= limits[1]:
        raise ConfigurationError(
            f"{name}={value:g} {unit} is not possible; choose {limits[0]:g} to {limits[1]:g} {unit}"
        )
