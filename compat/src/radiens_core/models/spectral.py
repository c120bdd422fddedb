"""The documented module ``radiens_core.models.spectral``."""

from ranvier.models.flex import (
    FlexSpectralAlgorithm as FlexSpectralAlgorithm,
)
from ranvier.models.flex import (
    FlexSpectralMode as FlexSpectralMode,
)
from ranvier.models.flex import (
    FlexSpectralRange as FlexSpectralRange,
)
from ranvier.models.flex import (
    FlexSpectralUnit as FlexSpectralUnit,
)
from ranvier.models.flex import (
    FlexSpectralWindowType as FlexSpectralWindowType,
)
from ranvier.models.spectral import *  # noqa: F403
