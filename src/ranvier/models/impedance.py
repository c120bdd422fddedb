"""Electrode impedances."""

from __future__ import annotations

from ranvier.models._base import Model

__all__ = ["Impedance", "ImpedanceValue"]


class ImpedanceValue(Model):
    """Impedance of one channel (native index) at the test frequency: ohm and degrees."""

    ntv_chan_idx: int
    magnitude_ohm: float
    phase_deg: float


class Impedance(Model):
    """One measurement of several channels."""

    measurements: list[ImpedanceValue]
