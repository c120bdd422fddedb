"""A hub: one place where files are worked on."""

from __future__ import annotations

from typing import Protocol

from ranvier.services.aligned import HubAligned
from ranvier.services.curation import HubCuration
from ranvier.services.datasets import HubDatasets
from ranvier.services.dsp import HubDsp
from ranvier.services.files import HubFiles
from ranvier.services.jobs import HubJobs
from ranvier.services.metrics import HubMetrics
from ranvier.services.protocols import HubProtocols
from ranvier.services.replays import HubReplays
from ranvier.services.sessions import HubSessions
from ranvier.services.signals import HubSignals
from ranvier.services.simulation import HubSimulation
from ranvier.services.sorters import HubSorters
from ranvier.services.spectra import HubSpectra
from ranvier.services.spikes import HubSpikes
from ranvier.services.summa import HubSumma


class Hub(Protocol):
    """The services of one hub, and nothing more."""

    @property
    def datasets(self) -> HubDatasets:
        """Linked datasets."""
        ...

    @property
    def signals(self) -> HubSignals:
        """Samples and events."""
        ...

    @property
    def files(self) -> HubFiles:
        """Recordings as files."""
        ...

    @property
    def dsp(self) -> HubDsp:
        """Filters kept with a dataset."""
        ...

    @property
    def curation(self) -> HubCuration:
        """Transforms from file to file."""
        ...

    @property
    def protocols(self) -> HubProtocols:
        """Graphs of transforms."""
        ...

    @property
    def sessions(self) -> HubSessions:
        """Recordings that belong together."""
        ...

    @property
    def replays(self) -> HubReplays:
        """Files made again from their own record."""
        ...

    @property
    def jobs(self) -> HubJobs:
        """Long work."""
        ...

    @property
    def metrics(self) -> HubMetrics:
        """Measures."""
        ...

    @property
    def spectra(self) -> HubSpectra:
        """Spectra."""
        ...

    @property
    def aligned(self) -> HubAligned:
        """What happens around events."""
        ...

    @property
    def spikes(self) -> HubSpikes:
        """Spikes and units."""
        ...

    @property
    def sorters(self) -> HubSorters:
        """Spike sorters."""
        ...

    @property
    def summa(self) -> HubSumma:
        """Analyses over many datasets."""
        ...

    @property
    def simulation(self) -> HubSimulation:
        """Simulated recordings."""
        ...

    def close(self) -> None:
        """Release what the hub holds open. Unlinks nothing, cancels the jobs of this process; safe to call twice."""
        ...
