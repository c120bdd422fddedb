"""The documented module ``radiens.lib.fsys``."""

from ranvier.classic.lib.fsys import *  # noqa: F403
