"""``ranvier spikes``: units of a recording or of another program, from and to files."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Annotated

import typer

from ranvier.cli.json_text import json_text
from ranvier.clients import VidereClient

app = typer.Typer(
    name="spikes", help="Sorted spikes: list units, import them from other programs, export them.", no_args_is_help=True
)

Source = Annotated[Path, typer.Argument(help="Recording, .spikes file, Kilosort or phy folder, NWB file with units.")]
Recording = Annotated[
    Path | None, typer.Option("--recording", help="The recording that they belong to, where SOURCE is another file.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that exists.")]


@app.command()
def units(source: Source, json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """List the units: spikes, rate, SNR, channel, label, and how far they can be trusted."""
    with VidereClient(progress=False) as videre:
        table = videre.get_unit_quality(videre.link_data_file(source))
    if json:
        typer.echo(json_text([unit.model_dump(mode="json") for unit in table.units]))
        return
    typer.echo(f"{len(table.units)} units from {table.time_range[0]:.3f} to {table.time_range[1]:.3f} s")
    typer.echo("unit  channel   spikes     Hz    SNR  contamination  label")
    for u in table.units:
        channel = "-" if u.site_ntv_chan_idx < 0 else str(u.site_ntv_chan_idx)
        snr, foreign = (f"{v:.{digits}f}" if isfinite(v) else "-" for v, digits in ((u.snr, 1), (u.contamination, 3)))
        line = f"{u.unit:>4}  {channel:>7}  {u.spike_count:>7}  {u.spike_rate_hz:>5.1f}  {snr:>5}  {foreign:>13}"
        typer.echo(f"{line}  {u.label}".rstrip())


@app.command("export")
def export_units(
    source: Source,
    destination: Path,
    file_format: Annotated[
        str, typer.Option("--format", help="phy (folder), nwb (file of units) or unitmatch (folder).")
    ] = "phy",
    recording: Recording = None,
    signals: Annotated[bool, typer.Option("--signals", help="Copy the samples too (phy).")] = False,
    metadata: Annotated[
        Path | None, typer.Option("--metadata", help="YAML file with subject and session, for NWB.")
    ] = None,
    force: Force = False,
) -> None:
    """Write the units for another program; curation is applied."""
    with VidereClient(progress=False) as videre:
        written = videre.export_spikes(
            videre.link_data_file(source),
            destination,
            file_format,
            recording=None if recording is None else videre.link_data_file(recording),
            signals=signals,
            metadata=metadata,
            force=force,
        )
    typer.echo(str(written))


@app.command("import")
def import_units(
    source: Source,
    destination: Annotated[
        Path | None, typer.Argument(help="The .spikes file; without it beside the recording, or beside SOURCE.")
    ] = None,
    recording: Recording = None,
    force: Force = False,
) -> None:
    """Make a .spikes file of what another program sorted, with its labels, templates and amplitudes."""
    with VidereClient(progress=False) as videre:
        found = videre.convert_spikes(
            videre.link_data_file(source),
            destination,
            recording=None if recording is None else videre.link_data_file(recording),
            force=force,
        )
    typer.echo(str(Path(found.path) / f"{found.base_name}.spikes"))
