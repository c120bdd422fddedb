"""The documented module ``radiens.allego_client``."""

from ranvier.classic.allego_client import *  # noqa: F403
