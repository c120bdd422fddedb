"""The documented module ``radiens_core.models.common``."""

from ranvier.models.common import *  # noqa: F403
