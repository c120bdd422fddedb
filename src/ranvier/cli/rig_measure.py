"""What ``ranvier rig check`` measures."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranvier._platform import flush_handle
from ranvier.clients import AllegoClient
from ranvier.exceptions import ConfigurationError, OutputError, TimeRangeError
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.rig import LoopStatus
from ranvier.models.signals import SignalType

_CHUNK_BYTES = 4 << 20
#: Forced to the disk this often while it is measured: a rate that a cache gives for a while is not sustained.
_FLUSH_BYTES = 32 << 20
_MAX_BYTES = 4 << 30
#: So much of the free space is never used for measuring.
_SPARE_BYTES = 1 << 30
#: Channels among which the one to trigger on is looked for.
_LOOP_CHANNELS = 64


@dataclass(frozen=True)
class DiskRate:
    """What a disk keeps up with: bytes per second, and the longest that one flush took."""

    bytes_per_sec: float
    slowest_flush_sec: float
    written_bytes: int


@dataclass
class StreamFigures:
    """What was seen of a stream: when its head was where, and how busy the engine was."""

    elapsed_sec: list[float] = field(default_factory=list)
    head_sec: list[float] = field(default_factory=list)
    load: list[float] = field(default_factory=list)

    def drift_ppm(self) -> tuple[float, float]:
        """Return how fast the instrument's clock runs against this computer's, and the standard error, in ppm.

        The slope of the head over time, by least squares; the head advances in blocks, which the error shows.
        """
        t, head = np.array(self.elapsed_sec), np.array(self.head_sec)
        if len(t) < 8 or t[-1] - t[0] < 0.5:
            return 0.0, float("inf")
        centred = t - t.mean()
        spread = float((centred**2).sum())
        slope = float((centred * head).sum()) / spread
        rest = head - head.mean() - slope * centred
        error = float(np.sqrt((rest**2).sum() / (len(t) - 2) / spread))
        return (slope - 1.0) * 1e6, error * 1e6

    def median_load(self) -> float:
        """Return the median of the engine's load: one burst of something else does not count."""
        return float(np.median(self.load)) if self.load else 0.0


def watch_stream(allego: AllegoClient, seconds: float) -> StreamFigures:
    """Look at a stream for some seconds."""
    found = StreamFigures()
    begin = time.monotonic()
    step = 0.05
    while (now := time.monotonic() - begin) < seconds:
        head = allego.get_status().streaming.primary_cache_t_range[1]
        answered = time.monotonic() - begin
        if head > 0.0:
            found.elapsed_sec.append((now + answered) / 2)
            found.head_sec.append(head)
        if now > 1.5:  # the engine tells its load once per second
            found.load.append(allego.details().engine_load)
        time.sleep(max(0.0, step - (time.monotonic() - begin - now)))
    return found


def measure_disk(folder: Path, seconds: float, free_bytes: int) -> DiskRate:
    """Write to a folder for some seconds, forced to the disk, and take it away again.

    Raises
    ------
    OutputError
        The folder cannot be written, or is nearly full.
    """
    limit = min(_MAX_BYTES, free_bytes - _SPARE_BYTES)
    if limit < _FLUSH_BYTES:
        raise OutputError(f"{folder} has {free_bytes / 1e9:.1f} GB free: too little to measure how fast it writes")
    path = folder / f".ranvier-check-{secrets.token_hex(4)}.tmp"
    chunk = np.random.default_rng(0).bytes(_CHUNK_BYTES)  # what a disk cannot compress
    try:
        with path.open("wb", buffering=0) as file:
            return _write(file.fileno(), chunk, seconds, limit)
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror or error}") from error
    finally:
        path.unlink(missing_ok=True)


def _write(handle: int, chunk: bytes, seconds: float, limit: int) -> DiskRate:
    written, slowest = 0, 0.0
    begin = time.monotonic()
    while time.monotonic() - begin < seconds and written + _FLUSH_BYTES <= limit:
        for _ in range(_FLUSH_BYTES // _CHUNK_BYTES):
            written += os.write(handle, chunk)
        flushing = time.monotonic()
        flush_handle(handle)
        slowest = max(slowest, time.monotonic() - flushing)
    return DiskRate(written / (time.monotonic() - begin), slowest, written)


@contextmanager
def closed_loop(allego: AllegoClient, dout: int | None) -> Iterator[str]:
    """Have a closed loop run; yields "" or why there is none. One that is armed already is left as it is."""
    details = allego.details()
    if details.loop is not None and details.loop.armed:
        yield ""
        return
    if dout is None and not details.source.simulated:
        yield "give --dout N to have an output of the instrument pulsed; nothing was"
        return
    try:
        channel, threshold_uv = _trigger_level(allego)
        allego.arm_closed_loop([channel], threshold_uv, dout_idx=0 if dout is None else dout)
    except (ConfigurationError, TimeRangeError) as error:
        yield str(error)
        return
    try:
        yield ""
    finally:
        allego.disarm_closed_loop()


def loop_status(allego: AllegoClient) -> LoopStatus | None:
    """Return what the closed loop did."""
    return allego.details().loop


def _trigger_level(allego: AllegoClient) -> tuple[int, float]:
    """Return the channel with the deepest troughs, and half their depth in uV: spikes cross it, and so do sines."""
    channels = allego.get_channel_metadata().index(SignalType.AMP).ntv[:_LOOP_CHANNELS]
    samples = allego.get_signals(TimeRangeSpec.lookback(0.5), channels).amp if channels else None
    if samples is None or not samples.size:
        raise ConfigurationError("there is no amplifier channel to trigger on")
    middle: npt.NDArray[np.float64] = np.nanmedian(samples, axis=1)
    depth = middle - np.nanmin(samples, axis=1)
    deepest = int(np.nanargmax(depth))
    return channels[deepest], float(middle[deepest] - depth[deepest] / 2)
