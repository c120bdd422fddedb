"""Signals, events, channel selection and filters of datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranvier.clients._arrays import by_type, kept_channels, verdicts_of, widened
from ranvier.clients._files import BaseFileClient
from ranvier.clients._progress import shown
from ranvier.models._coerce import output_path as named
from ranvier.models.dataset import DatasetMetadata, TimeRangeSpec
from ranvier.models.dsp import DSPGroup, coerce_filter_stage
from ranvier.models.events import EventTable
from ranvier.models.flex import (
    FlexDataset,
    FlexDSPParams,
    FlexFilterStage,
    FlexPort,
    FlexSignalSpec,
    FlexTimeRange,
    coerce_dsp_params,
    coerce_signal_spec,
    coerce_time_range,
)
from ranvier.models.ports import coerce_port
from ranvier.models.quality import ChannelQualityTable, ChannelVerdict
from ranvier.models.signals import SignalArrays, SignalSpec, SignalType
from ranvier.models.simulation import SimulationSpec


class SignalsClient(BaseFileClient):
    """Reads and settings of datasets, shared by VidereClient and CurateClient."""

    def get_signals(
        self,
        dataset: FlexDataset,
        time_range: FlexTimeRange | None = None,
        signals: FlexSignalSpec | None = None,
        *,
        apply_dsp: bool = False,
        out: Mapping[str, npt.NDArray[np.float64]] | None = None,
    ) -> SignalArrays:
        """Read signals.

        Parameters
        ----------
        dataset
            DatasetMetadata, the id of a linked dataset, or a path (linked on demand).
        time_range
            ``[start, end]`` in stream seconds, half-open; ``[duration, nan]`` the last seconds; a TimeRangeSpec; None
            the whole recording. A range partly outside is clipped: ``time_range`` of the result is what was served.
        signals
            ``"all"`` (every AMP channel), native indices, ``{"amp": ..., "ain": ..., "din": ..., "dout": ...}`` with
            lists, ``"all"`` or ``"selected"``, or a SignalSpec; None every AMP channel. Rows come in request order.
        apply_dsp
            Filter through the dataset's stage-2 group.
        out
            Memory to fill, by field name (``{"amp": array}``): float64 ``(channels, samples)`` of the exact shape.

        Returns
        -------
        SignalArrays
            float64 ``(channels, samples)``: ``amp`` in uV, ``gpio_ain`` in V, ``gpio_din`` and ``gpio_dout`` 0/1; None
            for types not asked for. Missing samples are NaN (0 for digital).

        Raises
        ------
        TimeRangeError
            The range lies wholly outside the recording, or is reversed.
        SignalSelectionError
            A channel that the dataset does not have.
        """
        metadata = self._metadata(dataset)
        spec = TimeRangeSpec.full() if time_range is None else coerce_time_range(time_range)
        wanted = SignalSpec.all_amp() if signals is None else coerce_signal_spec(signals)
        select = wanted.to_sig_select(metadata.channel_metadata)
        block = self._hub.signals.read(metadata.id, spec, select, apply_dsp=apply_dsp)
        return SignalArrays(**widened(block, out), time_range=block.time_range)

    def get_events(
        self,
        dataset: FlexDataset,
        time_range: FlexTimeRange | None = None,
        *,
        sources: Sequence[str] | None = None,
        lines: Sequence[int] | None = None,
    ) -> EventTable:
        """Return TTL edges, digital words and comments in time order (an addition to the documented API)."""
        spec = None if time_range is None else coerce_time_range(time_range)
        return self._hub.signals.events(self._id(dataset), spec, sources=sources, lines=lines)

    def get_channel_quality(
        self, dataset: FlexDataset, time_range: FlexTimeRange | None = None, *, apply_dsp: bool = False
    ) -> ChannelQualityTable:
        """Return noise, RMS (uV) and verdict of the selected amplifier channels (an addition to the documented API).

        Verdicts are good, dead, saturated, noisy, bridged, outside (the brain), each with its reasons; see the guide to
        metrics for what they mean. ``apply_dsp`` takes noise and RMS behind the dataset's stage-2 filters.
        """
        metadata = self._metadata(dataset)
        spec = None if time_range is None else coerce_time_range(time_range)
        with shown(self._progress, f"measuring {metadata.base_name}") as progress:
            return self._hub.metrics.channel_quality(metadata.id, spec, apply_dsp=apply_dsp, progress=progress)

    def select_good_channels(
        self,
        dataset: FlexDataset,
        time_range: FlexTimeRange | None = None,
        *,
        keep: Sequence[ChannelVerdict | str] = (ChannelVerdict.GOOD,),
        apply_dsp: bool = False,
    ) -> DatasetMetadata:
        """Judge all amplifier channels and select those with a verdict of ``keep`` (an addition).

        Other signal types keep their selection. SignalSelectionError where no channel would be left.
        """
        wanted = verdicts_of(keep)
        metadata = self._metadata(dataset)
        spec = None if time_range is None else coerce_time_range(time_range)
        every = SignalSpec.all_amp().to_sig_select(metadata.channel_metadata)
        with shown(self._progress, f"measuring {metadata.base_name}") as progress:
            table = self._hub.metrics.channel_quality(metadata.id, spec, every, apply_dsp=apply_dsp, progress=progress)
        return self._hub.datasets.set_selected(metadata.id, {SignalType.AMP: kept_channels(table, wanted)})

    def get_dsp_group(self, dataset: FlexDataset) -> DSPGroup:
        """Return the filters of a dataset, per stage; a dataset has stage 2 only."""
        return self._hub.dsp.get(self._id(dataset))

    def set_dsp_group(self, dataset: FlexDataset, *, stage: FlexFilterStage, params: Sequence[FlexDSPParams]) -> None:
        """Replace the filters of one stage (stage 2 for datasets); ``get_signals(apply_dsp=True)`` applies them."""
        chosen = coerce_filter_stage(stage)
        self._hub.dsp.set(self._id(dataset), chosen, [coerce_dsp_params(item, chosen) for item in params])

    def get_selected_channels(self, dataset: FlexDataset) -> dict[SignalType, list[int]]:
        """Return the selected channels, native indices per type (an addition to the documented API)."""
        channels = self._metadata(dataset).channel_metadata
        return {kind: list(indices.ntv) for kind, indices in channels.selected_sig_map.items()}

    def set_selected_channels(self, dataset: FlexDataset, signals: FlexSignalSpec) -> DatasetMetadata:
        """Select exactly these channels of the types named; other types keep their selection."""
        metadata = self._metadata(dataset)
        return self._hub.datasets.set_selected(metadata.id, by_type(signals, metadata.channel_metadata))

    def select_channels(self, dataset: FlexDataset, signals: FlexSignalSpec) -> DatasetMetadata:
        """Add channels to the selection."""
        metadata = self._metadata(dataset)
        now = self.get_selected_channels(metadata)
        more = {
            kind: sorted({*now.get(kind, []), *ntv})
            for kind, ntv in by_type(signals, metadata.channel_metadata).items()
        }
        return self._hub.datasets.set_selected(metadata.id, more)

    def deselect_channels(self, dataset: FlexDataset, signals: FlexSignalSpec) -> DatasetMetadata:
        """Take channels out of the selection."""
        metadata = self._metadata(dataset)
        now = self.get_selected_channels(metadata)
        less = {
            kind: [i for i in now.get(kind, []) if i not in set(ntv)]
            for kind, ntv in by_type(signals, metadata.channel_metadata).items()
        }
        return self._hub.datasets.set_selected(metadata.id, less)

    def set_channel_groups(self, dataset: FlexDataset, groups: Sequence[FlexSignalSpec]) -> DatasetMetadata:
        """Give each group of (selected) channels its color group, in order; all other channels lose theirs."""
        metadata = self._metadata(dataset)
        return self._hub.datasets.set_groups(
            metadata.id, [by_type(group, metadata.channel_metadata) for group in groups]
        )

    def set_probe(
        self,
        dataset: FlexDataset,
        probe: str | Path,
        *,
        headstage: str | None = None,
        port: FlexPort | None = None,
        wiring: Sequence[int] | str | None = None,
        override: bool = False,
    ) -> DatasetMetadata:
        """Put a dataset on a probe: a name (``a1x32_poly3_8mm50s_177``) or a probeinterface JSON file (an addition).

        Geometry that the file itself brings wins unless ``override``. ``wiring`` gives the native channel index of each
        site; without it identity is assumed and ``channel_metadata.wiring_verified`` says so.
        """
        return self._hub.datasets.set_probe(
            self._id(dataset),
            str(probe),
            headstage=headstage,
            port=None if port is None else coerce_port(port),
            wiring=wiring,
            override=override,
        )

    def simulate_recording(
        self, spec: SimulationSpec, output_path: str | Path, *, force: bool = False
    ) -> DatasetMetadata:
        """Write and link a simulated recording with known spikes and events (an addition to the documented API).

        The file name carries the mark SIMULATED, which is added where it is missing; the ground truth stands beside
        the recording.
        """
        with shown(self._progress, "simulating") as progress:
            found = self._hub.simulation.simulate(spec, named(output_path), force=force, progress=progress)
        self._mine[found.id] = None
        return found
