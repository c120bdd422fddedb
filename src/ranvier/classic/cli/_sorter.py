"""``radiens allego sorter`` and ``radiens videre sorter``: the same commands on the live stream and on a dataset."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from ranvier.classic.allego_client import AllegoClient
from ranvier.classic.cli import _options as options
from ranvier.classic.cli import _tables as tables
from ranvier.classic.cli._metrics import OptionsAnywhere, Which, pick_threshold
from ranvier.classic.spike_sorter_client import SpikeSorterClient
from ranvier.classic.utils.constants import DEFAULT_HUB_ID
from ranvier.classic.videre_client import VidereClient
from ranvier.exceptions import DataProcessingError

OnOff = Annotated[
    str | None, typer.Argument(help="on or off; without it the status is shown.", autocompletion=lambda: ["on", "off"])
]
_TARGET = "ranvier.sorter"
#: How often a sort that is waited for is looked at.
_LOOK_SEC = 0.2


class Target:
    """Whose sorter the commands behind a group are about; None is the live stream."""

    def __init__(self, dataset: Which | None, *, force: bool = False) -> None:
        self._dataset, self._force = dataset, force

    @property
    def must_wait(self) -> bool:
        """Whether a sort ends with this process."""
        return self._dataset is not None and options.on_hub(self._dataset[0]) == DEFAULT_HUB_ID

    @contextmanager
    def open(self) -> Iterator[SpikeSorterClient]:
        """Open the client, and close it afterwards."""
        if self._dataset is None:
            with AllegoClient() as allego:
                yield allego.spike_sorter()
            return
        hub, row, dataset_id, path = self._dataset
        with VidereClient(options.on_hub(hub)) as client:
            dataset = options.dataset(client, row, dataset_id, path)
            yield client.spike_sorter(dataset_metadata=dataset, force=self._force)


def dataset_group() -> typer.Typer:
    """Return ``videre sorter``: the options before or behind the command name the dataset."""
    group = typer.Typer(
        name="sorter", help="Sort a dataset: radiens videre sorter sort on -p rec.xdat", cls=OptionsAnywhere
    )

    @group.callback()
    def which(
        context: typer.Context,
        row: options.Row = None,
        dataset_id: options.Id = None,
        path: options.PathOption = None,
        hub: options.Hub = DEFAULT_HUB_ID,
        replace: Annotated[str, typer.Option("--replace", help="yes: replace spikes that were written before.")] = "no",
    ) -> None:
        """Sort a dataset, named by row, id or path."""
        context.meta[_TARGET] = Target((hub, row, dataset_id, path), force=replace.lower() in ("yes", "on", "true"))

    return _with_commands(group)


def stream_group() -> typer.Typer:
    """Return ``allego sorter``."""
    group = typer.Typer(name="sorter", help="The sorter of the live stream.")

    @group.callback()
    def which(context: typer.Context) -> None:
        """Sort the live stream."""
        context.meta[_TARGET] = Target(None)

    return _with_commands(group)


def _with_commands(group: typer.Typer) -> typer.Typer:
    group.info.no_args_is_help = True
    commands: list[Callable[..., None]] = [sort, initialize, rebase, clear_spikes, status, params, dashboard]
    for command in commands:
        group.command()(command)
    setting = typer.Typer(name="set", help="How spikes are detected.", no_args_is_help=True)
    setters: list[Callable[..., None]] = [threshold, window, shadow]
    for setter in setters:
        setting.command()(setter)
    group.add_typer(setting)
    return group


def _target(context: typer.Context) -> Target:
    found: Target = context.meta[_TARGET]
    return found


def sort(
    context: typer.Context,
    mode: OnOff = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the dashboard too.")] = False,
) -> None:
    """Sort or not. A dataset's sort is waited for, unless a server does it; Ctrl-C cancels it."""
    target = _target(context)
    with target.open() as sorter:
        if mode is not None:
            sorter.set_sorting(mode)
        if mode is not None and mode.lower() == "on" and target.must_wait:
            _wait(sorter)
        _show(sorter, context, verbose)


def initialize(context: typer.Context) -> None:
    """Forget spikes, neurons and parameters; the sorter is off then."""
    with _target(context).open() as sorter:
        sorter.initialize()
        _show(sorter, context)


def rebase(context: typer.Context) -> None:
    """Forget spikes and neurons, and learn anew."""
    target = _target(context)
    with target.open() as sorter:
        sorter.rebase()
        if target.must_wait:
            _wait(sorter)
        _show(sorter, context)


def clear_spikes(context: typer.Context) -> None:
    """Forget the spikes."""
    with _target(context).open() as sorter:
        sorter.clear_spikes()
        _show(sorter, context)


def status(context: typer.Context) -> None:
    """Say how the sorter stands."""
    with _target(context).open() as sorter:
        _show(sorter, context)


def params(context: typer.Context) -> None:
    """Show how spikes are detected: levels, window and dead time (ms) of each channel."""
    with _target(context).open() as sorter:
        tables.show(sorter.get_params(), as_json=context.find_root().obj)


def dashboard(context: typer.Context) -> None:
    """Show the sort at a glance."""
    with _target(context).open() as sorter:
        tables.show_facts(sorter.get_dashboard()["value"].to_dict(), as_json=context.find_root().obj)


def threshold(
    context: typer.Context,
    negative: Annotated[float | None, typer.Option("-nl", help="Negative level.")] = None,
    positive: Annotated[float | None, typer.Option("-pl", help="Positive level.")] = None,
    scale: Annotated[str, typer.Option("-s", help="Unit of the levels: uV, or sd of the noise.")] = "uV",
    negative_on: Annotated[str | None, typer.Option("-na", help="Negative threshold: on or off.")] = None,
    positive_on: Annotated[str | None, typer.Option("-pa", help="Positive threshold: on or off.")] = None,
    channels: Annotated[list[int] | None, typer.Option("-i", help="Native index; repeatable. All by default.")] = None,
    weak: Annotated[bool, typer.Option("-w", help="The artifact level instead.")] = False,
) -> None:
    """Set levels, and switch thresholds on and off."""
    levels, switches = (negative, positive), (negative_on, positive_on)
    pick_threshold(levels, switches)
    with _target(context).open() as sorter:
        if levels != (None, None):
            typer.echo(sorter.set_threshold_level(*levels, scale, channels, weak))
        if switches != (None, None):
            typer.echo(sorter.set_threshold(*switches, channels, weak))


def window(
    context: typer.Context,
    before: Annotated[float | None, typer.Option("-pre", help="ms before the threshold.")] = None,
    after: Annotated[float | None, typer.Option("-pl", "-post", help="ms behind it.")] = None,
) -> None:
    """Set what a spike spans."""
    with _target(context).open() as sorter:
        typer.echo(sorter.set_spike_window(before, after))


def shadow(context: typer.Context, dead_time: Annotated[float | None, typer.Option("-s", help="ms.")] = None) -> None:
    """Set the dead time behind a spike."""
    with _target(context).open() as sorter:
        typer.echo(sorter.set_spike_shadow(dead_time))


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
