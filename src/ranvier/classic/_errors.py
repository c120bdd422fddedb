"""The one error that the classic API adds."""

from __future__ import annotations

from ranvier.exceptions import ConfigurationError


class ArgumentTypeError(ConfigurationError, TypeError):
    """An argument of a type that cannot be meant: the documented TypeError, and one of our own errors."""
