"""The documented module ``radiens.curate_client``."""

from ranvier.classic.curate_client import *  # noqa: F403
