"""How spikes and units draw themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.exceptions import ConfigurationError, ProbeError
from ranvier.models._pictures import F64, axes
from ranvier.models._pictures_probe import _sites

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ranvier.models.channels import ChannelMetadata
    from ranvier.models.dataset import DatasetMetadata
    from ranvier.models.spikes import NeuronsResult
    from ranvier.models.units import SpikeRaster, UnitCorrelograms, UnitWaveforms

#: What a raster's rows can be.
ROWS = {"unit": "unit", "site": "channel", "y_um": "µm from the tip"}
#: Colours of units, in turn (Okabe, Ito: told apart by the colour-blind).
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_NONE = "0.75"


def draw_raster(raster: SpikeRaster, ax: Axes | None, *, by: str) -> Axes:
    """Draw one mark per spike; spikes without a unit are grey."""
    if by not in ROWS:
        raise ConfigurationError(f"by={by!r}; rows are {', '.join(ROWS)}")
    ax = axes(ax)
    where = np.asarray(getattr(raster, by), np.float64)
    ids = np.unique(raster.unit)
    labels = [str(i) for i in ids]
    if by == "unit":  # rows without holes
        where = np.searchsorted(ids, raster.unit).astype(np.float64)
    size = float(np.clip(20_000 / max(len(raster), 1), 1, 40))
    for unit in ids.tolist():
        mine = raster.unit == unit
        marker = "," if by == "y_um" and len(raster) > 20_000 else "|" if by != "y_um" else "."
        ax.scatter(raster.sec[mine], where[mine], s=size, color=color_of(unit), marker=marker, lw=0.7, rasterized=True)
    if by == "unit" and len(ids) <= 40:
        ax.set_yticks(range(len(ids)), labels)
    ax.set(xlabel="s", ylabel=ROWS[by], xlim=raster.time_range)
    return ax


def draw_correlograms(found: UnitCorrelograms, ax: Axes | None, *, units: tuple[int, int] | None) -> Axes:
    """Draw one pair on an axis, or all auto-correlograms as rows of a panel."""
    ax = axes(ax)
    if units is not None or len(found.units) == 1:
        a, b = units or (found.units[0], found.units[0])
        ax.stairs(found.rate_hz(a, b), found.edges_ms, fill=True, color=color_of(a) if a == b else "0.4")
        ax.axvline(0, color="0.3", lw=0.7, ls=":")
        ax.set(xlabel="lag, ms", ylabel="spikes/s", xlim=(found.edges_ms[0], found.edges_ms[-1]))
        ax.set_title(f"unit {a}" if a == b else f"unit {b} around spikes of unit {a}", fontsize="medium")
        return ax
    for row, unit in enumerate(found.units):
        rate = found.rate_hz(unit, unit)
        height = rate / max(float(rate.max()), 1e-9) * 0.9
        ax.stairs(row + height, found.edges_ms, baseline=row, fill=True, color=color_of(unit))
    ax.axvline(0, color="0.3", lw=0.7, ls=":")
    ax.set_yticks(np.arange(len(found.units)), [str(u) for u in found.units])
    ax.set(xlabel="lag, ms", ylabel="unit (each to its own maximum)", xlim=(found.edges_ms[0], found.edges_ms[-1]))
    ax.set_ylim(-0.1, len(found.units))
    return ax


def draw_waveforms(found: UnitWaveforms, ax: Axes | None, *, most: int) -> Axes:
    """Draw sites side by side, single waveforms behind the mean."""
    ax = axes(ax)
    step = float(found.ms[-1] - found.ms[0]) * 1.15 if len(found.ms) > 1 else 1.0
    chosen = np.linspace(0, max(len(found.waveforms_uv) - 1, 0), min(most, len(found.waveforms_uv))).astype(int)
    color = color_of(found.unit)
    for k in range(len(found.site_ntv_chan_idx)):
        x = found.ms + k * step
        if len(chosen):
            ax.plot(x, found.waveforms_uv[chosen, k].T, color="0.7", lw=0.4, alpha=0.5, rasterized=True)
        ax.plot(x, found.mean_uv[k], color=color, lw=1.6)
    ax.set_xticks([k * step for k in range(len(found.site_ntv_chan_idx))], [str(n) for n in found.site_ntv_chan_idx])
    ax.set(xlabel=f"channel; {found.ms[-1] - found.ms[0]:.1f} ms each", ylabel="µV")
    told = "mean of the sorter" if found.source == "template" else f"{len(found.waveforms_uv)} waveforms"
    ax.set_title(f"{_name(found.unit, found.label)}: {told}", fontsize="medium")
    return ax


def draw_waveforms_on_probe(found: UnitWaveforms, where: ChannelMetadata | DatasetMetadata, ax: Axes | None) -> Axes:
    """Draw means where their sites are."""
    sites = _sites(where)
    at = {n: (sites[n].probe_x, sites[n].probe_y) for n in found.site_ntv_chan_idx if n in sites}
    if not at:
        raise ProbeError("no site of this unit has a known place; give the dataset a probe (set_probe)")
    ax = axes(ax, (4.0, 7.0))
    every = np.array(list(at.values()))
    apart = _nearest(every)
    largest = float(np.nanmax(np.abs(found.mean_uv))) or 1.0
    x_scale = 0.8 * apart / max(float(found.ms[-1] - found.ms[0]), 1e-9)
    for k, ntv in enumerate(found.site_ntv_chan_idx):
        if ntv in at:
            x, y = at[ntv]
            ax.plot(x + found.ms * x_scale, y + found.mean_uv[k] / largest * apart * 0.9, color=color_of(found.unit))
            ax.annotate(f"{ntv}", (x, y), fontsize=6, color="0.5", xytext=(2, 4), textcoords="offset points")
    ax.set(xlabel="µm", ylabel="µm from the tip", title=f"{_name(found.unit, found.label)}, largest {largest:.0f} µV")
    return ax


def draw_neurons(result: NeuronsResult, where: ChannelMetadata | DatasetMetadata | None, ax: Axes | None) -> Axes:
    """Draw units at their places on the probe; area grows with the rate."""
    neurons = [n for found in result.neurons_by_channel.values() for n in found]
    ax = axes(ax, (4.0, 7.0))
    if where is not None:
        places = np.array([(s.probe_x, s.probe_y) for s in _sites(where).values()])
        ax.scatter(places[:, 0], places[:, 1], marker="s", s=12, facecolor="none", edgecolor="0.7", lw=0.6)
    known = [n for n in neurons if np.isfinite(n.pos_probe[:2]).all()]
    if not known and where is None:
        raise ProbeError("no unit has a known place; give the dataset a probe (set_probe)")
    for n in known:
        number = int(n.spike_label) if n.spike_label.isdecimal() else 0
        size = 30 + 25 * np.sqrt(max(n.spike_rate, 0.0))
        ax.scatter(n.pos_probe[0], n.pos_probe[1], s=size, color=color_of(number), alpha=0.75, lw=0)
        beside = (2 + np.sqrt(size) / 2, 0)  # points: behind the dot's edge
        ax.annotate(
            n.spike_label, (n.pos_probe[0], n.pos_probe[1]), xytext=beside, textcoords="offset points", va="center",
            fontsize=7, color="0.2",
        )  # fmt: skip
    ax.margins(0.2, 0.05)
    ax.set(xlabel="µm", ylabel="µm from the tip", title=f"{len(known)} units; area by rate")
    return ax


def color_of(unit: int) -> str:
    """Return a unit's colour; grey for none."""
    return COLORS[(unit - 1) % len(COLORS)] if unit > 0 else _NONE


def _name(unit: int, label: str) -> str:
    return f"unit {unit}{f' ({label})' if label else ''}"


def _nearest(at: F64) -> float:
    """Return the distance of the nearest two places, um."""
    if len(at) < 2:
        return 20.0
    from scipy.spatial import cKDTree

    distance: Any = cKDTree(at).query(at, k=2)[0][:, 1]
    apart = distance[distance > 0]
    return float(apart.min()) if apart.size else 20.0
