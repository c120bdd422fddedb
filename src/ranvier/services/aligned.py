"""Signals and spikes around events of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ranvier.models.aligned import (
    EventQuery,
    PeriEventHistogram,
    PeriEventResult,
    PeriEventSpectrogram,
    TimeFrequencyQuery,
)
from ranvier.models.spectra import CsdResult
from ranvier.services.progress import Progress


class HubAligned(Protocol):
    """What happens around events; channels AMP NTV, None = the selected ones.

    An event whose window reaches beyond an end of the recording, or into a gap, is left out and counted; one in whose
    window a channel lacks a sample is left out for that channel. Windows may overlap. Where no event is left the result
    is NaN, and warnings say so. All methods raise ConfigurationError where no event is meant, or those of several
    lines; its message lists the events that there are.
    """

    def average(
        self,
        dataset_id: str,
        query: EventQuery,
        channels: Sequence[int] | None = None,
        *,
        baseline_sec: tuple[float, float] | None = None,
        samp_freq_hz: float | None = None,
        keep_trials: bool = False,
        apply_dsp: bool = False,
        progress: Progress | None = None,
    ) -> PeriEventResult:
        """Average signals; ``baseline_sec``, seconds from the event, is the part whose mean is subtracted first.

        ``samp_freq_hz`` decimates first; events then move to the nearest sample that is left. ``keep_trials`` returns
        the windows too, at most 100 million values.
        """
        ...

    def time_frequency(
        self,
        dataset_id: str,
        query: EventQuery,
        how: TimeFrequencyQuery,
        channels: Sequence[int] | None = None,
        *,
        progress: Progress | None = None,
    ) -> PeriEventSpectrogram:
        """Average spectrograms, relative to a baseline."""
        ...

    def csd(
        self,
        dataset_id: str,
        query: EventQuery,
        channels: Sequence[int] | None = None,
        *,
        conductivity_s_per_m: float = 0.3,
        baseline_sec: tuple[float, float] | None = None,
        samp_freq_hz: float | None = None,
        apply_dsp: bool = False,
        progress: Progress | None = None,
    ) -> CsdResult:
        """Return the current-source density of the average.

        Raises
        ------
        ProbeError
            Sites whose position is not known, or that are not one evenly spaced line.
        """
        ...

    def spikes(
        self,
        dataset_id: str,
        query: EventQuery,
        units: Sequence[int] | None = None,
        *,
        bin_sec: float = 0.01,
        spike_train: str | None = None,
    ) -> PeriEventHistogram:
        """Count spikes of units (None = all): those beside the recording, else those that it holds.

        ``spike_train`` names one of several sets: one that the recording holds, or an id of ``HubSpikes.ids``.

        Raises
        ------
        DatasetError
            The recording holds no spikes, or several sets of them and none was named.
        """
        ...
