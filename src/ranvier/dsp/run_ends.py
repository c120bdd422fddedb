"""What a forward-backward filter does at the ends of a run of samples.

``scipy.signal.sosfiltfilt`` extends a run at both ends by its odd reflection (2 x[0] - x[m], ..., 2 x[0] - x[1] in
front), starts the forward pass in the steady state of the first extended sample, and the backward pass in that of
the last filtered one. Here the same extension only yields the state with which each pass enters the run itself.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.dsp import kernels
from ranvier.dsp.design import FilterDesign

F64 = npt.NDArray[np.float64]


def state_at_start(design: FilterDesign, head: npt.NDArray[np.float32]) -> F64:
    """Return the state ``(2 sections, columns)`` with which the forward pass enters a run.

    ``head`` holds the run's first m + 1 rows, m = ``design.edge_samples`` or what the run has.
    """
    first = head.astype(np.float64)
    extension = 2 * first[0] - first[:0:-1] if len(first) > 1 else first[:0]
    leading = extension[0] if len(extension) else first[0]
    state: F64 = design.steady_state()[:, None] * leading[None, :]
    _advance(design, extension, state)
    return state


def state_at_end(design: FilterDesign, forward: F64, tail: npt.NDArray[np.float32]) -> F64:
    """Return the state with which the backward pass enters a run from its end.

    ``forward`` is the state of the forward pass behind the last row; ``tail`` holds the run's last m + 1 rows.
    """
    last = tail.astype(np.float64)
    if len(last) == 1:  # a constant: forward it has become itself times the gain at 0 Hz
        constant: F64 = design.steady_state()[:, None] * (last * design.response(0.0).real)
        return constant
    filtered = _advance(design, 2 * last[-1] - last[-2::-1], forward.copy())
    state: F64 = design.steady_state()[:, None] * filtered[-1][None, :]
    _advance(design, filtered[::-1], state)
    return state


def _advance(design: FilterDesign, x: F64, state: F64) -> F64:
    out = np.empty_like(x, order="C")
    kernels.cascade_float64(np.ascontiguousarray(x), out, design.gain, design.coefficients, state)
    return out
