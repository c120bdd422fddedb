"""The documented module ``radiens_core.models.signals``."""

from ranvier.models.flex import FlexSignalSpec as FlexSignalSpec
from ranvier.models.flex import FlexSignalType as FlexSignalType
from ranvier.models.signals import *  # noqa: F403
