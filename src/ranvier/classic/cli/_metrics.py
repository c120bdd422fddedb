"""``radiens videre metrics`` and ``radiens allego metrics``: the same commands on a dataset and on the live stream."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ranvier.classic.cli import _tables as tables
from ranvier.classic.cli._target import Client, Setters, Topic, target_of
from ranvier.classic.lib.dataset_metadata import DatasetMetadata
from ranvier.classic.lib.sig_metrics import SignalMetrics, metric_spec
from ranvier.classic.utils.enums import MetricName
from ranvier.exceptions import ConfigurationError


def clear(context: typer.Context) -> None:
    """Forget what was computed (datasets)."""
    with target_of(context).open() as (client, dataset):
        client.signal_metrics().clear(dataset)
    typer.echo("cleared")


def calculate(context: typer.Context) -> None:
    """Compute and keep the metrics (datasets)."""
    with target_of(context).open() as (client, dataset):
        client.signal_metrics().calculate(dataset)
        typer.echo(f"{client.signal_metrics().get_metrics_status(dataset).num_packets} packets")


def status(context: typer.Context) -> None:
    """Say which packets there are."""
    with target_of(context).open() as (client, dataset):
        table = client.signal_metrics().get_metrics_status(dataset).summary_table
    tables.show_facts(table["Value"].to_dict(), as_json=context.find_root().obj)


def params(context: typer.Context) -> None:
    """Show the event parameters: levels, window and dead time (ms) of each channel."""
    with target_of(context).open() as (client, dataset):
        tables.show(client.signal_metrics().get_params(dataset), as_json=context.find_root().obj)


def plot(
    context: typer.Context,
    picture: Annotated[Path, typer.Argument(help="File to draw into; its suffix picks the format (.png, .pdf, .svg).")],
    metric: Annotated[
        str, typer.Option("--metric", "-m", help="What is drawn.", autocompletion=lambda: MetricName.all_string())
    ] = "RMS",
    seconds: Annotated[float | None, typer.Option("-dur", help="The last so many seconds; all by default.")] = None,
) -> None:
    """Draw a metric over time and channels."""
    with target_of(context).open() as (client, dataset):
        found = client.signal_metrics().get_metrics(seconds, [MetricName.parse(metric)], dataset_metadata=dataset)
    _draw(found, picture)
    typer.echo(f"{picture}: {found.num_packets} packets of {found.num_sigs} channels")


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


def _setters(client: Client, dataset: DatasetMetadata | None) -> Setters:
    metrics = client.signal_metrics()

    def window(before: float | None, after: float | None) -> str:
        if before is None or after is None:
            raise ConfigurationError("give both sides of the window, -pre and -pl")
        return metrics.set_event_window(before, after, dataset)

    def shadow(dead_time: float | None) -> str:
        if dead_time is None:
            raise ConfigurationError("give the dead time, -s")
        return metrics.set_event_shadow(dead_time, dataset)

    return Setters(
        level=partial(metrics.set_event_threshold_level, dataset_metadata=dataset),
        switch=partial(metrics.set_event_threshold, dataset_metadata=dataset),
        window=window,
        shadow=shadow,
    )


TOPIC = Topic("metrics", "events", (clear, calculate, status, params, plot), _setters)
