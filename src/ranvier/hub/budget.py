"""How much memory and how many threads jobs may take together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ranvier._platform import memory_bytes, worker_count
from ranvier.exceptions import ConfigurationError
from ranvier.models.jobs import JobSettings
from ranvier.store import Store

#: What the settings of the store are called: ``jobs.workers``.
PREFIX = "jobs."


@dataclass(frozen=True, slots=True)
class Need:
    """What a job takes while it runs.

    Attributes
    ----------
    memory_bytes
        Memory of its blocks and buffers, at most.
    workers
        Threads that it can keep busy, at least 1.
    """

    memory_bytes: int = 256 * 2**20
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Budget:
    """What all running jobs of one engine take together, at most.

    A job that alone needs more runs alone, with the whole budget (it works in smaller blocks).
    """

    memory_bytes: int
    workers: int
    max_running: int

    def __post_init__(self) -> None:
        if min(self.memory_bytes, self.workers, self.max_running) < 1:
            raise ConfigurationError(
                f"a budget of {self.memory_bytes} bytes, {self.workers} workers and {self.max_running} running jobs "
                f"lets nothing run; each is at least 1"
            )

    @classmethod
    def of(cls, store: Store) -> Budget:
        """Return the budget that the settings say."""
        found = settings_of(store)
        return cls(found.memory_bytes, found.workers, found.max_running)

    def fits(self, need: Need, running: list[Need]) -> bool:
        """Return whether a job may start beside those that run."""
        if not running:
            return True
        return (
            len(running) < self.max_running
            and need.memory_bytes + sum(n.memory_bytes for n in running) <= self.memory_bytes
            and need.workers + sum(n.workers for n in running) <= self.workers
        )

    def grant(self, need: Need, running: list[Need]) -> Need:
        """Return what a job that starts now may take: its need, or half of the free workers where that is more.

        Half, so that the next one need not wait; a job that exceeds the budget gets the budget.
        """
        free = self.workers - sum(n.workers for n in running)
        return Need(min(need.memory_bytes, self.memory_bytes), min(max(need.workers, free // 2), max(free, 1)))


def settings_of(store: Store) -> JobSettings:
    """Return the settings: by default half of the memory, a worker per core, as many jobs as workers, no retries.

    What stands in the store and cannot be meant is as if it were not there: else nothing could run any more.
    """
    found = {name: store.settings.get(PREFIX + name) for name in JobSettings.model_fields}
    given = {name: value for name, value in found.items() if value is not None}
    try:
        return _with_defaults(given)
    except ValidationError as error:
        wrong = {place for fault in error.errors() for place in fault["loc"]}
        return _with_defaults({name: value for name, value in given.items() if name not in wrong})


def _with_defaults(given: Mapping[str, Any]) -> JobSettings:
    workers = given.get("workers", worker_count())
    return JobSettings(**{"memory_bytes": memory_bytes() // 2, "workers": workers, "max_running": workers, **given})


def change_settings(store: Store, changed: Mapping[str, float]) -> JobSettings:
    """Store some settings; ConfigurationError where one cannot be meant."""
    try:
        wanted = JobSettings.model_validate({**settings_of(store).model_dump(), **changed})
    except ValidationError as error:
        faults = "; ".join(f"{fault['loc'][0]}={fault['input']!r}: {fault['msg']}" for fault in error.errors())
        raise ConfigurationError(faults) from error
    Budget(wanted.memory_bytes, wanted.workers, wanted.max_running)
    if wanted.retries < 0 or not 0 < wanted.retry_pause_sec < math.inf:
        raise ConfigurationError(
            f"{wanted.retries} retries after {wanted.retry_pause_sec} s: 0 or more, after some time"
        )
    for name in changed:
        store.settings.set(PREFIX + name, getattr(wanted, name))
    return settings_of(store)
