"""The documented module ``radiens.spikes_client``."""

from ranvier.classic.spikes_client import *  # noqa: F403
