"""The documented module ``radiens_core.models.stim``."""

from ranvier.models.flex import FlexStimKeypressIndex as FlexStimKeypressIndex
from ranvier.models.stim import *  # noqa: F403
