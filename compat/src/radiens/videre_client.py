"""The documented module ``radiens.videre_client``."""

from ranvier.classic.videre_client import *  # noqa: F403
