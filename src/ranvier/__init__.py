"""Ranvier: an open electrophysiology engine, driven through the Radiens API."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ranvier._version import __version__

if TYPE_CHECKING:
    from ranvier.clients.allego import AllegoClient
    from ranvier.clients.curate import CurateClient
    from ranvier.clients.videre import VidereClient

_LAZY = {
    "AllegoClient": "ranvier.clients.allego",
    "CurateClient": "ranvier.clients.curate",
    "VidereClient": "ranvier.clients.videre",
}

__all__ = ["AllegoClient", "CurateClient", "VidereClient", "__version__"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'ranvier' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
