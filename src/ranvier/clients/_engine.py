"""What every client is: a hold on an engine, until it is closed."""

from __future__ import annotations

from typing import Generic, NamedTuple, Self, TypeVar

from ranvier.exceptions import ClientClosedError

E = TypeVar("E")


class ServerVersion(NamedTuple):
    """Version of an engine: major, minor, patch."""

    major: int
    minor: int
    patch: int


#: The API level that this engine answers as (the documented releases gate features by it).
API_LEVEL = ServerVersion(5, 7, 0)


class EngineClient(Generic[E]):
    """A client of one engine: a context manager that refuses to be used after it was closed."""

    def __init__(self, engine: E) -> None:
        self._opened: E | None = engine

    @property
    def _engine(self) -> E:
        if self._opened is None:
            raise ClientClosedError(f"this {type(self).__name__} was closed; make a new one")
        return self._opened

    @property
    def server_version(self) -> ServerVersion:
        """API level of the engine, ``(major, minor, patch)``."""
        return API_LEVEL

    def close(self) -> None:
        """Close the client; it cannot be used afterwards. Safe to call twice."""
        engine, self._opened = self._opened, None
        if engine is not None:
            self._leave(engine)

    def _leave(self, engine: E) -> None:
        """Let go of the engine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'closed' if self._opened is None else 'embedded engine'}>"
