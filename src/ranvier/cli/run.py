"""``ranvier run script.py``: a script written for the documented import names, on this engine."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType, TracebackType

import typer

from ranvier import redirect
from ranvier.clash import vendor_distributions
from ranvier.exceptions import ConfigurationError

_INTERRUPTED = 130


def run(script: Path, arguments: Sequence[str]) -> int:
    """Run a script as Python would, with ``radiens`` and ``radiens_core`` redirected; return its exit status."""
    try:
        with io.open_code(str(script.expanduser())) as file:
            source = file.read()
    except OSError as error:
        raise ConfigurationError(f"{script} cannot be read: {error.strerror or error}") from error
    name = os.path.abspath(script.expanduser())
    redirect.install()
    vendors = vendor_distributions()
    if vendors:
        names = " and ".join(vendors)
        typer.echo(f"ranvier run: radiens and radiens_core mean Ranvier here, not the installed {names}", err=True)
    main = ModuleType("__main__")
    main.__dict__.update(__file__=name, __builtins__=__builtins__, __spec__=None)
    sys.modules["__main__"] = main
    sys.argv = [str(script), *arguments]
    sys.path[0:1] = [os.path.dirname(name)]
    try:
        code: CodeType = compile(source, name, "exec", dont_inherit=True)
        exec(code, main.__dict__)  # running the user's own script is what was asked for
    except SystemExit as leave:
        return _status(leave.code)
    except BaseException as error:  # noqa: BLE001 - the process boundary: the interpreter's own report, minus our frames
        trace = _from_script(error.__traceback__, name)
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return _INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _status(code: object) -> int:
    """Return the exit status that Python gives for ``sys.exit(code)``."""
    if code is None or isinstance(code, int):
        return int(code or 0)
    typer.echo(str(code), err=True)
    return 1


def _from_script(trace: TracebackType | None, name: str) -> TracebackType | None:
    """Return the traceback from the script's first frame on; nothing of ours stands above it."""
    while trace is not None and trace.tb_frame.f_code.co_filename != name:
        trace = trace.tb_next
    return trace
