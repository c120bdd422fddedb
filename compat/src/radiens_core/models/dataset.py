"""The documented module ``radiens_core.models.dataset``."""

from ranvier.models.dataset import *  # noqa: F403
from ranvier.models.flex import FlexDataset as FlexDataset
from ranvier.models.flex import FlexTimeRange as FlexTimeRange
