"""What tells faint units from noise.

Noise is correlated over time, so that a template gives more of it than of independent samples (``Templates.noise_sd``):
thresholds count in SD of that. Above a threshold noise falls off quickly. The spikes of a unit that is no more than the
tail of noise lie just above theirs, 0.25 SD in the mean where it is 4 SD; those of a unit whose typical spike is at the
threshold, so that half of them are lost, lie 0.8 SD above it (the mean of the upper half of a normal distribution).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.templates import Templates

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: SD of noise along its waveform that a unit has on its main site where its trough alone is not quite large enough.
MAIN_SD = 4.5
#: Spikes of rare units are told from noise above the threshold, by as many SD: noise falls off quickly.
ABOVE_SD = 0.3
#: What is not quite: a share of the SNR that is asked for.
NEARLY = 0.85


def least_projections(noise_sd: F64, norms: F64, parameters: SorterParameters) -> F64:
    """Return what the projection on each waveform must be to be more than noise, ``(units,)``.

    Parameters
    ----------
    noise_sd, norms
        ``(units,)``: SD of noise along the waveform (of unit norm), and the energy of what is compared of it.
    """
    return np.asarray(parameters.match_noise_sd * noise_sd * np.sqrt(norms), np.float64)


def beyond_noise(members: Sequence[I64], beyond: F32, parameters: SorterParameters) -> Flags:
    """Return which sets of spikes are more than the tail of noise: all of one, or those somewhat above the threshold.

    Parameters
    ----------
    members
        Which spikes each set consists of; an empty one is no more than noise.
    beyond
        ``(spikes,)``: how far each is above its unit's threshold, in SD of noise along the template.
    """
    least, real = parameters.min_excess_sd, np.zeros(len(members), np.bool_)
    for k, own in enumerate(members):
        above = beyond[own].astype(np.float64)
        core = above[above >= ABOVE_SD] - ABOVE_SD
        real[k] = len(own) > 0 and above.mean() >= least
        real[k] |= parameters.rare_units and len(core) >= parameters.min_rare and core.mean() >= least
    return real


def stands_out(templates: Templates, snr: F64, parameters: SorterParameters) -> Flags:
    """Return which units show on one site: by their trough (``snr``), or nearly so and by all of their waveform there.

    The trough alone says too little of a spike that the filter in front spread over time.
    """
    own = templates.weights[np.arange(len(templates)), templates.sites][:, None]
    alone = Templates(own, templates.basis, templates.geometry)
    by_shape = np.sqrt(alone.norms) >= MAIN_SD * alone.noise_sd
    return np.asarray((snr >= parameters.min_snr) | ((snr >= NEARLY * parameters.min_snr) & by_shape), np.bool_)
