"""What several commands share: which hub, which dataset, and completion for both."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ranvier.classic.lib.dataset_metadata import DatasetMetadata
from ranvier.classic.utils.constants import DEFAULT_HUB_ID
from ranvier.classic.videre_client import VidereClient
from ranvier.connect import find_hub, name_hub, named_hubs

#: The name under which ``system server start`` registers the hub process.
SERVER = "server"
#: The address of a hub in a process of its own.
SERVER_ADDRESS = "process"


def known_hubs() -> list[str]:
    """Return the names that complete ``--hub``."""
    return [DEFAULT_HUB_ID, *named_hubs()]


Hub = Annotated[str, typer.Option("--hub", "-h", help="Hub by name ('ranvier hub list').", autocompletion=known_hubs)]
Row = Annotated[int | None, typer.Option("-idx", help="Row of 'radiens videre list'.")]
Id = Annotated[str | None, typer.Option("--id", "-id", help="Id of the dataset.")]
PathOption = Annotated[Path | None, typer.Option("--path", "-p", help="Path of the recording; it is linked.")]


def on_hub(name: str) -> str:
    """Return the hub that a command uses: where none is named, the running server, else the hub of this process."""
    if name != DEFAULT_HUB_ID or find_hub() is None:
        return name
    name_hub(SERVER, SERVER_ADDRESS)
    return SERVER


def dataset(client: VidereClient, row: int | None, dataset_id: str | None, path: Path | None) -> DatasetMetadata:
    """Return the dataset that a command is about."""
    return client.get_data_file_metadata(row, dataset_id, path)
