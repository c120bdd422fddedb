"""Long work: what runs, what ran, how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ranvier.models.jobs import JobInfo, JobSettings
from ranvier.services.progress import Progress


class HubJobs(Protocol):
    """Jobs of this hub's store, also those of earlier and of other processes."""

    def list(self) -> Sequence[JobInfo]:
        """Return all jobs, newest first.

        One whose process died is ``LOST``; the unfinished files that it left behind are removed, and what it was
        about to replace is put back.
        """
        ...

    def get(self, job_id: str, /) -> JobInfo:
        """Return one job; DatasetError for an unknown id."""
        ...

    def cancel(self, job_id: str, /) -> JobInfo:
        """Ask a job to stop and return it as it is now; a job that has ended is left as it is.

        The caller of the work sees JobCancelledError, and nothing half-written stays.
        """
        ...

    def retry(self, job_id: str, /, progress: Progress | None = None) -> JobInfo:
        """Do again what a job that failed, was cancelled or was lost should have done; wait for it.

        Returns the new job, whose ``retry_of`` is the old one. A job of this process is done again as it was called;
        one of another process from its record (sources, stages, output), if it is ``repeatable``. Raises what the work
        raises; ConfigurationError for a job that has not ended or did what it should, CapabilityError for one that its
        record cannot repeat.
        """
        ...

    def settings(self) -> JobSettings:
        """Return the budget of running jobs, and how failures that may pass are tried again."""
        ...

    def change_settings(
        self,
        *,
        memory_bytes: int | None = None,
        workers: int | None = None,
        max_running: int | None = None,
        retries: int | None = None,
        retry_pause_sec: float | None = None,
    ) -> JobSettings:
        """Change some of the settings, now and in later sessions; ConfigurationError where nothing could run then."""
        ...

    def clear(self) -> int:
        """Forget the jobs that have ended and return how many; their outputs stay."""
        ...
