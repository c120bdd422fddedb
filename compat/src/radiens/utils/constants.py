"""The documented module ``radiens.utils.constants``."""

from ranvier.classic.utils.constants import *  # noqa: F403
