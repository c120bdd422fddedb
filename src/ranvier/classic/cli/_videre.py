"""``radiens videre``: datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ranvier.classic.cli import _metrics as metrics
from ranvier.classic.cli import _options as options
from ranvier.classic.cli import _sorter as sorter
from ranvier.classic.cli import _tables as tables
from ranvier.classic.utils.constants import DEFAULT_HUB_ID
from ranvier.classic.utils.enums import SignalType
from ranvier.classic.videre_client import VidereClient

app = typer.Typer(name="videre", help="Datasets: link, list, look at.", no_args_is_help=True)
signals = typer.Typer(name="signals", help="Signals of a dataset.", no_args_is_help=True)
app.add_typer(signals)
app.add_typer(metrics.TOPIC.named_target("Metrics of a dataset: radiens videre metrics status -p rec.xdat"))
app.add_typer(sorter.TOPIC.named_target("Sort a dataset: radiens videre sorter sort on -p rec.xdat", replaces=True))

Start = Annotated[float | None, typer.Option("-ts", help="Start in stream seconds; the beginning by default.")]
Duration = Annotated[float, typer.Option("-dur", help="Seconds.")]
Output = Annotated[Path | None, typer.Option("--file", "-f", help="Also save the numbers, as .npz.")]


@app.command()
def link(
    context: typer.Context,
    datafile: Path,
    metrics: Annotated[bool, typer.Option("--metrics/--no-metrics", "-m", help="Compute metrics.")] = True,
    force: Annotated[bool, typer.Option("--force", "-f", help="Link again under a new id.")] = False,
    hub: options.Hub = DEFAULT_HUB_ID,
) -> None:
    """Link a recording and say what it is."""
    with VidereClient(options.on_hub(hub)) as client:
        tables.show_dataset(client.link_data_file(datafile, metrics, force), as_json=context.find_root().obj)


@app.command()
def metadata(
    context: typer.Context,
    row: options.Row = None,
    dataset_id: options.Id = None,
    path: options.PathOption = None,
    hub: options.Hub = DEFAULT_HUB_ID,
) -> None:
    """Say what a dataset is: by row, id or path."""
    with VidereClient(options.on_hub(hub)) as client:
        found = options.dataset(client, row, dataset_id, path)
        tables.show_dataset(found, as_json=context.find_root().obj)


@app.command("list")
def list_datasets(context: typer.Context, hub: options.Hub = DEFAULT_HUB_ID) -> None:
    """List the linked datasets; those of earlier commands are kept by 'radiens system server start'."""
    with VidereClient(options.on_hub(hub)) as client:
        tables.show(client.get_dataset_ids().reset_index(), as_json=context.find_root().obj)


@app.command()
def unlink(
    context: typer.Context,
    row: options.Row = None,
    dataset_id: options.Id = None,
    path: options.PathOption = None,
    hub: options.Hub = DEFAULT_HUB_ID,
) -> None:
    """Unlink a dataset, and list those that are left; files stay."""
    with VidereClient(options.on_hub(hub)) as client:
        _, left = client.clear_dataset(row, dataset_id, path, fail_hard=True)
    tables.show(left.reset_index(), as_json=context.find_root().obj)


@signals.command()
def snapshot(
    context: typer.Context,
    start: Start = None,
    duration: Duration = 1.0,
    row: options.Row = None,
    dataset_id: options.Id = None,
    path: options.PathOption = None,
    file: Output = None,
    hub: options.Hub = DEFAULT_HUB_ID,
) -> None:
    """Read all channels over a time range, and show the extremes and RMS of each."""
    with VidereClient(options.on_hub(hub)) as client:
        meta = options.dataset(client, row, dataset_id, path)
        begin = meta.TR.sec[0] if start is None else start
        found = client.signals().get_signals([begin, begin + duration], dataset_metadata=meta)
    if file is not None:
        np.savez(file, **found.signals._asdict(), time_range_sec=found.TR.sec, fs=found.TR.fs)
    rows = [
        {"type": kind.name.lower(), "ntv_idx": ntv, **_summary(signal)}
        for kind, array in zip(SignalType, found.signals, strict=True)
        for ntv, signal in zip(found.channel_metadata.index(kind).ntv, array, strict=True)
    ]
    tables.show_rows(rows, columns=("type", "ntv_idx", "min", "max", "rms"), as_json=context.find_root().obj)


@signals.command()
def psd(
    context: typer.Context,
    start: Start = None,
    duration: Duration = 1.0,
    row: options.Row = None,
    dataset_id: options.Id = None,
    path: options.PathOption = None,
    file: Output = None,
    hub: options.Hub = DEFAULT_HUB_ID,
) -> None:
    """Estimate spectra (1 to 300 Hz), and show the strongest frequency of each amplifier channel."""
    with VidereClient(options.on_hub(hub)) as client:
        meta = options.dataset(client, row, dataset_id, path)
        begin = meta.TR.sec[0] if start is None else start
        found = client.signals().get_psd(
            [begin, begin + duration], file=None if file is None else str(file), dataset_metadata=meta
        )
    rows = [
        {
            "ntv_idx": ntv,
            "peak (Hz)": float(found.frequencies[density.argmax()]),
            "peak (uV^2/Hz)": float(density.max()),
        }
        for ntv, density in zip(found.channel_metadata.index("amp").ntv, found.psd, strict=True)
    ]
    tables.show_rows(rows, columns=("ntv_idx", "peak (Hz)", "peak (uV^2/Hz)"), as_json=context.find_root().obj)


def _summary(signal: Any) -> dict[str, float]:
    rms = float(np.sqrt(np.nanmean(signal**2)))
    return {"min": round(float(np.nanmin(signal)), 3), "max": round(float(np.nanmax(signal)), 3), "rms": round(rms, 3)}
