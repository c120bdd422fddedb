"""The documented module ``radiens.utils.util``."""

from ranvier.classic.utils.util import *  # noqa: F403
