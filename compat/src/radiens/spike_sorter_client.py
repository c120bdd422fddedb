"""The documented module ``radiens.spike_sorter_client``."""

from ranvier.classic.spike_sorter_client import *  # noqa: F403
