"""What else a sort of recordings is told: our own model, an addition to the API."""

from __future__ import annotations

from ranvier.models._base import OwnModel
from ranvier.models.time_range import TimeRangeSpec

__all__ = ["SortOptions"]


class SortOptions(OwnModel):
    """Of what, and where to.

    Attributes
    ----------
    time_range
        Stream seconds; None: all of it.
    channels
        Native indices (NTV) of amplifier channels; None: the selected ones.
    output
        The ``.spikes`` file; None: beside the recording, as ``<base>.spikes``.
    force
        Replace a file that is there.
    """

    time_range: TimeRangeSpec | None = None
    channels: tuple[int, ...] | None = None
    output: str | None = None
    force: bool = False
