"""``ranvier rig watch``: a rig, live, as text."""

from __future__ import annotations

import math
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import typer

from ranvier.cli.rig_status import describe, disk, join, source, state
from ranvier.clients import AllegoClient
from ranvier.exceptions import ConfigurationError, TimeRangeError
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.rig import RigState, RigStatus
from ranvier.models.signals import SignalType

if TYPE_CHECKING:
    from rich.table import Table

_PER_SECOND = 4
#: Channels whose activity is shown: the first of those selected.
_CHANNELS = 8


def run(address: str | None, *, seconds: float | None) -> None:
    """Show a rig until Ctrl-C, or for some seconds. Each look is a new one: a slow terminal shows fewer, no older."""
    if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
        raise ConfigurationError(f"--seconds {seconds:g} is no time to watch for; give more than 0, or leave it out")
    until = float("inf") if seconds is None else time.monotonic() + seconds
    with join(address) as allego, suppress(KeyboardInterrupt):
        if sys.stdout.isatty():
            _redraw(allego, until)
        else:
            _print(allego, until)


def _redraw(allego: AllegoClient, until: float) -> None:
    from rich.live import Live

    with Live(_table(allego), auto_refresh=False, screen=False) as view:
        while time.monotonic() < until:
            time.sleep(1 / _PER_SECOND)
            view.update(_table(allego), refresh=True)


def _table(allego: AllegoClient) -> Table:
    from rich.table import Table
    from rich.text import Text

    details = allego.details()
    table = Table.grid(padding=(0, 2))
    for name, value in describe(details, allego.get_status()):
        alarm = name in ("WARNING", "shed", "limits") or value.startswith("FAULT")
        table.add_row(Text(name, style="bold red" if alarm else "bold"), Text(value, style="red" if alarm else ""))
    for name, value in _activity(allego, details):
        table.add_row(Text(name), Text(value))
    table.add_row(Text(""), Text("Ctrl-C leaves; the rig goes on", style="dim"))
    return table


def _activity(allego: AllegoClient, details: RigStatus) -> list[tuple[str, str]]:
    """Return name and RMS of some channels over the last quarter of a second."""
    if details.state not in (RigState.STREAMING, RigState.RECORDING):
        return []
    channels = allego.get_channel_metadata()
    shown = channels.selected_index(SignalType.AMP).ntv[:_CHANNELS]
    if not shown:
        return []
    try:
        samples = allego.get_signals(TimeRangeSpec.lookback(0.25), shown).amp
    except TimeRangeError:  # streaming began this moment
        return []
    rms = np.zeros(len(shown)) if samples is None else np.sqrt(np.nanmean(samples**2, axis=1))
    return [
        (f"amp {ntv}", f"{value:8.1f} uV {'#' * min(40, int(value / 2))}")
        for ntv, value in zip(shown, rms, strict=True)
    ]


def _print(allego: AllegoClient, until: float) -> None:
    typer.echo(source(allego.details()))
    while True:
        typer.echo(line(allego.details()))
        left = until - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(1.0, left))


def line(details: RigStatus) -> str:
    """Return how a rig stands in one line."""
    found = details.source
    words = [
        state(details),
        f"{found.received_samples / found.fs_hz:.1f} s",
        f"lost {found.lost_samples}",
        f"load {details.engine_load:.0%}",
    ]
    if details.disk is not None:
        words.append(disk(details.disk))
    if details.loop is not None and details.loop.latency.count:
        words.append(f"loop p99 {details.loop.latency.p99_ms:.2f} ms")
    words += [f"WARNING: {warning}" for warning in details.warnings]
    return " | ".join(words)
