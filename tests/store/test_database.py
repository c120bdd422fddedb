"""Opening, migrating, damage, locks, threads and processes."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from ranvier import _platform
from ranvier.exceptions import StoreError
from ranvier.models.dataset import RadiensFileType
from ranvier.models.jobs import JobInfo, JobProgress, JobState
from ranvier.models.signals import SignalType
from ranvier.store import JobRecord, Store
from ranvier.store.database import Database
from ranvier.store.schema import APPLICATION_ID, MIGRATIONS


def add_note(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE settings ADD COLUMN note TEXT")


def fail(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE settings ADD COLUMN other TEXT")
    raise RuntimeError("a migration that fails")


def write_setting(database: Database, key: str, value: str = "1") -> None:
    with database.write() as connection:
        connection.execute("INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", (key, value))


def settings(database: Database) -> dict[str, str]:
    return {row["key"]: row["value"] for row in database.read("SELECT key, value FROM settings")}


def test_reading_creates_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    assert store.settings.get("a") is None
    assert store.datasets.all() == []
    assert store.jobs.all() == []
    assert store.provenance.get("x.xdat") is None
    assert not store.home.exists()


def test_home_is_taken_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANVIER_HOME", str(tmp_path / "elsewhere"))
    with Store() as store:
        store.settings.set("a", 1)
    assert (tmp_path / "elsewhere" / "ranvier.sqlite").is_file()


def test_a_relative_home_does_not_move_with_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store(Path("home"))
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    with store:
        store.settings.set("a", 1)
    assert (tmp_path / "home" / "ranvier.sqlite").is_file()


def test_new_file_is_wal_strict_and_marked(store: Store) -> None:
    store.settings.set("a", 1)
    with sqlite3.connect(store.path) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert raw.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
        assert raw.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
        if sqlite3.sqlite_version_info >= (3, 37):
            tables = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
            assert len(tables) == 10
            assert all(sql.rstrip().endswith("STRICT") for _, sql in tables)
    raw.close()


def test_network_drives_get_no_wal(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ranvier.store.database.is_network_path", lambda path: True)
    store.settings.set("a", 1)
    assert store.settings.get("a") == 1
    raw = sqlite3.connect(store.path)
    assert raw.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
    raw.close()


def test_migration_keeps_data_and_leaves_a_backup(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    old = Database(path)
    write_setting(old, "a", "before")
    old.close()
    assert old.backups() == []

    new = Database(path, migrations=(*MIGRATIONS, add_note))
    assert settings(new) == {"a": "before"}
    write_setting(new, "a", "after")
    (backup,) = new.backups()
    new.close()
    assert f".v{len(MIGRATIONS)}-" in backup.name
    assert not list(tmp_path.glob("*.part"))
    restored = Database(backup)
    assert settings(restored) == {"a": "before"}
    restored.close()


def test_backup_is_made_before_a_migration_that_fails_and_the_file_is_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    old = Database(path)
    write_setting(old, "a")
    old.close()
    broken = Database(path, migrations=(*MIGRATIONS, fail))
    with pytest.raises(RuntimeError, match="fails"):
        settings(broken)
    assert len(broken.backups()) == 1
    again = Database(path)
    assert settings(again) == {"a": "1"}
    assert "other" not in [row["name"] for row in again.read("PRAGMA table_info(settings)")]
    again.close()


def test_only_one_of_several_migrates(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    old = Database(path)
    write_setting(old, "a")
    old.close()
    ran: list[int] = []
    start = threading.Barrier(3)

    def slowly(connection: sqlite3.Connection) -> None:
        ran.append(1)
        time.sleep(0.2)
        add_note(connection)

    def use(database: Database) -> None:
        start.wait()
        found.append(settings(database))

    found: list[dict[str, str]] = []
    databases = [Database(path, migrations=(*MIGRATIONS, slowly)) for _ in range(3)]
    threads = [threading.Thread(target=use, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for database in databases:
        database.close()
    assert ran == [1]
    assert found == [{"a": "1"}] * 3


def test_newer_file_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    newer = Database(path, migrations=(*MIGRATIONS, add_note))
    write_setting(newer, "a")
    newer.close()
    before = path.read_bytes()
    ours = Database(path)
    with pytest.raises(StoreError, match=r"s\.sqlite was written by a newer Ranvier.*update Ranvier"):
        write_setting(ours, "b")
    assert path.read_bytes() == before


def test_a_foreign_database_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE theirs (x)")
    raw.commit()
    raw.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not Ranvier's"):
        write_setting(Database(path), "a")
    assert path.read_bytes() == before


@pytest.mark.parametrize("how", ["text", "header", "pages", "cut"])
def test_damage_is_named_and_nothing_is_deleted(tmp_path: Path, how: str) -> None:
    path = tmp_path / "s.sqlite"
    good = Database(path)
    for i in range(200):
        write_setting(good, f"key{i}", "x" * 100)
    good.close()
    content = bytearray(path.read_bytes())
    if how == "text":
        content[:] = b"this is no database, it is a text" * 100
    elif how == "header":
        content[:64] = bytes(64)
    elif how == "pages":
        content[1024:] = b"\xa5" * (len(content) - 1024)
    else:
        del content[len(content) // 2 :]
    path.write_bytes(content)
    damaged = Database(path)

    def use() -> None:
        settings(damaged)
        write_setting(damaged, "new")

    with pytest.raises(StoreError, match=r"s\.sqlite is damaged.*move it away"):
        use()
    damaged.close()
    assert path.read_bytes() == bytes(content)


def test_damage_names_the_backup(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    old = Database(path)
    write_setting(old, "a")
    old.close()
    new = Database(path, migrations=(*MIGRATIONS, add_note))
    settings(new)
    new.close()
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match=rf"restore its newest backup .*\.v{len(MIGRATIONS)}-.*\.bak"):
        settings(new)


def test_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = Store(tmp_path / "file" / "home")
    assert store.settings.get("a") is None
    with pytest.raises(StoreError, match="set RANVIER_HOME"):
        store.settings.set("a", 1)
    with pytest.raises(StoreError, match="set RANVIER_HOME"):
        store.owners.claim()


def test_unwritable_home_is_read_and_refuses_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(tmp_path / "home") as first:
        first.settings.set("a", 1)
    monkeypatch.setattr(Database, "is_writable", property(lambda self: False))
    with Store(tmp_path / "home") as store:
        assert store.settings.get("a") == 1
        with pytest.raises(StoreError, match="cannot be written"):
            store.settings.set("a", 2)
        monkeypatch.setattr(Database, "is_writable", property(lambda self: True))
        store.settings.set("a", 2)  # the drive was mounted writable meanwhile
        assert store.settings.get("a") == 2


def test_unwritable_and_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = Database(tmp_path / "s.sqlite")
    write_setting(old, "a")
    old.close()
    monkeypatch.setattr(Database, "is_writable", property(lambda self: False))
    with pytest.raises(StoreError, match="must be migrated"):
        settings(Database(tmp_path / "s.sqlite", migrations=(*MIGRATIONS, add_note)))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes everywhere")
def test_permissions_of_the_folder(tmp_path: Path) -> None:
    with Store(tmp_path / "home") as store:
        store.settings.set("a", 1)
    (tmp_path / "home").chmod(0o500)
    try:
        assert store.settings.get("a") == 1
        with pytest.raises(StoreError, match="cannot be written"):
            store.settings.set("a", 2)
    finally:
        store.close()
        (tmp_path / "home").chmod(0o700)


def test_locked_for_too_long(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    first = Database(path)
    write_setting(first, "a")
    second = Database(path, busy_timeout_sec=0.2)
    with first.write(), pytest.raises(StoreError, match=r"locked by another process for more than 0\.2 s"):
        write_setting(second, "b")
    write_setting(second, "b")
    assert settings(first) == {"a": "1", "b": "1"}
    first.close()
    second.close()


def test_an_exception_rolls_back(store: Store) -> None:
    write_setting(store.database, "a")

    def fails() -> None:
        with store.database.write() as connection:
            connection.execute("DELETE FROM settings")
            raise KeyError("in between")

    with pytest.raises(KeyError):
        fails()
    assert settings(store.database) == {"a": "1"}
    write_setting(store.database, "b")


def test_threads_share_a_store(store: Store) -> None:
    failures: list[BaseException] = []

    def add(k: int) -> None:
        try:
            for i in range(25):
                store.settings.set(f"{k}-{i}", i)
                assert store.settings.get(f"{k}-{i}") == i
        except Exception as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=add, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(store.settings.all()) == 200


def _write_many(home: str, name: str, n: int) -> None:
    with Store(Path(home)) as store:
        for i in range(n):
            store.settings.set(f"{name}-{i}", i)


def test_processes_create_and_write_one_store_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write_many, args=(str(tmp_path), f"p{k}", 20)) for k in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    with Store(tmp_path) as store:
        assert len(store.settings.all()) == 60


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is POSIX")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_opens_its_own_connection(store: Store) -> None:
    store.settings.set("parent", 1)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            store.settings.set("child", 2)
            code = 0 if store.settings.get("parent") == 1 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.settings.all() == {"child": 2, "parent": 1}


def test_network_path_of_the_mount_that_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/proc/self/mounts").exists():
        pytest.skip("no mount table here")
    table = f"/dev/sda / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n/dev/sdb {tmp_path}/local xfs rw 0 0\n"
    monkeypatch.setattr(Path, "read_text", lambda self, **_: table)
    assert _platform.is_network_path(tmp_path / "home")
    assert not _platform.is_network_path(tmp_path / "local" / "home")
    assert not _platform.is_network_path(tmp_path.parent / "home")


def test_disk_full_leaves_the_store_as_it_was(store: Store) -> None:
    store.settings.set("a", 1)
    with store.database.write() as connection:
        connection.execute("PRAGMA max_page_count=8")
    with pytest.raises(StoreError, match="full; free space"):
        store.settings.set("big", "x" * 100_000)
    assert store.settings.all() == {"a": 1}
    store.settings.set("a", 2)


def test_a_backup_that_cannot_be_written_stops_the_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.sqlite"
    old = Database(path)
    write_setting(old, "a")
    old.close()

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ranvier.store.database.flush_to_disk", full)
    with pytest.raises(StoreError, match="No space left"):
        settings(Database(path, migrations=(*MIGRATIONS, add_note)))
    assert [p.name for p in tmp_path.iterdir() if p.suffix in (".bak", ".part")] == []
    with Store(tmp_path) as store:
        assert store.database.backups() == []
    again = Database(path)
    assert settings(again) == {"a": "1"}
    again.close()


@settings_of_hypothesis(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=40))
@example([(0.02063731469499075, 48)])  # another name for a column, in the schema
def test_damaged_bytes_give_our_error_or_none(changes: list[tuple[float, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with Store(Path(folder)) as good:
            made = good.datasets.link("rec", "/d/rec", RadiensFileType.XDAT)
            good.datasets.set_selection(made.id, {SignalType.AMP: range(30)})
            good.settings.set("a", {"b": [1, 2, 3]})
            good.provenance.put("/d/rec", {"version": 1})
            progress = JobProgress(fraction=0.5)
            info = JobInfo(
                id="j",
                kind="k",
                label="l",
                state=JobState.RUNNING,
                progress=progress,
                created_utc="2026",
                outputs=("a",),
            )
            good.jobs.insert(JobRecord(info, "owner", 1, "host", 0.0))
        content = bytearray(good.path.read_bytes())
        for where, value in changes:
            content[int(where * len(content))] = value
        good.path.write_bytes(content)
        with Store(Path(folder)) as damaged:
            for call in (
                damaged.datasets.all,
                damaged.settings.all,
                damaged.jobs.all,
                lambda: damaged.provenance.get("/d/rec"),
                lambda: damaged.datasets.link("rec", "/d/rec", RadiensFileType.XDAT),
                lambda: damaged.jobs.mark_lost(lambda record: False),
                lambda: damaged.settings.set("c", 1),
            ):
                with suppress(StoreError):
                    call()
        assert good.path.exists()


KILLED = """
import sys
from pathlib import Path
from ranvier.models.dataset import RadiensFileType
from ranvier.models.jobs import JobInfo, JobProgress, JobState
from ranvier.models.signals import SignalType
from ranvier.store import JobRecord, Store
store = Store(Path(sys.argv[1]))
i = store.settings.get("count", 0)
while True:
    i += 1
    with store.database.write() as connection:
        for key in ("count", "copy"):
            connection.execute("INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", (key, str(i)))
    print(i, flush=True)
"""


@pytest.mark.slow
def test_a_killed_writer_loses_no_finished_write_and_leaves_no_half_one(tmp_path: Path) -> None:
    for round_ in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.02 * round_)
        process.kill()
        said = process.communicate(timeout=30)[0].split()
        with Store(tmp_path) as store:
            found = store.settings.all()
            assert found["count"] == found["copy"]
            assert found["count"] >= int(said[-1] if said else 1)
            assert store.database.read("PRAGMA quick_check")[0][0] == "ok"
