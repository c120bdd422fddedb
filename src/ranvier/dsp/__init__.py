"""Signal processing: filters and references as stages, chains of them.

``BandPass(300, 6000).bind(fs, channels)`` gives a :class:`Stage`; :class:`Chain` puts stages in a row.
"""

from ranvier.dsp.chain import Chain, ChainState
from ranvier.dsp.operations import (
    BandPass,
    BandStop,
    BlankArtifacts,
    CommonAverageReference,
    CorrectSkew,
    Downsample,
    HighPass,
    LowPass,
    Notch,
    Operation,
    PairedReference,
    SliceChannels,
    VirtualReference,
)
from ranvier.dsp.parallel import Team
from ranvier.dsp.stage import Stage

__all__ = [
    "BandPass",
    "BandStop",
    "BlankArtifacts",
    "Chain",
    "ChainState",
    "CommonAverageReference",
    "CorrectSkew",
    "Downsample",
    "HighPass",
    "LowPass",
    "Notch",
    "Operation",
    "PairedReference",
    "SliceChannels",
    "Stage",
    "Team",
    "VirtualReference",
]
