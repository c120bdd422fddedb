"""The guide's table is the one that the code has."""

from __future__ import annotations

from pathlib import Path

from ranvier.metrics.definitions import markdown_table


def test_table_of_the_guide() -> None:
    guide = Path(__file__).parents[2] / "docs" / "guides" / "metrics.md"
    assert markdown_table() in guide.read_text(encoding="utf-8")
