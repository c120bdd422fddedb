"""``radiens.FileSystemClient``: recordings as files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier.classic._errors import ArgumentTypeError
from ranvier.classic._hubs import HubClient
from ranvier.classic.lib import dataset_metadata as lib
from ranvier.classic.lib.fsys import FileSysResponse
from ranvier.classic.utils.constants import DEFAULT_HUB_ID
from ranvier.classic.videre_client import is_name_of
from ranvier.exceptions import ConfigurationError, NotARecordingError
from ranvier.models.dataset import FileInfo

if TYPE_CHECKING:
    import pandas as pd

Paths = str | Path | Iterable[str | Path]

#: How a listing is sorted; newest first by date, largest first by size.
_ORDER: dict[str, Callable[[FileInfo], Any]] = {
    "date": lambda info: -info.modified_unix,
    "name": lambda info: info.base_name,
    "size": lambda info: -info.num_bytes,
    "type": lambda info: (info.file_type.name, info.base_name),
}

#: The folder that an empty path means, as documented.
_DEFAULT_FOLDER = "~/radix/data"


class FileSystemClient(HubClient):
    """List, copy, move and delete recordings, each with all its files."""

    def ls(self, req_dir: Paths, sort_by: str = "date", hub_name: str = DEFAULT_HUB_ID) -> FileSysResponse:
        """Return the recordings of one folder or several, sorted by date, name, size or type."""
        if sort_by not in _ORDER:
            raise ConfigurationError(f"sort_by={sort_by!r} is none of {', '.join(_ORDER)}")
        folders = [Path(one or _DEFAULT_FOLDER).expanduser() for one in _each(req_dir)]
        files = self._hub(hub_name).files
        found = [info for folder in folders for info in files.list_directory(folder)]
        return _response(sorted(found, key=_ORDER[sort_by]), f"{len(found)} recordings in {_words(folders)}")

    def list_dir(
        self, req_dir: Paths = "", sort_by: str = "date", include: str = "all", hub_name: str = DEFAULT_HUB_ID
    ) -> pd.DataFrame:
        """Return ``ls`` as a table; ``include`` keeps one type (``xdat``, ``nwb``, ...). '' is ``~/radix/data``."""
        table = self.ls(req_dir, sort_by, hub_name).datasource_table
        return table if include == "all" else table[table["type"] == include.lower()].reset_index(drop=True)

    def cp(
        self, source: Paths, dest: str | Path, force: bool = False, hub_name: str = DEFAULT_HUB_ID
    ) -> FileSysResponse:
        """Copy recordings; ``dest`` is a base name, or a folder (it must be one for several sources)."""
        return self._transfer("copied", source, dest, force, hub_name)

    copy_files = cp

    def mv(
        self, source: Paths, dest: str | Path, force: bool = True, validate: bool = True,
        hub_name: str = DEFAULT_HUB_ID,
    ) -> FileSysResponse:  # fmt: skip
        """Move or rename recordings as ``cp`` copies them. The old names go only when every file stands, always.

        ``validate`` is accepted: here it cannot be left out.
        """
        return self._transfer("moved", source, dest, force, hub_name)

    def rename_file(
        self, source: Paths, dest: str | Path, force: bool = False, validate: bool = True,
        hub_name: str = DEFAULT_HUB_ID,
    ) -> FileSysResponse:  # fmt: skip
        """``mv`` that replaces nothing."""
        return self.mv(source, dest, force, validate, hub_name)

    def rm(self, source: Paths, hub_name: str = DEFAULT_HUB_ID) -> FileSysResponse:
        """Delete recordings with all their files; what is no recording is refused before anything goes."""
        files = self._hub(hub_name).files
        gone = [self._info(path, hub_name) for path in _each(source)]
        for info in gone:
            files.remove(Path(info.path, info.base_name), force=True)
        return _response(gone, f"deleted {len(gone)} recordings")

    delete_files = rm

    def link_data_file(
        self, source: str | Path, calc_metrics: bool = False, hub_name: str = DEFAULT_HUB_ID
    ) -> lib.DatasetMetadata:
        """Link a recording; it stays linked. ``calc_metrics`` is accepted: metrics are computed when asked for."""
        return lib.DatasetMetadata(self._on(hub_name).link_data_file(source), self._name(hub_name))

    def get_data_file_metadata(self, source: str | Path, hub_name: str = DEFAULT_HUB_ID) -> lib.DatasetMetadata:
        """Return what a recording is, without linking it (one that is linked stays so)."""
        datasets = self._hub(hub_name).datasets
        before = set(datasets.ids())
        found = self.link_data_file(source, hub_name=hub_name)
        if found.id not in before:
            datasets.clear([found.id])
        return found

    def _transfer(self, done: str, source: Paths, dest: str | Path, force: bool, hub_name: str) -> FileSysResponse:
        files = self._hub(hub_name).files
        act = {"copied": files.copy, "moved": files.move}[done]
        sources, target = _each(source), Path(dest).expanduser()
        if len(sources) > 1 and not target.is_dir():
            raise ConfigurationError(f"{target} is no folder; several recordings need one")
        names = []
        for path in sources:
            base = self._info(path, hub_name).base_name
            names.append(target / base if target.is_dir() else target)
            act(Path(path).expanduser(), names[-1], force=force)
        return _response([self._info(name, hub_name) for name in names], f"{done} {len(names)} recordings")

    def _info(self, path: str | Path, hub_name: str) -> FileInfo:
        """Return what a recording on the disk is."""
        wanted = Path(path).expanduser().absolute()
        known = self._hub(hub_name).files.list_directory(wanted.parent) if wanted.parent.is_dir() else []
        matching = [info for info in known if is_name_of(wanted.name, info.base_name)]
        if not matching:
            raise NotARecordingError(f"{wanted} is no recording that this engine knows")
        return max(matching, key=lambda info: len(info.base_name))


def _each(paths: Paths) -> list[str | Path]:
    if isinstance(paths, str | Path):
        return [paths]
    try:
        return list(paths)
    except TypeError:
        raise ArgumentTypeError(f"{paths!r} is neither a path nor a list of paths") from None


def _words(folders: Iterable[Path]) -> str:
    return ", ".join(map(str, folders))


def _response(infos: Iterable[FileInfo], message: str) -> FileSysResponse:
    return FileSysResponse([_file_set(info) for info in infos], message)


def _file_set(info: FileInfo) -> lib.DatasetFileSet:
    sizes = {
        "primary_data": info.num_bytes - info.num_meta_bytes,
        "meta_data": info.num_meta_bytes,
        "total": info.num_bytes,
    }
    return lib.DatasetFileSet(
        lib.FileSetDescriptor(info.path, info.base_name, info.file_type.name.lower(), info.dataset_uid),
        lib.FileSetStat(
            num_files=info.num_files,
            num_bytes=sizes,
            has_meta_data_file=info.num_meta_bytes > 0,
            timestamp=datetime.fromtimestamp(info.modified_unix),
            num_chan=info.num_channels,
            dur_sec=info.duration_sec,
            samp_freq=info.sample_rate,
            dataset_spec={"uid": info.dataset_uid, "checksum": "", "provenance": ""},
        ),
    )
