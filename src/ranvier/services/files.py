"""Recordings as files: list, copy, move, remove, export."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ranvier.models.dataset import FileInfo
from ranvier.models.output_options import OutputOptions
from ranvier.services.progress import Progress


class HubFiles(Protocol):
    """Recordings on the hub's disks; every operation takes all files that belong to one recording."""

    def list_directory(self, path: Path) -> list[FileInfo]:
        """Return the recordings in a folder (not in its sub-folders), by name.

        A recording of several files is one entry, one of several streams an entry per stream. Files that no format
        recognises are left out; a recording that cannot be read is listed with 0 channels. RecordingError where
        ``path`` is not a folder.
        """
        ...

    def copy(self, src: Path, dst: Path, *, force: bool = False) -> None:
        """Copy a recording to ``dir/base``; the format stays, so a suffix of another format is refused.

        Raises NotARecordingError, OutputExistsError, OutputError (folder, disk full; nothing is left behind).
        """
        ...

    def move(self, src: Path, dst: Path, *, force: bool = False) -> None:
        """Move or rename a recording; the files inside that name each other are brought along. Errors as ``copy``.

        A dataset linked at the old place is unlinked.
        """
        ...

    def remove(self, path: Path, *, force: bool = False) -> None:
        """Delete every file of a recording.

        A dataset linked there is unlinked first. A path that is not a recording is refused (NotARecordingError).
        ``force`` has no effect, as on the reference server.
        """
        ...

    def export(
        self,
        dataset_id: str,
        destination: Path,
        *,
        options: OutputOptions | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> list[Path]:
        """Write a dataset unchanged to ``dir/base[.suffix]`` and return the files written, the one to link first.

        The suffix picks the format; without one the dataset's own format is kept, where this version writes it.
        Samples are neither filtered nor resampled; events and spikes go along. CapabilityError names formats that can
        be written. Not linked: :meth:`ranvier.services.HubCuration.convert` writes and links.
        """
        ...
