"""``radiens.VidereClient``: linked datasets, and what is asked of them."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ranvier.classic._errors import NoDatasetError
from ranvier.classic._summa import SummaClient
from ranvier.classic.lib.dataset_metadata import DatasetMetadata
from ranvier.classic.metrics_client import MetricsClient
from ranvier.classic.signals_client import SignalsClient
from ranvier.classic.spike_sorter_client import SpikeSorterClient
from ranvier.classic.spikes_client import SpikesClient
from ranvier.classic.utils.constants import DEFAULT_HUB_ID
from ranvier.classic.utils.enums import ClientType, RadiensFileType
from ranvier.exceptions import CapabilityError, DatasetError
from ranvier.models.dataset import RadiensFileType as OurFileType
from ranvier.models.signals import SignalType

if TYPE_CHECKING:
    import pandas as pd

    from ranvier.classic.file_system_client import Paths

#: What stands between base name and digits in the id of a dataset.
_MARK = "_-_"


class VidereClient(SummaClient):
    """Link recordings and look at them; ``signals()`` reads."""

    @property
    def hub(self) -> str:
        """The hub that was named at construction."""
        return self._hub_name

    @property
    def type(self) -> ClientType:
        """``ClientType.VIDERE``."""
        return ClientType.VIDERE

    def signal_metrics(self) -> MetricsClient:
        """Metrics of datasets."""
        return MetricsClient(self)

    def signals(self) -> SignalsClient:
        """Return the client of signals and spectra."""
        return SignalsClient(self)

    def spike_sorter(
        self, *, dataset_metadata: DatasetMetadata | None = None, force: bool = False
    ) -> SpikeSorterClient:
        """Return the client of a dataset's sorts (None: the only recording that is linked).

        ``force`` replaces spikes that were written before; both are additions to the documented API.
        """
        return SpikeSorterClient(self, dataset_metadata, force=force)

    def spikes(self) -> SpikesClient:
        """Return the client of the spikes of datasets."""
        return SpikesClient(self)

    def dashboard(self, close: bool = False, hub_name: str = DEFAULT_HUB_ID) -> NoReturn:
        """Come with the dashboard: raises CapabilityError."""
        raise CapabilityError("dashboard() comes with the dashboard, which this version does not have yet")

    def link_data_file(
        self,
        path: str | Path,
        calc_metrics: bool | str | RadiensFileType = True,
        force: bool = False,
        hub_name: str = DEFAULT_HUB_ID,
        link_spikes: bool = True,
        ftype: str | RadiensFileType | None = None,
    ) -> DatasetMetadata:
        """Link a recording and return what it is; the file is only read.

        Parameters
        ----------
        path
            File, folder or base name; the format is recognised by its content.
        calc_metrics
            Compute its metrics in the background, where it has amplifier channels. (The newest release has ``ftype`` in
            this place: a text or file type here is taken as that.)
        force
            Link again under a new id, even where the file is linked already.
        link_spikes
            Accepted: spikes beside the recording belong to its session.
        ftype
            Insist on one format.

        Raises
        ------
        NotARecordingError, RecordingError
            Nothing recognises it; it is damaged beyond reading.
        """
        if isinstance(calc_metrics, str | Enum):
            ftype = calc_metrics
        kind = None if ftype is None else OurFileType[RadiensFileType.parse(ftype).name]
        found = self._on(hub_name).link_data_file(path, kind, force=force)
        if calc_metrics is not False and found.channel_metadata.num_channels.get(SignalType.AMP):
            self._hub(hub_name).metrics.calculate(found.id, background=True)
        return DatasetMetadata(found, self._name(hub_name))

    def get_data_file_metadata(
        self,
        dataset_idx: int | None = None,
        dataset_id: str | None = None,
        path: str | Path | None = None,
        hub_name: str = DEFAULT_HUB_ID,
        fail_hard: bool = False,
    ) -> DatasetMetadata:
        """Return the metadata of a dataset: by row of ``get_dataset_ids``, id or path, the first that is given.

        A path is linked, and stays so. NoDatasetError (a ValueError) where nothing is found, whatever ``fail_hard``.
        """
        if dataset_idx is None and dataset_id is None and path is not None:
            return self.link_data_file(path, False, hub_name=hub_name)
        wanted = dataset_id
        if dataset_idx is not None or wanted is None:
            wanted = self._find(dataset_idx, None, None, hub_name)
        try:
            found = self._hub(hub_name).datasets.get(wanted)
        except DatasetError as error:
            raise NoDatasetError(f"No dataset found: {error}") from error
        return DatasetMetadata(found, self._name(hub_name))

    def clear_dataset(
        self,
        dataset_idx: int | None = None,
        dataset_id: str | None = None,
        path: str | Path | None = None,
        hub_name: str = DEFAULT_HUB_ID,
        fail_hard: bool = False,
    ) -> tuple[int, pd.DataFrame]:
        """Unlink a dataset (named as in ``get_data_file_metadata``); return how many went, and who is left.

        ``dataset_id="all"`` unlinks what this client linked. Nothing found is 0, or with ``fail_hard`` a
        NoDatasetError (a ValueError). Files stay.
        """
        wanted = dataset_id
        if wanted != "all":
            try:
                wanted = self._find(dataset_idx, dataset_id, path, hub_name)
            except NoDatasetError:
                if fail_hard:
                    raise
                return 0, self.get_dataset_ids(hub_name)
        gone = self._on(hub_name).clear_data_sources(str(wanted))
        return len(gone), self.get_dataset_ids(hub_name)

    def get_dataset_ids(self, hub_name: str = DEFAULT_HUB_ID) -> pd.DataFrame:
        """Return the linked datasets, sorted by id: columns ``dataset ID`` and ``base name``."""
        import pandas as pd

        ids = sorted(self._hub(hub_name).datasets.ids())
        rows = {"dataset ID": ids, "base name": [one.rpartition(_MARK)[0] or one for one in ids]}
        return pd.DataFrame(rows, dtype=object).rename_axis(index="index")

    def list_dir(
        self, req_dir: Paths = "", sort_by: str = "date", include: str = "all", hub_name: str = DEFAULT_HUB_ID
    ) -> pd.DataFrame:
        """Return the recordings of folders as a table, as ``FileSystemClient.list_dir`` does."""
        from ranvier.classic.file_system_client import FileSystemClient

        with FileSystemClient(self._name(hub_name)) as files:
            return files.list_dir(req_dir, sort_by, include)

    def _find(self, dataset_idx: int | None, dataset_id: str | None, path: str | Path | None, hub_name: str) -> str:
        """Return the id of the linked dataset that is meant."""
        datasets = self._hub(hub_name).datasets
        ids = datasets.ids()
        if dataset_idx is not None:
            if not 0 <= dataset_idx < len(ids):
                raise NoDatasetError(f"No dataset found: there is no row {dataset_idx}; {len(ids)} are linked")
            return sorted(ids)[dataset_idx]
        if dataset_id is not None:
            if dataset_id not in ids:
                raise NoDatasetError(
                    f"No dataset found: {dataset_id!r} is not linked; get_dataset_ids() tells which are"
                )
            return dataset_id
        if path is None:
            raise NoDatasetError("No dataset found: give dataset_idx, dataset_id or path")
        target = Path(path).expanduser().absolute()
        for one, ds in datasets.list(None).items():
            if Path(ds.path) == target.parent and is_name_of(target.name, ds.base_name):
                return one
        raise NoDatasetError(f"No dataset found: {path} is not linked; get_dataset_ids() tells which are")


def is_name_of(name: str, base_name: str) -> bool:
    """Return whether a file's name is a base name, bare or with a suffix."""
    rest = name.removeprefix(base_name)
    return name.startswith(base_name) and (rest == "" or rest[0] in "._")
