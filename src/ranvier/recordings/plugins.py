"""Formats that other distributions bring: entry points of the group ``ranvier.formats``.

An entry point names a :class:`~ranvier.recordings.format.Format` (or a module that has one as ``FORMAT``). It is loaded
when detection first comes to plug-ins. One that cannot be loaded, or whose code fails, is left out: what is wrong with
it stands in :func:`plugin_problems` and in the message about a path that nothing recognises; all other formats work on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

from ranvier.exceptions import RadiensError, RecordingError
from ranvier.recordings.format import Format
from ranvier.recordings.session import Session
from ranvier.recordings.sink import Sink

GROUP = "ranvier.formats"

T = TypeVar("T")

_LOCK = threading.RLock()
_LOADED: list[Format] | None = None
_PROBLEMS: dict[str, str] = {}


def plugin_formats(taken: frozenset[str]) -> list[Format]:
    """Return the formats of all plug-ins, loading them at the first call.

    Parameters
    ----------
    taken
        Names of formats that a plug-in must not use.
    """
    global _LOADED
    with _LOCK:
        if _LOADED is None:
            _LOADED = []
            for point in sorted(entry_points(group=GROUP), key=lambda p: p.name):
                found = _load(point, taken | {f.name for f in _LOADED})
                if found is not None:
                    _LOADED.append(_guarded(found, _label(point)))
        return list(_LOADED)


def plugin_problems() -> dict[str, str]:
    """Return what is wrong with plug-ins, by entry point; empty where all work."""
    with _LOCK:
        return dict(_PROBLEMS)


def forget_plugins() -> None:
    """Look for plug-ins anew at the next call (after one was installed while this process runs)."""
    global _LOADED
    with _LOCK:
        _LOADED = None
        _PROBLEMS.clear()


def _load(point: EntryPoint, taken: frozenset[str] | set[str]) -> Format | None:
    try:
        loaded: Any = point.load()
        found = getattr(loaded, "FORMAT", loaded)
        if not isinstance(found, Format):
            raise TypeError(f"it names a {type(found).__name__}, not a Format")
        if found.name in taken:
            raise ValueError(f"a format {found.name!r} exists already")
        if found.sink is not None and not issubclass(found.sink, Sink):
            raise TypeError("its sink is no subclass of Sink")
        if not found.suffixes:
            raise ValueError("it has no suffix")
    except Exception as error:  # noqa: BLE001 - code of others: whatever it raises must not break the rest
        _report(_label(point), error)
        return None
    return found


def _guarded(found: Format, label: str) -> Format:
    """Return a format whose functions cannot break the rest: what they raise is noted, or becomes RecordingError."""

    def detect(path: Path) -> Path | None:
        try:
            return found.detect(path)
        except Exception as error:  # noqa: BLE001 - code of others
            _report(label, error)
            return None

    def open_session(path: Path) -> Session:
        return _translated(lambda: found.open(path), path, label)

    def files(path: Path) -> list[Path]:
        return _translated(lambda: found.files(path), path, label)

    def base_name(path: Path) -> str:
        return _translated(lambda: found.base_name(path), path, label)

    return replace(found, detect=detect, open=open_session, files=files, base_name=base_name)


def _translated(work: Callable[[], T], path: Path, label: str) -> T:
    try:
        return work()
    except RadiensError:
        raise
    except Exception as error:
        raise RecordingError(f"{path}: the {label} failed ({type(error).__name__}: {error})") from error


def _report(label: str, error: Exception) -> None:
    with _LOCK:
        _PROBLEMS[label] = f"the {label} does not work ({type(error).__name__}: {error})"


def _label(point: EntryPoint) -> str:
    origin = "" if point.dist is None else f" of {point.dist.name} {point.dist.version}"
    return f"format plug-in {point.name!r}{origin}"
