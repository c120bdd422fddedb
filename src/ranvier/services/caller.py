"""Who is calling: lets an engine say who records, and end what a client armed when that client is gone."""

from __future__ import annotations

import os
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CALLER", "Caller", "current_caller"]


@dataclass(frozen=True)
class Caller:
    """One client of an engine.

    Attributes
    ----------
    id
        Unique among the clients of one engine; ``"embedded"`` for the engine's own process.
    name
        What a person calls it: user, program and process.
    pid
        Its process.
    """

    id: str
    name: str
    pid: int

    @classmethod
    def here(cls, caller_id: str = "embedded") -> Caller:
        """Return this process as a client."""
        import getpass

        try:
            user = getpass.getuser()
        except (KeyError, OSError, ImportError):  # a user id without a name (containers)
            user = "someone"
        return cls(caller_id, f"{user}, {Path(sys.argv[0] or 'python').name}, process {os.getpid()}", os.getpid())


#: Set by whoever calls an engine on behalf of another process.
CALLER: ContextVar[Caller | None] = ContextVar("ranvier_caller", default=None)


def current_caller() -> Caller:
    """Return who made the call that this thread is working on."""
    return CALLER.get() or Caller.here()
