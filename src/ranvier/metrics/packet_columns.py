"""What a packet holds of each channel: names of the rows of its two arrays."""

from __future__ import annotations

#: Rows of the float64 array. Sums of squares are about the mean; sums of events are over events.
MEAN, M2, ISI_MEAN, ISI_M2, SUM_MAX, SUM_MIN, SUM_ABS, SUM_PP = range(8)
NUM_EXACT = 8

#: Rows of the float32 array. Counts are below 2**24, so exact; ``AT`` are samples from the start of the packet's grid
#: cell; ISI is what lies outside event windows; SEEN are the samples in which events were looked for.
N, MIN, AT_MIN, MAX, AT_MAX, ISI_N, ISI_MIN, ISI_MAX, MAD = range(9)
SEEN, EVENTS, DROPPED, EV_MAX, EV_AT_MAX, EV_MIN, EV_AT_MIN, EV_ABS, EV_AT_ABS, EV_PP, EV_AT_PP = range(9, 20)
NUM_SINGLE = 20

#: float32 values of a packet that holds nothing.
EMPTY_SINGLE = (
    0.0, float("inf"), float("nan"), float("-inf"), float("nan"), 0.0, float("inf"), float("-inf"), float("nan"),
    0.0, 0.0, 0.0, float("-inf"), float("nan"), float("inf"), float("nan"), float("-inf"), float("nan"),
    float("-inf"), float("nan"),
)  # fmt: skip

#: Median absolute deviation of a normal distribution, in standard deviations (Quiroga et al. 2004 divide by it).
MAD_OF_NORMAL = 0.6745
