"""Reading signals and events of linked datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ranvier.curation.plan import stages_from_dsp
from ranvier.exceptions import DatasetError, SignalSelectionError
from ranvier.hub.datasets import Datasets, Linked
from ranvier.hub.dsp import DspGroups
from ranvier.hub.timing import resolve, time_range
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.dsp import DSPParams
from ranvier.models.events import EventTable
from ranvier.models.signals import KeyIndex, SignalType, SigSelect
from ranvier.recordings import ChannelTable, Events
from ranvier.services.signals import SignalBlock

#: The past that is read before a served range so that filters have settled there: at most this long.
_MAX_WARM_UP_SEC = 10.0


class Signals:
    """Service ``HubSignals``: time-major float32 in physical units, columns in request order."""

    def __init__(self, datasets: Datasets, dsp: DspGroups) -> None:
        self._datasets = datasets
        self._dsp = dsp

    def read(
        self,
        dataset_id: str,
        time_range_spec: TimeRangeSpec,
        select: SigSelect,
        *,
        apply_dsp: bool = False,
        out: Mapping[SignalType, npt.NDArray[np.float32]] | None = None,
    ) -> SignalBlock:
        """Read the selected channels over a time range; see the Protocol."""
        linked = self._datasets.linked(dataset_id)
        recording = linked.recording
        start, stop = resolve(time_range_spec, recording)
        columns = selected_columns(linked.channels, select)
        if not columns:
            raise SignalSelectionError("the selection names no channel at all; ask for at least one, or for 'all'")
        filters = self._dsp.get(dataset_id).software_stage2 if apply_dsp else []
        samples = {}
        if filters:
            everything = _filtered(linked, start, stop, filters)
            for kind, chosen in columns.items():
                samples[kind] = np.ascontiguousarray(everything[:, chosen])
        else:
            for kind, chosen in columns.items():
                memory = None if out is None else out.get(kind)
                samples[kind] = recording.read(start, stop, chosen, out=memory).samples
        gaps = tuple(
            (max(g.start, start), min(g.stop, stop))
            for g in recording.segments.gaps
            if g.start < stop and g.stop > start
        )
        return SignalBlock(samples=samples, time_range=time_range(recording, start, stop), gaps=gaps)

    def events(
        self,
        dataset_id: str,
        time_range_spec: TimeRangeSpec | None = None,
        *,
        sources: Sequence[str] | None = None,
        lines: Sequence[int] | None = None,
    ) -> EventTable:
        """Return the events of a time range (all by default), in time order; see the Protocol."""
        linked = self._datasets.linked(dataset_id)
        events = stream_events(linked)
        if time_range_spec is not None and not time_range_spec.is_full():
            events = events.between(*resolve(time_range_spec, linked.recording))
        return EventTable(
            sec=events.counter / float(linked.recording.fs),
            timestamp=events.counter,
            line=events.line,
            state=events.state,
            source=events.source,
            text=events.text,
        ).filter(source=sources, line=lines)


def stream_events(linked: Linked) -> Events:
    """Return the events of the dataset's stream."""
    name = linked.session.stream_name(linked.recording)
    return linked.session.events.get(name, Events.empty())


def selected_columns(channels: ChannelTable, select: SigSelect) -> dict[SignalType, npt.NDArray[np.int64]]:
    """Return the columns of each wanted type; SignalSelectionError names channels that are not there."""
    wanted = {
        SignalType.AMP: select.amp,
        SignalType.AIN: select.gpio_ain,
        SignalType.DIN: select.gpio_din,
        SignalType.DOUT: select.gpio_dout,
    }
    return {kind: _columns(channels, kind, ids, select.key_idx) for kind, ids in wanted.items() if len(ids)}


def _columns(
    channels: ChannelTable, kind: SignalType, indices: npt.NDArray[np.int64], space: KeyIndex
) -> npt.NDArray[np.int64]:
    try:
        if space == KeyIndex.NTV:
            return channels.columns_for_ntv(kind, indices)
        of_type = channels.columns_of(kind)
        if space == KeyIndex.DATA:
            return of_type[indices]
        by_sys = {channels[int(c)].sys: int(c) for c in of_type}
        return np.array([by_sys[int(i)] for i in indices], dtype=np.int64)
    except (DatasetError, IndexError, KeyError) as error:
        reason = str(error) if isinstance(error, DatasetError) else f"no {kind.name} channel with {space.name} {error}"
        raise SignalSelectionError(reason) from error


def _filtered(linked: Linked, start: int, stop: int, filters: Sequence[DSPParams]) -> npt.NDArray[np.float32]:
    """Read through filters, from early enough that they have settled, then cut: ``(n, all columns)``."""
    recording = linked.recording
    chain = stages_from_dsp(filters, recording.fs, linked.channels)
    warm_up = min(chain.settling, int(_MAX_WARM_UP_SEC * recording.fs))
    early = max(recording.start, start - warm_up)
    result = np.full((stop - start, len(linked.channels)), np.nan, dtype=np.float32)
    result[:, linked.channels.is_digital] = 0.0
    state = chain.start()
    for source in recording.blocks(max(1, int(recording.fs)), early, stop):
        for block in chain.process(source, state):
            first = max(start, block.start)
            if block.stop > first:
                result[first - start : block.stop - start] = block.samples[first - block.start :]
    return result
