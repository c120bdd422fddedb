"""The documented module ``radiens_core.models.dsp``."""

from ranvier.models.dsp import *  # noqa: F403
from ranvier.models.flex import (
    FlexDSPParams as FlexDSPParams,
)
from ranvier.models.flex import (
    FlexDSPType as FlexDSPType,
)
from ranvier.models.flex import (
    FlexFilterFamily as FlexFilterFamily,
)
from ranvier.models.flex import (
    FlexFilterStage as FlexFilterStage,
)
