"""A rig: the acquisition services, composed."""

from __future__ import annotations

from pathlib import Path

from ranvier.models.status import BackboneMode
from ranvier.rig.clock import Clock, RealClock
from ranvier.rig.control import Control, SourceMaker
from ranvier.rig.core import Core
from ranvier.rig.dsp import DspStages
from ranvier.rig.reports import Reports
from ranvier.rig.signals import LiveSignals
from ranvier.rig.source import Source
from ranvier.store import Store


class Rig:
    """One acquisition system. It starts idle, with a source of ``mode``.

    Parameters
    ----------
    home
        Folder of the engine's state; None takes ``RANVIER_HOME``, else the platform's data folder.
    mode
        The first source.
    clock
        Time as the rig sees it; real unless a test says otherwise.
    seed
        Of simulators.
    make
        Makes sources, for tests.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        mode: BackboneMode = BackboneMode.SMARTBOX_SIM_GEN_SPIKES,
        clock: Clock | None = None,
        seed: int = 1,
        make: SourceMaker | None = None,
    ) -> None:
        self.clock = clock or RealClock()
        self.store = Store(home)
        self._seed = seed
        make = make or self._make_source
        self.core = Core(make(mode, None, True), self.store, self.clock)
        self.reports = Reports()
        self.dsp: DspStages = self.core.dsp
        self.signals = LiveSignals(self.core)
        self.control = Control(self.core, make, self.reports, self.signals.channel_metadata, self._configure)

    def busy(self) -> bool:
        """Whether it streams or records: then a process that holds it stays."""
        return self.core.machine.streams

    def close(self) -> None:
        """Stop streaming, release the source; safe to call twice."""
        core = self.core
        with core.machine.control:
            core.stop()
            core.source.close()
            self.store.close()

    def _configure(self, fs_hz: float | None) -> None:
        source = self.core.source
        source.configure(float(source.fs) if fs_hz is None else fs_hz, source.channels)

    def _make_source(self, mode: BackboneMode, replay: Path | None, loop: bool) -> Source:
        from ranvier.rig.sources import make_source

        return make_source(mode, replay=replay, loop=loop, seed=self._seed)

    def __repr__(self) -> str:
        info = self.core.source.info
        return f"<{'SIMULATED ' if info.simulated else ''}Rig {self.core.machine.state.value}: {info.name}>"
