"""The documented module ``radiens.lib.dataset_metadata``."""

from ranvier.classic.lib.dataset_metadata import *  # noqa: F403
