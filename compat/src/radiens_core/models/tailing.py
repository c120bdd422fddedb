"""The documented module ``radiens_core.models.tailing``."""

from ranvier.models.tailing import *  # noqa: F403
