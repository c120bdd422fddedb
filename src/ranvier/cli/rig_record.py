"""``ranvier rig record``."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from ranvier.cli.rig_status import disk, source
from ranvier.clients import AllegoClient
from ranvier.exceptions import ConfigurationError, OutputError, SourceError
from ranvier.models.rig import RigState
from ranvier.models.status import RecordMode

_LOOK_SEC = 0.1


def run(address: str | None, *, seconds: float | None, folder: Path | None, name: str | None, mode: str | None) -> None:
    """Record for some seconds, or until Ctrl-C; folder, name and streaming are as before then."""
    if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
        raise ConfigurationError(
            f"--seconds {seconds:g} is no length of a recording; give more than 0, or leave it out"
        )
    with AllegoClient(address=address) as allego:
        before = allego.details()
        if before.state == RigState.RECORDING:
            raise ConfigurationError(f"{before.recorded_by or 'a client'} is recording already; stop that first")
        if mode is not None:
            allego.restart(mode=mode)
        with _configured(allego, folder, name):
            try:
                _record(allego, seconds)
            finally:
                if before.state != RigState.STREAMING:
                    allego.stop_streaming()


def _record(allego: AllegoClient, seconds: float | None) -> None:
    allego.start_recording()
    try:
        base = allego.get_status().recording.active_filename
        details = allego.details()
        typer.echo(f"recording {source(details)}")
        if details.disk is not None:
            typer.echo(f"disk      {disk(details.disk)}")
        typer.echo(f"file      {base}")
        typer.echo(f"stop with Ctrl-C{'' if seconds is None else f', or after {seconds:g} s'}")
        try:
            duration = _follow(allego, seconds)
        except KeyboardInterrupt:
            duration = allego.get_status().recording.duration
    finally:
        allego.stop_recording()
    found = allego.details()
    unwritten = 0 if found.disk is None else found.disk.unwritten_samples
    typer.echo(f"finished  {base}.xdat.json")
    typer.echo(f"          {duration:.1f} s; lost {found.source.lost_samples:,}, not written {unwritten:,} samples")


def _follow(allego: AllegoClient, seconds: float | None) -> float:
    """Return the duration in seconds of the stream once it is reached; raises where the recording ended by itself."""
    live = sys.stdout.isatty()
    while True:
        status = allego.get_status()
        if status.recording.record_mode == RecordMode.OFF:
            details = allego.details()
            if details.state == RigState.FAULT:
                raise SourceError(f"the recording ended: {details.source.fault}; what came until then is kept")
            raise OutputError(f"the recording ended: {status.recording.error or 'another client stopped it'}")
        if live:
            typer.echo(f"\r{status.recording.duration:9.1f} s ", nl=False)
        if seconds is not None and status.recording.duration >= seconds:
            if live:
                typer.echo("\r", nl=False)
            return status.recording.duration
        time.sleep(_LOOK_SEC)


@contextmanager
def _configured(allego: AllegoClient, folder: Path | None, name: str | None) -> Iterator[None]:
    """Record to another folder, or under another name, this once."""
    before = allego.get_recording_config()
    change: dict[str, str] = {}
    if folder is not None:
        change["base_file_path"] = str(_made(folder))
    if name is not None:
        change["base_file_name"] = name
    if change:
        allego.update_recording_config(before.model_copy(update=change))
    try:
        yield
    finally:
        if change:
            allego.update_recording_config(before)


def _made(folder: Path) -> Path:
    whole = folder.expanduser().absolute()
    try:
        whole.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {whole}: {error.strerror or error}") from error
    return whole
