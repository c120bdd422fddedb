"""The errors that the classic API adds: the documented kinds, which are our own errors too."""

from __future__ import annotations

from ranvier.exceptions import CapabilityError, ConfigurationError, DatasetError


class ArgumentTypeError(ConfigurationError, TypeError):
    """An argument of a type that cannot be meant: the documented TypeError, and one of our own errors."""


class NoDatasetError(DatasetError, ValueError):
    """No dataset where one was meant: the documented ValueError."""


class UnknownStreamError(DatasetError, KeyError):
    """An id that no stream has: the documented KeyError."""

    def __str__(self) -> str:
        return Exception.__str__(self)  # KeyError would quote the message


class NotLiveError(CapabilityError, RuntimeError):
    """What only files have, asked of the live stream: the documented RuntimeError."""
