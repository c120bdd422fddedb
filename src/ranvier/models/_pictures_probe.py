"""How values per channel are drawn on the sites of a probe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.exceptions import ConfigurationError, ProbeError
from ranvier.models._pictures import F64, axes
from ranvier.models.signals import SignalType

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ranvier.models.channels import ChannelMetadata, SitePosition
    from ranvier.models.dataset import DatasetMetadata
    from ranvier.models.quality import ChannelQualityTable

#: Colours of verdicts (Okabe, Ito: told apart by the colour-blind).
_GOOD = "#B7D7C8"
_FAULTS = ("#D55E00", "#0072B2", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
#: Fewer sites than this carry their value as a number.
MOST_NUMBERS = 40


def draw_on_probe(
    where: ChannelMetadata | DatasetMetadata,
    channel_indices: Sequence[int],
    values: F64,
    label: str,
    ax: Axes | None,
    *,
    colors: Sequence[str] | None = None,
) -> Axes:
    """Draw one value per channel at its site; sites without a value (NaN, or not measured) are empty.

    Sites are drawn in their own size, or wider where that could not be seen. ``colors`` replaces the scale: one colour
    per channel.

    Raises
    ------
    ProbeError
        The positions of the sites are not known.
    """
    from matplotlib.collections import PatchCollection

    sites = _sites(where)
    known = {int(ntv): float(v) for ntv, v in zip(channel_indices, values, strict=True)}
    given = {} if colors is None else dict(zip(map(int, channel_indices), colors, strict=True))
    at = np.array([(s.probe_x, s.probe_y) for s in sites.values()])
    ax = axes(ax, (4.0, 7.0))
    smallest = _smallest_size(at)
    shapes = [_shape(site, smallest) for site in sites.values()]
    value = np.array([known.get(ntv, np.nan) for ntv in sites])
    if colors is None:
        ax.add_collection(PatchCollection(shapes, facecolor="none", edgecolor="0.7", linewidth=0.5))
        drawn = np.isfinite(value)
        patches = PatchCollection([s for s, d in zip(shapes, drawn, strict=True) if d], cmap="viridis")
        patches.set_array(value[drawn])
        ax.add_collection(patches)
        _scale_without_outliers(ax, patches, value[drawn], label)
    else:
        face = [given.get(ntv, "none") for ntv in sites]
        ax.add_collection(PatchCollection(shapes, facecolor=face, edgecolor="0.5", linewidth=0.5))
    if len(sites) <= MOST_NUMBERS:
        for ntv, (x, y) in zip(sites, at, strict=True):
            text = ax.annotate(f"{ntv}", (x, y), ha="center", va="center", fontsize=6)
            text.set_path_effects(_halo())
    _frame(ax, at, smallest)
    return ax


def _sites(where: ChannelMetadata | DatasetMetadata) -> dict[int, SitePosition]:
    """Return the site of each amplifier channel, by native index."""
    channels: Any = getattr(where, "channel_metadata", where)
    ntv = channels.index(SignalType.AMP).ntv
    if not channels.site_positions:
        raise ProbeError("no site position is known; give the dataset a probe (set_probe)")
    return dict(zip(ntv, channels.site_positions, strict=False))


def _smallest_size(at: F64) -> float:
    """Return the least width of a drawn site: half the distance between the nearest two."""
    if len(at) < 2:
        return 10.0
    from scipy.spatial import cKDTree

    distance = cKDTree(at).query(at, k=2)[0][:, 1]
    apart = distance[distance > 0]
    return float(apart.min()) * 0.8 if apart.size else 10.0


def _shape(site: SitePosition, smallest: float) -> Any:
    from matplotlib.patches import Ellipse, Rectangle

    width, height, _ = site.bounding_box_size
    width, height = max(width, smallest), max(height, smallest)
    if site.site_shape == "circle":
        return Ellipse((site.probe_x, site.probe_y), width, height)
    return Rectangle((site.probe_x - width / 2, site.probe_y - height / 2), width, height)


def _scale_without_outliers(ax: Axes, patches: Any, values: F64, label: str) -> None:
    """Let the colours span what lies within 1.5 quartile ranges of the quartiles; arrows say where more lies beyond."""
    low, high = 0.0, 1.0
    if values.size:
        q1, q3 = np.percentile(values, [25, 75])
        low, high = max(values.min(), q1 - 1.5 * (q3 - q1)), min(values.max(), q3 + 1.5 * (q3 - q1))
        beyond = (bool(values.min() < low), bool(values.max() > high))
    else:
        beyond = (False, False)
    patches.set_clim(low, high)
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[beyond]
    figure: Any = ax.figure
    figure.colorbar(patches, ax=ax, label=label, extend=extend)


def _frame(ax: Axes, at: F64, size: float) -> None:
    (left, bottom), (right, top) = at.min(axis=0) - size, at.max(axis=0) + size
    wide = max(0.0, (top - bottom) / 4 - (right - left)) / 2  # a single column is no stripe
    ax.set_xlim(left - wide, right + wide)
    ax.set_ylim(bottom, top)
    ax.set_aspect("equal", adjustable="box")
    ax.set(xlabel="µm", ylabel="µm from the tip")


def _halo() -> list[Any]:
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=1.5, foreground="white")]


def draw_verdicts(table: ChannelQualityTable, where: ChannelMetadata | DatasetMetadata, ax: Axes | None) -> Axes:
    """Draw one colour per verdict, and say how many channels have it."""
    from matplotlib.patches import Patch

    verdicts = [c.verdict.value for c in table.channels]
    kinds = sorted(set(verdicts), key=lambda kind: (kind != "good", kind))
    others = iter(_FAULTS)
    color = {kind: _GOOD if kind == "good" else next(others, "0.3") for kind in kinds}
    ntv = [c.ntv_idx for c in table.channels]
    ax = draw_on_probe(where, ntv, np.zeros(len(ntv)), "", ax, colors=[color[v] for v in verdicts])
    handles = [Patch(color=color[kind], label=f"{kind}: {verdicts.count(kind)}") for kind in kinds]
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize="small")
    return ax


def draw_measure(
    table: ChannelQualityTable, where: ChannelMetadata | DatasetMetadata, measure: str, ax: Axes | None
) -> Axes:
    """Draw one number of each channel."""
    first = table.channels[0].model_dump() if table.channels else {}
    numbers = [name for name, value in first.items() if isinstance(value, float)]
    column_of(measure, numbers)
    values = np.array([getattr(c, measure) for c in table.channels], dtype=np.float64)
    return draw_on_probe(
        where, [c.ntv_idx for c in table.channels], values, measure.replace("_uv", ", µV").replace("_", " "), ax
    )


def with_unit(name: str, unit: str) -> str:
    """Return the label of a scale."""
    return name if unit == "1" else f"{name}, {unit.replace('uV', 'µV').replace('^2', '²')}"


def column_of(name: str, known: Sequence[str]) -> int:
    """Return where a name stands; ConfigurationError lists those that exist."""
    if name not in known:
        raise ConfigurationError(f"there is no {name!r}; there are {', '.join(known)}")
    return list(known).index(name)
