"""The closed loop: a threshold event in the stream answers with an edge on a digital output, in the pump's thread."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ranvier.detect import DetectorState, ThresholdDetector
from ranvier.dsp.causal import CausalFilter
from ranvier.dsp.design import butterworth
from ranvier.exceptions import CapabilityError, ConfigurationError, RadiensError
from ranvier.models.rig import LatePolicy, LoopSettings, LoopStatus
from ranvier.models.signals import SignalType
from ranvier.recordings.block import Block
from ranvier.rig.clock import Clock
from ranvier.rig.dio import Dio, take_columns
from ranvier.rig.latency import LatencyHistogram
from ranvier.rig.source import Source

#: Order of the high-pass that a loop may have in front of its detector.
HIGHPASS_ORDER = 2


class ClosedLoop:
    """One loop of one rig; a hook of the pump.

    Latency is from the event's sample to the return of the source's command. When the sample was taken the source
    tells (``Source.sample_time``); where it cannot, the last sample of a block counts as taken when the block arrived.
    With a simulated source it is the latency of the software alone.

    Parameters
    ----------
    source
        Returns the source in force.
    clock
        What latency is measured by.
    dio
        Keeps the digital output for the loop.
    """

    def __init__(self, source: Callable[[], Source], clock: Clock, dio: Dio) -> None:
        self._source = source
        self._clock = clock
        self._dio = dio
        self._edit = threading.Lock()
        self._running: _Running | None = None
        self._last: _Running | None = None  # the figures of the loop that ended last
        self._client = ""
        self._fault = ""

    def arm(self, settings: LoopSettings, *, client: str = "") -> None:
        """Turn the loop on, in place of the one that runs; ConfigurationError says what cannot be meant."""
        source = self._source()
        if "dout" not in source.info.capabilities:
            raise CapabilityError(f"{source.info.name} has no digital outputs, so nothing can answer")
        _check(settings)
        running = _Running(settings, source, self._clock)  # loads kernels: outside the lock, which the pump may want
        with self._edit:
            self._end()
            self._dio.claim(settings.dout_idx)
            self._running, self._client, self._fault = running, client, ""

    def disarm(self) -> None:
        """Turn the loop off and leave its output low; harmless where it is off."""
        with self._edit:
            self._end()

    def client_gone(self, client: str) -> None:
        """Turn the loop off where that client armed it."""
        if self._running is not None and client == self._client:
            self.disarm()
            self._fault = f"closed loop disarmed: client {client or '(unnamed)'} is gone"

    @property
    def is_armed(self) -> bool:
        """Whether events are answered."""
        return self._running is not None

    def status(self) -> LoopStatus | None:
        """Return the figures of the loop that runs, or of the one that ended last; None where there was none."""
        running = self._running
        shown = running or self._last
        if shown is None:
            return None
        return LoopStatus(
            armed=running is not None,
            events=shown.events,
            edges=shown.edges,
            policy=shown.settings.late,
            deadline_ms=shown.settings.deadline_ms,
            latency=shown.latency.report(software_only=self._source().info.simulated),
        )

    @property
    def note(self) -> str:
        """Why the loop is off though nobody turned it off; "" otherwise."""
        return self._fault

    # --- the pump's hook -----------------------------------------------------------------------------------------

    def stream_started(self) -> None:
        """Begin a stream: a loop that was armed before watches its source."""
        with self._edit:
            running = self._running
            if running is None:
                return
            try:
                self._running = _Running(running.settings, self._source(), self._clock)
            except RadiensError as error:
                self._end()
                self._fault = f"closed loop disarmed: {error}"

    def on_block(self, block: Block, arrival_monotonic: float) -> None:
        """Answer the events of a block."""
        running = self._running
        if running is None or not len(block):
            return
        try:
            keep = running.on_block(block, arrival_monotonic)
        except RadiensError as error:
            keep, self._fault = False, f"closed loop disarmed: {error}"
        if self._running is not running:  # it was turned off meanwhile, perhaps before this block's edge
            running.lower()
        elif not keep:
            if not self._fault:
                self._fault = f"closed loop disarmed: it missed its deadline of {running.settings.deadline_ms:g} ms"
            self.disarm()

    def stream_stopped(self) -> None:
        """End a stream: the output goes low, the loop is off."""
        self.disarm()

    def _end(self) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        self._last = running
        self._dio.release(running.settings.dout_idx)
        try:
            running.lower()
        except RadiensError as error:
            self._fault = f"digital output {running.settings.dout_idx} could not be lowered: {error}"


class _Running:
    """The loop on one source, with its figures. Used by the pump's thread; ``lower`` may come from others."""

    def __init__(self, settings: LoopSettings, source: Source, clock: Clock) -> None:
        self.settings = settings
        self.events = 0
        self.edges = 0
        self.latency = LatencyHistogram(settings.deadline_ms)
        self._source = source
        self._clock = clock
        self._fs = float(source.fs)
        self._columns: npt.NDArray[np.int64] = source.channels.columns_for_ntv(SignalType.AMP, settings.channels)
        self._filter: CausalFilter | None = None
        if settings.highpass_hz is not None:
            design = butterworth("highpass", (settings.highpass_hz,), HIGHPASS_ORDER, source.fs)
            self._filter = CausalFilter(design, source.fs, source.channels.take(self._columns))
            self._filter_state = self._filter.start()
        down = settings.threshold_uv < 0
        self._detector = ThresholdDetector(
            settings.threshold_uv if down else -np.inf,
            np.inf if down else settings.threshold_uv,
            num_channels=len(self._columns),
        )
        self._state: DetectorState = self._detector.start()
        self._pulse = math.ceil(settings.pulse_sec * self._fs)
        self._refractory = math.ceil(settings.refractory_sec * self._fs)
        self._ready_at = self._settled_at = -(2**62)
        self._low_at: int | None = None
        self._warm_up()
        self._since = clock.monotonic()

    def on_block(self, block: Block, arrival: float) -> bool:
        """Answer the events of a block; return False where the loop has to end."""
        if self._low_at is not None and block.stop >= self._low_at:
            self.lower()
        raw = take_columns(block, self._columns)
        for part in [raw] if self._filter is None else self._filtered(self._filter, raw):
            for counter in self._detector.process(part, self._state).counters.tolist():
                if counter < self._settled_at:
                    continue
                self.events += 1
                if counter >= self._ready_at and not self._answer(counter, block, arrival):
                    return False
        return True

    def lower(self) -> None:
        """End the answer that lasts."""
        if self._low_at is not None:
            self._low_at = None
            self._source.set_digital_out(self.settings.dout_idx, False)

    def _filtered(self, highpass: CausalFilter, part: Block) -> list[Block]:
        if self._filter_state.next != part.start:  # what the filter gives until it has settled is no event
            self._settled_at = part.start + highpass.settling_samples
        return highpass.process(part, self._filter_state)

    def _answer(self, counter: int, block: Block, arrival: float) -> bool:
        taken = self._source.sample_time(counter)
        if taken is None:
            taken = arrival - (block.stop - 1 - counter) / self._fs
        if taken < self._since:
            return True  # samples that waited while the loop was armed: nobody asked to answer them
        age_ms = (self._clock.monotonic() - taken) * 1e3
        if age_ms > self.settings.deadline_ms and self.settings.late != LatePolicy.LATE:
            self.latency.add(age_ms)  # missed: nothing was put out
            self._ready_at = counter + self._refractory
            return self.settings.late != LatePolicy.DISARM
        begun = self._source.set_digital_out(self.settings.dout_idx, True)
        self.latency.add((self._clock.monotonic() - taken) * 1e3)
        self.edges += 1
        self._low_at = begun + self._pulse
        self._ready_at = max(counter, begun) + self._refractory
        return True

    def _warm_up(self) -> None:
        """Load the compiled kernels before the stream needs them."""
        silence = Block(np.zeros((1, len(self._columns)), np.float32), 0)
        if self._filter is not None:
            self._filter.process(silence, self._filter.start())
        self._detector.process(silence, self._detector.start())


def _check(settings: LoopSettings) -> None:
    if not settings.channels or len(set(settings.channels)) != len(settings.channels):
        raise ConfigurationError(f"a closed loop watches one or more channels, each once; got {settings.channels}")
    if not math.isfinite(settings.threshold_uv) or not settings.threshold_uv:
        raise ConfigurationError(
            f"threshold_uv {settings.threshold_uv!r} is none: negative for downward crossings, positive for upward ones"
        )
    for name in ("pulse_sec", "refractory_sec", "deadline_ms"):
        value = getattr(settings, name)
        if not (math.isfinite(value) and value > 0):
            raise ConfigurationError(f"{name} of a closed loop must be above 0, got {value!r}")
    if settings.refractory_sec < settings.pulse_sec:
        raise ConfigurationError(
            f"refractory_sec {settings.refractory_sec:g} is shorter than pulse_sec {settings.pulse_sec:g}: the next "
            "edge would come before the output is low again"
        )
