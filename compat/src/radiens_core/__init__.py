"""The documented import name ``radiens_core``, on the Ranvier engine: re-exports of ``ranvier`` and nothing else.

Not affiliated with NeuroNexus.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ranvier import __version__
from ranvier.clash import refuse_beside_vendor

if TYPE_CHECKING:
    from ranvier import AllegoClient as AllegoClient
    from ranvier import CurateClient as CurateClient
    from ranvier import VidereClient as VidereClient

refuse_beside_vendor(__name__)

#: Loaded from ranvier at first use.
_CLIENTS = ("AllegoClient", "CurateClient", "VidereClient")
_MODULES = ("exceptions", "models")

__all__ = ["__version__"]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _CLIENTS:
            return getattr(importlib.import_module("ranvier"), name)
        if name in _MODULES:
            return importlib.import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_CLIENTS, *_MODULES]
