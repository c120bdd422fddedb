"""Which ``.spikes`` files belong to which recording: found by name beside it, and told by what they say themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ranvier.exceptions import RadiensError
from ranvier.models.file_types import RadiensFileType
from ranvier.spikes.file import SpikesFile
from ranvier.spikes.info import RecordingIdentity, StoreInfo
from ranvier.spikes.store import SpikeStore

if TYPE_CHECKING:
    from ranvier.hub.linked import Linked

_SUFFIX = ".spikes"


def spikes_named_after(canonical: Path, base: str) -> list[Path]:
    """Return the files beside a recording that are named as its spikes: ``base.spikes``, ``base.NAME.spikes``."""
    try:
        found = [p for p in canonical.parent.iterdir() if _is_named_after(p.name, base) and p.is_file()]
    except OSError:
        return []
    return sorted(found, key=lambda p: (len(p.name), p.name))


def spikes_to_take_along(canonical: Path, base: str) -> list[Path]:
    """Return the spikes that go where a recording goes: ``base.spikes``, and those that say they are of it."""
    return [p for p in spikes_named_after(canonical, base) if p.name == base + _SUFFIX or _says_it_is_of(p, base)]


def _says_it_is_of(path: Path, base: str) -> bool:
    """Return whether spikes name a recording (``mouse.1.spikes`` may be those of ``mouse`` or of ``mouse.1``)."""
    try:
        info = SpikesFile(path).info
    except RadiensError:
        return False
    return info is not None and info.recording is not None and info.recording.name == base


def holds_spikes(linked: Linked) -> bool:
    """Return whether a dataset is a ``.spikes`` file of ours."""
    return linked.format.file_type == RadiensFileType.SPIKES


class SpikesBeside:
    """Finds the spikes of recordings; what was compared once is remembered while the files stay as they are."""

    def __init__(self) -> None:
        self._compared: dict[tuple[object, ...], list[str]] = {}
        self._told: dict[tuple[str, int], tuple[str, ...]] = {}

    def paths(self, linked: Linked) -> list[Path]:
        """Return the files beside a recording that are named as its spikes."""
        return spikes_named_after(linked.canonical, linked.base_name)

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

    def notes(self, spikes: Linked) -> tuple[str, ...]:
        """Return what is damaged or missing in spikes; finishing replaces a file, which is then looked at anew."""
        try:
            inode = spikes.canonical.stat().st_ino
            if inode == spikes.signature[0]:
                return spikes.session.notes
            key = (str(spikes.canonical), inode)
            if key not in self._told:
                self._told[key] = SpikeStore.open(spikes.canonical).notes
            return self._told[key]
        except (OSError, RadiensError) as error:
            return (f"it cannot be read any more: {error}",)

    def differences(self, spikes: Linked, recording: Linked) -> list[str]:
        """Return in words why spikes cannot be of this recording; empty where nothing speaks against it."""
        identity = identity_of(spikes)
        if identity is None:
            return []
        key = (spikes.id, spikes.signature, recording.id, recording.signature, recording.parts)
        if key not in self._compared:
            files = recording.format.files(recording.canonical)
            self._compared[key] = identity.differences(recording.recording, files)
        return self._compared[key]


def identity_of(spikes: Linked) -> RecordingIdentity | None:
    """Return which recording spikes say they are of; None where they do not say."""
    return StoreInfo.from_json(spikes.session.extra["spikes"]).recording


def _is_named_after(name: str, base: str) -> bool:
    return name == base + _SUFFIX or (name.startswith(base + ".") and name.endswith(_SUFFIX))
