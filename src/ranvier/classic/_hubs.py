"""What the classic clients of files share: named hubs, and a typed client on each hub that is used."""

from __future__ import annotations

from typing import Any, Self

from ranvier.classic._errors import ArgumentTypeError, NoDatasetError
from ranvier.classic._measured import DatasetMeasured, Measured
from ranvier.classic._sorting import DatasetSorting, Sorting
from ranvier.classic._spiking import DatasetSpikes, Spiking
from ranvier.classic.lib.dataset_metadata import DatasetMetadata
from ranvier.classic.utils.constants import DEFAULT_HUB_ID, DEFAULT_IP
from ranvier.classic.utils.enums import RadiensService
from ranvier.clients.videre import VidereClient
from ranvier.connect import hub_address, named_hubs
from ranvier.exceptions import ClientClosedError
from ranvier.services import Hub


class HubClient:
    """A client of one hub that may call others by ``hub_name``.

    Parameters
    ----------
    hub_name
        The hub to use; ServerDiscoveryError lists the known ones. Where a method's ``hub_name`` is left at its default,
        the client's own hub is meant.
    """

    def __init__(self, hub_name: str = DEFAULT_HUB_ID) -> None:
        self._hub_name = hub_name
        self._on_hub: dict[str, VidereClient] | None = {}
        self._on(hub_name)

    @property
    def hubs(self) -> dict[str, dict[str, Any]]:
        """Hubs by name: ``{"ip_address": ..., "ports": {RadiensService: text, or None for an engine in-process}}``."""
        return {name: _described(address) for name, address in {DEFAULT_HUB_ID: "embedded", **named_hubs()}.items()}

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

    def _hub(self, hub_name: str = DEFAULT_HUB_ID) -> Hub:
        """Return the engine behind a hub's name."""
        return self._on(hub_name)._hub

    def _measured(self, dataset_metadata: DatasetMetadata | None, hub_name: str = DEFAULT_HUB_ID) -> Measured:
        """Return the metrics of a dataset."""
        return DatasetMeasured(self._hub(hub_name), given_dataset(dataset_metadata))

    def _spiking(self, dataset_id: str | None, hub_name: str = DEFAULT_HUB_ID) -> Spiking:
        """Return the spikes of a dataset."""
        return DatasetSpikes(self._on(hub_name), dataset_id)

    def _sorting(self, dataset_metadata: DatasetMetadata | None = None, *, force: bool = False) -> Sorting:
        """Return the sorts of a dataset."""
        wanted = None if dataset_metadata is None else given_dataset(dataset_metadata).id
        return DatasetSorting(self._on(), wanted, force=force)

    def _typed_hub(self, hub_name: str = DEFAULT_HUB_ID) -> VidereClient | None:
        return self._on(hub_name)

    def _name(self, hub_name: str) -> str:
        return self._hub_name if hub_name == DEFAULT_HUB_ID else hub_name

    def _on(self, hub_name: str = DEFAULT_HUB_ID) -> VidereClient:
        """Return the typed client on a hub."""
        if self._on_hub is None:
            raise ClientClosedError(f"this {type(self).__name__} was closed; make a new one")
        name = self._name(hub_name)
        if name not in self._on_hub:
            self._on_hub[name] = VidereClient(address=hub_address(name), progress=False)
        return self._on_hub[name]


def given_dataset(metadata: DatasetMetadata | None) -> DatasetMetadata:
    """Return a dataset that a call cannot do without: NoDatasetError (a ValueError), or a TypeError."""
    if metadata is None:
        raise NoDatasetError("dataset_metadata must be given: what link_data_file() returned")
    if not isinstance(metadata, DatasetMetadata):
        raise ArgumentTypeError(
            f"dataset_metadata is what link_data_file() returned; {type(metadata).__name__} is no DatasetMetadata "
            f"of radiens.lib"
        )
    return metadata


def _described(address: str) -> dict[str, Any]:
    here = address.startswith(("embedded", "process", "unix"))
    host, _, port = ("", "", "") if here else address.rpartition(":")
    return {"ip_address": host or DEFAULT_IP, "ports": dict.fromkeys(RadiensService, port or None)}
