"""The classic clients: tables that map the older documented API onto the engine's services."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ranvier.classic.allego_client import AllegoClient
    from ranvier.classic.curate_client import CurateClient
    from ranvier.classic.file_system_client import FileSystemClient
    from ranvier.classic.videre_client import VidereClient

_LAZY = {
    "AllegoClient": "ranvier.classic.allego_client",
    "CurateClient": "ranvier.classic.curate_client",
    "FileSystemClient": "ranvier.classic.file_system_client",
    "VidereClient": "ranvier.classic.videre_client",
}

__all__ = ["AllegoClient", "CurateClient", "FileSystemClient", "VidereClient"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
