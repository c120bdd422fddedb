"""How results around events draw themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ranvier.models._pictures import F64, MOST_LINES, axes, rows_of, scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ranvier.models.aligned import EventCount, PeriEventHistogram, PeriEventResult, PeriEventSpectrogram

#: Units of a spectrogram relative to its baseline.
UNITS = {"db": "dB re baseline", "z": "SD of the baseline", "none": "µV²/Hz"}


def draw_average(result: PeriEventResult, ax: Axes | None, *, image: bool | None) -> Axes:
    """Draw mean and standard error, or a map by depth."""
    ax = axes(ax)
    ms = result.sec * 1e3
    if len(result.channel_indices) > MOST_LINES if image is None else image:
        where, label = rows_of(result.depth_um)
        order = np.argsort(where, kind="stable")
        limit = _limit(result.mean_uv)
        mesh = ax.pcolormesh(
            ms, where[order], result.mean_uv[order], shading="nearest", cmap="RdBu_r", vmin=-limit, vmax=limit,
            rasterized=True,
        )  # fmt: skip
        scale(ax, mesh, "mean, µV")
        ax.set_ylabel(label)
    else:
        for ntv, mean, sem in zip(result.channel_indices, result.mean_uv, result.sem_uv, strict=True):
            (line,) = ax.plot(ms, mean, lw=1, label=f"{ntv}")
            ax.fill_between(ms, mean - sem, mean + sem, color=line.get_color(), alpha=0.25, lw=0)
        ax.set_ylabel("mean ± SEM, µV")
        ax.legend(title="channel", frameon=False, fontsize="small")
    ax.set_xlim(ms[0], ms[-1])
    _mark_event(ax, result.events)
    ax.set_xlabel("ms from the event")
    return ax


def draw_time_frequency(result: PeriEventSpectrogram, ax: Axes | None, *, ntv_chan_idx: int | None) -> Axes:
    """Draw one channel."""
    ax = axes(ax)
    ntv = result.channel_indices[0] if ntv_chan_idx is None else ntv_chan_idx
    values = result.normalized[result.channel_indices.index(ntv)]
    kind = result.query.normalization
    limit = _limit(values)
    low, high = (None, None) if kind == "none" else (-limit, limit)
    mesh = ax.pcolormesh(
        result.sec, result.frequencies_hz, values, shading="nearest", rasterized=True,
        cmap="magma" if kind == "none" else "RdBu_r", vmin=low, vmax=high,
    )  # fmt: skip
    scale(ax, mesh, UNITS[kind])
    _mark_event(ax, result.events, f"channel {ntv}: ")
    ax.set(xlabel="s from the event", ylabel="Hz")
    return ax


def draw_histogram(result: PeriEventHistogram, ax: Axes | None, *, unit: int | None, raster: bool) -> Axes:
    """Draw the rate of one unit, and its raster above it on an axis of its own."""
    ax = axes(ax)
    if unit is None:
        unit = result.units[int(np.argmax(result.counts.sum(axis=1)))]
    at = result.units.index(unit)
    rate, sem = result.rate_hz[at], result.sem_hz[at]
    ms = result.edges_sec * 1e3
    ax.stairs(rate, ms, fill=True, color="tab:blue", alpha=0.6)
    if np.isfinite(sem).any():
        center = result.centers_sec * 1e3
        ax.errorbar(center, rate, yerr=sem, fmt="none", ecolor="0.2", elinewidth=0.7)
    highest = float(np.nanmax(rate + np.nan_to_num(sem))) if np.isfinite(rate).any() else 0.0
    shown = raster and result.events.used > 0
    ax.set(xlabel="ms from the event", xlim=(ms[0], ms[-1]))
    ax.set_ylim(0, (highest or 1.0) * (2.1 if shown else 1.1))
    ax.set_ylabel("spikes/s ± SEM", loc="bottom" if shown else "center")
    if shown:
        ax.set_yticks([tick for tick in ax.get_yticks() if 0 <= tick <= highest * 1.05])
        mine = result.raster_unit == unit
        trials = ax.twinx()
        size = max(0.3, min(4.0, 400 / result.events.used) ** 2)
        trials.scatter(result.raster_sec[mine] * 1e3, result.raster_event[mine], s=size, c="0.15", marker="|", lw=0.8)
        trials.set_ylim(-result.events.used * 1.15, result.events.used)
        trials.set_ylabel("event", loc="top")
        trials.set_yticks(np.unique([0, result.events.used // 2, result.events.used - 1]))
    name = result.unit_names.get(unit)
    _mark_event(ax, result.events, f"unit {unit}{f' ({name})' if name else ''}: ")
    return ax


def _mark_event(ax: Axes, events: EventCount, prefix: str = "") -> None:
    ax.axvline(0, color="0.3", lw=1, ls=":")
    ax.set_title(f"{prefix}{events.used} of {events.found} events", fontsize="medium")


def _limit(values: F64) -> float:
    """Return the end of a scale about 0: the largest value, 99.5 % of them where single ones stick out."""
    finite = np.abs(values[np.isfinite(values)])
    return float(np.percentile(finite, 99.5)) or 1.0 if finite.size else 1.0
