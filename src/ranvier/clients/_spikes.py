"""Spikes, neurons and units of datasets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.clients._output_options import MetadataInput, output_options
from ranvier.clients._signals import SignalsClient
from ranvier.models._coerce import output_path as named
from ranvier.models._coerce import unit_numbers
from ranvier.models.channels import ChannelMetadata
from ranvier.models.dataset import DatasetMetadata, RadiensFileType, TimeRangeSpec
from ranvier.models.flex import (
    FlexDataset,
    FlexSignalSpec,
    FlexTimeRange,
    coerce_signal_spec,
    coerce_time_range,
)
from ranvier.models.signals import SignalType
from ranvier.models.spikes import ChannelSpikeData, NeuronSpikeData, NeuronsResult, SpikesSpec, Unit
from ranvier.models.units import CurationEntry, SpikeRaster, UnitCorrelograms, UnitQualityTable, UnitWaveforms


class SpikesClient(SignalsClient):
    """Spikes that belong to a recording, or came without one.

    Spikes are found beside a recording (``base.spikes``) and in it (NEV, NEX, NWB units, phy folders);
    ``associated_spikes_ids`` of a dataset lists them, ``spikes_id`` names one, None the first. A file of spikes is a
    dataset too. DatasetError where there are none, or a unit does not exist; its message lists those that do.
    """

    def get_spikes_ids(self, dataset: FlexDataset) -> list[str]:
        """Return the ids of the spikes of a dataset."""
        return self._hub.spikes.ids(self._id(dataset))

    def get_spikes_spec(self, dataset: FlexDataset, *, spikes_id: str | None = None) -> SpikesSpec:
        """Return what spikes are of: channels, thresholds, time ranges."""
        return self._hub.spikes.spec(self._id(dataset), spikes_id)

    def get_spikes_by_channel(
        self,
        dataset: FlexDataset,
        channels: FlexSignalSpec | None = None,
        time_range: FlexTimeRange | None = None,
        include_waveforms: bool = False,
        *,
        spikes_id: str | None = None,
    ) -> dict[int, ChannelSpikeData]:
        """Return the spikes of each channel (native index) on which they are largest.

        Parameters
        ----------
        channels
            As in ``get_signals``; None all on which spikes were detected.
        time_range
            As in ``get_signals``; timestamps are stream seconds.
        include_waveforms
            Read waveforms ``(spikes, points)`` in uV on that channel, through the filters that the sorter used.

        Raises
        ------
        TimeRangeError
            The range lies wholly outside what was looked at.
        CapabilityError
            Waveforms of spikes that were stored without them, and whose recording is not linked.
        """
        found = self._metadata(dataset)
        wanted, spec = _asked(channels, time_range, found.channel_metadata)
        return self._hub.spikes.by_channel(
            found.id, wanted, spec, include_waveforms=include_waveforms, spikes_id=spikes_id
        )

    def get_spikes_by_neuron(
        self,
        dataset: FlexDataset,
        channels: FlexSignalSpec | None = None,
        time_range: FlexTimeRange | None = None,
        include_waveforms: bool = False,
        *,
        spikes_id: str | None = None,
    ) -> dict[int, NeuronSpikeData]:
        """Return the spikes of each neuron, by label; ``channels`` are those on which neurons are largest.

        Units labelled noise, bad or delete are left out. Arguments and errors are those of ``get_spikes_by_channel``.
        """
        found = self._metadata(dataset)
        wanted, spec = _asked(channels, time_range, found.channel_metadata)
        return self._hub.spikes.by_neuron(
            found.id, wanted, spec, include_waveforms=include_waveforms, spikes_id=spikes_id
        )

    def get_neurons(
        self,
        dataset: FlexDataset,
        channels: FlexSignalSpec | None = None,
        time_range: FlexTimeRange | None = None,
        *,
        spikes_id: str | None = None,
    ) -> NeuronsResult:
        """Return the neurons by the channel on which they are largest; counts and rates are of the time range."""
        found = self._metadata(dataset)
        wanted, spec = _asked(channels, time_range, found.channel_metadata)
        return self._hub.spikes.neurons(found.id, wanted, spec, spikes_id=spikes_id)

    def get_units(
        self, dataset: FlexDataset, channels: FlexSignalSpec | None = None, *, spikes_id: str | None = None
    ) -> list[Unit]:
        """Return the neurons in short, ordered by label."""
        neurons = self.get_neurons(dataset, channels, spikes_id=spikes_id).neurons_by_channel
        units = {
            n.neuron_id: Unit(
                label=int(n.spike_label),
                neuron_id=n.neuron_id,
                site_ntv_chan_idx=n.site_ntv_chan_idx,
                spike_count=n.spike_count,
                spike_rate=n.spike_rate,
                snr=n.snr,
                probe_y=n.pos_probe[1],
            )
            for found in neurons.values()
            for n in found
            if n.spike_label.isdecimal() and int(n.spike_label)
        }
        return sorted(units.values(), key=lambda unit: unit.label)

    def get_spike_raster(
        self,
        dataset: FlexDataset,
        units: Sequence[int] | None = None,
        channels: FlexSignalSpec | None = None,
        time_range: FlexTimeRange | None = None,
        *,
        spikes_id: str | None = None,
    ) -> SpikeRaster:
        """Return spikes in time order, with amplitude and position (an addition); None: all, unit 0 = no unit."""
        found = self._metadata(dataset)
        wanted, spec = _asked(channels, time_range, found.channel_metadata)
        return self._hub.spikes.raster(found.id, _listed(units), wanted, spec, spikes_id=spikes_id)

    def get_unit_waveforms(
        self,
        dataset: FlexDataset,
        unit: int,
        channels: FlexSignalSpec | None = None,
        time_range: FlexTimeRange | None = None,
        *,
        most: int = 200,
        spikes_id: str | None = None,
    ) -> UnitWaveforms:
        """Return waveforms of a unit on the sites nearest to it, of at most so many spikes (an addition)."""
        found = self._metadata(dataset)
        wanted, spec = _asked(channels, time_range, found.channel_metadata)
        return self._hub.spikes.waveforms(
            found.id, unit_numbers([unit])[0], wanted, spec, most=most, spikes_id=spikes_id
        )

    def get_unit_quality(
        self,
        dataset: FlexDataset,
        units: Sequence[int] | None = None,
        time_range: FlexTimeRange | None = None,
        *,
        isolation: bool = False,
        spikes_id: str | None = None,
    ) -> UnitQualityTable:
        """Return how far units can be trusted (an addition); ``isolation`` compares waveforms too, and takes longer."""
        spec = None if time_range is None else coerce_time_range(time_range)
        return self._hub.spikes.quality(
            self._id(dataset), _listed(units), spec, isolation=isolation, spikes_id=spikes_id
        )

    def get_correlograms(
        self,
        dataset: FlexDataset,
        units: Sequence[int] | None = None,
        time_range: FlexTimeRange | None = None,
        *,
        bin_ms: float = 1.0,
        window_ms: float = 50.0,
        spikes_id: str | None = None,
    ) -> UnitCorrelograms:
        """Return auto- and cross-correlograms of units, up to lags of ``window_ms`` (an addition)."""
        spec = None if time_range is None else coerce_time_range(time_range)
        return self._hub.spikes.correlograms(
            self._id(dataset), _listed(units), spec, bin_ms=bin_ms, window_ms=window_ms, spikes_id=spikes_id
        )

    def merge_units(
        self, dataset: FlexDataset, units: Sequence[int], *, by: str = "", spikes_id: str | None = None
    ) -> int:
        """Make one unit of several (an addition); return its number, which no unit ever had.

        Changes are kept in a log that can be undone step by step; what the sorter wrote stays. ``by`` is who did it.
        """
        return self._hub.spikes.merge(self._id(dataset), unit_numbers(units), by=by, spikes_id=spikes_id)

    def split_unit(
        self, dataset: FlexDataset, unit: int, groups: npt.ArrayLike, *, by: str = "", spikes_id: str | None = None
    ) -> list[int]:
        """Divide a unit (an addition): one number per spike, in time order; return a new unit for each number."""
        numbers = np.asarray(groups)
        kept = numbers.astype(np.int64) if numbers.dtype.kind in "iub" else numbers
        return self._hub.spikes.split(self._id(dataset), unit_numbers([unit])[0], kept, by=by, spikes_id=spikes_id)

    def label_units(
        self,
        dataset: FlexDataset,
        units: Sequence[int],
        label: str,
        *,
        by: str = "",
        spikes_id: str | None = None,
    ) -> None:
        """Call units something, e.g. good, mua or noise (an addition); an empty label takes it away."""
        self._hub.spikes.label(self._id(dataset), unit_numbers(units), label, by=by, spikes_id=spikes_id)

    def undo_curation(self, dataset: FlexDataset, *, by: str = "", spikes_id: str | None = None) -> int:
        """Take back the latest change of units that is in force (an addition); return its number."""
        return self._hub.spikes.undo(self._id(dataset), by=by, spikes_id=spikes_id)

    def get_curation_log(self, dataset: FlexDataset, *, spikes_id: str | None = None) -> list[CurationEntry]:
        """Return every change of units that was ever made (an addition)."""
        return self._hub.spikes.log(self._id(dataset), spikes_id=spikes_id)

    def get_spike_sorter_log(self, dataset: FlexDataset, *, spikes_id: str | None = None) -> list[dict[str, Any]]:
        """Return what the sorter of some spikes did by itself (an addition).

        One dict of JSON data each, oldest first; ``event`` says what: units ``learned`` or ``learned_again``, templates
        that ``followed`` their spikes, ``noise`` measured anew, and with ``not_spikes`` what was refused, by reason:
        events that a near site has larger (``by_neighbour``), ``artifacts`` beyond the limits, and what is kept but
        flagged as noise (``common`` on a port, ``afterwaves``, ``wrong_width``). ``in_force_from_sample`` counts as
        the recording does. Empty where spikes came from another program. DatasetError where there are no such spikes.
        """
        return self._hub.spikes.sorter_log(self._id(dataset), spikes_id=spikes_id).entries

    def convert_spikes(
        self,
        dataset: FlexDataset,
        output_path: str | Path | None = None,
        *,
        recording: FlexDataset | None = None,
        spikes_id: str | None = None,
        force: bool = False,
    ) -> DatasetMetadata:
        """Write spikes of any kind as a ``.spikes`` file and link it (an addition).

        Without a path it stands beside the recording. ``recording`` is the one they belong to, where the spikes are a
        dataset of their own (a phy folder). Curation is applied; OutputExistsError without ``force``.
        """
        found = self._hub.spikes.convert(
            self._id(dataset),
            None if output_path is None else named(output_path),
            recording_id=None if recording is None else self._id(recording),
            spikes_id=spikes_id,
            force=force,
        )
        self._mine[found.id] = None
        return found

    def export_spikes(
        self,
        dataset: FlexDataset,
        output_path: str | Path,
        file_format: str = "phy",
        *,
        recording: FlexDataset | None = None,
        spikes_id: str | None = None,
        signals: bool = False,
        metadata: MetadataInput = None,
        force: bool = False,
    ) -> Path:
        """Write units for another program (an addition); return what that is to open.

        Parameters
        ----------
        file_format
            ``"phy"``: a folder for phy, phylib and SpikeInterface; ``"nwb"``: an NWB file of units, for archives;
            ``"unitmatch"``: a folder for UnitMatch.
        recording
            The one they belong to, where the spikes are a dataset of their own.
        signals
            Copy the amplifier channels into phy's folder, which then needs nothing else.
        metadata
            Subject and session of NWB: a SessionMetadata, a dict, or the path of a YAML file.

        Raises
        ------
        OutputExistsError
            It exists already, and ``force`` was not given.
        CapabilityError
            There are no units with spikes, or no waveforms: the sorter left none, and the recording is not there.
        """
        return self._hub.spikes.export(
            self._id(dataset),
            named(output_path),
            file_format,
            recording_id=None if recording is None else self._id(recording),
            spikes_id=spikes_id,
            signals=signals,
            options=output_options(metadata),
            force=force,
        )

    def to_spikeinterface(self, dataset: FlexDataset, *, spikes_id: str | None = None) -> tuple[Any, Any]:
        """Return units as a SpikeInterface sorting, and the recording they are of (an addition).

        The sorting has the properties ``quality`` (what units are called, else ``unsorted``), ``snr``,
        ``main_channel_id`` and ``location``; units labelled noise, bad or delete are left out, as are spikes without a
        unit. The recording (uV) is read here, so that its files must be on this machine; None for spikes that are
        alone. CapabilityError where SpikeInterface is not installed.
        """
        from ranvier.interop import spikeinterface as interop

        found = self._metadata(dataset)
        neurons = self.get_neurons(found, spikes_id=spikes_id).neurons_by_channel.values()
        known = {int(n.spike_label): n for some in neurons for n in some if n.spike_count}
        raster = self.get_spike_raster(found, list(known), spikes_id=spikes_id)
        fs = found.time_range.fs
        signals = found.channel_metadata.num_channels.get(SignalType.AMP) and found.file_type != RadiensFileType.SPIKES
        recording = interop.read_recording(found.base_path) if signals else None
        sorting = interop.sorting_of(
            np.rint(raster.sec * fs).astype(np.int64) - found.time_range.timestamp[0],
            raster.unit,
            fs,
            {
                "quality": {unit: n.quality or "unsorted" for unit, n in known.items()},
                "snr": {unit: n.snr for unit, n in known.items()},
                "main_channel_id": {unit: str(n.site_ntv_chan_idx) for unit, n in known.items()},
                "location": {unit: n.pos_probe[:2] for unit, n in known.items()},
            },
        )
        if recording is not None:
            sorting.register_recording(recording)
        return sorting, recording


def _listed(units: Sequence[int] | None) -> list[int] | None:
    return None if units is None else unit_numbers(units)


def _asked(
    channels: FlexSignalSpec | None, time_range: FlexTimeRange | None, metadata: ChannelMetadata
) -> tuple[list[int] | None, TimeRangeSpec | None]:
    """Return native indices of amplifier channels and a time range; None stays None."""
    spec = None if time_range is None else coerce_time_range(time_range)
    if channels is None:
        return None, spec
    asked = coerce_signal_spec(channels)
    if not metadata.index(SignalType.AMP).ntv:  # spikes that were recorded without their signals: they know their sites
        given = asked.by_type.get(SignalType.AMP, ())
        return None if isinstance(given, str) else [int(n) for n in given], spec
    return [int(n) for n in asked.to_sig_select(metadata).amp], spec
