"""The one home of the engine's state: an SQLite file under ``RANVIER_HOME``.

``Store()`` touches nothing. Reading before anything was written finds nothing and creates nothing; the first write
creates the folder and the file. StoreError is raised only where state must be written and cannot be, where another
process locks the file for too long, or where the file is damaged or written by a newer version; the message names the
file and what to do, and nothing is ever deleted for the user.
"""

from __future__ import annotations

from pathlib import Path

from ranvier._platform import home as default_home
from ranvier.store.database import Database
from ranvier.store.datasets import DatasetRecord, Datasets, dataset_id
from ranvier.store.hubs import Hubs
from ranvier.store.jobs import JobRecord, Jobs
from ranvier.store.owners import Owners
from ranvier.store.protocols import Protocols
from ranvier.store.provenance import Provenance
from ranvier.store.rig_log import Impedances, ImpedanceScan, SafetyChange, SafetyLog
from ranvier.store.settings import Settings
from ranvier.store.summa import SummaStore
from ranvier.store.workspaces import WorkspaceRecord, WorkspaceStore

#: Name of the database in the engine's home.
FILE_NAME = "ranvier.sqlite"


class Store:
    """What this engine remembers between processes. Thread-safe; several processes may share one home.

    Parameters
    ----------
    home
        Folder of the state; None takes ``RANVIER_HOME``, else the platform's data folder.

    Attributes
    ----------
    datasets, hubs, jobs, protocols, provenance, settings, summa, workspaces, impedances, safety_log
        One typed repository each.
    owners
        Which processes run jobs, and which of them still live.
    """

    def __init__(self, home: Path | None = None) -> None:
        self.home = (default_home() if home is None else Path(home)).expanduser().absolute()
        self.database = Database(self.home / FILE_NAME)
        self.datasets = Datasets(self.database)
        self.hubs = Hubs(self.database)
        self.jobs = Jobs(self.database)
        self.protocols = Protocols(self.database)
        self.provenance = Provenance(self.database)
        self.settings = Settings(self.database)
        self.summa = SummaStore(self.database)
        self.workspaces = WorkspaceStore(self.database)
        self.impedances = Impedances(self.database)
        self.safety_log = SafetyLog(self.database)
        self.owners = Owners(self.home / "owners")

    @property
    def path(self) -> Path:
        """The database file."""
        return self.database.path

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        self.database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store {self.path}>"


__all__ = [
    "FILE_NAME",
    "DatasetRecord",
    "Datasets",
    "Hubs",
    "ImpedanceScan",
    "Impedances",
    "JobRecord",
    "Jobs",
    "Owners",
    "Protocols",
    "SafetyChange",
    "SafetyLog",
    "Store",
    "SummaStore",
    "WorkspaceRecord",
    "WorkspaceStore",
    "dataset_id",
]
