"""Reads the project's own copy of the contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def load(name: str) -> Any:
    """Return a JSON file of this folder."""
    return json.loads((HERE / name).read_text(encoding="utf-8"))
