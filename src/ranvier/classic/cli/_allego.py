"""``radiens allego``: the acquisition system. A rig is joined, or started; it streams and records on by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ranvier.classic.allego_client import AllegoClient
from ranvier.classic.cli import _metrics as metrics
from ranvier.classic.cli import _sorter as sorter
from ranvier.classic.cli import _tables as tables
from ranvier.classic.lib.allego_lib import AllegoState
from ranvier.classic.utils.enums import SystemMode
from ranvier.exceptions import ConfigurationError

app = typer.Typer(name="allego", help="The acquisition system: stream, record, set up.", no_args_is_help=True)
setting = typer.Typer(name="set", help="Settings of the system and of recordings.", no_args_is_help=True)
app.add_typer(setting)
app.add_typer(metrics.TOPIC.stream_target("Metrics of the live stream."))
app.add_typer(sorter.TOPIC.stream_target("The sorter of the live stream."))

#: The documented words; SystemMode takes them, its own names and numbers.
SYSTEMS = (
    "sim-spikes", "sim-sine", "sbpro", "sbpro-sinaps-256", "sbpro-sinaps-1024", "sbclassic", "open-ephys_usb2",
    "open-ephys_usb3", "intan1024", "intan512", "xdaq-one-rec", "xdaq-one-stim", "xdaq-core-rec", "xdaq-core-stim",
)  # fmt: skip
#: What ``-v`` means to ``AllegoState.print``.
_DETAILS = {"brief": "brief", "all": "verbose", "verbose": "verbose"}

OnOff = Annotated[
    str | None, typer.Argument(help="on or off; without it the status is shown.", autocompletion=lambda: ["on", "off"])
]
Detail = Annotated[
    str, typer.Option("--verbosity", "-v", help="brief or all.", autocompletion=lambda: ["brief", "all"])
]


@app.command()
def stream(context: typer.Context, mode: OnOff = None, detail: Detail = "brief") -> None:
    """Stream or not."""
    with AllegoClient() as allego:
        _show(allego.get_status() if mode is None else allego.set_streaming(mode), detail, context)


@app.command()
def record(context: typer.Context, mode: OnOff = None, detail: Detail = "brief") -> None:
    """Record or not; 'on' streams too. It goes on when this command ends."""
    with AllegoClient() as allego:
        _show(allego.get_status() if mode is None else allego.set_recording(mode), detail, context)


@app.command()
def status(context: typer.Context, detail: Detail = "brief") -> None:
    """Say how the system stands."""
    with AllegoClient() as allego:
        _show(allego.get_status(), detail, context)


@app.command()
def restart(
    context: typer.Context,
    wanted: Annotated[
        str,
        typer.Option("--system", "-sys", help=f"One of {', '.join(SYSTEMS)}.", autocompletion=lambda: list(SYSTEMS)),
    ] = "sim-spikes",
) -> None:
    """Take another instrument or simulation; a stream ends, a recording is in the way."""
    with AllegoClient() as allego:
        allego.restart(SystemMode.parse(wanted))
        _show(allego.get_status(), "brief", context)


@setting.command("system")
def set_system(
    context: typer.Context, fs: Annotated[float, typer.Option("--sample-freq", "-fs", help="Samples per second.")]
) -> None:
    """Set the sampling rate; only while nothing streams."""
    with AllegoClient() as allego:
        allego.set_sampling_freq(fs)
        _show(allego.get_status(), "brief", context)


@setting.command("record")
def set_record(
    context: typer.Context,
    path: Annotated[Path | None, typer.Option("--path", "-p", help="Folder.")] = None,
    name: Annotated[str | None, typer.Option("--name", "-n", help="Base name.")] = None,
    index: Annotated[int | None, typer.Option("--index", "-i", help="Index of the next recording.")] = None,
    time_stamp: Annotated[int, typer.Option("--time-stamp", "-t", help="1: the time stands in the name, 0: not.")] = -1,
) -> None:
    """Set folder, base name, index and time stamp of recordings; what is left out stays (-t -1 too)."""
    with AllegoClient() as allego:
        now = allego._typed.get_recording_config()
        allego.set_recording_config(
            now.base_file_path if path is None else str(path.expanduser().absolute()),
            now.base_file_name if name is None else name,
            now.datasource_idx if index is None else index,
            now.time_stamp if time_stamp == -1 else bool(time_stamp),
        )
        found = allego._typed.get_recording_config()
    facts = {
        "path": found.base_file_path,
        "name": found.base_file_name,
        "index": found.datasource_idx,
        "time stamp": found.time_stamp,
    }
    tables.show_facts(facts, as_json=context.find_root().obj)


def _show(state: AllegoState, detail: str, context: typer.Context) -> None:
    if detail not in _DETAILS:
        raise ConfigurationError(f"-v {detail} is none of {', '.join(_DETAILS)}")
    if not context.find_root().obj:
        state.print(_DETAILS[detail])
        return
    recording = state.recording
    facts = {
        "system_mode": state.system_mode.name,
        "connected": state.connected,
        "sample_freq": state.sample_freq,
        "stream": state.stream.mode,
        "stream_time_range": state.stream.time_range.tolist(),
        "recording": recording.mode,
        "recording_file": recording.file_name,
        "recording_dur_sec": recording.dur_sec,
        "recording_error": recording.error,
        "port_num_channels": {port.name: count for port, count in state.port_num_channels.items()},
    }
    tables.show_facts(facts, as_json=True)
