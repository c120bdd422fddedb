"""Errors across processes: the class by its name in ``ranvier.exceptions``, the message, where it happened."""

from __future__ import annotations

import traceback
from typing import Any

from ranvier import exceptions
from ranvier.exceptions import DataProcessingError, RadiensError


class RemoteTraceback(Exception):  # noqa: N818  # never raised: the cause of an error that an engine process raised
    """Where an error came from, in the engine's process."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}" if self.args else ""


def describe_error(error: BaseException) -> dict[str, Any]:
    """Return an error as JSON."""
    text = "".join(traceback.format_exception(error))
    for kind in type(error).__mro__:
        if kind.__module__ == exceptions.__name__:
            described: dict[str, Any] = {"type": kind.__name__, "message": str(error), "traceback": text}
            details = error.details if isinstance(error, RadiensError) else {}
            return {**described, "details": details} if details else described
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return {"type": "", "message": f"{name} in the engine: {error}", "traceback": text}


def restore_error(described: Any) -> RadiensError:
    """Return the error to raise; its cause shows the engine's own traceback.

    What is not one of our errors is a fault of the engine: DataProcessingError names the type that it had there.
    """
    fields = described if isinstance(described, dict) else {"message": repr(described)}
    name = fields.get("type")
    kind = getattr(exceptions, name) if name in exceptions.__all__ else DataProcessingError
    details = fields.get("details")
    error: RadiensError = kind.restored(str(fields.get("message", "")), details if isinstance(details, dict) else {})
    error.__cause__ = RemoteTraceback(str(fields.get("traceback", "")))
    return error
