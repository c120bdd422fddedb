"""The documented module ``radiens.lib.summa``."""

from ranvier.classic.lib.summa import *  # noqa: F403
