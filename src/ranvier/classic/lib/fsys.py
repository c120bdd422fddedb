"""``radiens.lib.fsys``: the answer of a command on files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ranvier.classic.lib._from_models import shown
from ranvier.classic.lib.dataset_metadata import DatasetFileSet
from ranvier.classic.utils.constants import TIME_SPEC

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "path",
    "base_name",
    "type",
    "dataset_uid",
    "num_files",
    "bytes_primary_data",
    "bytes_meta_data",
    "bytes_total",
    "timestamp",
    "num_chan",
    "dur_sec",
    "samp_freq",
    "checksum",
    "provenance",
)


class FileSysResponse:
    """Recordings that a command listed, copied, moved or removed, and what it says about them."""

    def __init__(self, datasources: Iterable[DatasetFileSet] = (), cmd_msg: str = "") -> None:
        self.datasources = list(datasources)
        self.cmd_msg = cmd_msg

    @property
    def num_data_sources(self) -> int:
        """How many recordings."""
        return len(self.datasources)

    @property
    def total_num_files(self) -> int:
        """How many files they consist of."""
        return sum(one.stat.num_files for one in self.datasources)

    @property
    def num_bytes(self) -> int:
        """Their size."""
        return sum(one.stat.num_bytes["total"] for one in self.datasources)

    def append(self, resp: FileSysResponse) -> None:
        """Add the recordings and the message of another answer."""
        self.datasources += resp.datasources
        self.cmd_msg = "\n".join(message for message in (self.cmd_msg, resp.cmd_msg) if message)

    @property
    def datasource_table(self) -> pd.DataFrame:
        """One row per recording; ``timestamp`` as local text."""
        import pandas as pd

        return pd.DataFrame([_row(one) for one in self.datasources], columns=list(COLUMNS))

    def __repr__(self) -> str:
        return shown(self, num_data_sources=self.num_data_sources, num_bytes=self.num_bytes, cmd_msg=self.cmd_msg)


def _row(one: DatasetFileSet) -> dict[str, object]:
    names, stat = one.descriptor, one.stat
    return {
        "path": names.path,
        "base_name": names.base_name,
        "type": names.file_type,
        "dataset_uid": stat.dataset_spec["uid"],
        "num_files": stat.num_files,
        "bytes_primary_data": stat.num_bytes["primary_data"],
        "bytes_meta_data": stat.num_bytes["meta_data"],
        "bytes_total": stat.num_bytes["total"],
        "timestamp": stat.timestamp.strftime(TIME_SPEC),
        "num_chan": stat.num_chan,
        "dur_sec": stat.dur_sec,
        "samp_freq": stat.samp_freq,
        "checksum": stat.dataset_spec["checksum"],
        "provenance": stat.dataset_spec["provenance"],
    }
