"""Jobs and their progress: our own models, an addition to the API."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"  # its process died before it could say how it ended


class PartProgress(BaseModel):
    """How far one output of a job is: ``state`` is waiting, running, done or failed; ``fraction`` is 0 to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str
    state: str = "waiting"
    fraction: float = 0.0


class JobProgress(BaseModel):
    """How far a job is.

    ``fraction`` is 0 to 1; ``samples_done`` and ``samples_total`` count samples per channel; ``samples_per_sec`` is the
    mean rate so far; ``remaining_sec`` is None until it can be estimated. ``parts`` are the outputs, where a job has
    several.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    job_id: str = ""
    label: str = ""
    phase: str = ""
    fraction: float = 0.0
    samples_done: int = 0
    samples_total: int = 0
    samples_per_sec: float = 0.0
    elapsed_sec: float = 0.0
    remaining_sec: float | None = None
    parts: tuple[PartProgress, ...] = ()


class JobSettings(BaseModel):
    """What the running jobs of one engine take together, at most, and how failures that may pass are tried again.

    Attributes
    ----------
    memory_bytes, workers, max_running
        Blocks and buffers, threads, and jobs at once.
    retries, retry_pause_sec
        Tries after the first one where a disk is full or a network drive does not answer, and the seconds before the
        second one (each further one waits twice as long).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    memory_bytes: int
    workers: int
    max_running: int
    retries: int = 0
    retry_pause_sec: float = 5.0


class JobInfo(BaseModel):
    """One job as the store knows it.

    ``attempts`` counts how often its work was started (failures that may pass are tried again); ``retry_of`` is the
    id of the job that this one repeats; ``repeatable`` says whether any process can repeat it from its record alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    id: str
    kind: str
    label: str
    state: JobState
    progress: JobProgress
    created_utc: str
    finished_utc: str | None = None
    error: str | None = None
    outputs: tuple[str, ...] = ()
    attempts: int = 1
    retry_of: str | None = None
    repeatable: bool = False
