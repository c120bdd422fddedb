"""Tables in a terminal, JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def show(table: pd.DataFrame, *, as_json: bool) -> None:
    """Print a DataFrame; its columns too where it is empty."""
    show_rows(table.to_dict("records"), columns=[str(name) for name in table.columns], as_json=as_json)


def show_rows(rows: Sequence[Mapping[Any, Any]], *, as_json: bool, columns: Sequence[str] | None = None) -> None:
    """Print rows under their names."""
    if as_json:
        print(json.dumps([dict(row) for row in rows], indent=1, default=str))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    names = list(columns if columns is not None else rows[0] if rows else ())
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(str(row[name]) for name in names))
    Console().print(table)


def show_facts(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print names and values."""
    if as_json:
        print(json.dumps(dict(facts), indent=1, default=str))
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        print(f"{name:<{width}}  {value}")
