"""``ranvier apply`` and ``ranvier jobs``: protocols over folders of recordings."""

from __future__ import annotations

from pathlib import Path

import typer

from ranvier.clients import CurateClient
from ranvier.exceptions import ConfigurationError, DataProcessingError, RadiensError
from ranvier.models.dataset import DatasetMetadata, RadiensFileType


def run(
    protocol: Path, source: Path | None, out: Path | None, *, file_type: str | None, dry_run: bool, force: bool
) -> None:
    """Run a protocol and say what was written; recordings that cannot be read do not stop the others."""
    kind = _type(file_type)
    with CurateClient() as curate:
        sources, unread = (None, []) if source is None else _recordings(curate, source)
        if dry_run:
            outputs = curate.check_protocol_file(protocol, sources=sources, output_dir=out, file_type=kind)
        else:
            outputs = curate.apply_protocol_file(protocol, sources=sources, output_dir=out, file_type=kind, force=force)
    for path in outputs:
        typer.echo(f"{'would write ' if dry_run else ''}{path}")
    if unread:
        raise DataProcessingError("\n".join([f"{len(unread)} recordings could not be read:", *unread]))


def _recordings(curate: CurateClient, source: Path) -> tuple[list[DatasetMetadata], list[str]]:
    """Return the recordings of a folder (or the one that the path is), and what is wrong with the others."""
    listing = curate.list_directory(source) if source.expanduser().is_dir() else []
    if not listing:
        return [curate.link_data_file(stream) for stream in curate.list_streams(source)], []
    found: list[DatasetMetadata] = []
    unread: list[str] = []
    for info in listing:
        path = Path(info.path) / info.base_name
        try:
            found.append(curate.link_data_file(path, RadiensFileType(info.file_type)))
        except RadiensError as error:
            unread.append(f"{path}: {error}")
    if not found:
        raise ConfigurationError("\n".join([f"{source} holds no recording that can be read", *unread]))
    return found, unread


def _type(word: str | None) -> RadiensFileType | None:
    if word is None:
        return None
    try:
        return RadiensFileType[word.upper()]
    except KeyError:
        known = ", ".join(kind.name.lower() for kind in RadiensFileType)
        raise ConfigurationError(f"{word!r} is no type of file; known are {known}") from None
