"""Which ``.spikes`` files belong to which recording: found by name beside it, and told by what they say themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ranvier.models.file_types import RadiensFileType
from ranvier.spikes.info import RecordingIdentity, StoreInfo

if TYPE_CHECKING:
    from ranvier.hub.datasets import Linked

_SUFFIX = ".spikes"


def holds_spikes(linked: Linked) -> bool:
    """Return whether a dataset is a ``.spikes`` file of ours."""
    return linked.format.file_type == RadiensFileType.SPIKES


class SpikesBeside:
    """Finds the spikes of recordings; what was compared once is remembered while the files stay as they are."""

    def __init__(self) -> None:
        self._compared: dict[tuple[object, ...], list[str]] = {}

    def paths(self, linked: Linked) -> list[Path]:
        """Return the files beside a recording that are named as its spikes: ``base.spikes``, ``base.NAME.spikes``."""
        try:
            found = [p for p in linked.canonical.parent.iterdir() if _is_named_after(p.name, linked.base_name)]
        except OSError:
            return []
        return sorted((p for p in found if p.is_file()), key=lambda p: (len(p.name), p.name))

    def is_beside(self, spikes: Linked, recording: Linked) -> bool:
        """Return whether spikes are named after a recording, or were made from it."""
        identity = identity_of(spikes)
        if identity is not None and identity.dataset_id == recording.id:
            return True
        if identity is not None and identity.stream != recording.stream:
            return False
        same_folder = spikes.canonical.parent == recording.canonical.parent
        return same_folder and _is_named_after(spikes.canonical.name, recording.base_name)

    def belongs(self, spikes: Linked, recording: Linked) -> bool:
        """Return whether spikes are a recording's."""
        return self.is_beside(spikes, recording) and not self.differences(spikes, recording)

    def differences(self, spikes: Linked, recording: Linked) -> list[str]:
        """Return in words why spikes cannot be of this recording; empty where nothing speaks against it."""
        identity = identity_of(spikes)
        if identity is None:
            return []
        key = (spikes.id, spikes.signature, recording.id, recording.signature)
        if key not in self._compared:
            files = recording.format.files(recording.canonical)
            self._compared[key] = identity.differences(recording.recording, files)
        return self._compared[key]


def identity_of(spikes: Linked) -> RecordingIdentity | None:
    """Return which recording spikes say they are of; None where they do not say."""
    return StoreInfo.from_json(spikes.session.extra["spikes"]).recording


def _is_named_after(name: str, base: str) -> bool:
    return name == base + _SUFFIX or (name.startswith(base + ".") and name.endswith(_SUFFIX))
