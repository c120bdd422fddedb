"""The documented module ``radiens.lib.spikes``."""

from ranvier.classic.lib.spikes import *  # noqa: F403
