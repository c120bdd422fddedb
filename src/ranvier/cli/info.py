"""``ranvier info``, ``convert`` and ``provenance``: one recording in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from ranvier.cli.json_text import json_text
from ranvier.clients import VidereClient
from ranvier.exceptions import ConfigurationError
from ranvier.models.dataset import DatasetMetadata
from ranvier.models.provenance import ProvenanceOp
from ranvier.models.signals import SignalType


def show(path: Path, *, as_json: bool) -> None:
    """Print what each stream of a path is."""
    with VidereClient() as videre:
        found = [describe(videre, videre.link_data_file(stream)) for stream in videre.list_streams(path)]
    if as_json:
        typer.echo(json_text(found))
        return
    for facts in found:
        width = max(len(name) for name in facts)
        for name, value in facts.items():
            for i, line in enumerate(value if isinstance(value, list) else [value]):
                typer.echo(f"{name if i == 0 else '':<{width}}  {line}")
        typer.echo()


def describe(videre: VidereClient, ds: DatasetMetadata) -> dict[str, Any]:
    """Return the facts of one dataset, ready to print."""
    channels = ds.channel_metadata
    counts = {kind: n for kind, n in channels.num_channels.items() if n}
    start, end = ds.time_range.sec
    facts: dict[str, Any] = {
        "recording": f"{ds.base_name}{'#' + ds.stream if ds.stream else ''}{'  SIMULATED' if ds.simulated else ''}",
        "folder": ds.path,
        "format": ds.file_type.name,
        "channels": ", ".join(f"{n} {kind.name}" for kind, n in counts.items()),
        "rate": f"{ds.sampling_rate:.10g} Hz",
        "time": f"{start:.6f} to {end:.6f} s ({ds.duration:.3f} s, {ds.time_range.n:,} samples)",
        "started": _walltime(ds),
        "gaps": [f"{a:.6f} to {b:.6f} s missing" for a, b in ds.gaps] or "none",
        "events": f"{len(videre.get_events(ds))}",
    }
    if counts.get(SignalType.AMP):
        facts["probe"] = _probe(ds)
    if ds.lost_samples:
        facts["lost"] = f"{ds.lost_samples:,} samples per channel"
    if ds.notes:
        facts["notes"] = list(ds.notes)
    return facts


def convert_file(source: Path, destination: Path, *, metadata: Path | None, compression: str, force: bool) -> None:
    """Write a recording in another format and say what was written, clipped values and other losses too."""
    with VidereClient() as videre:
        written = videre.convert(source, destination, metadata=metadata, compression=compression, force=force)
    typer.echo(f"{Path(written.path) / written.base_name} ({written.file_type.name}, {written.duration:.3f} s)")
    for note in written.notes:
        typer.echo(f"note: {note}")


def show_provenance(path: Path, *, as_json: bool) -> None:
    """Print the operations that made a file, oldest first."""
    with VidereClient() as videre:
        found = videre.get_provenance(str(path))
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
    elif found.record is None:
        typer.echo(f"{path} says nothing about how it was made")
    else:
        for step, op in enumerate(found.record.ops, 1):
            typer.echo(f"{step}. {operation(op)}")


def replay_file(path: Path, out: Path | None, sources: Sequence[str], *, force: bool, as_json: bool) -> bool:
    """Make a file again, compare, and say how they compare; return whether they are the same."""
    moved = {}
    for text in sources:
        old, equals, new = text.partition("=")
        if not (old and equals and new):
            raise ConfigurationError(f"--source {text!r}: it is OLD=NEW, the recorded path and where it is now")
        moved[old] = new
    with VidereClient() as videre:
        report = videre.replay(str(path), output_path=out, sources=moved, force=force)
    if as_json:
        typer.echo(report.model_dump_json(indent=1))
    else:
        typer.echo(f"{path}: {report.verdict}")
        for note in report.notes:
            typer.echo(f"  {note}")
        if report.output:
            typer.echo(f"  the repetition is {report.output}")
    return report.same


def operation(op: ProvenanceOp) -> str:
    """Return one provenance step in words."""
    by = f"  [ranvier {op.server_version}]" if op.server_version else ""
    if op.acquire is not None:
        return f"source   {op.acquire.source_type}: {op.acquire.source_name}{by}"
    if op.filter is not None and op.filter.type is not None:
        f = op.filter
        band = " to ".join(f"{v:g}" for v in f.freq_spec)
        words = [
            op.filter.type.name.lower(),
            f"{band} Hz" if band else "",
            f"order {f.filter_order}" if f.filter_order else "",
        ]
        words.append({True: "zero-phase", False: "causal", None: ""}[f.zero_phase])
        return "filter   " + ", ".join(w for w in words if w) + by
    if op.slice_time is not None and op.slice_time.retained is not None:
        kept = op.slice_time.retained
        return f"slice    samples [{kept.start}, {kept.end}){by}"
    if op.write is not None:
        return f"written  {op.write.file_type}{by}"
    return f"{op.node_id or op.kind.value}{by}"


def _walltime(ds: DatasetMetadata) -> str:
    text = ds.time_range.walltime_str
    return "unknown" if text.startswith("0001") else text


def _probe(ds: DatasetMetadata) -> str:
    channels = ds.channel_metadata
    names = sorted({p for p in channels.probe_ids.get(SignalType.AMP, []) if p})
    wiring = "wiring from the file or verified" if channels.wiring_verified else "wiring UNVERIFIED (identity assumed)"
    return f"{', '.join(names) or 'unknown'}; geometry: {channels.geometry_source}; {wiring}"
