"""Digital outputs: by hand, by threshold events, gated by streaming, pulsed."""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranvier.detect import ThresholdDetector
from ranvier.exceptions import CapabilityError, ConfigurationError
from ranvier.models.dio import DigitalOutChannelRegister, DigitalOutRegister, DIOMode
from ranvier.models.signals import SignalType
from ranvier.recordings.block import Block
from ranvier.rig.source import Source

#: For how long (s) an event holds its output.
EVENT_HIGH_SEC = 0.001


@dataclass(frozen=True, slots=True)
class _Settings:
    """What the registers hold; per output by index."""

    mode: DIOMode = DIOMode.MANUAL
    manual: tuple[bool, ...] = ()
    events: Mapping[int, tuple[float, bool, int]] | None = None  # threshold uV, upward, amplifier channel (NTV)
    polarity: bool = True
    pulse: tuple[float, float, int] = (0.0, 0.0, -1)  # interval s, duration s, output or -1


class Dio:
    """The digital outputs of one source. Setting them is for clients; ``on_block`` runs in the pump's thread.

    Setting one mode ends the others. An output that the closed loop holds is left alone, and refused to others.

    Parameters
    ----------
    source
        Returns the source in force.
    routed
        Returns the amplifier channel (NTV) on an analog output, -1 for none: a threshold event on output ``n`` watches
        what analog output ``n`` carries, as the comparators of Intan's controllers do, else amplifier channel ``n``.
    """

    def __init__(self, source: Callable[[], Source], routed: Callable[[int], int]) -> None:
        self._source = source
        self._routed = routed
        self._edit = threading.RLock()
        self._settings = _Settings()
        self._claimed: frozenset[int] = frozenset()
        self._driver: _Driver | None = None
        self._streams = False

    # --- what clients set ----------------------------------------------------------------------------------------

    def register(self) -> DigitalOutRegister:
        """Return mode and registers."""
        now = self._settings
        interval, duration, output = now.pulse
        channels = []
        for line in range(self._count()):
            threshold, upward, watched = (now.events or {}).get(line, (0.0, True, -1))
            pulsed = output in (-1, line)
            channels.append(
                DigitalOutChannelRegister(
                    manual_state=line < len(now.manual) and now.manual[line],
                    event_threshold=threshold,
                    event_polarity=upward,
                    ntv_chan_idx=watched,
                    pulse_interval_sec=interval if pulsed else 0.0,
                    pulse_duration_sec=duration if pulsed else 0.0,
                )
            )
        return DigitalOutRegister(
            mode=now.mode,
            dout_chan_registers=channels,
            gated_polarity=now.polarity,
            req_pulse_interval_sec=interval,
            req_pulse_duration_sec=duration,
            req_pulse_ntv_chan_idx=output,
        )

    def set_manual(self, chan_idx: int, state: bool) -> None:
        """Drive an output by hand."""
        line = self._line(chan_idx)
        with self._edit:
            manual = [*self._settings.manual, *[False] * self._count()][: self._count()]
            manual[line] = bool(state)
            self._take(replace(self._settings, mode=DIOMode.MANUAL, manual=tuple(manual)))
            self._source().set_digital_out(line, bool(state))

    def set_events(self, chan_idx: int, threshold_uv: float, positive: bool) -> None:
        """Raise an output for 1 ms at every threshold crossing: upward (``positive``) or downward."""
        line = self._line(chan_idx)
        if not math.isfinite(threshold_uv):
            raise ConfigurationError(f"the threshold of digital output {line} must be finite, got {threshold_uv!r} uV")
        watched = self._routed(line)
        watched = line if watched < 0 else watched
        self._source().channels.columns_for_ntv(SignalType.AMP, [watched])  # DatasetError names the channels
        with self._edit:
            known = dict(self._settings.events or {}) if self._settings.mode == DIOMode.EVENTS else {}
            known[line] = (float(threshold_uv), bool(positive), watched)
            self._take(replace(self._settings, mode=DIOMode.EVENTS, events=known))

    def set_gated(self, polarity: bool) -> None:
        """Hold every output at ``polarity`` while streaming, at its opposite otherwise."""
        self._require()
        with self._edit:
            self._take(replace(self._settings, mode=DIOMode.GATED, polarity=bool(polarity)))
            self._drive_gate()

    def set_pulse(self, interval_sec: float, duration_sec: float, chan_idx: int) -> None:
        """Pulse an output (-1 for all) every ``interval_sec`` for ``duration_sec``, while streaming."""
        self._require()
        if not (math.isfinite(interval_sec) and 0 < duration_sec < interval_sec):
            raise ConfigurationError(
                f"pulses need 0 < duration < interval, got a duration of {duration_sec:g} s every {interval_sec:g} s"
            )
        line = -1 if chan_idx == -1 else self._line(chan_idx)
        with self._edit:
            self._take(
                replace(self._settings, mode=DIOMode.PULSE, pulse=(float(interval_sec), float(duration_sec), line))
            )

    def claim(self, line: int) -> None:
        """Keep an output for the closed loop; ConfigurationError where another mode drives it."""
        line = self._line(line)
        with self._edit:
            if self._settings.mode in (DIOMode.GATED, DIOMode.PULSE, DIOMode.EVENTS):
                raise ConfigurationError(
                    f"digital output {line} is driven in mode {self._settings.mode.name}; set_dio_manual() frees it"
                )
            self._claimed |= {line}

    def release(self, line: int) -> None:
        """Give an output back."""
        with self._edit:
            self._claimed -= {line}

    # --- the stream ----------------------------------------------------------------------------------------------

    def stream_started(self) -> None:
        """Begin a stream: gates open, pulses and events start."""
        with self._edit:
            self._streams = True
            self._driver = None
            self._drive_gate()

    def on_block(self, block: Block) -> None:
        """Drive the outputs of the modes that follow the stream."""
        settings, driver = self._settings, self._driver
        if driver is not None and driver.settings is not settings:
            driver.rest(self._resting)
            driver = self._driver = None
        if settings.mode not in (DIOMode.EVENTS, DIOMode.PULSE):
            return
        if driver is None:
            driver = self._driver = _driver(settings, self._source(), self._count())
        driver.on_block(block)

    def stream_stopped(self) -> None:
        """End the stream: events and pulses leave their outputs low, gates close."""
        with self._edit:
            self._streams = False
            driver, self._driver = self._driver, None
            if driver is not None:
                driver.rest(self._resting)
            self._drive_gate()

    def reset(self) -> None:
        """Forget every setting: another source."""
        with self._edit:
            self._settings, self._driver, self._claimed = _Settings(), None, frozenset()

    # --- workspaces ----------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        now = self._settings
        return {
            "mode": now.mode.name,
            "manual": list(now.manual),
            "events": {str(line): list(event) for line, event in sorted((now.events or {}).items())},
            "polarity": now.polarity,
            "pulse": list(now.pulse),
        }

    @staticmethod
    def validate(document: Mapping[str, Any]) -> None:
        """Raise ConfigurationError for data that ``snapshot`` cannot have made."""
        try:
            DIOMode[document["mode"]]
            [bool(state) for state in document["manual"]]
            [(int(line), float(uv), bool(up), int(ntv)) for line, (uv, up, ntv) in document["events"].items()]
            interval, duration, line = document["pulse"]
            (float(interval), float(duration), int(line), bool(document["polarity"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigurationError(f"the digital outputs of this workspace cannot be read: {error!r}") from error

    def restore(self, document: Mapping[str, Any]) -> None:
        """Take saved settings over, checked against the source in force."""
        self.validate(document)
        mode = DIOMode[document["mode"]]
        with self._edit:
            self.reset()
            self._settings = replace(self._settings, polarity=bool(document["polarity"]))
            for line, state in enumerate(document["manual"]):
                self.set_manual(line, bool(state))
            if mode == DIOMode.EVENTS:
                for line, (uv, up, ntv) in document["events"].items():
                    self.set_events(int(line), float(uv), bool(up))
                    self._watch(int(line), int(ntv))
            elif mode == DIOMode.PULSE:
                self.set_pulse(*document["pulse"])
            elif mode == DIOMode.GATED:
                self.set_gated(bool(document["polarity"]))

    def _watch(self, line: int, ntv: int) -> None:
        self._source().channels.columns_for_ntv(SignalType.AMP, [ntv])
        events = dict(self._settings.events or {})
        uv, up, _ = events[line]
        self._settings = replace(self._settings, events={**events, line: (uv, up, ntv)})

    # --- inside --------------------------------------------------------------------------------------------------

    def _take(self, settings: _Settings) -> None:
        if settings.mode != DIOMode.MANUAL and self._claimed:
            raise ConfigurationError(
                f"the closed loop holds digital output {sorted(self._claimed)}; disarm_loop() frees it"
            )
        self._settings = settings  # the pump sees it at its next block, and leaves the old driver's outputs at rest

    def _resting(self, line: int) -> bool:
        """Return the state of an output that neither events nor pulses drive."""
        now = self._settings
        if now.mode == DIOMode.GATED:
            return now.polarity == self._streams
        return now.mode == DIOMode.MANUAL and line < len(now.manual) and now.manual[line]

    def _drive_gate(self) -> None:
        if self._settings.mode == DIOMode.GATED:
            for line in range(self._count()):
                self._source().set_digital_out(line, self._resting(line))

    def _count(self) -> int:
        return self._source().channels.count(SignalType.DOUT)

    def _require(self) -> None:
        info = self._source().info
        if "dout" not in info.capabilities or not self._count():
            raise CapabilityError(f"{info.name} has no digital outputs")

    def _line(self, chan_idx: int) -> int:
        self._require()
        if not 0 <= chan_idx < self._count():
            raise ConfigurationError(f"there is no digital output {chan_idx}; this source has 0-{self._count() - 1}")
        if chan_idx in self._claimed:
            raise ConfigurationError(f"the closed loop holds digital output {chan_idx}; disarm_loop() frees it")
        return int(chan_idx)


class _Driver(ABC):
    """Drives outputs in the pump's thread; remembers which are high, and until when.

    Edges are ordered when a block has come. What is due goes with the block whose end is nearest, so that a pulse is
    as long as it should be to half a block either way, and on average right.
    """

    def __init__(self, settings: _Settings, source: Source) -> None:
        self.settings = settings
        self._source = source
        self._until: dict[int, int] = {}

    @abstractmethod
    def on_block(self, block: Block) -> None:
        """Raise and lower outputs as a block asks."""

    def rest(self, resting: Callable[[int], bool]) -> None:
        """Leave what is high in the state that it has at rest."""
        for line in self._until:
            self._source.set_digital_out(line, resting(line))
        self._until.clear()

    def _raise(self, line: int, samples: int) -> None:
        if line not in self._until:
            begun = self._source.set_digital_out(line, True)
            self._until[line] = begun + samples

    def _lower(self, block: Block) -> None:
        for line in [line for line, until in self._until.items() if _is_due(until, block)]:
            self._source.set_digital_out(line, False)
            del self._until[line]


class _EventDriver(_Driver):
    """An output per watched channel."""

    def __init__(self, settings: _Settings, source: Source) -> None:
        super().__init__(settings, source)
        events = settings.events or {}
        self._lines = list(events)
        self._columns = source.channels.columns_for_ntv(SignalType.AMP, [ntv for _, _, ntv in events.values()])
        self._high = math.ceil(EVENT_HIGH_SEC * float(source.fs))
        self._detector = ThresholdDetector(
            [-np.inf if up else uv for uv, up, _ in events.values()],
            [uv if up else np.inf for uv, up, _ in events.values()],
        )
        self._state = self._detector.start()

    def on_block(self, block: Block) -> None:
        self._lower(block)
        for column in self._detector.process(take_columns(block, self._columns), self._state).channels:
            self._raise(self._lines[column], self._high)


class _PulseDriver(_Driver):
    """One clock for all outputs that pulse together."""

    def __init__(self, settings: _Settings, source: Source, count: int) -> None:
        super().__init__(settings, source)
        interval, duration, line = settings.pulse
        self._lines = list(range(count)) if line == -1 else [line]
        self._interval = interval * float(source.fs)
        self._duration = math.ceil(duration * float(source.fs))
        self._began: int | None = None
        self._pulses = 0

    def on_block(self, block: Block) -> None:
        self._lower(block)
        if self._began is None:
            self._began = block.stop
        if _is_due(self._began + self._pulses * self._interval, block):
            for line in self._lines:
                self._raise(line, self._duration)
            # Pulses that fell together, because the stream stood still, are one; the clock keeps its phase.
            while _is_due(self._began + self._pulses * self._interval, block):
                self._pulses += 1


def _is_due(counter: float, block: Block) -> bool:
    """Return whether the end of this block is nearer to a counter than that of the next, or behind it."""
    return counter - block.stop <= len(block) / 2


def _driver(settings: _Settings, source: Source, count: int) -> _Driver:
    if settings.mode == DIOMode.EVENTS:
        return _EventDriver(settings, source)
    return _PulseDriver(settings, source, count)


def take_columns(block: Block, columns: np.ndarray[Any, np.dtype[np.int64]]) -> Block:
    """Return some columns of a block as float32 in physical units."""
    part = block.samples[:, columns]
    if block.gain is None or block.offset is None:
        return Block(np.ascontiguousarray(part, dtype=np.float32), block.start)
    scaled = part * block.gain[columns] + block.offset[columns]
    return Block(np.ascontiguousarray(scaled, dtype=np.float32), block.start)
