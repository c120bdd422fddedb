"""The documented module ``radiens.lib.signals_snapshot``."""

from ranvier.classic.lib.signals_snapshot import *  # noqa: F403
