"""The documented module ``radiens_core.models.core_config``."""

from ranvier.models.core_config import *  # noqa: F403
