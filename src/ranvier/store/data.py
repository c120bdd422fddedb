"""Small conversions that the repositories share."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ranvier.exceptions import ConfigurationError


def to_json(value: Any, what: str) -> str:
    """Return plain JSON data as text; ConfigurationError names what is none."""
    try:
        return json.dumps(value, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{what} cannot be stored as JSON ({error}); pass numbers, texts, lists and dicts"
        ) from error


def from_json(text: str | None) -> Any:
    """Return the data of a JSON column; None for an empty one."""
    return None if text is None else json.loads(text)


@contextmanager
def parsing(what: str) -> Iterator[None]:
    """Turn what cannot be read from a stored row into SQLite's own error, which the database reports as damage."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # LookupError: a column has another name
        raise sqlite3.DatabaseError(f"{what} cannot be read: {error}") from error


def utc_now() -> str:
    """Return the time as ISO 8601, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def storable(text: str) -> str:
    """Return a text that SQLite and JSON take: the undecodable bytes of a file name become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def real_path(path: str | Path) -> str:
    """Return the path under which a file is known: absolute, links resolved."""
    return os.path.realpath(os.path.expanduser(path))
