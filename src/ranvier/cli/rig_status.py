"""``ranvier rig status``: one rig in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer

from ranvier.cli.json_text import json_text
from ranvier.clients import AllegoClient
from ranvier.connect import find_rig
from ranvier.exceptions import ServerDiscoveryError
from ranvier.models.rig import DiskStatus, LoopStatus, RigState, RigStatus
from ranvier.models.status import BackboneStatus


def join(address: str | None) -> AllegoClient:
    """Return a client of a rig that is there; ServerDiscoveryError where none is. Starts nothing."""
    if address is None and find_rig() is None:
        raise ServerDiscoveryError("no rig runs; 'ranvier rig record', or AllegoClient() in Python, starts one")
    return AllegoClient(address=address)


def show(address: str | None, *, as_json: bool) -> None:
    """Print how a rig stands."""
    with join(address) as allego:
        details, status = allego.details(), allego.get_status()
    if as_json:
        facts = {"details": details.model_dump(mode="json"), "status": status.model_dump(mode="json")}
        typer.echo(json_text(facts))
        return
    rows = list(describe(details, status))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        typer.echo(f"{name:<{width}}  {value}")


def describe(details: RigStatus, status: BackboneStatus) -> Iterator[tuple[str, str]]:
    """Yield the name and the words of each fact."""
    yield "source", source(details)
    yield "state", state(details)
    if details.state in (RigState.STREAMING, RigState.RECORDING):
        yield "stream", stream(details)
    if status.recording.record_mode or status.recording.error:
        yield "recording", f"{status.recording.duration:.1f} s {status.recording.error}".strip()
    for name in details.recording_files:
        yield "file", name
    if details.disk is not None:
        yield "disk", disk(details.disk)
    for consumer in details.consumers:
        if consumer.shed_samples:
            yield "shed", f"{consumer.name}: {consumer.shed_samples:,} samples"
    yield "load", f"{details.engine_load:.0%} of one core"
    if details.loop is not None:
        yield "loop", loop(details.loop)
    if details.outputs is not None:
        armed = f"armed by {details.outputs.armed_by}" if details.outputs.armed_by is not None else "not armed"
        yield "outputs", f"{armed}, {details.outputs.pulses:,} pulses"
        if details.outputs.limits_changed:
            yield "limits", f"CHANGED: {details.outputs.limits_changed}"
        for note in details.outputs.notes:
            yield "note", note
    yield "clients", str(details.clients)
    for warning in details.warnings:
        yield "WARNING", warning


def source(details: RigStatus) -> str:
    """Return the source in words; SIMULATED where it is no instrument."""
    from ranvier.clients._rig_base import marked

    found = details.source
    return f"{marked(found)} ({found.mode.name}), {found.num_channels} channels at {found.fs_hz:.10g} Hz"


def state(details: RigStatus) -> str:
    """Return the state in words."""
    if details.state == RigState.FAULT:
        return f"FAULT: {details.source.fault}"
    return details.state.value + (f" by {details.recorded_by}" if details.recorded_by else "")


def stream(details: RigStatus) -> str:
    """Return what came and what did not."""
    found = details.source
    lost = f"{found.lost_samples:,} lost" + (f" in {found.jumps} jumps" if found.jumps else "")
    nan = f", {found.nan_samples:,} came as NaN" if found.nan_samples else ""
    return f"{found.received_samples / found.fs_hz:.1f} s, {lost}{nan}"


def disk(found: DiskStatus) -> str:
    """Return the disk in words."""
    words = [f"{found.free_bytes / 1e9:.1f} GB free"]
    if found.minutes_left is not None:
        words.append(f"{found.minutes_left:,.0f} min left")
    if found.unwritten_samples:
        words.append(f"{found.unwritten_samples:,} samples NOT WRITTEN")
    if found.stalled_sec >= 1.0:
        words.append(f"stalled for {found.stalled_sec:.0f} s, {found.queued_bytes / 1e6:.0f} MB wait")
    return f"{Path(found.path)}: {', '.join(words)}"


def loop(found: LoopStatus) -> str:
    """Return the closed loop in words."""
    figures = found.latency
    words = f"{'armed' if found.armed else 'off'}, {found.events:,} events, {found.edges:,} edges"
    if figures.count:
        words += (
            f"; latency p50 {figures.p50_ms:.2f}, p99 {figures.p99_ms:.2f}, max {figures.max_ms:.2f} ms"
            f"{' (software, simulated source)' if figures.software_only else ''}; {figures.missed} missed"
        )
    return words
