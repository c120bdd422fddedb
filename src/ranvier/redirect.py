"""The documented import names, redirected to this engine inside one process, whatever is installed.

``radiens`` becomes :mod:`ranvier.classic`, ``radiens_core`` becomes :mod:`ranvier` with its models and exceptions.
Nothing is written anywhere: a finder stands before the others for as long as the process lives. ``ranvier run`` uses
it; a notebook may too::

    import ranvier.redirect
    ranvier.redirect.install()
    from radiens import VidereClient
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

#: What each documented package is here.
PACKAGES = {"radiens": "ranvier.classic", "radiens_core": "ranvier"}

#: The parts of ``ranvier`` that ``radiens_core`` documents; the engine's own modules are none of its names.
_CORE_PARTS = ("models", "exceptions")

#: Where the documented modules of models have their ``Flex...`` names from.
_FLEX = "ranvier.models.flex"


class _DocumentedModule(ModuleType):
    """A module of a documented name: its attributes are those of our modules, now and later."""

    def __init__(self, name: str, sources: Sequence[ModuleType]) -> None:
        super().__init__(name, sources[0].__doc__)
        self._sources = tuple(sources)

    def __getattr__(self, name: str) -> Any:
        # dunder names are asked for by the import system; ours would tell it about another module
        if not (name.startswith("__") and name.endswith("__")) or name in ("__all__", "__version__"):
            for source in self._sources:
                if hasattr(source, name):
                    return getattr(source, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return sorted({name for source in self._sources for name in dir(source)})


class _Finder(MetaPathFinder, Loader):
    """Finds the documented names among our modules."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        source = _source_of(fullname)
        if source is None:
            return None
        try:
            found = find_spec(source)
        except ModuleNotFoundError:  # its parent is a module of ours that is no package
            return None
        if found is None:
            return None
        return ModuleSpec(fullname, self, is_package=found.submodule_search_locations is not None)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        ours = importlib.import_module(str(_source_of(spec.name)))
        models = spec.name.startswith("radiens_core.models.")
        return _DocumentedModule(spec.name, [ours, importlib.import_module(_FLEX)] if models else [ours])

    def exec_module(self, module: ModuleType) -> None:
        """Nothing runs: the module is there."""


def install() -> None:
    """Redirect the documented names from now on; modules of theirs that were imported already are dropped."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
        _drop()


def uninstall() -> None:
    """Take the redirection back."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    _drop()


def _drop() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
        del sys.modules[name]


def _source_of(name: str) -> str | None:
    """Return which module of ours a documented module is; None for other names."""
    package, _, rest = name.partition(".")
    if package not in PACKAGES:
        return None
    if package == "radiens_core" and rest and rest.partition(".")[0] not in _CORE_PARTS:
        return None
    return PACKAGES[package] + (f".{rest}" if rest else "")
