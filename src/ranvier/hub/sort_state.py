"""How a run of a sort stands: what its sorter's state says, and what its job reports."""

from __future__ import annotations

from collections.abc import Sequence

from ranvier.hub.job import JobContext
from ranvier.models.spikesorter import SpikeSorterPhase


class SortState:
    """Written by the job's thread, read from any.

    Attributes
    ----------
    phase, fraction
        What is done now, and how far it is.
    notes
        What a user should know.
    """

    def __init__(self, notes: Sequence[str], samples: int | None = None) -> None:
        self.phase = SpikeSorterPhase.UNSPECIFIED
        self.fraction = 0.0
        self.notes = list(notes)
        self._samples = samples

    def _at(self, job: JobContext, phase: SpikeSorterPhase, fraction: float, whole: float) -> None:
        """Tell that a phase is so far, and the whole; the samples are those of the recordings, where there are some."""
        self.phase, self.fraction = phase, fraction
        total = self._samples
        done = None if total is None else int(whole * total)
        job.progress(whole, samples_done=done, samples_total=total, phase=phase.name.lower())
