"""Electrode impedances of a simulated probe."""

from __future__ import annotations

import numpy as np

from ranvier.recordings import Channel
from ranvier.simulation.rng import Purpose, generator

#: A site of 177 um2 has about 1 megohm at 1 kHz; impedance falls with area.
TYPICAL_OHM, TYPICAL_AREA_UM2 = 1.0e6, 177.0
_SPREAD = 0.15
_PHASE_DEG = (-75.0, -60.0)
#: An address of its own, beside the one that the channels' loudness is drawn from.
_ITEM = 1000


def simulated_impedance(seed: int, channel: Channel) -> tuple[float, float]:
    """Return magnitude (ohm) and phase (degrees) of a channel; the same for the same seed, channel and site area."""
    rng = generator(seed, Purpose.CHANNELS, _ITEM, channel.ntv)
    area_um2 = channel.site.area_um2 if channel.site is not None and channel.site.area_um2 > 0 else TYPICAL_AREA_UM2
    magnitude = TYPICAL_OHM * TYPICAL_AREA_UM2 / area_um2 * float(np.exp(_SPREAD * rng.standard_normal()))
    return magnitude, float(rng.uniform(*_PHASE_DEG))
