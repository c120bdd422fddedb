"""The documented module ``radiens_core.models.triggers``."""

from ranvier.models.flex import FlexTriggerChannel as FlexTriggerChannel
from ranvier.models.triggers import *  # noqa: F403
