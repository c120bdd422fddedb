"""``radiens videre metrics`` and ``radiens allego metrics``: the same commands on a dataset and on the live stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ranvier.classic.allego_client import AllegoClient
from ranvier.classic.cli import _options as options
from ranvier.classic.cli import _tables as tables
from ranvier.classic.lib.dataset_metadata import DatasetMetadata
from ranvier.classic.lib.sig_metrics import SignalMetrics, metric_spec
from ranvier.classic.metrics_client import MetricsClient
from ranvier.classic.utils.constants import DEFAULT_HUB_ID
from ranvier.classic.utils.enums import MetricName
from ranvier.classic.videre_client import VidereClient
from ranvier.exceptions import ConfigurationError

Which = tuple[str, int | None, str | None, Path | None]


class Target:
    """Whose metrics the commands behind a group are about; None is the live stream."""

    def __init__(self, dataset: Which | None) -> None:
        self._dataset = dataset

    @contextmanager
    def open(self) -> Iterator[tuple[MetricsClient, DatasetMetadata | None]]:
        """Open the client, and close it afterwards."""
        if self._dataset is None:
            with AllegoClient() as allego:
                yield allego.signal_metrics(), None
            return
        hub, row, dataset_id, path = self._dataset
        with VidereClient(options.on_hub(hub)) as client:
            yield client.signal_metrics(), options.dataset(client, row, dataset_id, path)


class OptionsAnywhere(TyperGroup):
    """A group whose own options, each with a value, may stand behind the command too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move the group's options to the front."""
        own = {name for param in self.params for name in param.opts if name != "--help"}
        front: list[str] = []
        rest: list[str] = []
        words = iter(args)
        for word in words:
            if word == "--":
                rest += [word, *words]
            elif word in own:
                front += [word, *islice(words, 1)]
            else:
                (front if word.partition("=")[0] in own else rest).append(word)
        return super().parse_args(ctx, [*front, *rest])


def dataset_group() -> typer.Typer:
    """Return ``videre metrics``: the options before or behind the command name the dataset."""
    group = typer.Typer(
        name="metrics",
        help="Metrics of a dataset: radiens videre metrics status -p rec.xdat",
        cls=OptionsAnywhere,
    )

    @group.callback()
    def which(
        context: typer.Context,
        row: options.Row = None,
        dataset_id: options.Id = None,
        path: options.PathOption = None,
        hub: options.Hub = DEFAULT_HUB_ID,
    ) -> None:
        """Metrics of a dataset, named by row, id or path."""
        context.meta[_TARGET] = Target((hub, row, dataset_id, path))

    return _with_commands(group)


def stream_group() -> typer.Typer:
    """Return ``allego metrics``."""
    group = typer.Typer(name="metrics", help="Metrics of the live stream.")

    @group.callback()
    def which(context: typer.Context) -> None:
        """Metrics of the live stream."""
        context.meta[_TARGET] = Target(None)

    return _with_commands(group)


_TARGET = "ranvier.metrics"


def _with_commands(group: typer.Typer) -> typer.Typer:
    group.info.no_args_is_help = True
    commands: list[Callable[..., None]] = [clear, calculate, status, params, plot]
    for command in commands:
        group.command()(command)
    setting = typer.Typer(name="set", help="How events are detected.", no_args_is_help=True)
    setters: list[Callable[..., None]] = [threshold, window, shadow]
    for setter in setters:
        setting.command()(setter)
    group.add_typer(setting)
    return group


def _target(context: typer.Context) -> Target:
    found: Target = context.meta[_TARGET]
    return found


def clear(context: typer.Context) -> None:
    """Forget what was computed (datasets)."""
    with _target(context).open() as (metrics, dataset):
        metrics.clear(dataset)
    typer.echo("cleared")


def calculate(context: typer.Context) -> None:
    """Compute and keep the metrics (datasets)."""
    with _target(context).open() as (metrics, dataset):
        metrics.calculate(dataset)
        typer.echo(f"{metrics.get_metrics_status(dataset).num_packets} packets")


def status(context: typer.Context) -> None:
    """Say which packets there are."""
    with _target(context).open() as (metrics, dataset):
        table = metrics.get_metrics_status(dataset).summary_table
    tables.show_facts(table["Value"].to_dict(), as_json=context.find_root().obj)


def params(context: typer.Context) -> None:
    """Show the event parameters: levels, window and dead time (ms) of each channel."""
    with _target(context).open() as (metrics, dataset):
        tables.show(metrics.get_params(dataset), as_json=context.find_root().obj)


def plot(
    context: typer.Context,
    picture: Annotated[Path, typer.Argument(help="File to draw into; its suffix picks the format (.png, .pdf, .svg).")],
    metric: Annotated[
        str, typer.Option("--metric", "-m", help="What is drawn.", autocompletion=lambda: MetricName.all_string())
    ] = "RMS",
    seconds: Annotated[float | None, typer.Option("-dur", help="The last so many seconds; all by default.")] = None,
) -> None:
    """Draw a metric over time and channels."""
    with _target(context).open() as (metrics, dataset):
        found = metrics.get_metrics(seconds, [MetricName.parse(metric)], dataset_metadata=dataset)
    _draw(found, picture)
    typer.echo(f"{picture}: {found.num_packets} packets of {found.num_sigs} channels")


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
    with _target(context).open() as (metrics, dataset):
        if levels != (None, None):
            typer.echo(metrics.set_event_threshold_level(*levels, scale, channels, weak, dataset))
        if switches != (None, None):
            typer.echo(metrics.set_event_threshold(*switches, channels, weak, dataset))


def pick_threshold(levels: tuple[float | None, ...], switches: tuple[str | None, ...]) -> None:
    """Raise ConfigurationError where neither a level nor a switch was given."""
    if not any(one is not None for one in (*levels, *switches)):
        raise ConfigurationError("give a level (-nl, -pl) or a switch (-na, -pa)")


def window(
    context: typer.Context,
    before: Annotated[float, typer.Option("-pre", help="ms before an event.")],
    after: Annotated[float, typer.Option("-pl", "-post", help="ms after it.")],
) -> None:
    """Set the window around an event."""
    with _target(context).open() as (metrics, dataset):
        typer.echo(metrics.set_event_window(before, after, dataset))


def shadow(context: typer.Context, dead_time: Annotated[float, typer.Option("-s", help="ms.")]) -> None:
    """Set the dead time behind an event."""
    with _target(context).open() as (metrics, dataset):
        typer.echo(metrics.set_event_shadow(dead_time, dataset))


def _draw(found: SignalMetrics, picture: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    start, end = found.time_range.sec
    values = found.val[:, :, 0].T
    image = axes.imshow(values, aspect="auto", origin="lower", extent=(start, end, -0.5, found.num_sigs - 0.5))
    spec = metric_spec(found.metric_ids[0])
    figure.colorbar(image, label=f"{spec['lbl']} {spec['units']}".strip())
    axes.set(xlabel="time (sec)", ylabel="channel (row)", title=f"{spec['lbl']}: {found.datasource_id}")
    figure.savefig(picture)
