"""The documented module ``radiens.cli.main``."""

from ranvier.classic.cli.main import *  # noqa: F403
