"""Results as tables: median over seeds, with an interval where there are several."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from benchmarks.sorting.score import BANDS, interval

Result = dict[str, Any]

_HEAD = (
    "recording",
    "sorter",
    "seeds",
    "accuracy",
    *(f"SNR {name}" for name, *_ in BANDS),
    "well",
    "false",
    "redundant",
    "overmerged",
    "collisions <.8",
    ">=.8",
    "x real time",
    "CPU s/s",
    "peak MB",
)


def table(results: list[Result]) -> str:
    """Return one line per recording and sorter, in Markdown."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for r in results:
        groups.setdefault((r["recording"], r["sorter"]), []).append(r)
    lines = [_row(_HEAD), _row(["---"] * len(_HEAD))]
    for (name, sorter), group in groups.items():
        whole = [r for r in group if "failed" not in r]
        lost = [str(r["failed"]) for r in group if "failed" in r]
        seeds = f"{len(whole)}" + (f" ({', '.join(lost)})" if lost else "")
        lines.append(_row([name, sorter, seeds, *(_cells(whole) if whole else [""] * (len(_HEAD) - 3))]))
    return "\n".join(lines)


def _cells(group: list[Result]) -> list[str]:
    true = sum(r["units"] for r in group) / len(group)
    return [
        _spread(group, lambda r: r["accuracy"]),
        *(_band(group, name) for name, *_ in BANDS),
        f"{_median(group, lambda r: r['well']):g}/{true:g}",
        *(_count(group, key) for key in ("false", "redundant", "overmerged")),
        *(_collisions(group, side) for side in ("cosine<0.8", "cosine>=0.8")),
        f"{_median(group, lambda r: r['times_real_time']):.3g}",
        f"{_median(group, lambda r: r['cpu_seconds'] / (r['seconds'] * r['times_real_time'])):.2g}",
        f"{_median(group, lambda r: r['peak_mb']):.0f}",
    ]


def _count(group: list[Result], key: str) -> str:
    """Median number of such units; nothing where the truth holds only some of the units."""
    if not all(r.get("exhaustive", True) for r in group):
        return ""
    return f"{_median(group, lambda r: r[key]):g}"


def _band(group: list[Result], name: str) -> str:
    """Mean over the units of a band, of all seeds together: there are too few in one."""
    units = sum(r["bands"][name]["units"] for r in group)
    if not units:
        return ""
    total = sum((r["bands"][name]["accuracy"] or 0.0) * r["bands"][name]["units"] for r in group)
    return f"{total / units:.3f} ({units})"


def _collisions(group: list[Result], side: str) -> str:
    hit, of = (sum(r["collisions"][side][i] for r in group) for i in (0, 1))
    return f"{hit / of:.2f} ({of})" if of else ""


def _spread(group: list[Result], value: Callable[[Result], float]) -> str:
    values = [value(r) for r in group]
    text = f"{statistics.median(values):.3f}"
    if len(values) > 1:
        low, high = interval(values)
        text += f" [{low:.3f}, {high:.3f}]"
    return text


def _median(group: list[Result], value: Callable[[Result], float]) -> float:
    return float(statistics.median(value(r) for r in group))


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"
