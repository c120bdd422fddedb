"""A rig: the acquisition services, composed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ranvier.models.status import BackboneMode
from ranvier.rig.armed import ArmedOutputs, ArmedTriggers
from ranvier.rig.clock import Clock, RealClock
from ranvier.rig.control import Control, SourceMaker
from ranvier.rig.core import Core
from ranvier.rig.dsp import DspStages
from ranvier.rig.loop import ClosedLoop
from ranvier.rig.metrics import LiveMetrics
from ranvier.rig.quality import LiveQuality
from ranvier.rig.recording import Recording
from ranvier.rig.reports import Reports
from ranvier.rig.sensors import Sensors
from ranvier.rig.setups import DspPart, RecordingPart, SelectionPart, SensorsPart, SourcePart
from ranvier.rig.signals import LiveSignals
from ranvier.rig.sorter import LiveSorter
from ranvier.rig.source import Source
from ranvier.rig.spectra import LiveSpectra
from ranvier.rig.state import Action
from ranvier.rig.workspaces import Workspaces
from ranvier.services.caller import Caller
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
        self.quality = LiveQuality(self.core, self.signals)
        self.spectra = LiveSpectra(self.core, self.signals)
        self.metrics = LiveMetrics(self.core, self.signals)
        self.sorter = LiveSorter(self.core)
        self.core.on_new_source.append(self.sorter.reset)
        self.sensors = Sensors(self._source, self.core.machine, self.store, changed=self.core.changed)
        self.control = Control(self.core, make, self.reports, self.signals.channel_metadata, self.sensors.apply)
        self.recording = Recording(self.core)
        self.recording.spikes = self.sorter
        self.outputs = ArmedOutputs(self._source, self.core.machine, self.store)
        self.loop = ClosedLoop(self._source, self.clock, self.outputs.dio_outputs)
        self.triggers = ArmedTriggers(
            self._source, self.loop, lambda: self.recording, lambda: self.recording.config().split_files_by_port
        )
        for hook in (self.loop, self.outputs, self.triggers):  # the closed loop first: it is the one in a hurry
            self.core.pump.add_hook(hook)
        for part in (self.outputs, self.triggers):
            self.core.on_new_source.append(part.reset)
            self.core.on_caller_gone.append(part.caller_gone)
        self.workspaces = Workspaces(
            self.store,
            self.core.machine,
            {
                "source": SourcePart(self.core, self.control),
                "sensors": SensorsPart(self.sensors),
                "filters": DspPart(self.dsp),
                "recording": RecordingPart(self.recording),
                "selection": SelectionPart(self.core),
                "outputs": self.outputs,
                "triggers": self.triggers,
            },
        )
        self._connect_reports()
        self.sensors.apply()
        self.core.changed()

    def busy(self) -> bool:
        """Whether it streams or records: then a process that holds it stays."""
        return self.core.machine.streams

    def count_clients(self, clients: Callable[[], int]) -> None:
        """Learn how to tell the number of clients."""
        self.reports.clients = clients

    def caller_gone(self, caller: Caller) -> None:
        """Turn off what a client armed that is gone."""
        for listener in self.core.on_caller_gone:
            listener(caller)

    def close(self) -> None:
        """Finish what is recorded, turn outputs off, stop streaming, release the source; safe to call twice."""
        core = self.core
        self.outputs.disarm()
        self.loop.disarm()
        self.triggers.close()
        self.metrics.close()
        try:
            self.recording.close()  # with the spikes up to its end
        finally:
            self.sorter.close()
            with core.machine.control:
                core.stop()
                core.machine.to(Action.STOP_STREAMING)
                core.source.close()
                self.store.close()

    def _source(self) -> Source:
        return self.core.source

    def _connect_reports(self) -> None:
        reports, recorder = self.reports, self.recording.recorder
        reports.recording = recorder.recording_status
        reports.disk = recorder.disk_status
        reports.files = recorder.files
        reports.loop = self.loop.status
        reports.outputs = self.outputs.status
        reports.warnings += [recorder.warnings, lambda: list(self.sensors.notes), lambda: list(self.triggers.notes)]

    def _make_source(self, mode: BackboneMode, replay: Path | None, loop: bool) -> Source:
        from ranvier.rig.sources import make_source

        return make_source(mode, replay=replay, loop=loop, seed=self._seed, clock=self.clock)

    def __repr__(self) -> str:
        info = self.core.source.info
        return f"<{'SIMULATED ' if info.simulated else ''}Rig {self.core.machine.state.value}: {info.name}>"
