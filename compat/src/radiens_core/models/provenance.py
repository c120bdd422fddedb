"""The documented module ``radiens_core.models.provenance``."""

from ranvier.models.provenance import *  # noqa: F403
