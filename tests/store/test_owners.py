"""Whether a process lives: by its lock, or by its heartbeat where the drive has no locks."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ranvier.models.jobs import JobInfo, JobProgress, JobState
from ranvier.store import JobRecord, Store
from ranvier.store.owners import Owners

HOLD = """
import sys, time
from pathlib import Path
from ranvier.store.owners import Owners
print(Owners(Path(sys.argv[1])).claim(), flush=True)
time.sleep(600)
"""


def holder(folder: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_own_claim_survives_its_own_checks(tmp_path: Path) -> None:
    owners, again = Owners(tmp_path), Owners(tmp_path)
    token = owners.claim()
    os.utime(tmp_path / f"{token}.lock", (0, 0))
    again.sweep()
    assert again.is_alive(token, 0.0)
    assert (tmp_path / f"{token}.lock").exists()
    owners.release(token)
    assert not owners.is_alive(token, time.time())
    assert list(tmp_path.iterdir()) == []


def test_another_process_lives_until_it_is_killed(tmp_path: Path) -> None:
    process, token = holder(tmp_path)
    owners = Owners(tmp_path)
    os.utime(tmp_path / f"{token}.lock", (0, 0))
    assert owners.is_alive(token, 0.0)
    owners.sweep()
    assert owners.is_alive(token, 0.0)
    process.kill()
    process.communicate(timeout=30)
    assert not owners.is_alive(token, time.time())
    owners.sweep()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is POSIX")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_keep_its_parent_alive(tmp_path: Path) -> None:
    # parent -> claims, forks a child that lives on, dies; the child must not count as the owner
    script = HOLD.replace("time.sleep(600)", "import os\nif os.fork() == 0: time.sleep(8)\nelse: os._exit(0)")
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    token = process.stdout.readline().strip()
    process.wait(30)
    assert not Owners(tmp_path).is_alive(token, time.time())
    process.stdout.close()


def test_without_locks_the_heartbeat_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(handle: object) -> bool:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("ranvier.store.owners.try_lock", none)
    (tmp_path / "token.lock").touch()
    owners = Owners(tmp_path)
    assert owners.is_alive("token", time.time() - 30)
    assert not owners.is_alive("token", time.time() - 300)
    token = owners.claim()
    assert owners.is_alive(token, 0.0)
    owners.release(token)


def record(id: str, owner: str, state: JobState = JobState.RUNNING) -> JobRecord:
    info = JobInfo(id=id, kind="k", label=id, state=state, progress=JobProgress(fraction=0.25), created_utc="2026")
    return JobRecord(info, owner, 1, "host", time.time())


def test_only_unfinished_jobs_of_dead_owners_are_lost(store: Store) -> None:
    for id, owner, state in (
        ("a", "dead", JobState.RUNNING),
        ("b", "dead", JobState.QUEUED),
        ("c", "dead", JobState.DONE),
        ("d", "alive", JobState.RUNNING),
    ):
        store.jobs.insert(record(id, owner, state))
    lost = store.jobs.mark_lost(lambda job: job.owner == "alive")
    assert {job.info.id for job in lost} == {"a", "b"}
    states = {job.info.id: job.info.state for job in store.jobs.all()}
    assert states == {"a": JobState.LOST, "b": JobState.LOST, "c": JobState.DONE, "d": JobState.RUNNING}
    assert "at 25%" in (store.jobs.get("a").info.error or "")


def test_a_late_report_does_not_revive_a_finished_job(store: Store) -> None:
    store.jobs.insert(record("a", "x"))
    done = record("a", "x", JobState.DONE).info
    store.jobs.finish(done)
    assert store.jobs.update("a", JobState.RUNNING, JobProgress(fraction=0.5)) is False
    assert store.jobs.get("a").info == done
