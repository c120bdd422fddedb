"""The documented module ``radiens.metrics_client``."""

from ranvier.classic.metrics_client import *  # noqa: F403
