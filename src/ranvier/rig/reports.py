"""What the parts of a rig tell about themselves: gathered for ``status`` and ``details``."""

from __future__ import annotations

from collections.abc import Callable

from ranvier.models.rig import DiskStatus, LoopStatus, OutputStatus
from ranvier.models.status import RecordingStatus, RecordMode


def not_recording() -> RecordingStatus:
    """Return the status of a recorder that does nothing."""
    return RecordingStatus(record_mode=RecordMode.OFF, active_filename="", duration=0.0, error="")


class Reports:
    """One function per thing to tell; parts put theirs in. They must not wait.

    Attributes
    ----------
    recording, disk, loop, outputs, files, clients
        As the fields of BackboneStatus and RigStatus.
    warnings
        Functions that return sentences.
    """

    def __init__(self) -> None:
        self.recording: Callable[[], RecordingStatus] = not_recording
        self.disk: Callable[[], DiskStatus | None] = lambda: None
        self.loop: Callable[[], LoopStatus | None] = lambda: None
        self.outputs: Callable[[], OutputStatus | None] = lambda: None
        self.files: Callable[[], list[str]] = list
        self.clients: Callable[[], int] = lambda: 1
        self.warnings: list[Callable[[], list[str]]] = []
