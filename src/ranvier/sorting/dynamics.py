"""Dynamic tracking: when the live sorter adapts by itself, and by how much (statistics, no neural network).

Three tasks, each with a period in seconds of the stream: ``detect`` takes over the noise that was measured meanwhile,
``sort`` lets templates follow their spikes, ``train`` learns the units anew. Off by default; every change is logged.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ranvier.exceptions import ConfigurationError
from ranvier.models.spikesorter import (
    SpikeSorterCriterionLevel,
    SpikeSorterDynamicConfig,
    SpikeSorterDynamicCriteria,
    SpikeSorterDynamicUpdatePeriod,
)

TASKS = ("detect", "train", "sort")
#: Period where none was set, and the shortest and longest that can be, in seconds.
PERIODS = {"detect": (10.0, 1.0, 600.0), "sort": (30.0, 5.0, 600.0), "train": (300.0, 60.0, 3600.0)}

Level = SpikeSorterCriterionLevel


@dataclass(frozen=True)
class Dynamics:
    """How a live sorter adapts.

    Attributes
    ----------
    period_sec, level
        By task.
    """

    is_enabled: bool = False
    period_sec: dict[str, float] = field(default_factory=lambda: {task: PERIODS[task][0] for task in TASKS})
    level: dict[str, Level] = field(default_factory=lambda: dict.fromkeys(TASKS, Level.BALANCED))

    def take(self, config: SpikeSorterDynamicConfig) -> Dynamics:
        """Return this with changes; None stays. ConfigurationError for a period out of range."""
        periods, levels = dict(self.period_sec), dict(self.level)
        for task in TASKS:
            period = None if config.update_period_sec is None else getattr(config.update_period_sec, task)
            if period is not None:
                _, least, most = PERIODS[task]
                if not least <= period <= most:
                    raise ConfigurationError(f"update_period_sec.{task} is {least:g} to {most:g} s, not {period}")
                periods[task] = float(period)
            level = None if config.criteria is None else getattr(config.criteria, task)
            if level is not None:
                levels[task] = Level(level)
        enabled = self.is_enabled if config.is_enabled is None else config.is_enabled
        return replace(self, is_enabled=enabled, period_sec=periods, level=levels)

    def config(self) -> SpikeSorterDynamicConfig:
        """Return this as the API tells it."""
        return SpikeSorterDynamicConfig(
            is_enabled=self.is_enabled,
            update_period_sec=SpikeSorterDynamicUpdatePeriod(**self.period_sec),
            criteria=SpikeSorterDynamicCriteria(**self.level),
        )


@dataclass
class TaskLog:
    """What a task did so far, in seconds of the stream."""

    last_sec: float | None = None
    rounds: int = 0
    accepted: int = 0
    rejected: int = 0


class Schedule:
    """Which tasks are due; counts from when adapting was turned on."""

    def __init__(self) -> None:
        self.done = {task: TaskLog() for task in TASKS}
        self._since: float | None = None

    def due(self, task: str, dynamics: Dynamics, now_sec: float) -> bool:
        """Return whether a task should run now."""
        if not dynamics.is_enabled:
            self._since = None
            return False
        if self._since is None or now_sec < self._since:  # turned on, or counters that began anew
            self._since = now_sec
            for log in self.done.values():
                log.last_sec = None
        return now_sec >= self._next(task, dynamics)

    def since(self, task: str, now_sec: float) -> float:
        """Return how long ago a task ran, in seconds; for one that did not, since adapting was turned on."""
        last = self.done[task].last_sec
        return now_sec - (self._since or 0.0 if last is None else last)

    def did(self, task: str, now_sec: float, accepted: int = 0, rejected: int = 0) -> None:
        """Note that a task ran."""
        log = self.done[task]
        log.last_sec, log.rounds = now_sec, log.rounds + 1
        log.accepted += accepted
        log.rejected += rejected

    def state(self, dynamics: Dynamics) -> dict[str, dict[str, Any]]:
        """Return each task's log and when it runs next (None: adapting is off)."""
        return {
            task: {
                **vars(self.done[task]),
                "next_sec": self._next(task, dynamics) if dynamics.is_enabled and self._since is not None else None,
            }
            for task in TASKS
        }

    def _next(self, task: str, dynamics: Dynamics) -> float:
        last = self.done[task].last_sec
        return (self._since or 0.0 if last is None else last) + dynamics.period_sec[task]
