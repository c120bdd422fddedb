"""What a script may change of the interpreter that runs it, put back behind it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ranvier.redirect import PACKAGES


@contextmanager
def kept_interpreter(folder: Path) -> Iterator[None]:
    """Put ``sys.modules``, the paths of imports, the working folder and the environment back as they were.

    Of the modules that came since, those of a documented name and those that lie in ``folder`` (the script's) go: the
    next import may mean others by their names. Libraries stay: an extension module is not loaded twice.
    """
    modules, path, meta_path = dict(sys.modules), sys.path[:], sys.meta_path[:]
    cwd, environment = Path.cwd(), dict(os.environ)
    try:
        yield
    finally:
        for name in sys.modules.keys() - modules.keys():
            file = getattr(sys.modules[name], "__file__", None)
            if name.partition(".")[0] in PACKAGES or (file and folder in Path(file).parents):
                del sys.modules[name]
        sys.modules.update(modules)
        sys.path[:], sys.meta_path[:] = path, meta_path
        os.chdir(cwd)
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
