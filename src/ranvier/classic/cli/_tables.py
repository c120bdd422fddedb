"""Tables in a terminal, JSON for scripts."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from ranvier.classic.lib.dataset_metadata import DatasetMetadata


_WIDE = 1000


def show(table: pd.DataFrame, *, as_json: bool) -> None:
    """Print a DataFrame; its columns too where it is empty."""
    show_rows(table.to_dict("records"), columns=[str(name) for name in table.columns], as_json=as_json)


def show_rows(rows: Sequence[Mapping[Any, Any]], *, as_json: bool, columns: Sequence[str] | None = None) -> None:
    """Print rows under their names."""
    if as_json:
        print(_json([dict(row) for row in rows]))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    names = list(columns if columns is not None else rows[0] if rows else ())
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(_text(row[name]) for name in names))
    # a file or a pipe is as wide as the table
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


def show_facts(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print names and values."""
    if as_json:
        print(_json(dict(facts)))
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        print(f"{name:<{width}}  {_text(value)}")


def show_dataset(dataset: DatasetMetadata, *, as_json: bool) -> None:
    """Print what a dataset is."""
    show_facts({"id": dataset.id, **dataset.table["Value"].to_dict()}, as_json=as_json)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    return str(value)


def _json(value: Any) -> str:
    return json.dumps(_plain(value), indent=1, default=str)


def _plain(value: Any) -> Any:
    """Return what JSON can say: NaN and infinities are null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value
