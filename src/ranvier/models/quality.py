<<<<<<< HEAD
"""Quality of channels: an addition to the API."""
=======
"""Quality of channels: our own models, an addition to the API."""
>>>>>>> store

from __future__ import annotations

from enum import StrEnum
<<<<<<< HEAD
from typing import TYPE_CHECKING

from pydantic import Field

from ranvier.models._base import OwnModel
=======
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
>>>>>>> store

if TYPE_CHECKING:
    import pandas as pd

<<<<<<< HEAD
__all__ = ["ChannelQuality", "ChannelQualityTable", "ChannelVerdict"]


class ChannelVerdict(StrEnum):
    """What to think of a channel."""
=======

class ChannelVerdict(StrEnum):
    """What a channel is good for."""
>>>>>>> store

    GOOD = "good"
    DEAD = "dead"
    SATURATED = "saturated"
    NOISY = "noisy"


<<<<<<< HEAD
class ChannelQuality(OwnModel):
    """One amplifier channel.

    Attributes
    ----------
    ntv_idx
        Native index.
    rms_uv
        Root mean square in uV, about the mean.
    noise_uv
        Standard deviation of the noise in uV, from the median absolute deviation; spikes hardly move it.
    reasons
        Why the verdict is not GOOD, in words with numbers.
    """

    ntv_idx: int
    name: str
    rms_uv: float
    noise_uv: float
=======
class ChannelQuality(BaseModel):
    """Measures and verdict of one channel.

    ``rms_uv`` is about 0, ``sd_uv`` about the mean; ``noise_uv`` is the median over seconds of the median absolute
    deviation / 0.6745. All are NaN where the channel held no finite sample. ``reasons`` say, in words with numbers, why
    the verdict is not good.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, ser_json_inf_nan="strings")

    ntv_idx: int
    name: str
    rms_uv: float
    sd_uv: float
    noise_uv: float
    min_uv: float
    max_uv: float
    saturated_fraction: float = 0.0
    flat_fraction: float = 0.0
>>>>>>> store
    verdict: ChannelVerdict
    reasons: tuple[str, ...] = ()


<<<<<<< HEAD
class ChannelQualityTable(OwnModel):
    """All channels that were measured, in the order asked.

    Attributes
    ----------
    limits
        By which limits the verdicts were given: name with unit, and value.
    """

    channels: tuple[ChannelQuality, ...]
    limits: dict[str, float] = Field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.channels)
=======
class ChannelQualityTable(BaseModel):
    """The channels of a dataset over a time range in seconds, in the order asked."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, ser_json_inf_nan="strings")

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
>>>>>>> store

    @property
    def good(self) -> list[int]:
        """Native indices of the good channels."""
        return self.by_verdict(ChannelVerdict.GOOD)

    def by_verdict(self, verdict: ChannelVerdict | str) -> list[int]:
<<<<<<< HEAD
        """Return the native indices of the channels with one verdict."""
        wanted = ChannelVerdict(verdict)
        return [channel.ntv_idx for channel in self.channels if channel.verdict == wanted]

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per channel, columns named like the attributes of :class:`ChannelQuality`."""
        import pandas as pd

        rows = [channel.model_dump(mode="json") for channel in self.channels]
=======
        """Return the native indices of the channels with a verdict."""
        wanted = ChannelVerdict(verdict)
        return [c.ntv_idx for c in self.channels if c.verdict is wanted]

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per channel; reasons are joined to one text."""
        import pandas as pd

        rows: list[dict[str, Any]] = [
            {**c.model_dump(), "verdict": c.verdict.value, "reasons": "; ".join(c.reasons)} for c in self.channels
        ]
>>>>>>> store
        return pd.DataFrame(rows, columns=list(ChannelQuality.model_fields))
