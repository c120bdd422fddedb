"""The documented module ``radiens.signals_client``."""

from ranvier.classic.signals_client import *  # noqa: F403
