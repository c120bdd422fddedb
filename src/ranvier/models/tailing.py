"""Recordings that are still being written."""

from __future__ import annotations

from enum import IntEnum

from ranvier.models._base import Model
from ranvier.models.time_range import TimeRange

__all__ = ["LivenessState", "TailingState"]


class LivenessState(IntEnum):
    """Whether a recording still grows."""

    UNKNOWN = 0
    LIVE = 1
    IDLE = 2


class TailingState(Model):
    """How far a growing dataset reaches."""

    dataset_id: str
    liveness: LivenessState
    available_time_range: TimeRange

    @property
    def is_live(self) -> bool:
        """Whether it may still grow: anything but IDLE."""
        return self.liveness != LivenessState.IDLE
