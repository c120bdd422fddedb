"""Whether a recording can be sorted at all, and which of its channels: looked at on seconds spread over it.

A sorter that is given saturated or silent channels, or artifacts only, would find units in them; a user is told first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError, DataProcessingError
from ranvier.metrics.quality import FLAT_FRACTION
from ranvier.metrics.statistics import ChannelMeter
from ranvier.recordings.channels import Channel, ChannelTable
from ranvier.recordings.recording import Recording
from ranvier.sorting.geometry import geometry_of
from ranvier.sorting.odd_channels import bridged, louder, scattered
from ranvier.sorting.source import spread

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

#: Seconds that are looked at, at most.
LOOKED_AT_SEC = 10
#: Share of samples at the rails from which a channel has no spikes to give.
SATURATED_SHARE = 0.2
#: Noise in the spike band that no electrode has, uV.
LOUD_UV = 1000.0
#: An artifact: a window of so many ms in which so many of the channels exceed so many SD of their quiet noise.
WINDOW_MS, COMMON_SHARE, ARTIFACT_SD = 10.0, 0.8, 12.0
#: Share of such windows from which nothing but artifacts is there; fewer channels than this cannot tell.
ARTIFACT_SHARE, FEWEST = 0.5, 8
#: Share of such windows without any signal from which the noise cannot be told, and from which it is worth a word.
SILENT_SHARE, FEW_SILENT = 0.3, 0.02
#: Share of missing samples (NaN) that is worth a word.
FEW_MISSING = 1e-4
#: The quietest share of windows says what the noise is without artifacts.
QUIET_SHARE = 0.05
_EVERY = 8
_INT16 = np.iinfo(np.int16)


@dataclass(frozen=True, eq=False)
class Suitable:
    """The columns that can be sorted, and why others cannot, in words."""

    columns: I64
    notes: tuple[str, ...] = ()


def check_places(channels: ChannelTable, columns: I64) -> None:
    """Raise ConfigurationError where two channels to sort are in one place: the map of the probe is wrong."""
    geometry = geometry_of(channels, columns)
    at: dict[tuple[float, float], int] = {}
    pairs = []
    for column, (x, y) in zip(columns, geometry.positions_um, strict=True):
        first = at.setdefault((float(x), float(y)), int(column))
        if first != int(column) and channels[int(column)].site is not None:
            pairs.append(f"{_name(channels[first])} and {_name(channels[int(column)])}")
    if pairs:
        more = f" (and {len(pairs) - 3} more)" if len(pairs) > 3 else ""
        raise ConfigurationError(
            f"channels in the same place: {'; '.join(pairs[:3])}{more}. A sorter needs to know where sites are: "
            f"give the dataset its probe (set_probe), or name the channels to sort"
        )


def suitable(
    recording: Recording,
    filtered: Recording,
    columns: I64,
    start: int,
    stop: int,
    check: Callable[[], None] = lambda: None,
) -> Suitable:
    """Return which columns of a range can be sorted.

    Parameters
    ----------
    recording, filtered
        As it is (saturation shows there), and behind the filters of the sorter.

    Raises
    ------
    DataProcessingError
        No channel can be sorted, or nearly all of the time is artifact.
    """
    rows = max(1, round(float(recording.fs)))
    meter = _meter(recording, columns)
    sizes, sample, missing = [], [], []
    edges = np.minimum(start + np.arange(-(-(stop - start) // rows) + 1, dtype=np.int64) * rows, stop)
    seen = np.flatnonzero(2 * np.diff(recording.segments.rows_before(edges)) >= np.diff(edges))
    for k in seen[spread(len(seen), LOOKED_AT_SEC)]:
        check()
        a, b = int(edges[k]), int(edges[k + 1])
        meter.add(recording.read(a, b, columns))
        behind = filtered.read(a, b, columns).samples
        there = np.isfinite(behind)
        missing.append(~there)
        behind = np.nan_to_num(behind[there.any(axis=1)], copy=False)  # what misses is no noise
        sizes.append(_sizes(behind, float(recording.fs)))
        sample.append(behind[::_EVERY].copy())
    if not len(seen):
        raise DataProcessingError(f"{recording.path.name}: nearly all samples of the range are missing; name another")
    stats = meter.finish()
    heard = np.concatenate(sample)
    noise = np.median(np.abs(heard), axis=0) / 0.6745 if len(heard) else np.zeros(len(columns))
    gone = np.concatenate(missing)
    reasons = {
        "saturated": stats.saturated_fraction >= SATURATED_SHARE,
        "silent": (stats.n == 0) | (stats.flat_fraction >= FLAT_FRACTION) | ~(noise > 0),
        "samples that miss (NaN) all over them": scattered(gone, len(missing)),
        "noise beyond what electrodes have": noise >= LOUD_UV,
        "noise far above that of the others": louder(noise),
    }
    left_out = np.zeros(len(columns), np.bool_)
    notes = []
    for reason, found in reasons.items():
        now = found & ~left_out
        if now.any():
            named = [recording.channels[int(c)].ntv for c in columns[now]]
            notes.append(f"{len(named)} channels are left out ({reason}): {_few(named)}")
        left_out |= found
    if left_out.all():
        raise DataProcessingError(
            f"{recording.path.name}: no channel can be sorted; {'; '.join(notes)}. Look at get_channel_quality, the "
            f"unit of the file, and the amplifier's gain"
        )
    of_windows = np.concatenate(sizes, axis=1)[:, :, ~left_out]
    silent = silent_windows(of_windows)
    if silent.mean() >= SILENT_SHARE:
        raise DataProcessingError(
            f"{recording.path.name}: {silent.mean():.0%} of the time most channels are silent, so that nothing tells "
            f"what their noise is; give the time range with signals"
        )
    if silent.mean() >= FEW_SILENT:
        notes.append(f"{silent.mean():.0%} of the time most channels are silent")
    notes += _missing(gone[:, ~left_out], len(missing))
    pairs = bridged(heard[:, ~left_out], geometry_of(recording.channels, columns[~left_out]))
    notes += _bridged([recording.channels[int(c)].ntv for c in columns[~left_out]], pairs)
    share = artifact_share(of_windows[:, ~silent])
    if share >= ARTIFACT_SHARE:
        raise DataProcessingError(
            f"{recording.path.name}: {share:.0%} of the time there are artifacts on most channels at once; nothing can "
            f"be sorted there. Remove them first (blank_artifacts, car), or give the time range without them"
        )
    if share >= ARTIFACT_SHARE / 10:
        notes.append(f"{share:.0%} of the time there are artifacts on most channels at once")
    return Suitable(columns[~left_out], tuple(notes))


def silent_windows(sizes: F32) -> npt.NDArray[np.bool_]:
    """Return in which windows most channels have nothing of what they have otherwise; ``sizes`` as below."""
    rms = sizes[1]
    if not len(rms):
        return np.zeros(0, np.bool_)
    silent: npt.NDArray[np.bool_] = (rms <= 0.01 * np.quantile(rms, 0.9, axis=0)).mean(axis=1) >= COMMON_SHARE
    return silent


def _missing(where: npt.NDArray[np.bool_], seconds: int) -> list[str]:
    """Return in words how much is missing of what was looked at."""
    share = float(where.mean()) if where.size else 0.0
    if share < FEW_MISSING:
        return []
    pieces = np.count_nonzero(np.diff(where.astype(np.int8), axis=0) == 1) / where.shape[1] / seconds
    return [
        f"{share:.2%} of the samples are missing (NaN), in {pieces:.3g} pieces a second and channel; filters begin "
        f"anew behind each, and spikes near them are lost, or false"
    ]


def _bridged(ntv: list[int], pairs: list[tuple[int, int]]) -> list[str]:
    """Return in words which channels carry one signal."""
    if not pairs:
        return []
    named = ", ".join(f"{ntv[a]} and {ntv[b]}" for a, b in pairs[:6]) + (" ..." if len(pairs) > 6 else "")
    return [
        f"channels with one and the same signal: {named}; do their wires touch? Units there are placed between them"
    ]


def artifact_share(sizes: F32) -> float:
    """Return the share of windows in which most channels exceed what their quiet windows have, at once.

    ``sizes`` are largest value and RMS of each window, ``(2, windows, channels)``.
    """
    peak, rms = sizes
    if not len(peak) or peak.shape[1] < FEWEST:
        return 0.0
    quiet = np.quantile(rms, QUIET_SHARE, axis=0)
    return float(np.mean((peak > ARTIFACT_SD * quiet).mean(axis=1) >= COMMON_SHARE))


def _sizes(samples: F32, fs_hz: float) -> F32:
    """Return the largest absolute value and the RMS of each window, ``(2, windows, channels)``."""
    window = max(2, round(WINDOW_MS * 1e-3 * fs_hz))
    whole = len(samples) // window
    parts = samples[: whole * window].reshape(whole, window, samples.shape[1])
    return np.stack([np.abs(parts).max(axis=1), np.sqrt(np.square(parts, dtype=np.float64).mean(axis=1))]).astype(
        np.float32
    )


def _meter(recording: Recording, columns: I64) -> ChannelMeter:
    low = high = None
    if recording.stores_counts:
        gains, offsets = recording.channels.gains[columns], recording.channels.offsets[columns]
        ends = np.stack([gains * _INT16.min + offsets, gains * _INT16.max + offsets])
        low, high = ends.min(axis=0), ends.max(axis=0)
    return ChannelMeter(recording.fs, columns, low_uv=low, high_uv=high)


def _name(channel: Channel) -> str:
    place = "" if channel.site is None else f" at ({channel.site.x_um:g}, {channel.site.y_um:g}) um"
    return f"{channel.ntv}{place}"


def _few(ntv: list[int]) -> str:
    return f"{', '.join(map(str, ntv[:12]))}{' ...' if len(ntv) > 12 else ''}"
