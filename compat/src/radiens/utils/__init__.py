"""The documented module ``radiens.utils``."""

from ranvier.classic.utils import *  # noqa: F403
