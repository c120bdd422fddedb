"""``radiens``: the documented commands, on the classic clients.

Examples::

    radiens filesys ls ~/data --sort size
    radiens videre link ~/data/rec.xdat
    radiens videre metadata -p ~/data/rec.xdat --json
    radiens videre signals psd -p ~/data/rec.xdat -dur 5
    radiens videre metrics -p ~/data/rec.xdat params

    radiens videre sorter sort on -p ~/data/rec.xdat

    radiens allego restart -sys sim-spikes
    radiens allego set record -p ~/data -n rat12
    radiens allego record on
    radiens allego status -v all

Datasets are linked as long as an engine lives: within one 'radiens' prompt, or, over several commands, in a hub of
its own process::

    radiens system server start
    radiens videre link ~/data/rec.xdat
    radiens videre list
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ranvier import connect
from ranvier.classic.cli import _allego, _shell, _videre
from ranvier.classic.cli import _options as options
from ranvier.classic.cli import _tables as tables
from ranvier.classic.curate_client import CurateClient
from ranvier.classic.file_system_client import FileSystemClient
from ranvier.classic.utils.constants import DEFAULT_HUB_ID
from ranvier.classic.videre_client import VidereClient
from ranvier.exceptions import RadiensError

app = typer.Typer(
    name="radiens",
    help="Acquisition and recordings from the shell, on the Ranvier engine. 'radiens usage' shows examples.",
)
filesys = typer.Typer(
    name="filesys", help="List, copy, move and delete recordings with all their files.", no_args_is_help=True
)
system = typer.Typer(name="system", help="The engine.", no_args_is_help=True)
server = typer.Typer(name="server", help="A hub in a process of its own.", no_args_is_help=True)
system.add_typer(server)
for group in (filesys, system, _allego.app, _videre.app):
    app.add_typer(group)

Force = Annotated[bool, typer.Option("--force", "-f", help="Replace what exists.")]

#: What a wrong call raises: click's class, which newer typers carry themselves.
_WRONG_CALL: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

#: The status of Ctrl-C, which newer typers return and older ones raise.
_INTERRUPTED = 130
_INTERRUPTED_TEXT = "interrupted; nothing half-written was left under a final name"

#: How long a server stays without clients and jobs.
_STAY_SEC = 24 * 3600.0

#: What the documented brief listing shows, and what the full one adds.
_BRIEF = {"path": "path", "base_name": "name", "type": "type", "bytes_total": "size MB", "timestamp": "timestamp"}
_FULL = {**_BRIEF, "num_chan": "channels", "dur_sec": "dur (sec)"}


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts; may stand anywhere.")] = False,
) -> None:
    """Options before the command."""
    context.obj = as_json
    if context.invoked_subcommand is None:
        if not sys.stdin.isatty():
            typer.echo(context.get_help())
            raise typer.Exit
        raise typer.Exit(_shell.prompt(main))


@app.command()
def usage() -> None:
    """Show how the commands are used."""
    typer.echo(__doc__)


@app.command("os", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def os_command(words: Annotated[list[str], typer.Argument(metavar="CMD...")]) -> None:
    """Run a command of the operating system; 'cd' holds for the rest of a 'radiens' prompt."""
    raise typer.Exit(_shell.os_command(words))


@filesys.command()
def ls(
    context: typer.Context,
    paths: Annotated[list[Path] | None, typer.Argument(help="Folders; the current one by default.")] = None,
    sort: Annotated[
        str,
        typer.Option(
            "--sort", "-s", help="date, name, size or type.", autocompletion=lambda: ["date", "name", "size", "type"]
        ),
    ] = "date",
    brief: Annotated[bool, typer.Option("--brief/--full", "-b", help="Without channels and duration.")] = True,
    hub: options.Hub = DEFAULT_HUB_ID,
) -> None:
    """List the recordings of folders."""
    with FileSystemClient(hub) as client:
        table = client.ls([path.absolute() for path in paths or [Path()]], sort).datasource_table
    table["bytes_total"] = (table["bytes_total"] / 1e6).round(3)
    columns = _BRIEF if brief else _FULL
    tables.show(table[list(columns)].rename(columns=columns), as_json=context.find_root().obj)


@filesys.command()
def cp(source: list[Path], dest: Path, force: Force = False, hub: options.Hub = DEFAULT_HUB_ID) -> None:
    """Copy recordings: to another base name, or into a folder."""
    with FileSystemClient(hub) as client:
        typer.echo(client.cp(source, dest, force).cmd_msg)


@filesys.command()
def mv(source: list[Path], dest: Path, force: Force = False, hub: options.Hub = DEFAULT_HUB_ID) -> None:
    """Move or rename recordings."""
    with FileSystemClient(hub) as client:
        typer.echo(client.mv(source, dest, force).cmd_msg)


@filesys.command()
def rm(source: list[Path], hub: options.Hub = DEFAULT_HUB_ID) -> None:
    """Delete recordings."""
    with FileSystemClient(hub) as client:
        typer.echo(client.rm(source).cmd_msg)


@filesys.command("metadata")
def file_metadata(context: typer.Context, source: Path, hub: options.Hub = DEFAULT_HUB_ID) -> None:
    """Say what a recording is, without linking it."""
    with FileSystemClient(hub) as client:
        tables.show_dataset(client.get_data_file_metadata(source), as_json=context.find_root().obj)


@filesys.command("import-tdt")
def import_tdt(
    source: Annotated[Path, typer.Argument(help="Block of TDT: a folder; folder#stream names one of several streams.")],
    dest: Annotated[Path | None, typer.Argument(help="Base name of the XDAT; beside the block by default.")] = None,
    force: Force = False,
    hub: options.Hub = DEFAULT_HUB_ID,
) -> None:
    """Write a recording of TDT as XDAT."""
    target = dest if dest is not None else source.with_name(source.name.replace("#", "_") + "_xdat")
    with CurateClient(hub) as client:
        client.progress_bar(client.file_convert(source, target, "xdat", force))
    typer.echo(f"imported {source} as {target}")


@system.command()
def diag(context: typer.Context) -> None:
    """Say which engines there are: hubs by name, and the rig that runs."""
    with VidereClient() as client:
        rows = [{"engine": f"hub {name}", "ip_address": about["ip_address"]} for name, about in client.hubs.items()]
    rows += [
        {"engine": kind, "ip_address": address}
        for kind, address in (("hub process", connect.find_hub()), ("rig process", connect.find_rig()))
        if address is not None
    ]
    tables.show_rows(rows, columns=("engine", "ip_address"), as_json=context.find_root().obj)


@server.command()
def start() -> None:
    """Start a hub in a process of its own: the commands that follow use it, and share what is linked there.

    It stays until 'radiens system server stop', or for a day without clients.
    """
    address = connect.start_hub(linger_sec=_STAY_SEC)
    connect.name_hub(options.SERVER, options.SERVER_ADDRESS)
    typer.echo(f"hub '{options.SERVER}' at {address}")


@server.command()
def stop() -> None:
    """End it; its jobs are cancelled."""
    typer.echo("stopped" if connect.end_hub() else "none runs")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status: 0, 1 for an error, 2 for a wrong call, 130 for Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "--json" in words and words[:1] != ["os"]:
        words = ["--json", *(word for word in words if word != "--json")]
    try:
        status = app(words, prog_name="radiens", standalone_mode=False)
        return _told(_INTERRUPTED_TEXT, _INTERRUPTED) if status == _INTERRUPTED else int(status or 0)
    except typer.Exit as leave:
        return _told(_INTERRUPTED_TEXT, _INTERRUPTED) if leave.exit_code == _INTERRUPTED else leave.exit_code
    except _WRONG_CALL as error:
        context = getattr(error, "ctx", None)
        where = context.command_path if context is not None else "radiens"
        return _told(f"{error.format_message()} (see '{where} --help')", 2)
    except (KeyboardInterrupt, typer.Abort):
        return _told(_INTERRUPTED_TEXT, _INTERRUPTED)
    except RadiensError as error:
        return _told(str(error), 1)
    except Exception as error:  # noqa: BLE001 - the process boundary: one line for the user
        return _told(f"{type(error).__name__}: {error} (unexpected)", 1)


def _told(message: str, status: int) -> int:
    """Print an error in one line; return the status."""
    print("radiens: " + " | ".join(message.split("\n")), file=sys.stderr)
    return status
