"""Reading signals and events of linked datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ranvier.curation.groups import chain_of
from ranvier.dsp.view import FilteredRecording
from ranvier.exceptions import SignalSelectionError
from ranvier.hub.datasets import Datasets
from ranvier.hub.dsp import DspGroups
from ranvier.hub.linked import Linked
from ranvier.hub.timing import resolve, time_range
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.events import EventTable
from ranvier.models.signals import SignalType, SigSelect
from ranvier.recordings import Events, Recording
from ranvier.recordings.selection import selected_columns
from ranvier.recordings.signalless import NoSignals
from ranvier.services.signals import SignalBlock


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
        if isinstance(recording, NoSignals):
            recording.read(start, stop)  # refuses, and says what is there
        columns = selected_columns(linked.channels, select)
        if not columns:
            raise SignalSelectionError("the selection names no channel at all; ask for at least one, or for 'all'")
        source = filtered(linked, self._dsp) if apply_dsp else recording
        samples = {
            kind: source.read(start, stop, chosen, out=None if out is None else out.get(kind)).samples
            for kind, chosen in columns.items()
        }
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


def filtered(linked: Linked, dsp: DspGroups) -> Recording:
    """Return what a dataset's stage-2 filters make of its recording; the recording itself where it has none."""
    filters = list(dsp.get(linked.id).software_stage2)
    if not filters:
        return linked.recording
    return FilteredRecording(linked.recording, chain_of(filters, linked.recording.fs, linked.channels))


def stream_events(linked: Linked) -> Events:
    """Return the events of the dataset's stream."""
    name = linked.session.stream_name(linked.recording)
    return linked.session.events.get(name, Events.empty())
