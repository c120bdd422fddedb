"""Signals and spikes around events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from ranvier.clients._signals import SignalsClient
from ranvier.exceptions import ConfigurationError
from ranvier.models._base import OwnModel
from ranvier.models._coerce import faults_of
from ranvier.models.aligned import (
    EventQuery,
    PeriEventHistogram,
    PeriEventResult,
    PeriEventSpectrogram,
    TimeFrequencyQuery,
)
from ranvier.models.events import EventTable
from ranvier.models.flex import FlexDataset
from ranvier.models.spectra import CsdResult

M = TypeVar("M", bound=OwnModel)
FlexEvents = EventTable | Sequence[float] | npt.NDArray[np.float64]


class AlignedClient(SignalsClient):
    """What happens around events; all of it an addition to the API.

    Events are either given (``events``: an EventTable or times in stream seconds) or chosen from those of the recording
    by ``source``, ``line`` and ``state`` (1 rising edges, the default; 0 falling; None both); where the recording has
    one line of events, none need be named. Windows are ``[event - pre_sec, event + post_sec)`` and may overlap, unless
    ``min_interval_sec`` keeps events apart. Events whose window is not wholly in the recording are left out; ``events``
    of the result counts them. ConfigurationError lists the events that there are, where none is meant or several lines.
    """

    def get_peri_event_average(
        self,
        dataset: FlexDataset,
        *,
        events: FlexEvents | None = None,
        source: str | None = None,
        line: int | None = None,
        state: int | None = 1,
        pre_sec: float = 0.2,
        post_sec: float = 0.5,
        min_interval_sec: float = 0.0,
        channels: Sequence[int] | None = None,
        baseline_sec: tuple[float, float] | None = None,
        samp_freq_hz: float | None = None,
        keep_trials: bool = False,
        apply_dsp: bool = False,
    ) -> PeriEventResult:
        """Return mean and standard error of signals around events, uV ``(channels, samples)``.

        Parameters
        ----------
        baseline_sec
            Seconds from the event, e.g. ``(-0.1, 0.0)``: the mean of each window there is subtracted from it first.
        samp_freq_hz
            Decimate (without aliasing) to a rate that keeps frequencies below half of this; an event then moves to the
            nearest sample that is left.
        keep_trials
            Return each window too, float32 ``(events, channels, samples)``, at most 100 million values.
        """
        query = event_query(events, source, line, state, pre_sec, post_sec, min_interval_sec)
        with self._work("average around events", dataset) as (found, progress):
            return self._hub.aligned.average(
                found.id, query, channels, baseline_sec=baseline_sec, samp_freq_hz=samp_freq_hz,
                keep_trials=keep_trials, apply_dsp=apply_dsp, progress=progress,
            )  # fmt: skip

    def get_peri_event_spectrogram(
        self,
        dataset: FlexDataset,
        *,
        events: FlexEvents | None = None,
        source: str | None = None,
        line: int | None = None,
        state: int | None = 1,
        pre_sec: float = 0.5,
        post_sec: float = 1.0,
        min_interval_sec: float = 0.0,
        channels: Sequence[int] | None = None,
        window_sec: float = 0.25,
        step_sec: float = 0.02,
        f_range_hz: tuple[float, float] | None = None,
        baseline_sec: tuple[float, float] | None = None,
        normalization: str = "db",
        time_bandwidth: float | None = None,
        samp_freq_hz: float | None = None,
        apply_dsp: bool = False,
    ) -> PeriEventSpectrogram:
        """Return power over time and frequency around events, ``(channels, frequencies, times)``.

        ``normalized`` is relative to the baseline (all before the event where none is given): in dB, in standard
        deviations (``normalization="z"``), or not at all (``"none"``). ``TimeFrequencyQuery`` says how.
        """
        query = event_query(events, source, line, state, pre_sec, post_sec, min_interval_sec)
        how = _checked(
            TimeFrequencyQuery, window_sec=window_sec, step_sec=step_sec, f_range_hz=f_range_hz,
            baseline_sec=baseline_sec, normalization=normalization, time_bandwidth=time_bandwidth,
            samp_freq_hz=samp_freq_hz, apply_dsp=apply_dsp,
        )  # fmt: skip
        with self._work("spectrogram around events", dataset) as (found, progress):
            return self._hub.aligned.time_frequency(found.id, query, how, channels, progress=progress)

    def get_peri_event_csd(
        self,
        dataset: FlexDataset,
        *,
        events: FlexEvents | None = None,
        source: str | None = None,
        line: int | None = None,
        state: int | None = 1,
        pre_sec: float = 0.05,
        post_sec: float = 0.2,
        min_interval_sec: float = 0.0,
        channels: Sequence[int] | None = None,
        conductivity_s_per_m: float = 0.3,
        baseline_sec: tuple[float, float] | None = None,
        samp_freq_hz: float | None = None,
        apply_dsp: bool = False,
    ) -> CsdResult:
        """Return the current-source density, nA/mm^3, of the average around events, as ``get_csd`` does of a range."""
        query = event_query(events, source, line, state, pre_sec, post_sec, min_interval_sec)
        with self._work("current sources around events", dataset) as (found, progress):
            return self._hub.aligned.csd(
                found.id, query, channels, conductivity_s_per_m=conductivity_s_per_m, baseline_sec=baseline_sec,
                samp_freq_hz=samp_freq_hz, apply_dsp=apply_dsp, progress=progress,
            )  # fmt: skip

    def get_psth(
        self,
        dataset: FlexDataset,
        *,
        events: FlexEvents | None = None,
        source: str | None = None,
        line: int | None = None,
        state: int | None = 1,
        pre_sec: float = 0.2,
        post_sec: float = 0.5,
        min_interval_sec: float = 0.0,
        units: Sequence[int] | None = None,
        bin_sec: float = 0.01,
        spike_train: str | None = None,
    ) -> PeriEventHistogram:
        """Return spikes per second around events, ``(units, bins)``, and the raster, of its spikes.

        A bin begins at the event; the window grows to whole bins. Spikes are those of a ``.spikes`` file beside the
        recording, else its own; ``spike_train`` names one of several sets (a name in the file, or a spikes id).
        """
        query = event_query(events, source, line, state, pre_sec, post_sec, min_interval_sec)
        return self._hub.aligned.spikes(self._id(dataset), query, units, bin_sec=bin_sec, spike_train=spike_train)


def event_query(
    events: FlexEvents | None, source: str | None, line: int | None, state: int | None, pre_sec: float,
    post_sec: float, min_interval_sec: float,
) -> EventQuery:  # fmt: skip
    """Return the query that friendly arguments mean; ConfigurationError says which of them cannot be."""
    at_sec: Any = events
    if isinstance(events, EventTable):
        at_sec = events.filter(source=source, line=line, state=state).sec
        if len(events) and not len(at_sec):
            raise ConfigurationError(
                f"none of the {len(events)} events given is of source={source!r}, line={line}, state={state}; "
                f"state=None takes all of them"
            )
    return _checked(
        EventQuery,
        at_sec=at_sec,
        source=source,
        line=line,
        state=state,
        pre_sec=pre_sec,
        post_sec=post_sec,
        min_interval_sec=min_interval_sec,
    )


def _checked(model: type[M], **values: Any) -> M:
    """Return a model, or say which of its values cannot be."""
    try:
        return model(**values)
    except ValidationError as error:
        raise ConfigurationError(f"this cannot be: {faults_of(error)}") from error
