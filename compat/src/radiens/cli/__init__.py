"""The documented module ``radiens.cli``."""

from ranvier.classic.cli import *  # noqa: F403
