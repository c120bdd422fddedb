"""``ranvier sort``: the units of a recording, as a ``.spikes`` file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from ranvier.cli.json_text import json_text
from ranvier.clients import VidereClient
from ranvier.exceptions import ConfigurationError
from ranvier.models.dataset import DatasetMetadata
from ranvier.models.spikesorter import SpikeSorterLaunchParams, SpikeSorterSubCommand


def run(
    paths: Sequence[Path],
    *,
    out: Path | None,
    start: float | None,
    stop: float | None,
    channels: str | None,
    seed: int | None,
    detect_only: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Sort recordings, several of them jointly, and say what was found."""
    with VidereClient() as videre:
        datasets = [videre.link_data_file(path) for path in paths]
        launch = SpikeSorterLaunchParams(
            dsource_id=datasets[0].id,
            seed=seed,
            sub_cmd=SpikeSorterSubCommand.DETECT_ONLY if detect_only else SpikeSorterSubCommand.NULL,
        )
        first = videre.spike_sort(
            launch,
            jointly=datasets[1:],
            time_range=None if start is None and stop is None else _range(datasets[0], start, stop),
            channels=None if channels is None else indices(channels),
            output_path=out,
            force=force,
        )
        warnings = videre.get_spike_sorter_state(first).warn_msg
        found = [_found(videre, ds) for ds in datasets] if len(datasets) > 1 else [_found(videre, datasets[0], first)]
    if as_json:
        typer.echo(json_text(found))
    else:
        for one in found:
            _tell(one)
    if warnings:
        typer.echo(f"note: {warnings}", err=True)


def indices(text: str) -> list[int]:
    """Return channels written as ``0-15,20``; ConfigurationError where that says none."""
    found: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.strip().partition("-")
            found += range(int(first), int(last or first) + 1)
    except ValueError:
        found = []
    if not found:
        raise ConfigurationError(f"--channels {text!r}: native indices, as 0-15,20")
    return found


def _range(ds: DatasetMetadata, start: float | None, stop: float | None) -> list[float]:
    first, last = ds.time_range.sec
    return [float(first) if start is None else start, float(last) if stop is None else stop]


def _found(videre: VidereClient, ds: DatasetMetadata, spikes_id: str | None = None) -> dict[str, object]:
    """Return what a recording's spikes are, as JSON data."""
    own = spikes_id if spikes_id is not None else videre.get_spike_sorter_ids(ds)[0]
    file = videre.list_data_sources(own)[own]
    spec = videre.get_spikes_spec(ds, spikes_id=own)
    return {
        "recording": ds.base_name,
        "file": str(Path(file.path) / f"{file.base_name}.spikes"),
        "time_range_sec": list(spec.time_range),
        "channels": len(spec.enabled_channel_indices),
        "units": [
            {
                "unit": u.label, "channel": u.site_ntv_chan_idx, "spikes": u.spike_count,
                "rate_hz": round(u.spike_rate, 3), "snr": round(u.snr, 2),
            }
            for u in videre.get_units(ds, spikes_id=own)
        ],
    }  # fmt: skip


def _tell(found: dict[str, object]) -> None:
    units = found["units"]
    typer.echo(found["file"])
    for unit in units if isinstance(units, list) else ():
        typer.echo("  " + "  ".join(f"{name} {value}" for name, value in unit.items()))
