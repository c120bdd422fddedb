"""``radiens allego sorter`` and ``radiens videre sorter``: the same commands on the live stream and on a dataset."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from ranvier.classic.allego_client import AllegoClient
from ranvier.classic.cli import _tables as tables
from ranvier.classic.cli._target import Client, Setters, Topic, target_of
from ranvier.classic.lib.dataset_metadata import DatasetMetadata
from ranvier.classic.spike_sorter_client import SpikeSorterClient
from ranvier.exceptions import DataProcessingError

OnOff = Annotated[
    str | None, typer.Argument(help="on or off; without it the status is shown.", autocompletion=lambda: ["on", "off"])
]
#: How often a sort that is waited for is looked at.
_LOOK_SEC = 0.2


@contextmanager
def _opened(context: typer.Context) -> Iterator[SpikeSorterClient]:
    """Open the sorter that a command is about, and close its client afterwards."""
    target = target_of(context)
    with target.open() as (client, dataset):
        yield _sorter(client, dataset, force=target.replace)


def _sorter(client: Client, dataset: DatasetMetadata | None, *, force: bool = False) -> SpikeSorterClient:
    if isinstance(client, AllegoClient):
        return client.spike_sorter()
    return client.spike_sorter(dataset_metadata=dataset, force=force)


def sort(
    context: typer.Context,
    mode: OnOff = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the dashboard too.")] = False,
) -> None:
    """Sort or not. A dataset's sort is waited for, unless a server does it; Ctrl-C cancels it."""
    with _opened(context) as sorter:
        if mode is not None:
            sorter.set_sorting(mode)
        if mode is not None and mode.lower() == "on" and target_of(context).ends_with_process:
            _wait(sorter)
        _show(sorter, context, verbose)


def initialize(context: typer.Context) -> None:
    """Forget spikes, neurons and parameters; the sorter is off then."""
    with _opened(context) as sorter:
        sorter.initialize()
        _show(sorter, context)


def rebase(context: typer.Context) -> None:
    """Forget spikes and neurons, and learn anew."""
    with _opened(context) as sorter:
        sorter.rebase()
        if target_of(context).ends_with_process:
            _wait(sorter)
        _show(sorter, context)


def clear_spikes(context: typer.Context) -> None:
    """Forget the spikes."""
    with _opened(context) as sorter:
        sorter.clear_spikes()
        _show(sorter, context)


def status(context: typer.Context) -> None:
    """Say how the sorter stands."""
    with _opened(context) as sorter:
        _show(sorter, context)


def params(context: typer.Context) -> None:
    """Show how spikes are detected: levels, window and dead time (ms) of each channel."""
    with _opened(context) as sorter:
        tables.show(sorter.get_params(), as_json=context.find_root().obj)


def dashboard(context: typer.Context) -> None:
    """Show the sort at a glance."""
    with _opened(context) as sorter:
        tables.show_facts(sorter.get_dashboard()["value"].to_dict(), as_json=context.find_root().obj)


def _wait(sorter: SpikeSorterClient) -> None:
    """Wait for a sort; Ctrl-C cancels it."""
    try:
        while (state := sorter.get_state()["value"])["is_on"]:
            time.sleep(_LOOK_SEC)
    except KeyboardInterrupt:
        sorter.set_sorting("off")
        raise
    if state["kernel_err_message"]:
        raise DataProcessingError(str(state["kernel_err_message"]))


def _show(sorter: SpikeSorterClient, context: typer.Context, verbose: bool = False) -> None:
    facts = sorter.get_state()["value"].to_dict()
    if verbose:
        facts |= sorter.get_dashboard()["value"].to_dict()
    tables.show_facts(facts, as_json=context.find_root().obj)


def _setters(client: Client, dataset: DatasetMetadata | None) -> Setters:
    sorter = _sorter(client, dataset)
    return Setters(sorter.set_threshold_level, sorter.set_threshold, sorter.set_spike_window, sorter.set_spike_shadow)


TOPIC = Topic("sorter", "spikes", (sort, initialize, rebase, clear_spikes, status, params, dashboard), _setters)
