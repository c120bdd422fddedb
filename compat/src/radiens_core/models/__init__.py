"""The documented models, enums and ``Flex*`` argument types; each is loaded at first use."""

# ruff: noqa: F403

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ranvier.models
from ranvier.models import __all__ as __all__

if TYPE_CHECKING:
    from ranvier.models import *
else:

    def __getattr__(name: str) -> Any:
        if name in __all__:
            return getattr(ranvier.models, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
