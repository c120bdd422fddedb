"""Simulated recordings with known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ranvier.models.dataset import DatasetMetadata
from ranvier.models.simulation import SimulationSpec
from ranvier.services.progress import Progress


class HubSimulation(Protocol):
    """Recordings made from a seed, always marked as simulated."""

    def simulate(
        self, spec: SimulationSpec, output: Path, *, force: bool = False, progress: Progress | None = None
    ) -> DatasetMetadata:
        """Write a simulated recording with its ground truth (spikes, events) and link it.

        The same spec gives the same samples on every machine of one CPU type. The mark stands in the file name, the
        metadata and the provenance, with the seed. ``output`` and its errors as :meth:`HubCuration.apply`.
        """
        ...
