"""The documented module ``radiens_core.models.kpi``."""

from ranvier.models.flex import (
    FlexBundleStatId as FlexBundleStatId,
)
from ranvier.models.flex import (
    FlexChannelReduction as FlexChannelReduction,
)
from ranvier.models.flex import (
    FlexKpiMetricId as FlexKpiMetricId,
)
from ranvier.models.flex import (
    FlexKpiServiceMode as FlexKpiServiceMode,
)
from ranvier.models.kpi import *  # noqa: F403
