"""Linking: which recordings the hub knows, and what it says about them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ranvier.exceptions import DatasetError, NotARecordingError, RadiensError, RecordingError, SignalSelectionError
from ranvier.hub.linked import Linked, signature_of, was_replaced
from ranvier.hub.provenance import provenance_model
from ranvier.hub.sidecars import SpikesBeside, holds_spikes
from ranvier.hub.timing import time_range
from ranvier.models.channels import COLOR_GROUP_UNSET, ChannelMetadata
from ranvier.models.dataset import DatasetMetadata, RadiensFileType
from ranvier.models.ports import Port
from ranvier.models.provenance import Provenance
from ranvier.models.signals import SignalType
from ranvier.models.tailing import LivenessState, TailingState
from ranvier.probes import assign, assume_column, channel_metadata, check_names
from ranvier.recordings import ChannelTable, detect, detect_as, open_session
from ranvier.recordings.signalless import NoSignals
from ranvier.recordings.stream_paths import split_stream
from ranvier.store import Store

#: Where the store keeps the probe that a user gave a dataset.
_PROBE_KEY = "probe:"

Ids = list[str]
Listing = list[tuple[str, "Linked"]]


class Datasets:
    """The linked datasets of one hub (service ``HubDatasets``).

    A dataset is one stream. Its id is derived from the real path, type and stream, so that it is the same whenever the
    path is linked with the same RANVIER_HOME; an id from an earlier session is opened again on demand.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._linked: dict[str, Linked] = {}
        self._lock = threading.RLock()
        self._beside = SpikesBeside()
        self._unreadable: dict[Path, str] = {}  # spikes beside recordings, and why

    def link(
        self,
        path: Path | str,
        file_type: RadiensFileType | None = None,
        *,
        stream: str | None = None,
        force: bool = False,
    ) -> DatasetMetadata:
        """Open a path (``folder#stream`` names one of several streams) and return what it is.

        Raises
        ------
        NotARecordingError, RecordingError
            Nothing recognises it; it is damaged beyond reading.
        DatasetError
            It holds several streams and none was named; the message lists the exact paths.
        """
        target, named = split_stream(path)
        linked = self.open(target, file_type, stream if stream is not None else named)
        linked.id = self._store.datasets.link(
            linked.base_name, linked.canonical, linked.format.file_type, linked.stream, force=force
        ).id
        self._restore(linked)
        with self._lock:
            self._replace(linked)
        self.link_spikes(linked)
        return self._metadata(linked)

    def link_spikes(self, linked: Linked) -> Ids:
        """Link the spikes beside a recording that are not yet; return the ids of all spikes that belong to it."""
        if holds_spikes(linked):
            return [linked.id]
        with self._lock:
            known = {other.canonical for other in self._linked.values()}
        for path in self._beside.paths(linked):
            if path not in known:
                self._unreadable.pop(path, None)
                try:
                    self.link(path, RadiensFileType.SPIKES)
                except RadiensError as error:  # damaged, or of a newer version: the recording itself is whole
                    self._unreadable[path] = str(error)
        return self._spikes_of(linked)[0]

    def parent_of(self, linked: Linked) -> Linked | None:
        """Return the linked recording that a dataset of spikes belongs to."""
        return next((r for _, r in self.items() if not holds_spikes(r) and self._beside.belongs(linked, r)), None)

    def streams(self, path: Path) -> Ids:
        """Return the exact path to link for each stream of signals at a path."""
        target, named = split_stream(path)
        if named is not None:
            return [str(path)]
        with open_session(target) as session:
            names = list(session.streams)
        return [str(target)] if len(names) <= 1 else [f"{target}#{name}" for name in names]

    def items(self) -> Listing:
        """Return the datasets linked in this hub (for its other services)."""
        with self._lock:
            return list(self._linked.items())

    def get(self, dataset_id: str) -> DatasetMetadata:
        """Return the metadata of a dataset, as of now (a growing file has a new end)."""
        return self._metadata(self.linked(dataset_id))

    def resolve(self, text: str | Path) -> DatasetMetadata:
        """Return the dataset that a text means: an id, else a path, which is linked."""
        if isinstance(text, str):
            with self._lock:
                if text in self._linked:
                    return self.get(text)
            if self._store.datasets.find(text) is not None:
                return self.get(text)
        target, _ = split_stream(text)
        try:
            return self.link(text)
        except NotARecordingError as error:
            if isinstance(text, str) and not target.exists():
                raise DatasetError(
                    f"{text!r} is neither the id of a linked dataset nor a path; link_data_file(path) links one"
                ) from error
            raise

    def list(self, ids: Sequence[str] | None = None) -> dict[str, DatasetMetadata]:
        """Return the datasets linked in this hub, or those asked for, by id."""
        return {i: self.get(i) for i in (self.ids() if ids is None else ids)}

    def ids(self) -> Ids:
        """Return the ids linked in this hub, in order of linking."""
        with self._lock:
            return list(self._linked)

    def clear(self, ids: Sequence[str] | None = None) -> Ids:
        """Unlink datasets (all of this hub for None); return the ids that went. Files are not touched."""
        with self._lock:
            gone = [i for i in (list(self._linked) if ids is None else ids) if i in self._linked]
            with_them = [s for i in gone for s in self._spikes_of(self._linked[i])[0] if s in self._linked]
            gone = list(dict.fromkeys([*gone, *with_them]))
            for i in gone:
                self._linked.pop(i).session.close()
        self._store.datasets.remove(gone)
        return gone

    def set_selected(self, dataset_id: str, channels: Mapping[SignalType, Sequence[int]]) -> DatasetMetadata:
        """Store which channels are selected (NTV); types that are not named keep their selection."""
        linked = self.linked(dataset_id)
        chosen = {kind: set(_known(linked, kind, ntv)) for kind, ntv in channels.items()}
        linked.channels = linked.channels.with_channels(
            replace(c, selected=c.ntv in chosen[c.type]) if c.type in chosen else c for c in linked.channels
        )
        self._store.datasets.set_selection(linked.id, chosen)
        return self._metadata(linked)

    def set_groups(self, dataset_id: str, groups: Sequence[Mapping[SignalType, Sequence[int]]]) -> DatasetMetadata:
        """Store channel groups (NTV): group ``i`` gives its channels the color group ``i``, all others have none."""
        linked = self.linked(dataset_id)
        selected = {(c.type, c.ntv) for c in linked.channels if c.selected}
        group_of: dict[tuple[SignalType, int], int] = {}
        for number, group in enumerate(groups):
            for kind, ntv in group.items():
                for key in [(kind, index) for index in _known(linked, kind, ntv)]:
                    if key in group_of:
                        raise SignalSelectionError(
                            f"{kind.name} channel {key[1]} stands in groups {group_of[key]} and {number}; name it once"
                        )
                    if key not in selected:
                        raise SignalSelectionError(f"{kind.name} channel {key[1]} is not selected; select it first")
                    group_of[key] = number
        linked.channels = linked.channels.with_channels(
            replace(c, color_group=group_of.get((c.type, c.ntv), COLOR_GROUP_UNSET)) for c in linked.channels
        )
        saved = [{kind.name: [int(i) for i in ntv] for kind, ntv in group.items()} for group in groups]
        self._store.datasets.set_groups(linked.id, saved)
        return self._metadata(linked)

    def set_probe(
        self,
        dataset_id: str,
        probe: str,
        *,
        headstage: str | None = None,
        port: Port | None = None,
        wiring: Sequence[int] | str | None = None,
        override: bool = False,
    ) -> DatasetMetadata:
        """Give the amplifier channels of a dataset the geometry of a probe, now and in later sessions."""
        linked = self.linked(dataset_id)
        check_names(probe, headstage)
        choice: dict[str, Any] = {
            "probe": probe,
            "headstage": headstage,
            "port": None if port is None else int(port),
            "wiring": wiring if wiring is None or isinstance(wiring, str) else [int(i) for i in wiring],
            "override": override,
        }
        linked.channels = _with_probe(linked, choice)
        self._store.settings.set(_PROBE_KEY + linked.id, choice)
        return self._metadata(linked)

    def channel_metadata(self, dataset_id: str) -> ChannelMetadata:
        """Return the channels with their three index spaces."""
        return self._channel_metadata(self.linked(dataset_id))

    def provenance(self, dataset_id: str) -> Provenance:
        """Return where the data came from, as the API's models; ``record`` is None where the file does not say."""
        return provenance_model(self.linked(dataset_id).session.provenance)

    def tailing_state(self, dataset_id: str) -> TailingState:
        """Return whether the file is still growing, and how far it reaches."""
        linked = self.linked(dataset_id)
        before = linked.recording.stop
        grown = linked.recording.refresh() > before or linked.recording.is_being_written()
        return TailingState(
            dataset_id=linked.id,
            liveness=LivenessState.LIVE if grown else LivenessState.IDLE,
            available_time_range=time_range(linked.recording),
        )

    def linked(self, dataset_id: str) -> Linked:
        """Return an open dataset (for the other services of the hub); DatasetError for an unknown id."""
        with self._lock:
            known = self._linked.get(dataset_id)
            if known is None:
                record = self._store.datasets.find(dataset_id)
                if record is None:
                    raise DatasetError(
                        f"no dataset {dataset_id!r} is linked; link_data_file(path) links one, "
                        f"list_data_source_ids() tells which are"
                    )
                known = self.open(record.path, record.file_type, record.stream or None)
                known.id = dataset_id
                self._restore(known)
                self._linked[dataset_id] = known
            elif was_replaced(known):
                fresh = self.open(known.canonical, known.format.file_type, known.stream or None)
                fresh.id = dataset_id
                self._restore(fresh)
                self._replace(fresh)
                known = fresh
            try:
                known.recording.refresh()
            except OSError as error:
                if isinstance(error, RadiensError):
                    raise
                raise RecordingError(f"{known.canonical} cannot be read any more: {error}") from error
            return known

    def close(self) -> None:
        """Close every open file."""
        with self._lock:
            for linked in self._linked.values():
                linked.session.close()
            self._linked.clear()

    def open_as(self, path: Path, stream: str | None, dataset_id: str) -> Linked:
        """Open a path as the dataset of some id, with what the store remembers of it; nothing is linked."""
        linked = self.open(path, None, stream)
        linked.id = dataset_id
        self._restore(linked)
        return linked

    def open(self, path: Path, file_type: RadiensFileType | None, stream: str | None) -> Linked:
        """Open a path; nothing is linked, and the caller closes the session."""
        target = path.expanduser().absolute()
        known, canonical = detect(target) if file_type is None else detect_as(target, file_type)
        session = open_session(canonical, known.file_type)
        signalless = not session.streams and stream is None and bool(session.spike_trains or session.events)
        recording = NoSignals(session) if signalless else session.stream(stream)
        name = session.stream_name(recording)
        single = len(session.streams) <= 1
        channels = recording.channels
        if channels.count(SignalType.AMP) and all(c.site is None for c in channels if c.type == SignalType.AMP):
            channels = assume_column(channels)
        files = tuple(sorted(known.files(canonical)))
        parts = tuple(signature_of(file) for file in files)
        stream = "" if single else name
        return Linked("", known, canonical, session, recording, stream, channels, signature_of(canonical), files, parts)

    def _restore(self, linked: Linked) -> None:
        """Apply the probe, selection and groups that the store remembers."""
        choice = self._store.settings.get(_PROBE_KEY + linked.id)
        if choice is not None:
            linked.channels = _with_probe(linked, choice)
        record = self._store.datasets.find(linked.id)
        if record is None:
            return
        chosen = {kind: set(ntv) for kind, ntv in record.selected.items()}
        group_of = {
            (SignalType[kind], ntv): number
            for number, group in enumerate(record.groups or [])
            for kind, members in group.items()
            for ntv in members
        }
        linked.channels = linked.channels.with_channels(
            replace(
                c,
                selected=c.ntv in chosen[c.type] if c.type in chosen else c.selected,
                color_group=group_of.get((c.type, c.ntv), COLOR_GROUP_UNSET if group_of else c.color_group),
            )
            for c in linked.channels
        )

    def _replace(self, linked: Linked) -> None:
        old = self._linked.get(linked.id)
        self._linked[linked.id] = linked
        if old is not None:
            old.session.close()

    def _channel_metadata(self, linked: Linked) -> ChannelMetadata:
        return channel_metadata(
            linked.channels,
            fs=float(linked.recording.fs),
            dataset_uid=linked.id,
            source_label=linked.format.name,
        )

    def _spikes_of(self, linked: Linked) -> tuple[Ids, Ids]:
        """Return the ids of spikes that belong to a dataset, and why others beside it do not."""
        if holds_spikes(linked):
            return [linked.id], list(self._beside.notes(linked))
        found: Ids = []
        notes: Ids = []
        for i, other in self.items():
            if holds_spikes(other) and self._beside.is_beside(other, linked):
                if not other.canonical.exists():
                    notes.append(f"{other.canonical.name} is not there any more: it was moved or removed")
                    continue
                wrong = self._beside.differences(other, linked)
                if wrong:
                    notes.append(
                        f"{other.canonical.name} is not used: it holds spikes of another recording ({wrong[0]})"
                    )
                else:
                    found.append(i)
                    notes += [f"{other.canonical.name}: {note}" for note in self._beside.notes(other)]
        beside = self._beside.paths(linked) if self._unreadable else []
        notes += [f"{p.name} is not used: {self._unreadable[p]}" for p in beside if p in self._unreadable]
        return [*found, *(f"{linked.id}_{name}" for name in linked.session.spike_trains)], notes

    def _metadata(self, linked: Linked) -> DatasetMetadata:
        recording = linked.recording
        spikes, spike_notes = self._spikes_of(linked)
        own = () if holds_spikes(linked) else linked.session.notes
        parent = self.parent_of(linked) if holds_spikes(linked) else None
        fs = recording.fs
        return DatasetMetadata(
            id=linked.id,
            base_name=linked.base_name,
            path=str(linked.canonical.parent),
            file_type=linked.format.file_type,
            time_range=time_range(recording),
            channel_metadata=self._channel_metadata(linked),
            stream=linked.stream,
            parent_dsource_id="" if parent is None else parent.id,
            associated_spikes_ids=spikes,
            notes=tuple(dict.fromkeys((*own, *recording.notes, *spike_notes))),
            lost_samples=recording.lost_samples,
            gaps=tuple((float(g.start / fs), float(g.stop / fs)) for g in recording.segments.gaps),
            simulated=recording.simulated,
        )


def _with_probe(linked: Linked, choice: Mapping[str, Any]) -> ChannelTable:
    """Return the channels on a probe; what the file itself says wins unless overridden."""
    own = linked.recording.channels
    selected = {(c.type, c.ntv): (c.selected, c.color_group) for c in linked.channels}
    placed = assign(
        own,
        probe=choice["probe"],
        headstage=choice.get("headstage"),
        port=None if choice.get("port") is None else Port(choice["port"]),
        wiring=choice.get("wiring"),
        override=bool(choice.get("override")),
    )
    return placed.with_channels(
        replace(c, selected=selected[c.type, c.ntv][0], color_group=selected[c.type, c.ntv][1]) for c in placed
    )


def _known(linked: Linked, kind: SignalType, ntv: Sequence[int]) -> list[int]:
    """Return native indices that the dataset has; SignalSelectionError names the others."""
    try:
        linked.channels.columns_for_ntv(kind, ntv)
    except DatasetError as error:
        raise SignalSelectionError(str(error)) from error
    return [int(i) for i in ntv]
