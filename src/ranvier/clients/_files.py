"""Recordings as datasets and files: what the file clients share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ranvier.clients._base import BaseClient
from ranvier.clients._output_options import CompressionInput, MetadataInput, output_options
from ranvier.clients._progress import shown
from ranvier.models._coerce import output_path as named
from ranvier.models.channels import ChannelMetadata
from ranvier.models.dataset import DatasetMetadata, FileInfo, RadiensFileType
from ranvier.models.flex import FlexDataset
from ranvier.models.jobs import JobInfo, JobSettings
from ranvier.models.provenance import Provenance
from ranvier.models.tailing import TailingState


class BaseFileClient(BaseClient):
    """Link, list, clear, export; list, copy, move and remove files."""

    def link_data_file(
        self,
        fpath: str | Path,
        file_type: RadiensFileType | None = None,
        *,
        live: bool = False,
        force: bool = False,
        calc_metrics: bool = False,
    ) -> DatasetMetadata:
        """Link a recording and return what it is. The file is only read, never changed.

        Parameters
        ----------
        fpath
            File, folder or base name; ``~`` is expanded. ``folder#stream`` names one of several streams.
        file_type
            Insist on one format; by default it is detected from the content.
        live
            Look at once how far a growing file reaches.
        force
            Link again under a new id even where the same file is linked already.
        calc_metrics
            Begin to compute the packets of its metrics in the background (an addition to the documented API).

        Raises
        ------
        NotARecordingError, RecordingError
            Nothing recognises it; it is damaged beyond reading. Truncated recordings link with what is there, and
            ``notes`` and ``lost_samples`` of the result say what was lost.
        DatasetError
            The path holds several streams; the message lists the exact paths to pass.
        """
        found = self._hub.datasets.link(Path(fpath), file_type, force=force)
        self._mine[found.id] = None
        if live:
            self._hub.datasets.tailing_state(found.id)
            found = self._hub.datasets.get(found.id)
        if calc_metrics:
            self._hub.metrics.calculate(found.id, background=True)
        return found

    def list_streams(self, path: str | Path) -> list[str]:
        """Return the exact paths to link for every stream of a path (an addition to the documented API)."""
        return list(self._hub.datasets.streams(Path(path)))

    def list_data_sources(self, dsource_ids: list[str] | str | None = None) -> dict[str, DatasetMetadata]:
        """Return linked datasets by id: all of them, or those asked for."""
        if dsource_ids is None:
            return self._hub.datasets.list(None)
        wanted = [dsource_ids] if isinstance(dsource_ids, str) else list(dsource_ids)
        return self._hub.datasets.list(wanted or None)

    def list_data_source_ids(self) -> list[str]:
        """Return the ids of all linked datasets, in order of linking."""
        return list(self._hub.datasets.ids())

    def clear_data_sources(self, dsource_ids: list[str] | str) -> list[str]:
        """Unlink datasets and return the ids that went; files stay.

        An empty list or ``"all"`` clears what *this client* linked (the reference server clears everything).
        """
        if isinstance(dsource_ids, str):
            wanted = list(self._mine) if dsource_ids == "all" else [dsource_ids]
        else:
            wanted = list(dsource_ids) or list(self._mine)
        gone = list(self._hub.datasets.clear(wanted))
        for i in gone:
            self._mine.pop(i, None)
        return gone

    def export_data_source(
        self, dsource: FlexDataset, dest_path: str | Path, force: bool = False, *, metadata: MetadataInput = None,
        compression: CompressionInput = "",
    ) -> None:  # fmt: skip
        """Write a dataset unchanged to ``dir/base[.suffix]``; the suffix picks the format, without one its own.

        ``metadata`` and ``compression`` are as in ``convert`` (additions to the documented API).
        """
        dataset = self._metadata(dsource)
        options = output_options(metadata, compression)
        with shown(self._progress, f"exporting {dataset.base_name}") as progress:
            self._hub.files.export(dataset.id, named(dest_path), options=options, force=force, progress=progress)

    def list_directory(self, directory: str | Path) -> list[FileInfo]:
        """Return the recordings in a folder; one that cannot be read is listed with 0 channels."""
        return self._hub.files.list_directory(Path(directory))

    def copy_data_source_file(self, src_path: str | Path, dest_path: str | Path, *, force: bool = False) -> None:
        """Copy a recording (all its files) to another base name; the format stays."""
        self._hub.files.copy(Path(src_path), Path(dest_path), force=force)

    def move_data_source_file(self, src_path: str | Path, dest_path: str | Path, *, force: bool = False) -> None:
        """Move or rename a recording (all its files)."""
        self._hub.files.move(Path(src_path), Path(dest_path), force=force)

    def remove_data_source_file(self, path: str | Path, *, force: bool = False) -> None:
        """Delete a recording (all its files); ``force`` has no effect, as on the reference server."""
        self._hub.files.remove(Path(path), force=force)

    def get_tailing_state(self, dataset: FlexDataset) -> TailingState:
        """Return whether a recording still grows, and how far it reaches now."""
        return self._hub.datasets.tailing_state(self._id(dataset))

    def get_channel_metadata(self, dataset: FlexDataset) -> ChannelMetadata:
        """Return the channels with their three index spaces (NTV, DATA, SYS), sites in um."""
        return self._hub.datasets.channel_metadata(self._id(dataset))

    def get_provenance(self, dataset: FlexDataset) -> Provenance:
        """Return the operations that made a recording, oldest first; ``record`` is None where its file says nothing."""
        return self._hub.datasets.provenance(self._id(dataset))

    def jobs(self) -> Sequence[JobInfo]:
        """Return the engine's jobs, newest first, also those of other processes (an addition to the documented API).

        A job whose process died is LOST; what it left unfinished on the disk was removed.
        """
        return self._hub.jobs.list()

    def job(self, job_id: str) -> JobInfo:
        """Return one job (an addition to the documented API)."""
        return self._hub.jobs.get(job_id)

    def cancel_job(self, job_id: str) -> JobInfo:
        """Ask a job to stop (an addition to the documented API)."""
        return self._hub.jobs.cancel(job_id)

    def retry_job(self, job_id: str) -> JobInfo:
        """Do again what a failed, cancelled or lost job should have done; wait, return the new job (an addition)."""
        with shown(self._progress, f"again: {self._hub.jobs.get(job_id).label}") as progress:
            return self._hub.jobs.retry(job_id, progress)

    def get_job_settings(self) -> JobSettings:
        """Return what running jobs take together at most, and how often a job is tried again (an addition)."""
        return self._hub.jobs.settings()

    def set_job_settings(
        self,
        *,
        memory_bytes: int | None = None,
        workers: int | None = None,
        max_running: int | None = None,
        retries: int | None = None,
        retry_pause_sec: float | None = None,
    ) -> JobSettings:
        """Change some of these settings, now and in later sessions (an addition to the documented API)."""
        return self._hub.jobs.change_settings(
            memory_bytes=memory_bytes,
            workers=workers,
            max_running=max_running,
            retries=retries,
            retry_pause_sec=retry_pause_sec,
        )

    def clear_jobs(self) -> int:
        """Forget the jobs that have ended and return how many; their outputs stay (an addition)."""
        return self._hub.jobs.clear()
