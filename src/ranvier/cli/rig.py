"""``ranvier rig``: a rig from the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="rig",
    help="Look at a rig, record with it, and check whether this computer keeps up with it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Address = Annotated[
    str | None, typer.Option("--address", help="Rig to use; by default RANVIER_ADDRESS, or the one that runs.")
]
Mode = Annotated[str | None, typer.Option("--mode", help="Take this instrument or simulator first; only while idle.")]


@app.command()
def status(address: Address = None, json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """Say how the rig stands: state, source, losses, disk, latency, clients, warnings. Starts nothing."""
    from ranvier.cli.rig_status import show

    show(address, as_json=json)


@app.command()
def record(
    seconds: Annotated[float | None, typer.Option("--seconds", help="Length; by default until Ctrl-C.")] = None,
    folder: Annotated[Path | None, typer.Option("--dir", help="Folder; made where it is missing.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="What the names of the files begin with.")] = None,
    mode: Mode = None,
    address: Address = None,
) -> None:
    """Record everything that streams, and say where it lies. Ctrl-C finishes the files."""
    from ranvier.cli.rig_record import run

    run(address, seconds=seconds, folder=folder, name=name, mode=mode)


@app.command()
def watch(
    address: Address = None,
    seconds: Annotated[float | None, typer.Option("--seconds", help="For how long; by default until Ctrl-C.")] = None,
) -> None:
    """Show the rig live; without a terminal one line per second. Starts nothing."""
    from ranvier.cli.rig_watch import run

    run(address, seconds=seconds)


@app.command()
def check(
    seconds: Annotated[float, typer.Option("--seconds", help="How long the stream is watched.")] = 20.0,
    dout: Annotated[
        int | None,
        typer.Option(
            "--dout", help="Digital output for the loopback; without it instruments' outputs are not touched."
        ),
    ] = None,
    mode: Mode = None,
    address: Address = None,
) -> None:
    """Measure whether this computer keeps up with the rig as it is set up: pass, warn or fail, with the figures.

    The report is kept as JSON in the recording folder. Exit status 1 where something failed.
    """
    from ranvier.cli.rig_check import run

    run(address, seconds=seconds, dout=dout, mode=mode)
