"""Quality of channels: our own models, an addition to the API."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ranvier.models._base import OwnModel

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from ranvier.models.channels import ChannelMetadata
    from ranvier.models.dataset import DatasetMetadata

__all__ = ["ChannelQuality", "ChannelQualityTable", "ChannelVerdict"]


class ChannelVerdict(StrEnum):
    """What a channel is good for."""

    GOOD = "good"
    DEAD = "dead"
    SATURATED = "saturated"
    NOISY = "noisy"
    BRIDGED = "bridged"
    OUTSIDE = "outside"


class ChannelQuality(OwnModel):
    """Measures and verdict of one channel.

    ``likeness`` is how much more a channel shares with its probe than its neighbours do (0: alike), ``trend`` how much
    its surroundings share above 300 Hz (0: as the median, -1: nothing), None where not found.
    ``bridged_to`` are native indices.

    ``rms_uv`` is about 0, ``sd_uv`` about the mean; ``noise_uv`` is the median over seconds of the median absolute
    deviation / 0.6745. All are NaN where the channel held no finite sample. ``reasons`` say, in words with numbers, why
    the verdict is not good.
    """

    ntv_idx: int
    name: str
    rms_uv: float
    sd_uv: float
    noise_uv: float
    min_uv: float
    max_uv: float
    saturated_fraction: float = 0.0
    flat_fraction: float = 0.0
    likeness: float | None = None
    trend: float | None = None
    bridged_to: tuple[int, ...] = ()
    verdict: ChannelVerdict
    reasons: tuple[str, ...] = ()


class ChannelQualityTable(OwnModel):
    """The channels of a dataset over a time range in seconds, in the order asked."""

    dataset_id: str
    time_range_sec: tuple[float, float]
    channels: tuple[ChannelQuality, ...]

    @property
    def ntv_idx(self) -> npt.NDArray[np.int64]:
        """Native index of each channel."""
        return np.array([c.ntv_idx for c in self.channels], dtype=np.int64)

    @property
    def rms_uv(self) -> npt.NDArray[np.float64]:
        """RMS of each channel."""
        return np.array([c.rms_uv for c in self.channels], dtype=np.float64)

    @property
    def sd_uv(self) -> npt.NDArray[np.float64]:
        """Standard deviation of each channel."""
        return np.array([c.sd_uv for c in self.channels], dtype=np.float64)

    @property
    def noise_uv(self) -> npt.NDArray[np.float64]:
        """Noise of each channel."""
        return np.array([c.noise_uv for c in self.channels], dtype=np.float64)

    @property
    def good(self) -> list[int]:
        """Native indices of the good channels."""
        return self.by_verdict(ChannelVerdict.GOOD)

    def by_verdict(self, verdict: ChannelVerdict | str) -> list[int]:
        """Return the native indices of the channels with a verdict."""
        wanted = ChannelVerdict(verdict)
        return [c.ntv_idx for c in self.channels if c.verdict is wanted]

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per channel; reasons are joined to one text."""
        import pandas as pd

        rows: list[dict[str, Any]] = [
            {**c.model_dump(), "verdict": c.verdict.value, "reasons": "; ".join(c.reasons)} for c in self.channels
        ]
        return pd.DataFrame(rows, columns=list(ChannelQuality.model_fields))

    def plot(
        self, channels: ChannelMetadata | DatasetMetadata, ax: Axes | None = None, *, measure: str | None = None
    ) -> Axes:
        """Draw the verdicts on the sites of the probe, or a measure, e.g. ``"noise_uv"``."""
        from ranvier.models._pictures_probe import draw_measure, draw_verdicts

        if measure is None:
            return draw_verdicts(self, channels, ax)
        return draw_measure(self, channels, measure, ax)
