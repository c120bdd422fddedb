"""Tapers of a multitaper estimate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError


def tapers(n: int, time_bandwidth: float = 4.0, count: int | None = None) -> npt.NDArray[np.float64]:
    """Return discrete prolate spheroidal sequences, ``(count, n)``, of unit energy.

    The estimate averages the eigenspectra with equal weights (Thomson 1982, Proc. IEEE 70:1055). Its bandwidth is
    ``2 time_bandwidth fs / n``.

    Parameters
    ----------
    time_bandwidth
        Half bandwidth times duration, at least 1.
    count
        Tapers; None takes ``2 time_bandwidth - 1``, those that leak little.
    """
    if not 1 <= time_bandwidth < n / 2:
        raise ConfigurationError(f"time_bandwidth {time_bandwidth:g} does not fit {n} samples: 1 to below {n / 2:g}")
    most = int(2 * time_bandwidth)
    wanted = max(1, most - 1) if count is None else count
    if not 1 <= wanted <= most:
        raise ConfigurationError(f"{wanted} tapers: a time_bandwidth of {time_bandwidth:g} has 1 to {most} useful ones")
    from scipy.signal.windows import dpss

    return np.asarray(dpss(n, time_bandwidth, Kmax=wanted), dtype=np.float64).reshape(wanted, n)
