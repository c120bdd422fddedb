"""Plain arguments of rig calls: what is no number, or no truth value, is refused by name rather than guessed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from ranvier.exceptions import ConfigurationError

#: The one stream of a rig; datasets have ids.
LIVE = "Live Signals"

M = TypeVar("M", bound=BaseModel)


def whole(name: str, value: object) -> int:
    """Return a whole number (whole floats count); ConfigurationError otherwise."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return int(value)
    raise ConfigurationError(f"{name} is a whole number, not {value!r}")


def number(name: str, value: object) -> float:
    """Return a finite number; ConfigurationError otherwise."""
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if is_number and math.isfinite(value):  # type: ignore[arg-type]
        return float(value)  # type: ignore[arg-type]
    raise ConfigurationError(f"{name} is a finite number, not {value!r}")


def flag(name: str, value: object) -> bool:
    """Return a truth value: bool, 0 or 1. Words are refused: an output must not go on because of ``"off"``."""
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, (int, np.integer)) and value in (0, 1)):
        return bool(value)
    raise ConfigurationError(f"{name} is True or False, not {value!r}")


def model(kind: type[M], value: object, what: str) -> M:
    """Return a model, also from a mapping with its fields; ConfigurationError names the first that is wrong."""
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{what} is a {kind.__name__}, not {type(value).__name__}")
    fields: dict[str, Any] = dict(value)
    names = {*kind.model_fields, *(f.alias for f in kind.model_fields.values() if f.alias)}
    unknown = sorted(str(key) for key in fields if key not in names)
    if unknown:
        raise ConfigurationError(f"{kind.__name__} has no {', '.join(unknown)}")
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{what}: {where}: {first['msg']}") from error


def live(stream_group_id: str) -> None:
    """Check that a call means the live stream."""
    if stream_group_id != LIVE:
        raise ConfigurationError(
            f"a rig has the stream {LIVE!r} only, not {stream_group_id!r}; datasets are filtered by VidereClient"
        )
