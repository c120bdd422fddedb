"""The documented module ``radiens.workspace_client``."""

from ranvier.classic.workspace_client import *  # noqa: F403
