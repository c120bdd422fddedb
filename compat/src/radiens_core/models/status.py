"""The documented module ``radiens_core.models.status``."""

from ranvier.models.flex import FlexBackboneMode as FlexBackboneMode
from ranvier.models.status import *  # noqa: F403
