"""``radiens.lib.dataset_metadata``: a linked dataset, and recordings as files."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ranvier.classic.lib import _from_models as convert
from ranvier.classic.lib.channel_metadata import ChannelMetadata
from ranvier.classic.utils.constants import DEFAULT_HUB_ID, TimeRange
from ranvier.classic.utils.enums import RadiensFileType, SignalType
from ranvier.models import dataset as models

if TYPE_CHECKING:
    import pandas as pd


class DatasetMetadata:
    """One linked dataset.

    Parameters
    ----------
    dataset
        The typed metadata.
    hub_name
        The hub where it is linked.
    """

    def __init__(self, dataset: models.DatasetMetadata, hub_name: str = DEFAULT_HUB_ID) -> None:
        self._dataset = dataset
        self._hub_name = hub_name
        self._id = dataset.id

    @property
    def model(self) -> models.DatasetMetadata:
        """The typed metadata (an addition to the documented API)."""
        return self._dataset

    @property
    def id(self) -> str:
        """What names the dataset in every call."""
        return self._id

    def clear_dataset_id(self) -> None:
        """Forget the id; the dataset stays linked."""
        self._id = ""

    @property
    def path(self) -> str:
        """The folder."""
        return self._dataset.path

    @property
    def base_name(self) -> str:
        """The name of the recording in its folder."""
        return self._dataset.base_name

    @property
    def file_type(self) -> RadiensFileType:
        """The type of file; types that the classic enum does not have are members of the typed one."""
        return convert.member(RadiensFileType, self._dataset.file_type)  # type: ignore[no-any-return]

    @cached_property
    def time_range(self) -> TimeRange:
        """The range of the recording."""
        return convert.time_range(self._dataset.time_range)

    @property
    def TR(self) -> TimeRange:  # noqa: N802  # the documented name
        """The range of the recording."""
        return self.time_range

    @cached_property
    def channel_metadata(self) -> ChannelMetadata:
        """The channels."""
        return ChannelMetadata(self._dataset.channel_metadata)

    @property
    def attributes(self) -> dict[str, Any]:
        """Everything as a dict."""
        return {
            "dsource_id": self.id,
            "kpi_dsource_id": self.id,
            "TR": self.TR,
            "channel_metadata": self.channel_metadata,
            "dataset_uid": self._dataset.channel_metadata.dataset_uid,
            "source_type": self.file_type.name.lower(),
            "file_type": self.file_type,
            "source_mode": "file",
            "label": self._dataset.channel_metadata.source_label,
            "path": self.path,
            "base_name": self.base_name,
        }

    @cached_property
    def table(self) -> pd.DataFrame:
        """The essentials as a table with one column, ``Value``; it may be changed."""
        import pandas as pd

        counts = {kind.name.lower(): self.channel_metadata.num_sigs(kind) for kind in SignalType}
        rows = {
            "path": self.path,
            "name": self.base_name,
            "type": self.file_type.name.lower(),
            "time range (sec)": convert.text(self.TR),
            "duration (sec)": self.TR.dur_sec,
            "channels": counts["amp"],
            "gpio": ", ".join(f"{name}: {n}" for name, n in counts.items() if name != "amp"),
            "sample freq": self.TR.fs,
            "dataset UID": self._dataset.channel_metadata.dataset_uid,
            "label": self._dataset.channel_metadata.source_label,
            "hub ID": self._hub_name,
        }
        return pd.DataFrame({"Value": pd.Series(rows, dtype=object)})

    def __repr__(self) -> str:
        return convert.shown(self, id=self.id, path=self.path, base_name=self.base_name, file_type=self.file_type.name)


@dataclass(frozen=True)
class FileSetDescriptor:
    """What names a recording; ``file_type`` in lower case."""

    path: str
    base_name: str
    file_type: str
    file_uid: str = ""
    file_name_index: int = -1
    file_name_timestamp: str = ""


@dataclass(frozen=True)
class FileSetStat:
    """Size and content of a recording: ``num_bytes`` by ``primary_data``, ``meta_data`` and ``total``."""

    num_files: int
    num_bytes: dict[str, int]
    has_meta_data_file: bool
    timestamp: datetime
    num_chan: int
    dur_sec: float
    samp_freq: float
    dataset_spec: dict[str, str] = field(default_factory=lambda: {"uid": "", "checksum": "", "provenance": ""})
    background_proc: dict[str, Any] = field(
        default_factory=lambda: {
            "id": "",
            "frac_complete": 1.0,
            "elapsed_time_sec": 0.0,
            "est_time_completion_walltime": "",
        }
    )

    @property
    def fs(self) -> float:
        """Samples per second."""
        return self.samp_freq


@dataclass(frozen=True)
class DatasetFileSet:
    """A recording as files."""

    descriptor: FileSetDescriptor
    stat: FileSetStat
