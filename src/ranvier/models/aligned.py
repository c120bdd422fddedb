"""Signals and spikes around events: our own models, an addition to the API.

Channels are amplifier channels by native index (NTV); times are seconds from the event unless a name says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from ranvier.exceptions import ConfigurationError
from ranvier.models._base import ArrayModel, Float32Array, FloatArray, Int32Array, IntArray, OwnModel

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    from matplotlib.axes import Axes

__all__ = [
    "EventCount",
    "EventQuery",
    "PeriEventHistogram",
    "PeriEventResult",
    "PeriEventSpectrogram",
    "TimeFrequencyQuery",
]

#: What a time-frequency picture is relative to its baseline.
NORMALIZATIONS = ("db", "z", "none")


class EventQuery(ArrayModel, OwnModel):
    """Which events, and what window around each: ``[event - pre_sec, event + post_sec)``.

    Attributes
    ----------
    at_sec
        Times of the events in stream seconds, in any order; each is moved to the nearest sample. None takes the events
        of the recording that the next three choose.
    source, line
        What made the events (``"DIN"``, ...), and its 0-based line; None where there is only one.
    state
        1 rising edges, 0 falling edges, None both.
    min_interval_sec
        An event closer than this to the one before it (that was not itself left out so) is left out; 0 keeps all.
    """

    at_sec: FloatArray | None = None
    source: str | None = None
    line: int | None = None
    state: Annotated[int, Field(ge=0, le=1)] | None = 1
    pre_sec: Annotated[float, Field(ge=0)] = 0.2
    post_sec: Annotated[float, Field(gt=0)] = 0.5
    min_interval_sec: Annotated[float, Field(ge=0)] = 0.0


class EventCount(OwnModel):
    """How many events were found, and what became of them: ``found`` is the sum of the other four.

    Attributes
    ----------
    used
        Those whose window lies wholly in the recording.
    too_close
        Left out by ``min_interval_sec``.
    at_edge, at_gap
        Left out because their window reaches beyond an end of the recording, or into a gap.
    """

    found: int
    used: int
    too_close: int = 0
    at_edge: int = 0
    at_gap: int = 0

    def __str__(self) -> str:
        parts = {"too close to another": self.too_close, "at an edge": self.at_edge, "at a gap": self.at_gap}
        left_out = ", ".join(f"{n} {what}" for what, n in parts.items() if n)
        return f"{self.used} of {self.found} events" + (f" (left out: {left_out})" if left_out else "")


class PeriEventResult(ArrayModel, OwnModel):
    """Signals averaged around events.

    Attributes
    ----------
    sec
        Time from the event, float64 ``(samples,)``.
    mean_uv, sem_uv
        Mean over events and its standard error ``SD / sqrt(n)``, float64 ``(channels, samples)``; NaN where a channel
        has no event (one event, of the error).
    n
        Events averaged per channel, int64 ``(channels,)``: those in whose window no sample of it is missing.
    event_sec
        Stream seconds of the used events, float64 ``(events,)``, in time order.
    trials_uv
        Where they were asked for: float32 ``(events, channels, samples)``; NaN where a sample is missing.
    depth_um
        Height of each site above the tip, float64 ``(channels,)``; NaN where the site is not known.
    """

    channel_indices: tuple[int, ...]
    sec: FloatArray
    mean_uv: FloatArray
    sem_uv: FloatArray
    n: IntArray
    events: EventCount
    event_sec: FloatArray
    trials_uv: Float32Array | None = None
    depth_um: FloatArray
    baseline_sec: tuple[float, float] | None = None
    query: EventQuery
    warnings: tuple[str, ...] = ()

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per sample and one column per channel (native index): the mean, uV."""
        import pandas as pd

        index = pd.Index(self.sec, name="sec")
        return pd.DataFrame(self.mean_uv.T, index=index, columns=list(self.channel_indices))

    def plot(self, ax: Axes | None = None, *, image: bool | None = None) -> Axes:
        """Draw mean and standard error per channel; with more than 8 channels (or ``image=True``) a map by depth."""
        from ranvier.models._pictures_events import draw_average

        return draw_average(self, ax, image=image)


class TimeFrequencyQuery(OwnModel):
    """How a spectrogram around events is made.

    Attributes
    ----------
    window_sec, step_sec
        Length of the (Hann) window, and how far it moves; resolution is ``1 / window_sec`` Hz.
    f_range_hz
        Frequencies that are returned; None = all.
    baseline_sec
        Columns whose centre lies in this half-open range are the baseline, seconds from the event; None = all before
        the event.
    normalization
        ``"db"``: ``10 log10(P / B)``; ``"z"``: ``(P - B) / SD``; ``"none"``: ``P``. ``P`` is the mean power over
        events, ``B`` and ``SD`` are mean and standard deviation of ``P`` over the columns of the baseline, per
        frequency: the average is normalised, not each event (Grandchamp, Delorme 2011, Front Psychol 2:236, discuss
        both).
    time_bandwidth
        None for a Hann window; a number for multitaper windows with that half bandwidth times duration.
    samp_freq_hz
        Look at frequencies below half of this only, at a lower cost.
    apply_dsp
        Whether stage-2 filters are applied first.
    """

    window_sec: Annotated[float, Field(gt=0)] = 0.25
    step_sec: Annotated[float, Field(gt=0)] = 0.02
    f_range_hz: tuple[float, float] | None = None
    baseline_sec: tuple[float, float] | None = None
    normalization: str = "db"
    time_bandwidth: Annotated[float, Field(ge=1)] | None = None
    samp_freq_hz: Annotated[float, Field(gt=0)] | None = None
    apply_dsp: bool = False

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.normalization not in NORMALIZATIONS:
            raise ConfigurationError(f"normalization {self.normalization!r}: one of {', '.join(NORMALIZATIONS)}")
        return self


class PeriEventSpectrogram(ArrayModel, OwnModel):
    """Power over time and frequency, averaged around events.

    Attributes
    ----------
    frequencies_hz, sec
        Axes: frequency, and centre of each window from the event.
    power_uv2_hz
        Mean over events, one-sided, float64 ``(channels, frequencies, times)``.
    normalized
        The same relative to the baseline, in the unit that ``query.normalization`` says.
    n
        Events averaged per channel, int64 ``(channels,)``.
    """

    channel_indices: tuple[int, ...]
    frequencies_hz: FloatArray
    sec: FloatArray
    power_uv2_hz: FloatArray
    normalized: FloatArray
    n: IntArray
    events: EventCount
    query: TimeFrequencyQuery
    warnings: tuple[str, ...] = ()

    def plot(self, ax: Axes | None = None, *, ntv_chan_idx: int | None = None) -> Axes:
        """Draw one channel (the first by default) over time and frequency."""
        from ranvier.models._pictures_events import draw_time_frequency

        return draw_time_frequency(self, ax, ntv_chan_idx=ntv_chan_idx)


class PeriEventHistogram(ArrayModel, OwnModel):
    """Spikes around events: rate per bin, and every spike.

    Attributes
    ----------
    units
        Unit ids.
    edges_sec
        Of the bins, seconds from the event, float64 ``(bins + 1,)``.
    counts
        Spikes of all events, int64 ``(units, bins)``.
    rate_hz, sem_hz
        ``counts / (events bin)`` and its standard error over events, float64 ``(units, bins)``; NaN without events
        (with one event, of the error).
    raster_event, raster_unit, raster_sec
        Every spike of the windows: position of its event in ``event_sec``, unit id, seconds from the event; columns of
        equal length ordered by event, then time. A spike in two windows stands twice.
    """

    units: tuple[int, ...]
    unit_names: dict[int, str] = Field(default_factory=dict)
    edges_sec: FloatArray
    counts: IntArray
    rate_hz: FloatArray
    sem_hz: FloatArray
    events: EventCount
    event_sec: FloatArray
    raster_event: IntArray
    raster_unit: Int32Array
    raster_sec: FloatArray
    query: EventQuery
    warnings: tuple[str, ...] = ()

    @property
    def centers_sec(self) -> npt.NDArray[np.float64]:
        """Middle of each bin, seconds from the event."""
        return np.asarray((self.edges_sec[:-1] + self.edges_sec[1:]) / 2, dtype=np.float64)

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per bin and one column per unit: spikes per second."""
        import pandas as pd

        index = pd.Index(self.centers_sec, name="sec")
        return pd.DataFrame(self.rate_hz.T, index=index, columns=list(self.units))

    def plot(self, ax: Axes | None = None, *, unit: int | None = None, raster: bool = True) -> Axes:
        """Draw raster and rate of one unit (the one with most spikes by default)."""
        from ranvier.models._pictures_events import draw_histogram

        return draw_histogram(self, ax, unit=unit, raster=raster)
