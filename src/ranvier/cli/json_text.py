"""JSON for scripts."""

from __future__ import annotations

import json
import math
from typing import Any


def json_text(data: Any) -> str:
    """Return data as JSON that every reader takes: what is not a number (NaN, infinite) is null there."""
    return json.dumps(_plain(data), indent=1, allow_nan=False)


def _plain(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_plain(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
