"""What a compiled kernel was made from: its own file, and the modules of this package that it takes things from.

Numba keeps a compiled function for as long as the function's own file is as it was. Functions, intrinsics and constants
of other modules are compiled into it too: a change of those alone would leave the old machine code in use.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
#: The decorator and what is below it: nothing of it is compiled into a kernel.
_NEVER = frozenset({"kernels", "kernels.registry", "kernels.cache"})


@cache
def stamp(file: Path, package: Path = _PACKAGE) -> str:
    """Return a digest of the sources of the kernels in ``file``, which lies in ``package``."""
    digest = hashlib.sha256()
    for source in sources(file.resolve(), package):
        digest.update(hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()


def sources(file: Path, package: Path = _PACKAGE) -> tuple[Path, ...]:
    """Return ``file`` and every module of ``package`` that it imports, directly or through another, sorted."""
    found: set[Path] = set()
    waiting = [file]
    while waiting:
        source = waiting.pop()
        if source not in found:
            found.add(source)
            waiting += _imported(source, package)
    return tuple(sorted(found))


@cache
def _imported(file: Path, package: Path) -> tuple[Path, ...]:
    names = []
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            names += [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        elif isinstance(node, ast.Import):
            names += [a.name for a in node.names]
    files = (_file_of(name.partition(".")[2], package) for name in names if name.partition(".")[0] == package.name)
    return tuple(f for f in files if f is not None)


def _file_of(name: str, package: Path) -> Path | None:
    """Return the file of a module; None for a package's own ``__init__``, the decorator, and what is no module."""
    file = package.joinpath(*name.split(".")).with_suffix(".py")
    return file if name and name not in _NEVER and file.is_file() else None
