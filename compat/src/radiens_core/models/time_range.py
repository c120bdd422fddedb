"""The documented module ``radiens_core.models.time_range``."""

from ranvier.models.time_range import *  # noqa: F403
