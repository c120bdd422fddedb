"""Long work: what runs, what ran, how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ranvier.models.jobs import JobInfo


class HubJobs(Protocol):
    """Jobs of this hub's store, also those of earlier and of other processes."""

    def list(self) -> Sequence[JobInfo]:
        """Return all jobs, newest first. One whose process died is ``LOST``."""
        ...

    def get(self, job_id: str, /) -> JobInfo:
        """Return one job; DatasetError for an unknown id."""
        ...

    def cancel(self, job_id: str, /) -> JobInfo:
        """Ask a job to stop and return it as it is now; a job that has ended is left as it is.

        The caller of the work sees JobCancelledError, and nothing half-written stays.
        """
        ...

    def clear(self) -> int:
        """Forget the jobs that have ended and return how many; their outputs stay."""
        ...
