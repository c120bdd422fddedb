"""Paths that name one of several streams."""

from __future__ import annotations

from glob import escape
from pathlib import Path


def split_stream(path: Path | str) -> tuple[Path, str | None]:
    """Split ``folder#stream`` or ``dir/base#stream``; a ``#`` that belongs to an existing path is left alone."""
    text = str(path)
    whole = Path(text).expanduser()
    if "#" not in text or _is_there(whole):
        return whole, None
    at = text.find("#")
    while at != -1:
        left = Path(text[:at]).expanduser()
        if _is_there(left):
            return left, text[at + 1 :]
        at = text.find("#", at + 1)
    return whole, None


def _is_there(path: Path) -> bool:
    """Return whether there is such a path, or files of which it is the base name."""
    if path.exists() or not path.name:
        return path.exists()
    return any(path.parent.glob(f"{escape(path.name)}[._]*"))
