"""One sorter of linked recordings: what it was asked, what it will do, and the job that does it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from ranvier.exceptions import SortStalledError
from ranvier.hub.job import Job, ProgressCallback
from ranvier.hub.sort_events import EventsPlan, EventsRun
from ranvier.hub.sort_plan import SortPlan
from ranvier.hub.sort_run import SortRun
from ranvier.models.jobs import JobProgress, JobState
from ranvier.models.sorting import SortOptions
from ranvier.models.spikesorter import (
    SpikeSorterLaunchParams,
    SpikeSorterPhase,
    SpikeSorterState,
    SpikeSorterStateSystem,
    SpikeSorterType,
)

#: How long a cancel waits for what runs to clean up.
_CLEAN_UP_SEC = 30.0

Ids = list[str]
#: Of recordings, or of spikes that were detected before.
Plan = SortPlan | EventsPlan
Run = SortRun | EventsRun


def run_of(plan: Plan) -> Run:
    """Return what carries a plan out."""
    return EventsRun(plan) if isinstance(plan, EventsPlan) else SortRun(plan)


@dataclass
class Sorter:
    """One sorter of a hub."""

    id: str
    dataset_ids: tuple[str, ...]
    launched: SpikeSorterLaunchParams
    params: SpikeSorterLaunchParams
    options: SortOptions
    plan: Plan
    run: Run
    job: Job[Ids] | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def is_on(self) -> bool:
        """Whether its job runs or waits."""
        return self.job is not None and not self.job.is_finished

    @property
    def type(self) -> SpikeSorterType:
        """What it sorts."""
        return SpikeSorterType.SPIKES_FILE if isinstance(self.plan, EventsPlan) else SpikeSorterType.VEX_FILE

    def end(self) -> None:
        """Cancel what runs, and wait until it has cleaned up."""
        if self.job is not None and not self.job.is_finished:
            self.job.cancel()
            self.job.wait(_CLEAN_UP_SEC)

    def state(self) -> SpikeSorterState:
        """Return phase and fraction."""
        run, warnings = self.run, "; ".join(self.run.notes)
        if self.job is None:
            return off_state(msg="waits for ON", warn_msg=warnings)
        info = self.job.info
        if info.state in (JobState.QUEUED, JobState.RUNNING):
            waits = info.state == JobState.QUEUED
            return SpikeSorterState(
                sys=SpikeSorterStateSystem.ON,
                is_on=True,
                phase=run.phase,
                frac_complete=run.fraction,
                msg="waits for other jobs" if waits else _doing(run.phase),
                warn_msg=warnings,
            )
        if info.state == JobState.DONE:
            return off_state(SpikeSorterPhase.COMPLETE, 1.0, msg="; ".join(info.outputs), warn_msg=warnings)
        return off_state(run.phase, run.fraction, error_msg=info.error or info.state.value, warn_msg=warnings)


def off_state(
    phase: SpikeSorterPhase = SpikeSorterPhase.UNSPECIFIED,
    fraction: float = 0.0,
    *,
    msg: str = "",
    error_msg: str = "",
    warn_msg: str = "",
) -> SpikeSorterState:
    """Return the state of a sorter that is not at work."""
    return SpikeSorterState(
        sys=SpikeSorterStateSystem.OFF,
        phase=phase,
        frac_complete=fraction,
        msg=msg,
        error_msg=error_msg,
        warn_msg=warn_msg,
    )


def _doing(phase: SpikeSorterPhase) -> str:
    return "begins" if phase == SpikeSorterPhase.UNSPECIFIED else phase.name.lower()


class StallWatch:
    """Passes progress on, and gives up where none comes."""

    def __init__(self, job: Job[Ids], stall_sec: float, then: ProgressCallback | None) -> None:
        self._job, self._stall_sec, self._then = job, stall_sec, then
        self._last, self._since = -1.0, time.monotonic()

    def __call__(self, progress: JobProgress) -> None:
        """Take news of the job; SortStalledError where its fraction has stood still for too long."""
        now = time.monotonic()
        if progress.fraction != self._last or self._job.info.state != JobState.RUNNING:
            self._last, self._since = progress.fraction, now
        if now - self._since > self._stall_sec:
            raise SortStalledError(
                f"{progress.label}: no progress for {self._stall_sec:g} s (at {progress.fraction:.0%}, "
                f"{progress.phase}); it was cancelled and nothing was written. stall_sec says how long to wait"
            )
        if self._then is not None:
            self._then(progress)
