"""Quality of channels: an addition to the API."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import Field

from ranvier.models._base import OwnModel

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ChannelQuality", "ChannelQualityTable", "ChannelVerdict"]


class ChannelVerdict(StrEnum):
    """What to think of a channel."""

    GOOD = "good"
    DEAD = "dead"
    SATURATED = "saturated"
    NOISY = "noisy"


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
    verdict: ChannelVerdict
    reasons: tuple[str, ...] = ()


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

    @property
    def good(self) -> list[int]:
        """Native indices of the good channels."""
        return self.by_verdict(ChannelVerdict.GOOD)

    def by_verdict(self, verdict: ChannelVerdict | str) -> list[int]:
        """Return the native indices of the channels with one verdict."""
        wanted = ChannelVerdict(verdict)
        return [channel.ntv_idx for channel in self.channels if channel.verdict == wanted]

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per channel, columns named like the attributes of :class:`ChannelQuality`."""
        import pandas as pd

        rows = [channel.model_dump(mode="json") for channel in self.channels]
        return pd.DataFrame(rows, columns=list(ChannelQuality.model_fields))
