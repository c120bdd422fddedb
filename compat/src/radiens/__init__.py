"""The documented import name ``radiens``, on the Ranvier engine: re-exports of ``ranvier.classic`` and nothing else.

Not affiliated with NeuroNexus.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ranvier.classic
from ranvier import __version__
from ranvier.clash import refuse_beside_vendor

if TYPE_CHECKING:
    from ranvier.classic import AllegoClient as AllegoClient
    from ranvier.classic import CurateClient as CurateClient
    from ranvier.classic import FileSystemClient as FileSystemClient
    from ranvier.classic import VidereClient as VidereClient

refuse_beside_vendor(__name__)

__all__ = ["__version__"]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in ranvier.classic.__all__:
            return getattr(ranvier.classic, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *ranvier.classic.__all__]
