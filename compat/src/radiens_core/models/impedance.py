"""The documented module ``radiens_core.models.impedance``."""

from ranvier.models.impedance import *  # noqa: F403
