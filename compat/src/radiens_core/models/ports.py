"""The documented module ``radiens_core.models.ports``."""

from ranvier.models.flex import FlexPort as FlexPort
from ranvier.models.ports import *  # noqa: F403
