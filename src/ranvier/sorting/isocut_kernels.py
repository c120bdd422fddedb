"""Isotonic regression: the best fits that do not fall, the part of ISO-CUT that takes time.

Source: Magland and Barnett 2015, "Unimodal clustering using isotonic regression: ISO-SPLIT", arXiv:1508.04841,
sections 2 and 3. The lines are ours.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel

F64 = npt.NDArray[np.float64]


def rising_fit_reference(values: F64, weights: F64, fit: F64, errors: F64) -> None:
    """Define :func:`rising_fit`: the best non-decreasing fit of every leading part, by the min-max formula."""
    for n in range(1, len(values) + 1):
        total = np.concatenate(([0.0], np.cumsum(weights[:n] * values[:n])))
        weight = np.concatenate(([0.0], np.cumsum(weights[:n])))
        means = np.full((n, n), np.inf)
        for a in range(n):
            means[a, a:] = (total[a + 1 :] - total[a]) / (weight[a + 1 :] - weight[a])
        fit[:n] = [max(means[a, i:].min() for a in range(i + 1)) for i in range(n)]
        errors[n - 1] = np.sum(weights[:n] * (values[:n] - fit[:n]) ** 2)


@kernel("void(float64[::1], float64[::1], float64[::1], float64[::1])", reference=rising_fit_reference)
def rising_fit(values: F64, weights: F64, fit: F64, errors: F64) -> None:
    """Fit a non-decreasing sequence by weighted least squares (pool adjacent violators, one pass).

    Parameters
    ----------
    values, weights
        ``(n,)``; the weights are positive.
    fit
        ``(n,)``, written: the fit of all values.
    errors
        ``(n,)``, written: the weighted squared error of the best fit of ``values[: i + 1]``.
    """
    n = values.shape[0]
    mean, weight, squares = np.empty(n), np.empty(n), np.empty(n)
    first = np.empty(n, np.int64)
    pools = 0
    before = np.zeros(n + 1)  # the error of all pools before this one
    for i in range(n):
        mean[pools], weight[pools], squares[pools], first[pools] = values[i], weights[i], 0.0, i
        while pools > 0 and mean[pools - 1] >= mean[pools]:
            a, b = pools - 1, pools
            both = weight[a] + weight[b]
            apart = mean[b] - mean[a]
            squares[a] += squares[b] + apart * apart * weight[a] * weight[b] / both
            mean[a] += apart * weight[b] / both
            weight[a] = both
            pools = a
        before[pools + 1] = before[pools] + squares[pools]
        errors[i] = before[pools + 1]
        pools += 1
    end = n
    for p in range(pools - 1, -1, -1):
        fit[first[p] : end] = mean[p]
        end = first[p]
