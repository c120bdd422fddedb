"""``ranvier apply``: a protocol over a folder of recordings."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from ranvier.clients import CurateClient
from ranvier.clients._output_options import OutputKeywords
from ranvier.exceptions import ConfigurationError, DataProcessingError, PartialFailureError, RadiensError
from ranvier.models.dataset import DatasetMetadata, RadiensFileType
from ranvier.models.jobs import JobState


def run(
    protocol: Path,
    source: Path | None,
    out: Path | None,
    *,
    file_type: str | None,
    metadata: Path | None = None,
    compression: str = "",
    dry_run: bool,
    force: bool,
) -> None:
    """Run a protocol and say what was written; recordings that fail, or cannot be read, do not stop the others."""
    kind = _type(file_type)
    options: OutputKeywords = {"metadata": metadata, "compression": compression}
    failures: dict[str, str] = {}
    with CurateClient() as curate:
        sources = None if source is None else _recordings(curate, source, failures)
        known = {job.id for job in curate.jobs()}
        try:
            if dry_run:
                outputs = curate.check_protocol_file(
                    protocol, sources=sources, output_dir=out, file_type=kind, **options
                )
            else:
                outputs = curate.apply_protocol_file(
                    protocol, sources=sources, output_dir=out, file_type=kind, force=force, **options
                )
        except PartialFailureError as error:
            outputs = [Path(path) for path in error.outputs]
            failures |= error.failures
        except KeyboardInterrupt:
            for job in curate.jobs():
                if job.id not in known and job.state is JobState.CANCELLED:
                    typer.echo(f"{job.error}; 'ranvier jobs retry {job.id}' makes them", err=True)
            raise
    for path in outputs:
        typer.echo(f"{'would write ' if dry_run else ''}{path}")
    if sys.stderr.isatty() or failures:
        typer.echo(_summary(outputs, failures, dry_run=dry_run), err=True)
    if failures:
        raise DataProcessingError(f"{len(failures)} of {len(outputs) + len(failures)} failed; the others are whole")


def _summary(outputs: Sequence[Path], failures: Mapping[str, str], *, dry_run: bool) -> str:
    """Return a table: what became of each output, and of each recording that gave none."""
    fine, wrong = ("would do", "would fail") if dry_run else ("written", "failed")
    rows = [(fine, path.name, "") for path in outputs]
    rows += [(wrong, Path(name).name, " ".join(message.split())) for name, message in failures.items()]
    width = max((len(name) for _, name, _ in rows), default=0)
    return "\n".join(f"{state:<10}  {name:<{width}}  {message}".rstrip() for state, name, message in rows)


def _recordings(curate: CurateClient, source: Path, failures: dict[str, str]) -> list[DatasetMetadata]:
    """Return every stream of every recording of a folder (or of the one that the path is); failures are noted."""
    listing = curate.list_directory(source) if source.expanduser().is_dir() else []
    if not listing:
        return [curate.link_data_file(stream) for stream in curate.list_streams(source)]
    found: list[DatasetMetadata] = []
    for info in listing:
        path = Path(info.path) / info.base_name
        try:
            linked = curate.link_data_file(path, RadiensFileType(info.file_type))
            if info.num_channels:
                found.append(linked)
            else:
                typer.echo(f"skipped     {path.name}: {'; '.join(linked.notes) or 'no signals'}", err=True)
        except RadiensError as error:
            failures[str(path)] = str(error)
    if not found:
        unread = [f"{path}: {message}" for path, message in failures.items()]
        raise ConfigurationError("\n".join([f"{source} holds no recording that can be read", *unread]))
    return found


def _type(word: str | None) -> RadiensFileType | None:
    if word is None:
        return None
    try:
        return RadiensFileType[word.upper()]
    except KeyError:
        known = ", ".join(kind.name.lower() for kind in RadiensFileType)
        raise ConfigurationError(f"{word!r} is no type of file; known are {known}") from None
