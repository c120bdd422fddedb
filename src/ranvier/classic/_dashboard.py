"""What ``SpikeSorterClient.get_dashboard`` returns: a table, with more tables beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ranvier.models.sorter_stats import SorterPortStats

#: Columns of ``summary_stats`` behind ``stat`` and ``port``, and their place among the twelve statistics.
_COLUMNS = {
    "N": 11, "mean": 0, "sd": 1, "min": 3, "max": 4, "median": 6, "mode": 2, "mode_cnt": 5, "q25": 7, "q75": 8,
    "skew": 9, "kurtosis": 10,
}  # fmt: skip
_STATS = {"snr": "snr", "noise": "noise_uv", "neuron_yield": "neuron_yield"}


class Dashboard(pd.DataFrame):  # type: ignore[misc]  # pandas has no types
    """A sort at a glance: a table with the column ``value``, and two more tables.

    Attributes
    ----------
    state
        As of ``get_state``.
    general
        The table itself, rows ``ports``, ``time_range``, ``num_units``, ...
    summary_stats
        A row per statistic and port, columns ``stat``, ``port``, ``N``, ``mean``, ``sd``, ``min``, ``max``, ``median``,
        ``mode``, ``mode_cnt``, ``q25``, ``q75``, ``skew``, ``kurtosis``: ``snr`` of neurons, ``noise`` (uV) of sites,
        ``neuron_yield`` (neurons of each site). NaN where nothing is known.
    """

    _metadata = ["state", "summary_stats"]  # noqa: RUF012  # what pandas hands on to copies
    state: pd.DataFrame
    summary_stats: pd.DataFrame

    @classmethod
    def of(cls, rows: dict[str, Any], state: pd.DataFrame, ports: Sequence[SorterPortStats]) -> Dashboard:
        """Return the dashboard of values, a state and ports."""
        made = cls({"value": pd.Series(rows, dtype=object)})
        made.state, made.summary_stats = state, _summary(ports)
        return made

    @property
    def general(self) -> pd.DataFrame:
        """The table."""
        return pd.DataFrame(self)


def _summary(ports: Sequence[SorterPortStats]) -> pd.DataFrame:
    rows = []
    for stat, field in _STATS.items():
        for port in ports:
            twelve = getattr(port, field)
            rows.append({"stat": stat, "port": port.port.name, **{c: twelve[k] for c, k in _COLUMNS.items()}})
    return pd.DataFrame(rows, columns=["stat", "port", *_COLUMNS])
