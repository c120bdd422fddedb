"""How events are detected on the channels of a recording: what was changed, kept in the store."""

from __future__ import annotations

from collections.abc import Sequence

from ranvier.hub.linked import Linked
from ranvier.metrics.event_levels import changed_params
from ranvier.models.signals import SignalType
from ranvier.models.spikesorter import SpikeDetectParams
from ranvier.sorting.event_finder import default_detect_params
from ranvier.store import Store

_KEY = "sorter:"


class DetectSettings:
    """Detection parameters by recording and NTV channel index; only those that somebody changed are kept."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def kept(self, dataset_id: str) -> dict[int, SpikeDetectParams]:
        """Return what was changed, by NTV channel index."""
        saved = self._store.settings.get(_KEY + dataset_id) or []
        made = [SpikeDetectParams.model_validate(p) for p in saved]
        return {p.ntv_chan_idx: p for p in made if p.ntv_chan_idx is not None}

    def forget(self, dataset_id: str) -> None:
        """Go back to the defaults."""
        self._store.settings.set(_KEY + dataset_id, [])

    def with_changes(self, linked: Linked, changes: Sequence[SpikeDetectParams]) -> list[SpikeDetectParams]:
        """Return the parameters of every amplifier channel as they would be with some changes."""
        ntv = [linked.channels[int(c)].ntv for c in linked.channels.columns_of(SignalType.AMP)]
        fs = float(linked.recording.fs)
        found = changed_params(self.kept(linked.id), changes, ntv, fs, default=default_detect_params, widths=True)
        return [found[i] for i in ntv]

    def change(self, linked: Linked, changes: Sequence[SpikeDetectParams]) -> list[SpikeDetectParams]:
        """Keep some changes, and return the parameters of the channels that they touch."""
        result = self.with_changes(linked, changes)
        touched = {c.ntv_chan_idx for c in changes}
        changed = [p for p in result if None in touched or p.ntv_chan_idx in touched]
        kept = {**self.kept(linked.id), **{p.ntv_chan_idx: p for p in changed if p.ntv_chan_idx is not None}}
        self._store.settings.set(_KEY + linked.id, [p.model_dump(mode="json") for p in kept.values()])
        return changed
