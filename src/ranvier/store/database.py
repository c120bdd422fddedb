"""One SQLite file: opened when needed, migrated with a backup, safe for threads and for several processes."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from ranvier._platform import flush_to_disk, is_network_path, replace
from ranvier.exceptions import StoreError
from ranvier.store.data import parsing
from ranvier.store.schema import APPLICATION_ID, MIGRATIONS, Migration

T = TypeVar("T")

#: How long a statement waits for another process that writes.
BUSY_TIMEOUT_SEC = 10.0

# Connections that a forked child inherited: SQLite forbids using or closing them there, so they are kept, untouched.
_INHERITED: list[sqlite3.Connection] = []


class Database:
    """The store's file and its one connection, guarded by a lock.

    Nothing is touched before the first statement. Reading a file that is not there gives no rows and creates nothing;
    the first write creates folder and file. Where the folder cannot be written, an existing file is read only.

    Parameters
    ----------
    path
        Absolute path of the file.
    migrations
        For tests; see :mod:`ranvier.store.schema`.
    busy_timeout_sec
        How long to wait for other processes before StoreError says so.
    """

    def __init__(
        self,
        path: Path,
        *,
        migrations: Sequence[Migration] = MIGRATIONS,
        busy_timeout_sec: float = BUSY_TIMEOUT_SEC,
    ) -> None:
        self.path = path
        self.migrations = tuple(migrations)
        self.busy_timeout_sec = busy_timeout_sec
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._pid = os.getpid()
        self._read_only = False

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return the rows of a query; none where the file does not exist yet."""
        self._after_fork()
        with self._lock, self._translated():
            if self._connection is None and not self.path.exists():
                return []
            return self._open().execute(sql, values).fetchall()

    def fetch(self, parse: Callable[[sqlite3.Row], T], sql: str, values: Sequence[Any] = ()) -> list[T]:
        """Return the rows of a query as records; a row that cannot be parsed is damage like any other."""
        rows = self.read(sql, values)
        with self._translated(), parsing("a row"):
            return [parse(row) for row in rows]

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Run statements in one transaction: all of them are on the disk at the end, or none after an exception."""
        self._after_fork()
        with self._lock, self._translated():
            self._require_writable()
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the connection; the next statement opens it again."""
        self._after_fork()
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def __del__(self) -> None:
        if getattr(self, "_connection", None) is not None:  # not closed by its user, and not an error
            self.close()

    @property
    def is_writable(self) -> bool:
        """Whether the file can be written, or created."""
        if self.path.exists():
            return os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)
        folder = next(p for p in self.path.parents if p.exists())
        return folder.is_dir() and os.access(folder, os.W_OK)

    def backups(self) -> list[Path]:
        """Return the copies made before migrations, newest first."""
        return sorted(self.path.parent.glob(f"{self.path.name}.v*.bak"), key=lambda p: p.stat().st_mtime, reverse=True)

    def _after_fork(self) -> None:
        """Leave connection and lock to the parent where this process is a forked child."""
        if self._pid != os.getpid():
            if self._connection is not None:
                _INHERITED.append(self._connection)
            self._lock, self._connection, self._pid = threading.RLock(), None, os.getpid()

    def _require_writable(self) -> None:
        if not self.is_writable:
            raise StoreError(
                f"the engine's store {self.path} cannot be written; make its folder writable, or set RANVIER_HOME to "
                "a folder of yours"
            )

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and (not self._read_only or not self.is_writable):
            return self._connection
        self.close()
        self._read_only = not self.is_writable
        connection = self._connect_read_only() if self._read_only else self._connect()
        self._connection = connection
        return connection

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = self._raw(str(self.path))
        try:
            self._check_ours(connection)
            self._set_journal(connection)
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect_read_only(self) -> sqlite3.Connection:
        # A WAL file needs a writable folder for its index; "immutable" reads the file without one.
        last: sqlite3.Error | None = None
        for mode in ("mode=ro", "mode=ro&immutable=1"):
            connection = self._raw(f"{self.path.as_uri()}?{mode}", uri=True)
            try:
                version = self._check_ours(connection)
            except sqlite3.OperationalError as error:
                connection.close()
                last = error
                continue
            except BaseException:
                connection.close()
                raise
            if version < len(self.migrations):
                connection.close()
                raise StoreError(
                    f"the engine's store {self.path} is of an older version and must be migrated, but cannot be "
                    "written; make it writable, or set RANVIER_HOME to a folder of yours"
                )
            return connection
        raise last if last is not None else sqlite3.OperationalError("unable to open database file")

    def _raw(self, target: str, *, uri: bool = False) -> sqlite3.Connection:
        connection = sqlite3.connect(
            target, timeout=self.busy_timeout_sec, isolation_level=None, check_same_thread=False, uri=uri
        )
        connection.row_factory = sqlite3.Row
        return connection

    def _check_ours(self, connection: sqlite3.Connection) -> int:
        """Return the version of the database; StoreError where it is newer than this code, or not ours at all."""
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        mark = int(connection.execute("PRAGMA application_id").fetchone()[0])
        tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        if tables and mark != APPLICATION_ID:
            raise StoreError(
                f"{self.path} is a database, but not Ranvier's; move it away, or set RANVIER_HOME to another folder"
            )
        if version > len(self.migrations):
            raise StoreError(
                f"the engine's store {self.path} was written by a newer Ranvier (version {version} of its tables, this "
                f"one knows {len(self.migrations)}); update Ranvier, or set RANVIER_HOME to another folder"
            )
        return version

    def _set_journal(self, connection: sqlite3.Connection) -> None:
        """Use WAL (readers never wait) except on network drives, where it needs memory shared between machines."""
        mode = "DELETE" if is_network_path(self.path.parent) else "WAL"
        current = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
        if current.upper() != mode:
            with suppress(sqlite3.OperationalError):  # busy, or not possible here: the mode it has is right, but slower
                connection.execute(f"PRAGMA journal_mode={mode}")
        connection.execute("PRAGMA synchronous=FULL")

    def _migrate(self, connection: sqlite3.Connection) -> None:
        if self._check_ours(connection) == len(self.migrations):
            return
        connection.execute("BEGIN IMMEDIATE")  # one process migrates; the others wait here and find it done
        try:
            version = self._check_ours(connection)
            if 0 < version < len(self.migrations):
                self._back_up(version)
            for migration in self.migrations[version:]:
                migration(connection)
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={len(self.migrations)}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _back_up(self, version: int) -> None:
        """Copy the database as it was, under a final name only once it is whole and on the disk."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        final = self.path.with_name(f"{self.path.name}.v{version}-{stamp}.bak")
        temporary = final.with_suffix(".part")
        source = self._raw(str(self.path))
        target = sqlite3.connect(temporary)
        try:
            check = str(source.execute("PRAGMA quick_check").fetchone()[0])
            if check != "ok":
                raise sqlite3.DatabaseError(check)
            source.backup(target)
            target.close()
            flush_to_disk(temporary)
            replace(temporary, final)
        finally:
            target.close()
            source.close()
            temporary.unlink(missing_ok=True)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn errors of SQLite and of the file system into StoreError with the file's name and advice."""
        try:
            yield
        except UnicodeEncodeError as error:  # undecodable bytes in a file name (Linux)
            raise StoreError(
                f"{error.object!r} cannot be kept in the engine's store: the name holds bytes that are no text; rename "
                "the file or folder"
            ) from error
        except sqlite3.OperationalError as error:
            raise StoreError(self._operational(error)) from error
        except sqlite3.IntegrityError:
            raise
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter for damaged text in SQLite's message
            raise StoreError(self._damaged(error)) from error
        except OSError as error:
            raise StoreError(
                f"the engine's store {self.path} cannot be opened ({error.strerror or error}); set RANVIER_HOME to a "
                "folder that can be written"
            ) from error

    def _operational(self, error: sqlite3.OperationalError) -> str:
        text = str(error)
        if "locked" in text or "busy" in text:
            return (
                f"the engine's store {self.path} was locked by another process for more than "
                f"{self.busy_timeout_sec:g} s; close the other Ranvier process, or set RANVIER_HOME to another folder"
            )
        if "full" in text:
            return f"the disk of the engine's store {self.path} is full; free space on it, then repeat"
        if "readonly" in text or "unable to open" in text or "disk I/O" in text:
            return (
                f"the engine's store {self.path} cannot be opened or written ({text}); check the drive and the "
                "permissions of its folder, or set RANVIER_HOME to another folder"
            )
        return self._damaged(error)

    def _damaged(self, error: Exception) -> str:
        saved = self.backups()
        restore = f"restore its newest backup {saved[0]}, or " if saved else ""
        return (
            f"the engine's store {self.path} is damaged ({error}); {restore}move it away and link the datasets again "
            "(recordings and outputs are not touched by this)"
        )
