"""``radiens``: the documented commands for files, on the classic clients.

Examples::

    radiens filesys ls ~/data --sort size
    radiens videre link ~/data/rec.xdat
    radiens --json videre metadata -p ~/data/rec.xdat
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ranvier.classic.cli import _tables as tables
from ranvier.classic.file_system_client import FileSystemClient
from ranvier.classic.utils.constants import DEFAULT_HUB_ID
from ranvier.classic.videre_client import VidereClient
from ranvier.exceptions import RadiensError

if TYPE_CHECKING:
    from ranvier.classic.lib.dataset_metadata import DatasetMetadata

app = typer.Typer(name="radiens", help="Recordings from the shell, on the Ranvier engine.", no_args_is_help=True)
filesys = typer.Typer(name="filesys", help="List, copy, move and delete recordings with all their files.")
system = typer.Typer(name="system", help="The engine.")
videre = typer.Typer(name="videre", help="Datasets.")
for group in (filesys, system, videre):
    group.info.no_args_is_help = True
    app.add_typer(group)

Hub = Annotated[str, typer.Option("--hub", "-h", help="Name of the hub; 'ranvier hub list' tells which there are.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace what exists.")]
Id = Annotated[str | None, typer.Option("--id", "-id", help="Id of the dataset.")]
PathOption = Annotated[Path | None, typer.Option("--path", "-p", help="Path of the recording.")]

#: What the documented brief listing shows, and what the full one adds.
_BRIEF = {"path": "path", "base_name": "name", "type": "type", "bytes_total": "size MB", "timestamp": "timestamp"}
_FULL = {**_BRIEF, "num_chan": "channels", "dur_sec": "dur (sec)"}


@app.callback()
def _options(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Options before the command."""
    context.obj = as_json


@app.command()
def usage() -> None:
    """Show how the commands are used."""
    typer.echo(__doc__)


@filesys.command()
def ls(
    context: typer.Context,
    paths: Annotated[list[Path] | None, typer.Argument(help="Folders; the current one by default.")] = None,
    sort: Annotated[str, typer.Option("--sort", "-s", help="date, name, size or type.")] = "date",
    brief: Annotated[bool, typer.Option("--brief/--full", "-b", help="Without channels and duration.")] = True,
    hub: Hub = DEFAULT_HUB_ID,
) -> None:
    """List the recordings of folders."""
    with FileSystemClient() as client:
        table = client.ls(paths or [Path()], sort, hub).datasource_table
    table["bytes_total"] = (table["bytes_total"] / 1e6).round(3)
    columns = _BRIEF if brief else _FULL
    tables.show(table[list(columns)].rename(columns=columns), as_json=context.obj)


@filesys.command()
def cp(source: list[Path], dest: Path, force: Force = False, hub: Hub = DEFAULT_HUB_ID) -> None:
    """Copy recordings: to another base name, or into a folder."""
    with FileSystemClient() as client:
        typer.echo(client.cp(source, dest, force, hub).cmd_msg)


@filesys.command()
def mv(source: list[Path], dest: Path, force: Force = False, hub: Hub = DEFAULT_HUB_ID) -> None:
    """Move or rename recordings."""
    with FileSystemClient() as client:
        typer.echo(client.mv(source, dest, force, hub_name=hub).cmd_msg)


@filesys.command()
def rm(source: list[Path], hub: Hub = DEFAULT_HUB_ID) -> None:
    """Delete recordings."""
    with FileSystemClient() as client:
        typer.echo(client.rm(source, hub).cmd_msg)


@filesys.command("metadata")
def file_metadata(context: typer.Context, source: Path, hub: Hub = DEFAULT_HUB_ID) -> None:
    """Say what a recording is, without linking it."""
    with FileSystemClient() as client:
        _show_dataset(client.get_data_file_metadata(source, hub), as_json=context.obj)


@system.command()
def diag(context: typer.Context) -> None:
    """Say which hubs there are."""
    with VidereClient() as client:
        rows = [{"hub": name, "ip_address": about["ip_address"]} for name, about in client.hubs.items()]
    tables.show_rows(rows, as_json=context.obj)


@videre.command()
def link(
    context: typer.Context,
    datafile: Path,
    metrics: Annotated[bool, typer.Option("--metrics", "-m", help="Compute metrics.")] = True,
    force: Annotated[bool, typer.Option("--force", "-f", help="Link again under a new id.")] = False,
    hub: Hub = DEFAULT_HUB_ID,
) -> None:
    """Link a recording and say what it is."""
    with VidereClient() as client:
        _show_dataset(client.link_data_file(datafile, metrics, force, hub), as_json=context.obj)


@videre.command("metadata")
def dataset_metadata(
    context: typer.Context,
    dataset_id: Id = None,
    path: PathOption = None,
    hub: Hub = DEFAULT_HUB_ID,
) -> None:
    """Say what a dataset is: by id or path."""
    with VidereClient() as client:
        _show_dataset(client.get_data_file_metadata(None, dataset_id, path, hub), as_json=context.obj)


def _show_dataset(dataset: DatasetMetadata, *, as_json: bool) -> None:
    rows: dict[str, Any] = {"id": dataset.id, **dataset.table["Value"].to_dict()}
    tables.show_facts(rows, as_json=as_json)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status: 0, 1 for an error, 2 for a wrong call."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(words, prog_name="radiens")
    except SystemExit as leave:
        return int(leave.code or 0)
    except RadiensError as error:
        print("radiens: " + " | ".join(str(error).split("\n")), file=sys.stderr)
        return 1
    return 0
