"""The documented module ``radiens_core.models.spikesorter``."""

from ranvier.models.flex import (
    FlexDashElement as FlexDashElement,
)
from ranvier.models.flex import (
    FlexSpikeSorterCommand as FlexSpikeSorterCommand,
)
from ranvier.models.flex import (
    FlexSpikeSorterSubCommand as FlexSpikeSorterSubCommand,
)
from ranvier.models.spikesorter import *  # noqa: F403
