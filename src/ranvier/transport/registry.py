"""Which engine processes there are: one record per kind under ``RANVIER_HOME/engines``.

========================  =====================================================================
``<kind>.json``           the record: address, process, token file, start time, version
``<kind>.token``          the token, readable by the user only
``<kind>.lock``           held while someone starts a process: two clients get one
``<kind>.alive``          held by the process as long as it lives
``<kind>.data``           its socket for large results
``<kind>.log``            what it wrote to stdout and stderr; ``.log.1`` is the run before
========================  =====================================================================
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Self

from ranvier._platform import home as default_home
from ranvier._platform import make_private_folder, try_lock, write_private
from ranvier.exceptions import ConfigurationError, ServerDiscoveryError

_THREADS = threading.Lock()
#: Locks of this process; POSIX gives one up when any handle of its file is closed, so nobody else here may open it.
_HELD: dict[Path, IO[str]] = {}


@dataclass(frozen=True)
class ProcessRecord:
    """One engine process.

    Attributes
    ----------
    kind
        ``"rig"`` or ``"hub"``.
    address, token_file
        Where it answers, and where its token stands.
    pid
        Its process.
    started_utc
        ISO 8601.
    version
        Of Ranvier.
    """

    kind: str
    address: str
    pid: int
    token_file: str
    started_utc: str
    version: str

    @property
    def token(self) -> str:
        """The token; empty where the file is gone (then the process is as well)."""
        try:
            return Path(self.token_file).read_text(encoding="utf-8")
        except OSError:
            return ""


@dataclass(frozen=True)
class Place:
    """The files of one kind of engine under one home."""

    folder: Path
    kind: str

    @classmethod
    def of(cls, kind: str, home: Path | None = None) -> Self:
        """Return the place, and make its folder."""
        if not kind.isidentifier():
            raise ConfigurationError(f"a kind of engine is a word such as 'rig' or 'hub', not {kind!r}")
        folder = (home or default_home()).expanduser().absolute() / "engines"
        make_private_folder(folder)
        return cls(folder, kind)

    def file(self, suffix: str) -> Path:
        """Return one of its files."""
        return self.folder / f"{self.kind}.{suffix}"

    def read(self) -> ProcessRecord | None:
        """Return the record; None where there is none that can be read."""
        try:
            fields = json.loads(self.file("json").read_text(encoding="utf-8"))
            return ProcessRecord(**fields)
        except (OSError, ValueError, TypeError):
            return None

    def write(self, record: ProcessRecord) -> None:
        """Register a process."""
        write_private(self.file("json"), json.dumps(asdict(record), indent=1))

    def forget(self, pid: int | None = None) -> None:
        """Remove the record, with ``pid`` only that of this process."""
        record = self.read()
        if pid is None or (record is not None and record.pid == pid):
            self.file("json").unlink(missing_ok=True)
            self.file("token").unlink(missing_ok=True)

    @contextlib.contextmanager
    def starting(self, timeout_sec: float) -> Iterator[None]:
        """Hold the right to start a process; ServerDiscoveryError where another one holds it for too long."""
        deadline = time.monotonic() + timeout_sec
        if not _THREADS.acquire(timeout=timeout_sec):  # file locks are per process
            raise ServerDiscoveryError(f"another thread is starting a {self.kind} for more than {timeout_sec:g} s")
        try:
            with open(self.file("lock"), "a+", encoding="utf-8") as handle:
                while not try_lock(handle):
                    if time.monotonic() > deadline:
                        raise ServerDiscoveryError(
                            f"another process is starting a {self.kind} for more than {timeout_sec:g} s; "
                            f"its log is {self.file('log')}"
                        )
                    time.sleep(0.02)
                yield
        finally:
            _THREADS.release()

    def hold(self) -> bool:
        """Take the lock of this kind until this process ends, however it ends; False where another process has it."""
        path = self.file("alive")
        handle = open(path, "a+", encoding="utf-8")  # noqa: SIM115 - held until the process ends
        for _ in range(50):  # a client that looks whether someone holds it does so for a moment only
            if try_lock(handle):
                _HELD[path] = handle
                return True
            time.sleep(0.02)
        handle.close()
        return False

    def is_held(self) -> bool:
        """Return whether a process of this kind lives, as the operating system's lock tells. Asked while starting."""
        if self.file("alive") in _HELD:
            return True
        if not self.file("alive").exists():
            return False
        with open(self.file("alive"), "a+", encoding="utf-8") as handle:
            return not try_lock(handle)


def token_for(address: str, home: Path | None = None) -> str | None:
    """Return the token of the registered engine at an address."""
    folder = (home or default_home()).expanduser().absolute() / "engines"
    if not folder.is_dir():
        return None
    for path in sorted(folder.glob("*.json")):
        record = Place(folder, path.stem).read()
        if record is not None and record.address == address:
            return record.token
    return None
