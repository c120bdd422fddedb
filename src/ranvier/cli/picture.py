"""The demo's picture: traces before and after, and the noise of every site on the probe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ranvier.models.dataset import DatasetMetadata
from ranvier.models.quality import ChannelQualityTable, ChannelVerdict
from ranvier.models.signals import SignalType

if TYPE_CHECKING:
    from ranvier.clients import VidereClient

#: Okabe-Ito colours: readable with every kind of colour vision.
VERDICT_COLOR = {
    ChannelVerdict.GOOD: "#333333",
    ChannelVerdict.DEAD: "#0072B2",
    ChannelVerdict.SATURATED: "#D55E00",
    ChannelVerdict.NOISY: "#CC79A7",
}
_MAX_TRACES = 32
_WINDOW_SEC = 0.1


def draw(
    videre: VidereClient,
    raw: DatasetMetadata,
    clean: DatasetMetadata,
    verdicts: dict[int, ChannelVerdict],
    after: ChannelQualityTable,
    path: Path,
    *,
    band: tuple[float, float],
) -> Path:
    """Draw a tenth of a second before and after cleaning with the probe beside them; return the PNG's path.

    ``verdicts`` are by native index; ``after`` was measured on the cleaned signals.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.0, 1.0, 0.62))
    window = _window(videre, raw)
    shown = _shown_channels(raw, [i for i, verdict in verdicts.items() if verdict != ChannelVerdict.GOOD])
    names = {c.ntv_idx: c.name for c in after.channels}
    for axes, dataset, title in (
        (left, raw, "raw"),
        (middle, clean, f"{band[0]:g} to {band[1]:g} Hz, common average removed"),
    ):
        signals = videre.get_signals(dataset, list(window), shown)
        traces = signals.amp if signals.amp is not None else np.zeros((len(shown), 1))
        _traces(axes, traces, signals.time_range.sec if signals.time_range else window, shown, names, verdicts)
        axes.set_title(title, fontsize=10)
    _probe(right, figure, raw, after, verdicts)
    mark = "SIMULATED  " if raw.simulated else ""
    stream = f" # {raw.stream}" if raw.stream else ""
    figure.suptitle(f"{mark}{raw.base_name}{stream}: {raw.sampling_rate:g} Hz, {raw.duration:.2f} s", fontsize=12)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path


def _window(videre: VidereClient, raw: DatasetMetadata) -> tuple[float, float]:
    """Return a tenth of a second from the middle of the recording, around a TTL event where there is one."""
    start, end = raw.time_range.sec
    length = min(_WINDOW_SEC, end - start)
    middle = start + (end - start) / 2
    onsets = videre.get_events(raw).sec
    if len(onsets):
        nearest = float(onsets[np.argmin(np.abs(onsets - middle))])
        middle = nearest + length / 4
    first = min(max(start, middle - length / 2), end - length)
    return first, first + length


def _shown_channels(raw: DatasetMetadata, broken: list[int]) -> list[int]:
    """Return at most 32 amplifier channels (native indices), shank by shank from the top; broken ones among them."""
    metadata = raw.channel_metadata
    ntv = np.array(metadata.sig_map[SignalType.AMP].ntv)
    x = np.array([site.probe_x for site in metadata.site_positions])
    y = np.array([site.probe_y for site in metadata.site_positions])
    order = np.lexsort((-y, _shanks(x)))
    evenly = np.linspace(0, len(order) - 1, min(_MAX_TRACES, len(order))).round().astype(int)
    places = {int(np.flatnonzero(ntv[order] == i)[0]) for i in broken[: _MAX_TRACES // 4]}
    for place in evenly[np.random.default_rng(0).permutation(len(evenly))]:
        if len(places) == min(_MAX_TRACES, len(order)):
            break
        places.add(int(place))
    return [int(i) for i in ntv[order[sorted(places)]]]


def _shanks(x: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Number groups of sites that lie more than 60 um apart across the probe."""
    order = np.argsort(x, kind="stable")
    numbers = np.zeros(len(x), dtype=np.int64)
    numbers[order] = np.concatenate(([0], np.cumsum(np.diff(x[order]) > 60.0)))
    return numbers


def _traces(
    axes: Any,
    traces: npt.NDArray[np.float64],
    sec: tuple[float, float],
    shown: list[int],
    names: dict[int, str],
    verdicts: dict[int, ChannelVerdict],
) -> None:
    """Draw one line per channel with a scale bar; broken channels in their verdict's colour."""
    time_ms = np.linspace(0.0, 1000.0 * (sec[1] - sec[0]), traces.shape[1])
    good = [i for i, ntv in enumerate(shown) if verdicts[ntv] == ChannelVerdict.GOOD] or list(range(len(shown)))
    centred = traces - np.nanmedian(traces, axis=1, keepdims=True)
    spacing = max(1.0, 2.2 * float(np.nanpercentile(np.abs(centred[good]), 99.5)))
    for row, ntv in enumerate(shown):
        line = np.clip(centred[row], -1.5 * spacing, 1.5 * spacing)
        axes.plot(time_ms, line - row * spacing, color=VERDICT_COLOR[verdicts[ntv]], linewidth=0.6)
    axes.set_yticks([-row * spacing for row in range(len(shown))], [names[ntv] for ntv in shown], fontsize=6)
    for label, ntv in zip(axes.get_yticklabels(), shown, strict=True):
        label.set_color(VERDICT_COLOR[verdicts[ntv]])
    axes.set_xlim(time_ms[0], time_ms[-1] * 1.06)
    axes.set_ylim(-(len(shown) - 0.2) * spacing, 1.2 * spacing)
    axes.set_xlabel(f"ms after {sec[0]:.3f} s")
    bar = _nice(spacing)
    x = time_ms[-1] * 1.03
    axes.plot([x, x], [0.0, -bar], color="black", linewidth=2)
    axes.text(x, 0.15 * spacing, f"{bar:g} µV", ha="center", va="bottom", fontsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _probe(
    axes: Any, figure: Any, raw: DatasetMetadata, after: ChannelQualityTable, verdicts: dict[int, ChannelVerdict]
) -> None:
    """Draw the sites, coloured by the noise after cleaning; broken ones carry their verdict's ring."""
    metadata = raw.channel_metadata
    sites = metadata.site_positions
    x = np.array([site.probe_x for site in sites])
    y = np.array([site.probe_y for site in sites])
    noise = {c.ntv_idx: c.noise_uv for c in after.channels}
    ntv = list(metadata.sig_map[SignalType.AMP].ntv)
    values = np.array([noise[i] for i in ntv])
    good = [verdicts[i] == ChannelVerdict.GOOD for i in ntv]
    scale = values[good] if any(good) else values
    rings = [VERDICT_COLOR[verdicts[i]] for i in ntv]
    widths = [0.4 if is_good else 2.0 for is_good in good]
    painted = axes.scatter(
        x, y, c=values, s=_marker_size(x, y), cmap="viridis", edgecolors=rings, linewidths=widths,
        vmin=float(np.nanmin(scale)), vmax=float(np.nanmax(scale)) or 1.0,
    )  # fmt: skip
    figure.colorbar(painted, ax=axes, label="noise after cleaning (µV)", shrink=0.7)
    present = sorted({verdicts[i] for i in ntv} - {ChannelVerdict.GOOD})
    for verdict in present:
        axes.scatter([], [], facecolors="none", edgecolors=VERDICT_COLOR[verdict], linewidths=2, label=verdict.value)
    if present:
        axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncol=3, frameon=False)
    names = sorted({p for p in metadata.probe_ids.get(SignalType.AMP, []) if p})
    axes.set_title(", ".join(names) if names else f"probe unknown, geometry {metadata.geometry_source}", fontsize=9)
    axes.set_xlabel("µm")
    axes.set_ylabel("µm from the tip")
    axes.margins(0.12)
    if np.ptp(x) == 0:
        axes.set_xlim(x[0] - 100, x[0] + 100)
    if np.ptp(y) == 0:
        axes.set_ylim(y[0] - 100, y[0] + 100)


def _marker_size(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    """Return a marker size (points squared) that keeps neighbouring sites apart."""
    return float(np.clip(9000 / max(1, len(x)), 12, 140))


def _nice(value: float) -> float:
    """Return the largest of 1, 2, 5 times a power of ten that is not above a value."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(max(step * power for step in (1, 2, 5) if step * power <= value))
