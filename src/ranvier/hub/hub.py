"""A hub: the file services, composed."""

from __future__ import annotations

from pathlib import Path

from ranvier.hub.aligned import Aligned
from ranvier.hub.curation import Curation
from ranvier.hub.datasets import Datasets
from ranvier.hub.dsp import DspGroups
from ranvier.hub.files import Files
from ranvier.hub.jobs import JobManager
from ranvier.hub.metrics import Metrics
from ranvier.hub.protocols import Protocols
from ranvier.hub.replay import Replays
from ranvier.hub.sessions import Sessions
from ranvier.hub.signals import Signals
from ranvier.hub.simulation import Simulation
from ranvier.hub.sorters import Sorters
from ranvier.hub.spectra import Spectra
from ranvier.hub.spikes import SpikesOf
from ranvier.hub.summa import Summa
from ranvier.store import Store


class Hub:
    """One place where files are worked on: the services that :class:`ranvier.services.Hub` names, composed."""

    def __init__(self, home: Path | None = None) -> None:
        self.store = Store(home)
        self.jobs = JobManager(self.store)
        self.datasets = Datasets(self.store)
        self.dsp = DspGroups(self.datasets, self.store)
        self.signals = Signals(self.datasets, self.dsp)
        self.curation = Curation(self.datasets, self.jobs, self.store)
        self.sessions = Sessions(self.datasets, self.curation)
        self.protocols = Protocols(self.datasets, self.jobs, self.store)
        self.files = Files(self.datasets, self.curation)
        self.metrics = Metrics(self.datasets, self.dsp, self.jobs, self.store)
        self.spectra = Spectra(self.datasets, self.dsp, self.jobs)
        self.spikes = SpikesOf(self.datasets)
        self.sorters = Sorters(self.datasets, self.dsp, self.jobs, self.store, self.spikes.sets)
        self.aligned = Aligned(self.datasets, self.dsp, self.jobs, self.spikes.sets)
        self.summa = Summa(self.datasets, self.metrics, self.jobs, self.store)
        self.simulation = Simulation(self.datasets, self.jobs)
        self.replays = Replays(self.datasets, self.curation, self.simulation)
        self.jobs.repeater = self.replays.repeat

    def close(self) -> None:
        """Cancel this process's jobs and close every file; unlinks nothing."""
        self.jobs.close(cancel=True)
        self.datasets.close()
        self.store.close()
