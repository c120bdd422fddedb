"""Recording triggers, and the switch of the closed loop."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ranvier.exceptions import CapabilityError, ConfigurationError, RadiensError
from ranvier.models.ports import Port
from ranvier.models.rig import LoopSettings
from ranvier.models.signals import SignalType
from ranvier.models.triggers import TriggerChannel, TriggerState
from ranvier.recordings.block import Block
from ranvier.rig.loop import ClosedLoop
from ranvier.rig.source import Source

_FIRST_DOUT = int(TriggerChannel.T_DOUT_0)


class StartsRecordings(Protocol):
    """What a trigger starts and stops: the recorder."""

    def start(self, *, port: Port | None = None, client: str = "") -> None:
        """Record a port or everything."""
        ...

    def stop(self, *, port: Port | None = None) -> None:
        """Finish the files of one port, or all."""
        ...


@dataclass(frozen=True, slots=True)
class _Enabled:
    channel: TriggerChannel
    port: Port | None


class Triggers:
    """Recording triggers of one rig (``services.rig_outputs.RigTriggers``), a hook of the pump, a part of workspaces.

    A trigger gates recording: the rising edge of its line starts the recording of its port (of everything where files
    are not split by port), the falling edge ends it. A line that is high already when the trigger is enabled, or when
    streaming begins, waits for its next rising edge. Recordings are started and stopped by a thread of this service,
    a few milliseconds after the edge; the pump only sees the edge. A recording that somebody started by hand is not
    touched by a trigger.

    Parameters
    ----------
    source
        Returns the source in force.
    loop
        The closed loop.
    recorder
        Returns what is started and stopped.
    split_by_port
        Returns whether files are split by port; without it one trigger is active at a time.
    """

    def __init__(
        self,
        source: Callable[[], Source],
        loop: ClosedLoop,
        recorder: Callable[[], StartsRecordings],
        split_by_port: Callable[[], bool],
    ) -> None:
        self._source = source
        self._loop = loop
        self._recorder = recorder
        self._split_by_port = split_by_port
        self._edit = threading.Lock()
        self._enabled: tuple[_Enabled, ...] = ()
        self._watch: _Watch | None = None
        self._worker = _Worker(recorder)

    def enable(self, channel: TriggerChannel, port: Port | None = None) -> None:
        """Enable a trigger. ConfigurationError for T_NONE, a line that the source has not, and for a second trigger
        where files are not split by port.
        """
        channel = TriggerChannel(channel)
        if channel == TriggerChannel.T_NONE:
            raise ConfigurationError("T_NONE is no line to trigger on; disable(T_NONE) disables every trigger")
        _column(channel, self._source())
        with self._edit:
            wanted = _Enabled(channel, port if self._split_by_port() else None)
            others = [e for e in self._enabled if e != wanted]
            if others and wanted.port is None:
                names = ", ".join(e.channel.name for e in others)
                raise ConfigurationError(
                    f"{names} triggers already; without splitting files by port one trigger is active at a time, so "
                    "disable it first, or set split_files_by_port"
                )
            if self._split_by_port() and port is None:
                raise ConfigurationError("files are split by port: name the port that the trigger starts")
            taken = [e for e in others if e.port == wanted.port]
            if taken:
                raise ConfigurationError(
                    f"port {port.name if port else '-'} is triggered by {taken[0].channel.name} already; disable that"
                )
            self._set((*others, wanted))

    def disable(self, channel: TriggerChannel, port: Port | None = None) -> None:
        """Disable a trigger (of one port, or of all); T_NONE disables every trigger. Harmless where it is off.

        A recording that the trigger started goes on until it is stopped.
        """
        channel = TriggerChannel(channel)
        with self._edit:
            if channel == TriggerChannel.T_NONE:
                self._set(())
                return
            self._set(
                tuple(
                    e
                    for e in self._enabled
                    if e.channel != channel or (port is not None and e.port is not None and e.port != port)
                )
            )

    def state(self) -> TriggerState:
        """Return the enabled triggers: lines and ports in parallel; port A stands for all where there is no split."""
        enabled = self._enabled
        return TriggerState(
            enabled_channels=[e.channel for e in enabled],
            ports=[Port.A if e.port is None else e.port for e in enabled],
        )

    def arm_loop(self, settings: LoopSettings, *, client: str = "") -> None:
        """Answer threshold crossings of amplifier channels with an edge."""
        self._loop.arm(settings, client=client)

    def disarm_loop(self) -> None:
        """Turn the closed loop off."""
        self._loop.disarm()

    @property
    def notes(self) -> tuple[str, ...]:
        """What went wrong with recordings that triggers started or stopped, since streaming began."""
        return tuple(self._worker.errors)

    def reset(self) -> None:
        """Disable everything: another source, or other channels."""
        with self._edit:
            self._set(())
        self._loop.disarm()

    def close(self) -> None:
        """End the thread."""
        self._worker.close()

    # --- the pump's hook -----------------------------------------------------------------------------------------

    def stream_started(self) -> None:
        """Begin a stream."""
        self._worker.errors = []
        self._watch = _Watch(self._enabled, self._source())

    def on_block(self, block: Block, arrival_monotonic: float) -> None:
        """Look for edges of the lines that trigger."""
        enabled, watch = self._enabled, self._watch
        if not enabled or not len(block):
            return
        if watch is None or watch.enabled is not enabled:
            watch = self._watch = _Watch(enabled, self._source())
        for trigger, rises in watch.edges(block):
            self._worker.put(trigger, rises)

    def stream_stopped(self) -> None:
        """End a stream."""
        self._watch = None

    def idle(self, timeout_sec: float = 5.0) -> bool:
        """Wait until what was triggered so far was done; return whether it was."""
        return self._worker.wait(timeout_sec)

    # --- workspaces ----------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Return the triggers as plain data. A closed loop is armed by a person, never by a workspace."""
        return {"enabled": [[e.channel.name, None if e.port is None else e.port.name] for e in self._enabled]}

    def validate(self, document: Mapping[str, Any]) -> None:
        """Raise ConfigurationError for data that ``snapshot`` cannot have made."""
        _parse(document)

    def restore(self, document: Mapping[str, Any]) -> None:
        """Take saved triggers over, checked against the source in force."""
        enabled = _parse(document)
        for trigger in enabled:
            _column(trigger.channel, self._source())
        with self._edit:
            self._set(enabled)

    def _set(self, enabled: tuple[_Enabled, ...]) -> None:
        self._enabled = enabled


class _Watch:
    """The columns of the lines that trigger, and how each stood at the end of the last block."""

    def __init__(self, enabled: tuple[_Enabled, ...], source: Source) -> None:
        self.enabled = enabled
        self._columns = [_column(e.channel, source) for e in enabled]
        self._last: np.ndarray[Any, np.dtype[np.bool_]] | None = None

    def edges(self, block: Block) -> list[tuple[_Enabled, bool]]:
        """Return the edges of a block in their order. Lost samples between two blocks do not hide how a line stands."""
        high = block.samples[:, self._columns] > 0
        before = np.concatenate([high[:1] if self._last is None else self._last[None], high[:-1]])
        self._last = high[-1]
        rows, lines = np.nonzero(high != before)
        return [(self.enabled[k], bool(high[row, k])) for row, k in zip(rows.tolist(), lines.tolist(), strict=True)]


class _Worker:
    """Starts and stops recordings, away from the pump."""

    def __init__(self, recorder: Callable[[], StartsRecordings]) -> None:
        self._recorder = recorder
        self._todo: queue.SimpleQueue[tuple[_Enabled, bool] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._started: set[Port | None] = set()
        self._put = 0
        self._done = 0
        self._changed = threading.Condition()
        self.errors: list[str] = []

    def put(self, trigger: _Enabled, rises: bool) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ranvier-triggers", daemon=True)
            self._thread.start()
        self._put += 1
        self._todo.put((trigger, rises))

    def wait(self, timeout_sec: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._done >= self._put, timeout_sec)

    def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._todo.put(None)
            thread.join(5.0)

    def _run(self) -> None:
        while (item := self._todo.get()) is not None:
            trigger, rises = item
            try:
                self._do(trigger, rises)
            except RadiensError as error:
                self.errors.append(
                    f"{trigger.channel.name} could not {'start' if rises else 'stop'} a recording: {error}"
                )
            with self._changed:
                self._done += 1
                self._changed.notify_all()

    def _do(self, trigger: _Enabled, rises: bool) -> None:
        if rises:
            self._recorder().start(port=trigger.port, client=f"trigger {trigger.channel.name}")
            self._started.add(trigger.port)
        elif trigger.port in self._started:
            self._started.discard(trigger.port)
            self._recorder().stop(port=trigger.port)


def _column(channel: TriggerChannel, source: Source) -> int:
    """Return the column of a line; CapabilityError where the source does not have it."""
    number = int(channel)
    kind, ntv = (SignalType.DIN, number) if number < _FIRST_DOUT else (SignalType.DOUT, number - _FIRST_DOUT)
    for column in source.channels.columns_of(kind):
        if source.channels[int(column)].ntv == ntv:
            return int(column)
    raise CapabilityError(
        f"{source.info.name} has no line {channel.name}: it has {source.channels.count(SignalType.DIN)} digital inputs "
        f"and {source.channels.count(SignalType.DOUT)} outputs"
    )


def _parse(document: Mapping[str, Any]) -> tuple[_Enabled, ...]:
    try:
        return tuple(
            _Enabled(TriggerChannel[channel], None if port is None else Port[port])
            for channel, port in document["enabled"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"the triggers of this workspace cannot be read: {error!r}") from error
