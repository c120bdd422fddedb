"""The documented module ``radiens.lib``."""

from ranvier.classic.lib import *  # noqa: F403
