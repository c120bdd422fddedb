"""``ranvier rig check``: does this computer keep up with this rig, as it is set up?"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from platform import platform

import typer

from ranvier import __version__
from ranvier._platform import cpu_name
from ranvier.cli.json_text import json_text
from ranvier.cli.rig_measure import DiskRate, StreamFigures, closed_loop, loop_status, measure_disk, watch_stream
from ranvier.cli.rig_status import source
from ranvier.clients import AllegoClient
from ranvier.exceptions import ConfigurationError, OutputError
from ranvier.models.rig import LoopStatus, RigState, RigStatus

PASS, WARN, FAIL = "pass", "warn", "fail"

#: The disk writes so many times faster than the stream comes; the engine takes so much of one core; the clocks differ
#: by so many parts per million; the loop answers within so many milliseconds: (pass, warn), and fail beyond.
DISK = (3.0, 1.5)
LOAD = (0.5, 0.8)
DRIFT_PPM = (100.0, 1000.0)
LOOP_MS = (5.0, 10.0)

#: The disk is measured for this part of the time, within these seconds.
_DISK_SHARE, _DISK_SEC = 0.25, (1.0, 10.0)


@dataclass(frozen=True)
class Finding:
    """One result: its figure (None where there is none), the limits (pass, warn), and what that means."""

    name: str
    verdict: str
    figure: float | None
    unit: str
    limits: tuple[float, float]
    words: str


def run(address: str | None, *, seconds: float, dout: int | None, mode: str | None) -> None:
    """Measure, print, and keep the report; exit status 1 where something failed."""
    if not (math.isfinite(seconds) and seconds >= 2.0):
        raise ConfigurationError(f"--seconds {seconds:g} is too short to measure anything; give 2 or more")
    with AllegoClient(address=address) as allego:
        before = allego.details()
        if before.state == RigState.RECORDING:
            raise ConfigurationError(
                f"{before.recorded_by or 'a client'} is recording; the check would load the disk, so wait until it ends"
            )
        if mode is not None:
            allego.restart(mode=mode)
        allego.start_streaming()
        try:
            typer.echo(f"checking  {source(allego.details())}, for {seconds:g} s")
            details, findings = _measured(allego, seconds, dout)
        finally:
            if before.state != RigState.STREAMING:
                allego.stop_streaming()
    report = _keep(details, findings, seconds)
    for finding in findings:
        typer.echo(f"{finding.verdict.upper():<5} {finding.name:<10} {finding.words}")
    typer.echo(f"report    {report}")
    if any(finding.verdict == FAIL for finding in findings):
        raise typer.Exit(1)


def _measured(allego: AllegoClient, seconds: float, dout: int | None) -> tuple[RigStatus, list[Finding]]:
    time.sleep(0.6)  # until there is something to trigger on
    with closed_loop(allego, dout) as why_not:
        figures = watch_stream(allego, seconds)
        loop = loop_status(allego)
    details = allego.details()
    rate = disk_rate(details, seconds)
    lost = allego.details().source  # the disk may have been in the way
    return details, [
        judge_disk(rate, stream_bytes_per_sec(details)),
        judge_load(figures),
        judge_losses(lost.lost_samples, lost.nan_samples),
        judge_drift(figures),
        judge_loop(loop, why_not),
    ]


def stream_bytes_per_sec(details: RigStatus) -> float:
    """Return what a recording of everything writes: float32 per channel and an int64 counter per sample."""
    return (4 * details.source.num_channels + 8) * details.source.fs_hz


def disk_rate(details: RigStatus, seconds: float) -> DiskRate:
    """Measure the disk of the recording folder."""
    if details.disk is None:
        raise OutputError("the rig names no recording folder; set one with update_recording_config()")
    folder = Path(details.disk.path)
    if not folder.is_dir():
        folder.mkdir(parents=True)
    return measure_disk(folder, min(max(seconds * _DISK_SHARE, _DISK_SEC[0]), _DISK_SEC[1]), details.disk.free_bytes)


def judge_disk(rate: DiskRate, stream: float) -> Finding:
    """Judge how many times faster than the stream the disk writes."""
    times = rate.bytes_per_sec / stream
    verdict = PASS if times >= DISK[0] else WARN if times >= DISK[1] else FAIL
    words = (
        f"writes {rate.bytes_per_sec / 1e6:.0f} MB/s, {times:.1f} times the stream of {stream / 1e6:.1f} MB/s "
        f"(wanted {DISK[0]:g}); slowest flush {rate.slowest_flush_sec * 1000:.0f} ms"
    )
    return Finding("disk", verdict, times, "times the stream", DISK, words)


def judge_load(figures: StreamFigures) -> Finding:
    """Judge how busy one core is with the engine's own work."""
    load = figures.median_load()
    words = f"{load:.0%} of one core (wanted at most {LOAD[0]:.0%})"
    return Finding("load", _at_most(load, LOAD), load, "of one core", LOAD, words)


def judge_losses(lost: int, nan: int) -> Finding:
    """Judge what did not come: nothing may be missing."""
    words = f"{lost:,} samples lost, {nan:,} came as NaN"
    return Finding("losses", FAIL if lost or nan else PASS, lost + nan, "samples", (0.0, 0.0), words)


def judge_drift(figures: StreamFigures) -> Finding:
    """Judge the instrument's clock against this computer's; what the measurement cannot tell is a warning."""
    drift, error = figures.drift_ppm()
    if not math.isfinite(error):
        return Finding("clock", WARN, None, "ppm", DRIFT_PPM, "too few samples came to tell")
    words = f"{drift:+.0f} +- {2 * error:.0f} ppm against this computer (wanted at most {DRIFT_PPM[0]:g})"
    surely = max(0.0, abs(drift) - 2 * error)  # no less than this
    if surely <= DRIFT_PPM[0] < abs(drift) + 2 * error:
        longer = "; cannot tell: look for longer (--seconds), on a computer that does nothing else"
        return Finding("clock", WARN, drift, "ppm", DRIFT_PPM, words + longer)
    verdict = _at_most(surely, DRIFT_PPM)
    return Finding("clock", verdict, drift, "ppm", DRIFT_PPM, words)


def judge_loop(loop: LoopStatus | None, why_not: str) -> Finding:
    """Judge the closed loop: from the arrival of a sample to the edge on a digital output."""
    if why_not or loop is None:
        return Finding("loopback", WARN, None, "ms", LOOP_MS, f"not measured: {why_not or 'no closed loop ran'}")
    figures = loop.latency
    if not figures.count:
        return Finding("loopback", WARN, None, "ms", LOOP_MS, "not measured: no event crossed the threshold")
    words = (
        f"p99 {figures.p99_ms:.2f} ms (wanted below {LOOP_MS[0]:g}), p50 {figures.p50_ms:.2f}, "
        f"max {figures.max_ms:.2f} ms, "
        f"{figures.count} events{'; software alone, simulated source' if figures.software_only else ''}"
    )
    verdict = _at_most(figures.p99_ms, LOOP_MS)
    if verdict != PASS:
        words += "; update_core_config(loop_dur=1) shortens the blocks"
    return Finding("loopback", verdict, figures.p99_ms, "ms", LOOP_MS, words)


def _at_most(value: float, limits: tuple[float, float]) -> str:
    return PASS if value <= limits[0] else WARN if value <= limits[1] else FAIL


def _keep(details: RigStatus, findings: list[Finding], seconds: float) -> Path:
    """Write the report into the recording folder and return its path."""
    if details.disk is None:
        raise OutputError("the rig names no recording folder; set one with update_recording_config()")
    now = datetime.now(UTC)
    mark = "_SIMULATED" if details.source.simulated else ""
    path = Path(details.disk.path) / f"ranvier_check{mark}_{now:%Y%m%dT%H%M%SZ}.json"
    report = {
        "checked_utc": now.isoformat(),
        "ranvier": __version__,
        "computer": {"platform": platform(), "processor": cpu_name()},
        "source": details.source.model_dump(mode="json"),
        "seconds": seconds,
        "findings": [asdict(finding) for finding in findings],
    }
    try:
        path.write_text(json_text(report), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write the report {path}: {error.strerror or error}") from error
    return path
