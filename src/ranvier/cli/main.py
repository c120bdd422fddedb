"""Entry point: commands, and one line for every error."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ranvier._version import __version__
from ranvier.cli.hubs import app as hub_app
from ranvier.cli.jobs import app as jobs_app
from ranvier.cli.rig import app as rig_app
from ranvier.cli.spikes import app as spikes_app
from ranvier.exceptions import RadiensError

app = typer.Typer(
    name="ranvier",
    help="Read, look at, clean, measure and convert extracellular recordings.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

app.add_typer(rig_app)
app.add_typer(hub_app)
app.add_typer(jobs_app)
app.add_typer(spikes_app)

#: What a wrong call raises: click's class, which newer typers carry themselves.
_WRONG_CALL: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

_INTERRUPTED = 130
_INTERRUPTED_TEXT = "interrupted; nothing half-written was left under a final name"

PathArgument = Annotated[Path, typer.Argument(help="File, folder or base name; folder#stream names one of several.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that exists.")]


def _version(wanted: bool) -> None:
    if wanted:
        from ranvier.clash import report

        typer.echo(f"ranvier {__version__} (Python {sys.version.split()[0]})")
        clash = report()
        if clash:
            typer.echo(clash)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
    with_traceback: Annotated[bool, typer.Option("--traceback", help="Show where an error came from.")] = False,
) -> None:
    """Options before the command."""


@app.command()
def info(path: PathArgument, json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """Say what a recording is: format, channels, rate, time, gaps, events, probe, and what was lost."""
    from ranvier.cli.info import show

    show(path, as_json=json)


@app.command()
def convert(
    source: PathArgument,
    destination: Path,
    metadata: Annotated[
        Path | None, typer.Option("--metadata", help="YAML file with subject and session, for NWB.")
    ] = None,
    compression: Annotated[str, typer.Option("--compression", help="gzip or lzf, without loss (NWB, HDF5).")] = "",
    force: Force = False,
) -> None:
    """Write a recording in another format; the suffix picks it: .xdat, .nwb, .nex5, .h5, .csv, .bin."""
    from ranvier.cli.info import convert_file

    convert_file(source, destination, metadata=metadata, compression=compression, force=force)


@app.command()
def demo(
    path: Annotated[Path | None, typer.Argument(help="Your own recording; without it a simulated one is made.")] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("ranvier-demo"),
    seconds: Annotated[float, typer.Option("--seconds", help="Length of the simulated recording.")] = 20.0,
) -> None:
    """Link, draw, clean, measure and convert a recording: the main job from end to end."""
    from ranvier.cli.demo import run

    run(path, out, seconds=seconds)


@app.command()
def apply(
    protocol: Annotated[Path, typer.Argument(help="Protocol as YAML (see the guide to protocols).")],
    source: Annotated[
        Path | None, typer.Option("--in", help="Folder of recordings, or one recording; else those of the protocol.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the outputs; else those of the protocol.")
    ] = None,
    file_type: Annotated[
        str | None, typer.Option("--type", help="Format of the outputs: xdat, nwb, nex5, hdf5, csv, kilosort2.")
    ] = None,
    metadata: Annotated[
        Path | None, typer.Option("--metadata", help="YAML file of subject and session, for every NWB output.")
    ] = None,
    compression: Annotated[str, typer.Option("--compression", help="gzip or lzf (NWB, HDF5).")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and list the outputs.")] = False,
    force: Force = False,
) -> None:
    """Run a protocol over every recording of a folder, in one pass each."""
    from ranvier.cli.apply import run

    run(
        protocol,
        source,
        out,
        file_type=file_type,
        metadata=metadata,
        compression=compression,
        dry_run=dry_run,
        force=force,
    )


@app.command()
def sort(
    paths: Annotated[list[Path], typer.Argument(help="Recording; several are sorted jointly, as one after the other.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The .spikes file; beside the recording by default.")
    ] = None,
    start: Annotated[float | None, typer.Option("--start", help="Stream seconds; the beginning by default.")] = None,
    stop: Annotated[float | None, typer.Option("--stop", help="Stream seconds; the end by default.")] = None,
    channels: Annotated[
        str | None, typer.Option("--channels", help="Native indices, as 0-15,20; the selected ones by default.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="The same seed gives the same spikes.")] = None,
    detect_only: Annotated[bool, typer.Option("--detect-only", help="Threshold events, no units.")] = False,
    force: Force = False,
    json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Sort a recording: its units as a .spikes file beside it. Ctrl-C leaves nothing half-written."""
    from ranvier.cli.sort import run

    run(
        paths,
        out=out,
        start=start,
        stop=stop,
        channels=channels,
        seed=seed,
        detect_only=detect_only,
        force=force,
        as_json=json,
    )


@app.command()
def provenance(path: PathArgument, json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """Say from what, and by which steps, a file was made."""
    from ranvier.cli.info import show_provenance

    show_provenance(path, as_json=json)


@app.command()
def replay(
    path: PathArgument,
    out: Annotated[Path | None, typer.Option("--out", help="Keep the repetition, as DIR/BASE.")] = None,
    source: Annotated[
        list[str] | None, typer.Option("--source", help="OLD=NEW: where a recorded file or folder is now.")
    ] = None,
    force: Force = False,
    json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Make a file again from its own record, and say whether it comes out the same; status 1 where it does not."""
    from ranvier.cli.info import replay_file

    if not replay_file(path, out, source or [], force=force, as_json=json):
        raise typer.Exit(1)


@app.command(context_settings={"allow_interspersed_args": False})
def run(
    script: Annotated[Path, typer.Argument(help="Python script.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="Its own arguments, as they are.")] = None,
) -> None:
    """Run a script whose imports of radiens and radiens_core mean this engine, whatever is installed."""
    from ranvier.cli.run import run as run_script

    raise typer.Exit(run_script(script, arguments or []))


@app.command()
def warm() -> None:
    """Compile every kernel into the cache, so that nothing compiles later."""
    from ranvier.connect import warm_kernels

    compiled, total = warm_kernels(lambda name, n, of: typer.echo(f"compiling {n} of {of}: {name}", err=True))
    typer.echo(f"{total} kernels ready, {compiled} of them compiled now")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status: 0, 1 for an error, 2 for a wrong call, 130 for Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    called = [word for word in words if word != "--traceback"]  # wherever it stands
    if next((word for word in words if not word.startswith("-")), "") == "run":
        called = words  # what stands behind it belongs to the script
    try:
        status = app(called, standalone_mode=False, prog_name="ranvier")
        if status == _INTERRUPTED:
            raise KeyboardInterrupt
        return status if isinstance(status, int) else 0
    except typer.Exit as leave:
        if leave.exit_code == _INTERRUPTED:  # newer typers turn Ctrl-C into this
            return _fail(_INTERRUPTED_TEXT, words, status=_INTERRUPTED)
        return leave.exit_code
    except _WRONG_CALL as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a command of commands, alone: what there is
            typer.echo(error.format_message(), err=True)
            return 2
        context = getattr(error, "ctx", None)
        where = context.command_path if context is not None else "ranvier"
        return _fail(f"{error.format_message()} (see '{where} --help')", words, status=2)
    except (KeyboardInterrupt, typer.Abort):
        return _fail(_INTERRUPTED_TEXT, words, status=_INTERRUPTED)
    except RadiensError as error:
        return _fail(str(error), words)
    except Exception as error:  # noqa: BLE001 - the process boundary: one line for the user, the rest on request
        return _fail(f"{type(error).__name__}: {error} (unexpected; --traceback shows where)", words)


def _fail(message: str, words: list[str], *, status: int = 1) -> int:
    if "--traceback" in words:
        traceback.print_exc()
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    print("ranvier: " + " | ".join(lines).replace("force=True", "--force"), file=sys.stderr)
    return status
