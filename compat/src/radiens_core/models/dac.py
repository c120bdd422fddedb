"""The documented module ``radiens_core.models.dac``."""

from ranvier.models.dac import *  # noqa: F403
