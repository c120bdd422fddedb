"""What the classic clients of files share: named hubs, and a typed client on each hub that is used."""

from __future__ import annotations

from typing import Self

from ranvier.clients.videre import VidereClient
from ranvier.connect import hub_address
from ranvier.exceptions import ClientClosedError

#: The hub that a client uses when none is named.
DEFAULT_HUB = "default"


class HubClient:
    """A client of one hub that may call others by ``hub_name``.

    Parameters
    ----------
    hub_name
        The hub to use; ServerDiscoveryError lists the known ones. Where a method's ``hub_name`` is left at its default,
        the client's own hub is meant.
    """

    def __init__(self, hub_name: str = DEFAULT_HUB) -> None:
        self._hub_name = hub_name
        self._on_hub: dict[str, VidereClient] | None = {}
        self._on(hub_name)

    @property
    def id(self) -> str:
        """Id of the client: always empty."""
        return ""

    def close(self) -> None:
        """Close the client; nothing is unlinked and nothing stops (an addition to the documented API)."""
        opened, self._on_hub = self._on_hub or {}, None
        for typed in opened.values():
            typed.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _on(self, hub_name: str = DEFAULT_HUB) -> VidereClient:
        """Return the typed client on a hub."""
        if self._on_hub is None:
            raise ClientClosedError(f"this {type(self).__name__} was closed; make a new one")
        name = self._hub_name if hub_name == DEFAULT_HUB else hub_name
        if name not in self._on_hub:
            self._on_hub[name] = VidereClient(address=hub_address(name), progress=False)
        return self._on_hub[name]
