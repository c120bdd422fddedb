"""A recording of SpikeInterface as one of ours: what every program reads that it reads, sorted here."""

from __future__ import annotations

import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError
from ranvier.recordings import ChannelTable, Recording
from ranvier.recordings.channels import Site, plain_channels
from ranvier.recordings.segments import Segments


class SpikeInterfaceRecording(Recording):
    """A SpikeInterface recording of one segment; counters are its frames, channels all amplifier channels.

    Values are uV where it knows its gains, and else what it gives (a whitened one: units of the noise). Reads follow
    one another: not all of what it wraps may be read by several threads at once.
    """

    def __init__(self, recording: Any) -> None:
        self.channels = channels_of(recording)
        self.fs = Fraction(float(recording.get_sampling_frequency())).limit_denominator(1_000_000)
        self.segments = Segments.single(0, int(recording.get_num_samples(segment_index=0)))
        self.path = Path("spikeinterface")
        self._wrapped = recording
        self._ids = np.asarray(recording.channel_ids)
        self._in_uv = bool(recording.has_scaleable_traces())
        self._lock = threading.Lock()

    def _read_rows(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        with self._lock:
            out[:] = self._wrapped.get_traces(
                segment_index=0, start_frame=start, end_frame=stop, channel_ids=self._ids[columns],
                return_in_uV=self._in_uv,
            )  # fmt: skip


def channels_of(recording: Any) -> ChannelTable:
    """Return the channels of a SpikeInterface recording, with their places and shanks (its groups).

    ConfigurationError for one of several segments, or without channels.
    """
    if recording.get_num_segments() != 1:
        raise ConfigurationError(
            f"a recording of {recording.get_num_segments()} segments: join them first "
            f"(spikeinterface.concatenate_recordings), or take one (select_segments)"
        )
    ids = list(recording.channel_ids)
    if not ids:
        raise ConfigurationError("a recording without channels")
    places = recording.get_channel_locations() if recording.has_probe() else None
    groups = recording.get_property("group")
    shanks = np.zeros(len(ids), np.int64) if groups is None else np.unique(groups, return_inverse=True)[1]
    made = []
    for k, channel in enumerate(plain_channels(amp=len(ids))):
        site = None if places is None else Site(float(places[k][0]), float(places[k][1]))
        made.append(replace(channel, name=str(ids[k]), site=site, shank=int(shanks[k])))
    return ChannelTable(tuple(made), geometry_source="file", wiring_verified=places is not None)
