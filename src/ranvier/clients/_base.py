"""A client of a hub, and what it means by a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ranvier.clients._engine import EngineClient
from ranvier.clients._progress import Progress, say_compiling, shown
from ranvier.connect import announce_compiling, open_hub
from ranvier.exceptions import DatasetError
from ranvier.models.common import ServiceEndpoint
from ranvier.models.dataset import DatasetMetadata
from ranvier.models.flex import FlexDataset
from ranvier.services import Hub


class BaseClient(EngineClient[Hub]):
    """A client of one hub.

    Parameters
    ----------
    address
        Hub to use: argument > ``RANVIER_ADDRESS`` > embedded. ``"embedded"`` runs everything in this process. An
        explicit address that fails raises ServerDiscoveryError; there is no falling back.
    embedded
        True is ``address="embedded"``.
    progress
        How long calls show progress: None = a bar in a terminal, a plain line in a notebook, nothing otherwise;
        False = never; a function receives every ``JobProgress``. (An addition to the documented API, as are
        ``address`` and ``embedded``.)
    """

    def __init__(
        self, *, address: str | None = None, embedded: bool = False, progress: bool | Progress | None = None
    ) -> None:
        super().__init__(open_hub("embedded" if embedded else address))
        self._progress = progress
        if progress is not False:
            announce_compiling(say_compiling)
        self._mine: dict[str, None] = {}  # ids that this client linked, in order

    @property
    def _hub(self) -> Hub:
        return self._engine

    def healthcheck(self, service: ServiceEndpoint = ServiceEndpoint.RADIENS_LIFECYCLE) -> None:
        """Return if the engine answers; otherwise raise ServerCommunicationError."""
        ServiceEndpoint(service)
        self._hub.datasets.ids()

    def close(self) -> None:
        """Close the client. Nothing is unlinked and nothing stops; the client cannot be used afterwards."""
        super().close()

    def _metadata(self, dataset: FlexDataset) -> DatasetMetadata:
        """Return the current metadata of what a caller means by a dataset: metadata, id, or path (linked on demand)."""
        if isinstance(dataset, DatasetMetadata):
            try:
                return self._hub.datasets.get(dataset.id)
            except DatasetError:
                found = self._hub.datasets.link(
                    Path(dataset.path) / dataset.base_name, dataset.file_type, stream=dataset.stream or None
                )
        elif isinstance(dataset, str | Path):
            found = self._hub.datasets.resolve(str(dataset))
        else:
            raise _not_a_dataset(dataset)
        self._mine[found.id] = None
        return found

    @contextmanager
    def _work(self, what: str, dataset: FlexDataset) -> Iterator[tuple[DatasetMetadata, Progress | None]]:
        """Show the progress of work on a dataset, and give both."""
        found = self._metadata(dataset)
        with shown(self._progress, f"{what}: {found.base_name}") as progress:
            yield found, progress

    def _id(self, dataset: FlexDataset) -> str:
        return self._metadata(dataset).id


def several(datasets: FlexDataset | Iterable[FlexDataset]) -> list[FlexDataset]:
    """Return datasets as a list; one alone (a path is a sequence too, of letters) is a list of one."""
    if isinstance(datasets, (DatasetMetadata, str, Path)):
        return [datasets]
    if not isinstance(datasets, Iterable):
        raise _not_a_dataset(datasets)
    return list(datasets)


def _not_a_dataset(value: Any) -> DatasetError:
    return DatasetError(
        f"{type(value).__name__} is not a dataset; give DatasetMetadata (what link_data_file returns), the id of a "
        f"linked dataset, or a path"
    )
