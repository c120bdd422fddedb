"""Current-source density along a line of sites."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ProbeError
from ranvier.recordings.channels import Channel, ChannelTable

F64 = npt.NDArray[np.float64]

#: Extracellular conductivity of grey matter, S/m (Goto et al. 2010, J Neurophysiol 104:3388 and others: 0.25 to 0.5).
CONDUCTIVITY_S_PER_M = 0.3
#: How much the distance between neighbours may vary, as a share of it.
SPACING_TOLERANCE = 0.05


def current_source_density(
    potential_uv: F64, spacing_um: float, conductivity_s_per_m: float = CONDUCTIVITY_S_PER_M, *, edges: bool = True
) -> F64:
    """Return ``-conductivity d^2 V / dz^2`` in nA/mm^3; sinks are negative.

    The second derivative is that of three neighbouring sites (Nicholson, Freeman 1975, J Neurophysiol 38:356).

    Parameters
    ----------
    potential_uv
        ``(sites, samples)``, sites in order along the probe, in uV.
    spacing_um
        Distance between neighbours.
    edges
        Whether the outermost sites are estimated too, as if the potential went on unchanged beyond them (Vaknin,
        DiScenna, Teyler 1988, J Neurosci Methods 24:131); otherwise they are NaN.
    """
    if len(potential_uv) < 3:
        raise ProbeError(f"a current-source density needs 3 sites in a line, not {len(potential_uv)}")
    v = np.concatenate([potential_uv[:1], potential_uv, potential_uv[-1:]])
    second = (v[2:] - 2 * v[1:-1] + v[:-2]) / spacing_um**2  # uV / um^2 = 1e6 V / m^2
    if not edges:
        second[[0, -1]] = np.nan
    return np.asarray(-conductivity_s_per_m * 1e6 * second, dtype=np.float64)  # A / m^3 = nA / mm^3


def line_of_sites(channels: ChannelTable, columns: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], F64]:
    """Return the columns in order of depth and their height above the tip in um; they must be one even line.

    Raises
    ------
    ProbeError
        Sites without position, on several shanks or columns, at the same height, or not evenly spaced.
    """
    sites: list[Channel] = [channels[int(c)] for c in columns]
    lacking = [c.name for c in sites if c.site is None]
    if lacking:
        raise ProbeError(
            f"no site position is known for {', '.join(lacking[:5])}; give the dataset a probe (set_probe)"
        )
    position = np.array([(c.site.x_um, c.site.y_um) for c in sites if c.site is not None]).reshape(-1, 2)
    shanks = sorted({c.shank for c in sites})
    if len(shanks) > 1 or (len(sites) and np.ptp(position[:, 0]) > 1.0):
        raise ProbeError(
            f"a current-source density needs sites in one straight line, but these lie on {len(shanks)} shank(s) and "
            f"{len(np.unique(np.round(position[:, 0])))} column(s); choose the channels of one column"
        )
    order = np.argsort(position[:, 1], kind="stable")
    depth = position[order, 1]
    steps = np.diff(depth)
    if len(steps) and (steps.min() <= 0 or np.ptp(steps) > SPACING_TOLERANCE * steps.mean()):
        raise ProbeError(
            f"the sites are not evenly spaced: {steps.min():g} to {steps.max():g} um apart; choose channels that are"
        )
    return np.asarray(columns, dtype=np.int64)[order], depth
