"""``ranvier hub``: names for hubs."""

from __future__ import annotations

from typing import Annotated

import typer

from ranvier import connect
from ranvier.cli.json_text import json_text

app = typer.Typer(name="hub", help="Names for hubs: places where files are worked on.", no_args_is_help=True)


@app.command("list")
def list_hubs(json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """List the hubs that have a name; 'default' is the engine inside each process."""
    found = {"default": "embedded", **connect.named_hubs()}
    if json:
        typer.echo(json_text(found))
        return
    for name, address in found.items():
        typer.echo(f"{name}  {address}")


@app.command()
def add(
    name: str,
    address: Annotated[
        str,
        typer.Argument(
            help="embedded:FOLDER (an engine with its state in FOLDER), or process[:FOLDER] (one of its own)."
        ),
    ],
) -> None:
    """Give a hub a name, for hub_name= of the classic clients and address= of the others."""
    connect.name_hub(name, address)


@app.command()
def remove(name: str) -> None:
    """Take a hub's name back; its folder stays."""
    connect.forget_hub(name)
