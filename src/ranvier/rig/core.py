"""What the services of a rig share: the source, the state, the cache, the pump, and what to do when they change."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ranvier import _platform
from ranvier.kernels import all_kernels
from ranvier.models.status import BackboneMode
from ranvier.recordings.provenance import new_record
from ranvier.rig.cache import SignalCache
from ranvier.rig.clock import Clock
from ranvier.rig.dsp import DspStages
from ranvier.rig.pump import Pump
from ranvier.rig.selection import Selection
from ranvier.rig.source import Source
from ranvier.rig.state import StateMachine
from ranvier.rig.stream import StreamInfo
from ranvier.services.caller import Caller
from ranvier.store import Store

#: For how long the cache remembers unless told otherwise, and what may be asked for, in seconds.
PERSISTENCE_SEC = 20.0
PERSISTENCE_RANGE_SEC = (1.0, 600.0)

#: Period of the acquisition loop: how long the blocks are, in milliseconds.
LOOP_MS = 5.0
LOOP_RANGE_MS = (0.5, 1000.0)

#: The cache takes at most this part of the machine's memory.
MEMORY_SHARE = 0.15

#: What streams run: compiled before samples come, never while they do.
KERNELS = (
    "ranvier.recordings.kernels",
    "ranvier.dsp.kernels",
    "ranvier.dsp.reference_kernels",
    "ranvier.simulation.kernels",
    "ranvier.simulation.live_kernels",
    "ranvier.detect.kernels",
    "ranvier.metrics.packet_kernels",
    "ranvier.metrics.fold_kernels",
    "ranvier.sorting.event_kernels",
    "ranvier.sorting.gated_kernels",
    "ranvier.sorting.running_kernels",
    "ranvier.sorting.stream_kernels",
)

Listener = Callable[[], None]


class Core:
    """The running parts of a rig. Changes come from control calls only, one at a time (``machine.control`` is held).

    Attributes
    ----------
    on_new_source
        Called after another source, other ports or another rate: stimulation, triggers, and filters start anew.
    on_fault
        Called with the reason after the source failed, in the pump's thread: must not wait.
    on_caller_gone
        Called with every client that left or died.
    replay, replay_loops
        What the data-source mode plays, and whether it begins again.
    warnings
        What a person at the rig should know, by topic.
    """

    def __init__(self, source: Source, store: Store, clock: Clock) -> None:
        self.machine = StateMachine()
        self.store = store
        self.clock = clock
        self.source = source
        self.replay: Path | None = None
        self.replay_loops = True
        self.selection = Selection()
        self.persistence_sec = PERSISTENCE_SEC
        self.loop_ms = LOOP_MS
        self.warnings: dict[str, str] = {}
        self.on_new_source: list[Listener] = []
        self.on_fault: list[Callable[[str], None]] = []
        self.on_caller_gone: list[Callable[[Caller], None]] = []
        self.cache = SignalCache(int(MEMORY_SHARE * _platform.memory_bytes()))
        self.dsp = DspStages(self.machine, lambda: self.source)
        self.pump = Pump(
            self.cache,
            clock,
            acquisition=lambda: self.dsp.live,
            persistence_sec=lambda: self.persistence_sec,
            failed=self._failed,
        )

    @property
    def mode(self) -> BackboneMode:
        """Mode of the source."""
        return self.source.info.mode

    def start(self) -> None:
        """Start the stream; SourceError (and FAULT) where the source does not start."""
        warm()
        self.source.block_sec = self.loop_ms / 1000.0
        self.dsp.fresh()
        source, counts = self.source, self.dsp.live is None
        self.cache.prepare(source.channels, source.fs, self.persistence_sec, counts=counts)
        try:
            self.pump.start(self.source)
        except Exception as error:
            self.machine.fail(str(error))
            raise

    def stop(self) -> None:
        """End the stream; harmless where none runs."""
        self.pump.stop()

    def take(self, source: Source, prepare: Callable[[], object]) -> None:
        """Replace the source once ``prepare`` gave the new one its channels; the old one is released.

        Where that fails the old source stays, and nothing has changed.
        """
        old, self.source = self.source, source
        try:
            prepare()
        except Exception:
            self.source = old
            source.close()
            raise
        old.close()
        self.changed()

    def changed(self) -> None:
        """Begin anew with the source as it is now: nothing cached, everything selected, filters bound again."""
        self.cache.clear()
        self.cache.end()
        self.selection.clear()
        self.warnings.clear()
        for number, text in enumerate(self.dsp.rebind()):
            self.warnings[f"dsp {number}"] = text
        for listener in self.on_new_source:
            listener()

    def stream(self) -> StreamInfo:
        """Describe the running stream to a consumer."""
        source = self.source
        return StreamInfo(
            fs=source.fs,
            channels=self.selection.apply(source.channels),
            source=source.info,
            start_counter=self.cache.first,
            simulated=source.info.simulated,
            provenance=self._provenance(),
            dsp=self.dsp.describe(),
        )

    def _provenance(self) -> dict[str, Any]:
        info = self.source.info
        return new_record(
            sources=[{"path": info.name, "format": info.mode.name, "uid": "", "bytes": 0, "provenance": None}],
            stages=self.dsp.describe(),
            simulated=info.simulated,
            seed=getattr(self.source, "seed", None),
        )

    def _failed(self, text: str) -> None:
        self.machine.fail(text)
        for listener in self.on_fault:
            listener(text)


def warm() -> None:
    """Load or compile what streams run; quick where that was done before.

    That includes SciPy, which designs filters: importing it holds up every thread for a third of a second.
    """
    importlib.import_module("scipy.signal")
    for item in all_kernels():
        if item.name.rpartition(".")[0] in KERNELS:
            item.compile()
