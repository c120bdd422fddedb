"""How long work reports: one callable."""

from __future__ import annotations

from collections.abc import Callable

from ranvier.models.jobs import JobProgress

#: Called from the working thread a few times per second; must return quickly. An exception it raises cancels the job.
Progress = Callable[[JobProgress], None]
