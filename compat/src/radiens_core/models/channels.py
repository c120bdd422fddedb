"""The documented module ``radiens_core.models.channels``."""

from ranvier.models.channels import *  # noqa: F403
