"""Spikes and units of datasets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ranvier.models.dataset import DatasetMetadata, TimeRangeSpec
from ranvier.models.output_options import OutputOptions
from ranvier.models.spikes import ChannelSpikeData, NeuronSpikeData, NeuronsResult, SpikesSpec
from ranvier.models.spikesorter import SorterLog
from ranvier.models.units import CurationEntry, SpikeRaster, UnitCorrelograms, UnitQualityTable, UnitWaveforms


class HubSpikes(Protocol):
    """Spikes that belong to a dataset, or are one.

    ``dataset_id`` is a recording, or a file of spikes alone. ``spikes_id`` is one of the ids that ``ids`` gives; None
    is the first. Units are numbers after curation; ``units=None`` means all that are not labelled noise, bad or delete.
    ``channels=None`` means all on which spikes were detected. Time ranges are clipped to what was looked at. All
    methods raise DatasetError where there are no spikes, or those of another recording, and for a unit that does not
    exist; its message lists those that do.
    """

    def ids(self, dataset_id: str) -> list[str]:
        """Return the ids of the spikes of a dataset: ``.spikes`` files beside it, and what it holds itself."""
        ...

    def spec(self, dataset_id: str, spikes_id: str | None = None) -> SpikesSpec:
        """Return what the spikes are of, and how they were detected."""
        ...

    def by_channel(
        self,
        dataset_id: str,
        channels: Sequence[int] | None = None,
        time_range: TimeRangeSpec | None = None,
        *,
        include_waveforms: bool = False,
        spikes_id: str | None = None,
    ) -> dict[int, ChannelSpikeData]:
        """Return the spikes of each channel on which they are largest.

        Raises
        ------
        ConfigurationError
            Waveforms that would not fit into memory.
        CapabilityError
            Waveforms that were not stored, of a recording that is not linked.
        """
        ...

    def by_neuron(
        self,
        dataset_id: str,
        channels: Sequence[int] | None = None,
        time_range: TimeRangeSpec | None = None,
        *,
        include_waveforms: bool = False,
        spikes_id: str | None = None,
    ) -> dict[int, NeuronSpikeData]:
        """Return the spikes of each unit whose main channel is one of these; raises what ``by_channel`` raises."""
        ...

    def neurons(
        self,
        dataset_id: str,
        channels: Sequence[int] | None = None,
        time_range: TimeRangeSpec | None = None,
        *,
        spikes_id: str | None = None,
    ) -> NeuronsResult:
        """Return the units by their main channel, with counts and rates of the time range."""
        ...

    def raster(
        self,
        dataset_id: str,
        units: Sequence[int] | None = None,
        channels: Sequence[int] | None = None,
        time_range: TimeRangeSpec | None = None,
        *,
        spikes_id: str | None = None,
    ) -> SpikeRaster:
        """Return spikes in time order; ``units=None`` here also means those without a unit."""
        ...

    def waveforms(
        self,
        dataset_id: str,
        unit: int,
        channels: Sequence[int] | None = None,
        time_range: TimeRangeSpec | None = None,
        *,
        most: int = 200,
        spikes_id: str | None = None,
    ) -> UnitWaveforms:
        """Return waveforms of a unit, of at most so many spikes spread evenly; ``channels=None``: those near it."""
        ...

    def quality(
        self,
        dataset_id: str,
        units: Sequence[int] | None = None,
        time_range: TimeRangeSpec | None = None,
        *,
        isolation: bool = False,
        spikes_id: str | None = None,
    ) -> UnitQualityTable:
        """Return quality metrics; ``isolation`` also reads waveforms, for isolation distance and L-ratio."""
        ...

    def correlograms(
        self,
        dataset_id: str,
        units: Sequence[int] | None = None,
        time_range: TimeRangeSpec | None = None,
        *,
        bin_ms: float = 1.0,
        window_ms: float = 50.0,
        spikes_id: str | None = None,
    ) -> UnitCorrelograms:
        """Return auto- and cross-correlograms up to a lag of ``window_ms``; ConfigurationError for impossible bins."""
        ...

    def merge(self, dataset_id: str, units: Sequence[int], *, by: str = "", spikes_id: str | None = None) -> int:
        """Make one unit of several; return its number.

        Raises
        ------
        ConfigurationError
            Fewer than two different units.
        CapabilityError
            Spikes that are in another program's file; ``convert`` writes a file of ours.
        """
        ...

    def split(
        self,
        dataset_id: str,
        unit: int,
        groups: npt.NDArray[np.int64],
        *,
        by: str = "",
        spikes_id: str | None = None,
    ) -> list[int]:
        """Divide a unit by one number per spike, in time order; return the new units. Raises what ``merge`` raises."""
        ...

    def label(
        self, dataset_id: str, units: Sequence[int], label: str, *, by: str = "", spikes_id: str | None = None
    ) -> None:
        """Call units something; an empty label takes it away. Raises what ``merge`` raises."""
        ...

    def undo(self, dataset_id: str, *, by: str = "", spikes_id: str | None = None) -> int:
        """Take back the latest change in force; return its number. ConfigurationError where there is none."""
        ...

    def log(self, dataset_id: str, *, spikes_id: str | None = None) -> list[CurationEntry]:
        """Return every change ever made."""
        ...

    def sorter_log(self, dataset_id: str, *, spikes_id: str | None = None) -> SorterLog:
        """Return what the sorter did by itself."""
        ...

    def convert(
        self,
        dataset_id: str,
        output: Path | None = None,
        *,
        recording_id: str | None = None,
        spikes_id: str | None = None,
        force: bool = False,
    ) -> DatasetMetadata:
        """Write spikes as a ``.spikes`` file (None: beside the dataset) and link it; curation is applied.

        ``recording_id`` is the recording they belong to, where that is another dataset.

        Raises
        ------
        OutputExistsError, OutputError
            It exists already and force was not given; it cannot be written.
        """
        ...

    def export(
        self,
        dataset_id: str,
        output: Path,
        file_format: str,
        *,
        recording_id: str | None = None,
        spikes_id: str | None = None,
        signals: bool = False,
        options: OutputOptions | None = None,
        force: bool = False,
    ) -> Path:
        """Write spikes for another program and return what that is to open; curation is applied.

        Parameters
        ----------
        file_format
            ``"phy"``: a folder; ``"nwb"``: a file of units; ``"unitmatch"``: a folder of mean waveforms.
        recording_id
            The recording they belong to, where that is another dataset.
        signals
            Copy the amplifier channels too, as int16 (phy).
        options
            Subject and session (NWB).

        Raises
        ------
        OutputExistsError, OutputError
            It exists already and force was not given; it cannot be written.
        CapabilityError
            No units with spikes, or waveforms that nothing tells.
        ConfigurationError
            Another format; spikes that count otherwise than the recording.
        """
        ...
