"""How results draw themselves: one function per picture, onto the caller's axes or new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ranvier.models.spectra import CoherenceResult, CsdResult, PsdResult
    from ranvier.models.spectral import SpectralResult

#: More channels than this become a map.
MOST_LINES = 8

F64 = npt.NDArray[np.float64]


def axes(ax: Axes | None, size: tuple[float, float] = (7, 4.5)) -> Axes:
    """Return the caller's axes, or those of a new figure."""
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained").add_subplot()


def scale(ax: Axes, mesh: Any, label: str, extend: str = "neither") -> None:
    """Put a colour bar beside a picture."""
    figure: Any = ax.figure
    figure.colorbar(mesh, ax=ax, label=label, extend=extend)


def draw_psd(result: PsdResult, ax: Axes | None, *, log_frequency: bool) -> Axes:
    """Draw lines, or a map by depth."""
    ax = axes(ax)
    shown = result.frequencies_hz > 0 if log_frequency else np.ones(len(result.frequencies_hz), dtype=bool)
    f = result.frequencies_hz[shown]
    if len(result.channel_indices) <= MOST_LINES:
        for ntv, density in zip(result.channel_indices, result.density_uv2_hz[:, shown], strict=True):
            ax.plot(f, density, lw=1, label=f"{ntv}")
        ax.set_yscale("log")
        ax.set_ylabel("µV²/Hz")
        ax.legend(title="channel", frameon=False)
    else:
        where, label = rows_of(result.depth_um)
        order = np.argsort(where, kind="stable")
        db = result.db()[order][:, shown]
        mesh = ax.pcolormesh(f, where[order], db, shading="nearest", cmap="viridis")
        there = db[np.isfinite(db)]
        low, q1, q3 = np.percentile(there, [0, 25, 75]) if there.size else (0.0, 0.0, 0.0)
        dead = low < q1 - 3 * (q3 - q1)  # channels without a signal leave no colours to the others
        if dead:
            mesh.set_clim(vmin=q1 - 3 * (q3 - q1))
        scale(ax, mesh, "dB re 1 µV²/Hz", "min" if dead else "neither")
        ax.set_ylabel(label)
    if log_frequency:
        ax.set_xscale("log")
    ax.set_xlabel("Hz")
    return ax


def draw_coherence(result: CoherenceResult, ax: Axes | None) -> Axes:
    """Draw one line per pair, and what independent signals would show."""
    ax = axes(ax)
    for pair, values in zip(result.pairs, result.coherence, strict=True):
        ax.plot(result.frequencies_hz, values, lw=1, label=f"{pair[0]}, {pair[1]}")
    ax.axhline(1 / max(1, result.segments), color="0.6", lw=1, ls=":", label="independent")
    ax.set(xlabel="Hz", ylabel="coherence", ylim=(0, 1.02))
    ax.legend(frameon=False, fontsize="small")
    return ax


def draw_csd(result: CsdResult, ax: Axes | None) -> Axes:
    """Draw sources (red) and sinks (blue), the potentials over them."""
    ax = axes(ax)
    limit = float(np.nanmax(np.abs(result.csd_na_mm3))) or 1.0
    mesh = ax.pcolormesh(
        result.sec * 1e3, result.depth_um, result.csd_na_mm3, shading="nearest", cmap="RdBu_r", vmin=-limit, vmax=limit
    )
    scale(ax, mesh, "source (+) or sink (−), nA/mm³")
    largest = float(np.nanmax(np.abs(result.potential_uv))) or 1.0
    for depth, potential in zip(result.depth_um, result.potential_uv, strict=True):
        ax.plot(result.sec * 1e3, depth + potential / largest * result.spacing_um, color="0.15", lw=0.6)
    if result.events is not None:
        ax.axvline(0, color="0.4", lw=1, ls=":")
        ax.set_title(f"average of {result.events} events", fontsize="medium")
    ax.set(xlabel="ms" if result.events is None else "ms from the event", ylabel="µm from the tip")
    return ax


def draw_spectral(result: SpectralResult, ax: Axes | None, *, range_idx: int, ntv_chan_idx: int | None) -> Axes:
    """Draw the spectra of one range, or the spectrogram of one channel."""
    ax = axes(ax)
    channels = result.ranges[range_idx].channels
    chosen: Any = channels[0]
    if ntv_chan_idx is not None:
        chosen = next(c for c in channels if c.ntv_chan_idx == ntv_chan_idx)
    if chosen.power.ndim == 2:
        with np.errstate(divide="ignore"):
            db = 10 * np.log10(chosen.power) if np.nanmin(chosen.power) >= 0 else chosen.power
        mesh = ax.pcolormesh(result.time_axis, result.freq_axis, db, shading="nearest", cmap="magma")
        scale(ax, mesh, "dB re 1 µV²/Hz")
        ax.set(xlabel="s from the reference", ylabel="Hz", title=f"channel {chosen.ntv_chan_idx}")
        return ax
    for channel in channels if ntv_chan_idx is None else [chosen]:
        ax.plot(result.freq_axis, channel.power, lw=1, label=f"{channel.ntv_chan_idx}")
    linear = all(np.nanmin(c.power) >= 0 for c in channels)
    ax.set(xlabel="Hz", ylabel="µV²/Hz" if linear else "dB re 1 µV²/Hz")
    if linear:
        ax.set_yscale("log")
    if len(channels) <= MOST_LINES:
        ax.legend(title="channel", frameon=False)
    return ax


def rows_of(depth_um: F64) -> tuple[F64, str]:
    """Return where the rows of a map lie: by depth where every site has its own, else in order."""
    if np.isfinite(depth_um).all() and len(np.unique(depth_um)) == len(depth_um):
        return depth_um, "µm from the tip"
    if np.isfinite(depth_um).all():
        return np.argsort(np.argsort(depth_um, kind="stable")).astype(np.float64), "channels, from the tip up"
    return np.arange(len(depth_um), dtype=np.float64), "channels, in the order asked"
