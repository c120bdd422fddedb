"""The documented module ``radiens.file_system_client``."""

from ranvier.classic.file_system_client import *  # noqa: F403
