"""The documented module ``radiens.lib.channel_metadata``."""

from ranvier.classic.lib.channel_metadata import *  # noqa: F403
