"""Lengths in samples that all stages share."""

from __future__ import annotations

from dataclasses import dataclass

from ranvier.sorting.parameters import SorterParameters

#: Of the shifts at which shapes are looked for: the products of spikes with signals have little above half of it.
_LEAST_RATE_HZ = 14_000.0


@dataclass(frozen=True)
class Window:
    """What a waveform spans, in samples.

    Attributes
    ----------
    before, after
        Its trough.
    half
        Of the window in which a candidate is the largest, and within which a unit does not fire again.
    every
        Shapes are looked for at one shift in so many: their products with the signal have no frequencies above those
        of spikes, and what lies between two shifts follows from those around it.
    """

    before: int
    after: int
    half: int
    every: int = 1

    @property
    def samples(self) -> int:
        """Length of a waveform."""
        return self.before + self.after + 1

    @classmethod
    def of(cls, parameters: SorterParameters, fs_hz: float) -> Window:
        """Return the window at a sampling rate."""
        ms = fs_hz * 1e-3
        return cls(
            max(2, round(parameters.before_ms * ms)),
            max(4, round(parameters.after_ms * ms)),
            max(1, round(parameters.exclusive_ms * ms)),
            max(1, int(fs_hz / _LEAST_RATE_HZ)),
        )
