"""The documented module ``radiens_core.models.spikes``."""

from ranvier.models.spikes import *  # noqa: F403
