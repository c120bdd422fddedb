"""The documented module ``radiens_core.models.dio``."""

from ranvier.models.dio import *  # noqa: F403
