"""The documented module ``radiens.utils.enums``."""

from ranvier.classic.utils.enums import *  # noqa: F403
