"""Jobs: results, errors, progress, cancel, Ctrl-C, order, records."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from ranvier.exceptions import (
    CapabilityError,
    ConfigurationError,
    DataProcessingError,
    DatasetError,
    FilterDesignError,
    JobCancelledError,
    OutputError,
    OutputExistsError,
    StoreError,
)
from ranvier.hub.jobs import Budget, JobContext, JobManager, Need, Retries
from ranvier.models.jobs import JobProgress, JobState
from ranvier.store import Store
from ranvier.store.jobs import Jobs


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "home") as made:
        yield made


@pytest.fixture
def jobs(store: Store) -> Iterator[JobManager]:
    manager = JobManager(store, budget=Budget(2**30, 4, 1))
    yield manager
    manager.close(cancel=True)


class Gate:
    """Work that starts, waits to be let go, and listens to a cancel."""

    def __init__(self) -> None:
        self.started, self.go, self.cleaned = threading.Event(), threading.Event(), False

    def __call__(self, job: JobContext) -> str:
        self.started.set()
        try:
            while not self.go.wait(0.005):
                job.check()
        finally:
            self.cleaned = True
        return "done"


def wait_until(condition: Callable[[], bool], timeout_sec: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_sec
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition never came true")
        time.sleep(0.02)


def test_run_returns_what_the_work_returns(jobs: JobManager, store: Store) -> None:
    assert jobs.run("export", "export a", lambda job: 42, outputs=[Path("out") / "a.nwb"]) == 42
    (info,) = jobs.list()
    assert (info.kind, info.label, info.state, info.error) == ("export", "export a", JobState.DONE, None)
    assert info.outputs == (str(Path("out") / "a.nwb"),)
    assert info.progress.fraction == 1.0
    assert info.finished_utc is not None
    assert info.created_utc <= info.finished_utc
    assert store.jobs.all()[0].info == info == jobs.get(info.id)


def test_work_runs_in_another_thread_and_progress_arrives_in_ours(jobs: JobManager) -> None:
    seen: list[tuple[threading.Thread, JobProgress]] = []
    worker: list[threading.Thread] = []

    def work(job: JobContext) -> None:
        worker.append(threading.current_thread())
        for done in range(0, 1001, 100):
            job.progress(samples_done=done, samples_total=1000, phase="filter")
            time.sleep(0.07)

    jobs.run("bandpass", "x", work, progress=lambda p: seen.append((threading.current_thread(), p)))
    assert worker != [threading.current_thread()]
    assert {thread for thread, _ in seen} == {threading.current_thread()}
    fractions = [p.fraction for _, p in seen]
    assert fractions == sorted(fractions)
    assert len(seen) >= 3  # 0.77 s at about 10 Hz, slower on a busy machine
    last = seen[-1][1]
    assert (last.fraction, last.samples_done, last.phase, last.remaining_sec) == (1.0, 1000, "filter", 0.0)
    assert last.samples_per_sec == pytest.approx(1000 / last.elapsed_sec)


def test_remaining_time_is_estimated() -> None:
    context = JobContext("j", "label")
    assert context.snapshot().remaining_sec is None
    context._begin()
    context.progress(0.25)
    assert context.snapshot().remaining_sec is None
    context._started = time.monotonic() - 10.0
    assert context.snapshot().remaining_sec == pytest.approx(30.0, rel=0.01)


def test_progress_forms() -> None:
    context = JobContext("j", "label")
    context.samples(50, 200)
    assert context.snapshot().fraction == 0.25
    context.progress(7.0, phase="write")
    assert (context.snapshot().fraction, context.snapshot().samples_done) == (1.0, 50)
    context.progress(JobProgress(fraction=0.5, samples_done=3, samples_total=6))
    now = context.snapshot()
    assert (now.fraction, now.samples_done, now.samples_total, now.phase) == (0.5, 3, 6, "write")
    assert (now.job_id, now.label) == ("j", "label")
    context.progress(float("nan"))
    assert context.snapshot().fraction == 0.0


def test_our_errors_arrive_as_they_are(jobs: JobManager) -> None:
    def work(job: JobContext) -> None:
        job.progress(0.5)
        raise FilterDesignError("cutoff 20000 Hz is above Nyquist")

    with pytest.raises(FilterDesignError, match="Nyquist"):
        jobs.run("bandpass", "x", work)
    (info,) = jobs.list()
    assert (info.state, info.error) == (JobState.FAILED, "cutoff 20000 Hz is above Nyquist")
    assert info.progress.fraction == 0.5


@pytest.mark.parametrize("error", [ZeroDivisionError("by zero"), MemoryError(), SystemExit(3)])
def test_other_errors_are_wrapped_with_their_cause(jobs: JobManager, error: BaseException) -> None:
    def work(job: JobContext) -> None:
        raise error

    with pytest.raises(DataProcessingError, match=f"bandpass of x failed: {type(error).__name__}") as caught:
        jobs.run("bandpass", "bandpass of x", work)
    assert caught.value.__cause__ is error
    assert jobs.run("next", "x", lambda job: 1) == 1


def test_cancel_of_running_work_waits_for_its_clean_up(jobs: JobManager) -> None:
    gate = Gate()
    job = jobs.submit("k", "the label", gate)
    assert gate.started.wait(10)
    jobs.cancel(job.id)
    with pytest.raises(JobCancelledError, match="the label was cancelled"):
        job.result()
    assert gate.cleaned
    assert jobs.get(job.id).state is JobState.CANCELLED


def test_cancel_of_queued_work_never_starts_it(jobs: JobManager) -> None:
    first, second = Gate(), Gate()
    running, queued = jobs.submit("k", "1", first), jobs.submit("k", "2", second)
    assert first.started.wait(10)
    assert [info.state for info in jobs.list()] == [JobState.QUEUED, JobState.RUNNING]
    queued.cancel()
    with pytest.raises(JobCancelledError):
        queued.result(timeout_sec=10)
    assert not running.is_finished
    first.go.set()
    assert running.result() == "done"
    assert not second.started.is_set()


def test_work_that_ends_despite_a_cancel_is_done(jobs: JobManager) -> None:
    started = threading.Event()

    def work(job: JobContext) -> int:
        started.set()
        while not job.cancelled():
            time.sleep(0.005)
        return 7

    job = jobs.submit("k", "x", work)
    assert started.wait(10)
    job.cancel()
    assert job.result() == 7
    assert jobs.get(job.id).state is JobState.DONE


@pytest.mark.parametrize("raised", [KeyboardInterrupt, ValueError])
def test_an_interrupted_caller_leaves_no_work_behind(jobs: JobManager, raised: type[BaseException]) -> None:
    gate = Gate()

    def show(progress: JobProgress) -> None:
        raise raised

    with pytest.raises(raised):
        jobs.run("k", "x", gate, progress=show)
    assert gate.cleaned
    assert jobs.list()[0].state is JobState.CANCELLED


def test_jobs_run_in_order_one_at_a_time(jobs: JobManager) -> None:
    order: list[int] = []
    inside = threading.Semaphore(1)

    def work(k: int) -> Callable[[JobContext], int]:
        def run(job: JobContext) -> int:
            assert inside.acquire(blocking=False)
            time.sleep(0.01)
            order.append(k)
            inside.release()
            return k

        return run

    queued = [jobs.submit("k", str(k), work(k)) for k in range(8)]
    assert [job.result() for job in queued] == list(range(8)) == order


def test_several_at_once_where_asked(store: Store) -> None:
    with JobManager(store, budget=Budget(2**30, 2, 2)) as jobs:
        gates = [Gate() for _ in range(3)]
        queued = [jobs.submit("k", "x", gate) for gate in gates]
        assert gates[0].started.wait(10)
        assert gates[1].started.wait(10)
        assert not gates[2].started.is_set()
        for gate in gates:
            gate.go.set()
        assert [job.result() for job in queued] == ["done"] * 3


def test_the_budget_is_kept_in_order_of_submission(store: Store) -> None:
    """Nobody overtakes: the small last job waits behind a large one that does not fit yet."""
    budget = Budget(memory_bytes=100, workers=8, max_running=8)
    with JobManager(store, budget=budget) as jobs:
        needs = [Need(40, 2), Need(40, 2), Need(50, 2), Need(5, 1), Need(500, 50), Need(1, 1)]
        gates = [Gate() for _ in needs]
        queued = [
            jobs.submit("k", str(k), gate, need=need) for k, (gate, need) in enumerate(zip(gates, needs, strict=True))
        ]

        def running() -> list[int]:
            time.sleep(0.05)
            return [k for k, job in enumerate(queued) if gates[k].started.is_set() and not job.is_finished]

        def end(k: int) -> None:
            gates[k].go.set()
            assert queued[k].result() == "done"

        assert running() == [0, 1]
        end(0)
        wait_until(gates[3].started.is_set)
        assert running() == [1, 2, 3]  # the one that exceeds the budget runs alone, so it and the last one wait
        end(1)
        end(2)
        assert running() == [3]
        end(3)
        wait_until(gates[4].started.is_set)
        assert running() == [4]
        assert queued[4].context.granted == Need(100, 8)
        end(4)
        wait_until(gates[5].started.is_set)
        end(5)


def test_the_sum_never_exceeds_the_budget(store: Store) -> None:
    rng = random.Random(0)
    budget = Budget(memory_bytes=1000, workers=6, max_running=5)
    taken, most, lock = [Need(0, 0)], [0, 0, 0], threading.Lock()

    def work(job: JobContext) -> None:
        with lock:
            taken.append(job.granted)
            for k, total in enumerate(
                (sum(n.memory_bytes for n in taken), sum(n.workers for n in taken), len(taken) - 1)
            ):
                most[k] = max(most[k], total)
        time.sleep(rng.random() * 0.01)
        with lock:
            taken.remove(job.granted)

    with JobManager(store, budget=budget) as jobs:
        many = [jobs.submit("k", "x", work, need=Need(rng.randint(1, 600), rng.randint(1, 4))) for _ in range(40)]
        for job in many:
            job.result()
    assert most[0] <= 1000
    assert most[1] <= 6
    assert 2 <= most[2] <= 5


def test_a_budget_from_the_settings(store: Store) -> None:
    assert Budget.of(store).max_running >= 1
    store.settings.set("jobs.workers", 3)
    store.settings.set("jobs.memory_bytes", 123)
    assert Budget.of(store) == Budget(123, 3, 3)
    store.settings.set("jobs.max_running", 1)
    assert JobManager(store).budget == Budget(123, 3, 1)
    with pytest.raises(ConfigurationError, match="lets nothing run"):
        Budget(0, 1, 1)


@pytest.mark.parametrize(
    "change",
    [{"memory_bytes": float("nan")}, {"workers": 1.5}, {"max_running": "many"}, {"retry_pause_sec": float("inf")}],
)
def test_settings_that_cannot_be_meant_are_refused_and_not_kept(store: Store, change: dict[str, object]) -> None:
    with JobManager(store) as jobs:
        before = jobs.settings()
        with pytest.raises(ConfigurationError, match=r"memory_bytes=nan|workers=1\.5|max_running='many'|after inf s"):
            jobs.change_settings(**change)  # type: ignore[arg-type]
        assert jobs.settings() == before


def test_a_damaged_setting_in_the_store_is_as_if_it_were_not_there(store: Store) -> None:
    store.settings.set("jobs.memory_bytes", float("nan"))
    store.settings.set("jobs.workers", 3)
    with JobManager(store) as jobs:
        assert jobs.settings().workers == 3
        assert jobs.settings().memory_bytes > 2**20
        assert jobs.run("k", "x", lambda job: "done") == "done"


def test_settings_are_kept(store: Store) -> None:
    with JobManager(store) as jobs:
        before = jobs.settings()
        assert (before.retries, before.max_running) == (0, before.workers)
        found = jobs.change_settings(workers=3, retries=1, retry_pause_sec=0.01)
        assert (found.workers, found.max_running, found.memory_bytes) == (3, 3, before.memory_bytes)
        assert jobs.budget == Budget(before.memory_bytes, 3, 3)
        assert jobs.run("k", "x", Flaky(1, OutputError("full"))) == "done"
        for bad in ({"workers": 0}, {"retries": -1}, {"retry_pause_sec": 0.0}, {"memory_bytes": -5}):
            with pytest.raises(ConfigurationError):
                jobs.change_settings(**bad)
    assert JobManager(Store(store.home)).settings() == found


def test_a_cancelled_job_in_the_queue_makes_room(store: Store) -> None:
    with JobManager(store, budget=Budget(100, 4, 4)) as jobs:
        first, large, small = Gate(), Gate(), Gate()
        running = jobs.submit("k", "first", first, need=Need(60, 1))
        waiting = jobs.submit("k", "large", large, need=Need(90, 1))
        last = jobs.submit("k", "small", small, need=Need(10, 1))
        assert first.started.wait(10)
        assert not small.started.wait(0.1)
        waiting.cancel()
        assert small.started.wait(10)
        for gate in (first, small):
            gate.go.set()
        assert (running.result(), last.result()) == ("done", "done")


class Flaky:
    """Work that fails some times."""

    def __init__(self, times: int, error: Exception) -> None:
        self.times, self.error, self.calls = times, error, 0

    def __call__(self, job: JobContext) -> str:
        self.calls += 1
        if self.calls <= self.times:
            raise self.error
        return "done"


def test_failures_that_may_pass_are_tried_again(jobs: JobManager) -> None:
    work = Flaky(2, OutputError("the disk is full"))
    job = jobs.submit("k", "x", work, retries=Retries(times=2, pause_sec=0.01))
    assert job.result() == "done"
    assert (jobs.get(job.id).attempts, jobs.get(job.id).state) == (3, JobState.DONE)
    work = Flaky(3, OutputError("the disk is full"))
    with pytest.raises(OutputError):
        jobs.run("k", "x", work, retries=Retries(times=2, pause_sec=0.01))
    assert work.calls == 3


@pytest.mark.parametrize("error", [OutputExistsError("there"), FilterDesignError("no"), JobCancelledError("stop")])
def test_other_failures_are_not_tried_again(jobs: JobManager, error: Exception) -> None:
    work = Flaky(1, error)
    with pytest.raises(type(error)):
        jobs.run("k", "x", work, retries=Retries(times=3, pause_sec=0.01))
    assert work.calls == 1
    once = Flaky(1, OutputError("full"))
    with pytest.raises(OutputError):
        jobs.run("k", "x", once)  # by default nothing is
    assert once.calls == 1


def test_a_cancel_ends_the_wait_for_another_try(jobs: JobManager) -> None:
    job = jobs.submit("k", "x", Flaky(1, OutputError("full")), retries=Retries(times=1, pause_sec=600))
    wait_until(lambda: "waits to try again: full" in job.info.progress.phase)
    job.cancel()
    with pytest.raises(JobCancelledError):
        job.result(timeout_sec=10)


def test_retry_by_hand(jobs: JobManager) -> None:
    work = Flaky(1, OutputError("full"))
    with pytest.raises(OutputError):
        jobs.run("export", "the label", work, outputs=["a.xdat"])
    (failed,) = jobs.list()
    again = jobs.retry(failed.id)
    assert (again.state, again.retry_of, again.label) == (JobState.DONE, failed.id, "the label")
    assert again.outputs == ("a.xdat",)
    with pytest.raises(ConfigurationError, match="is done: there is nothing to do again"):
        jobs.retry(again.id)
    with pytest.raises(DatasetError):
        jobs.retry("job-unknown")
    other = JobManager(Store(jobs._store.home))
    with pytest.raises(CapabilityError, match="cannot be repeated from its record"):
        other.retry(failed.id)


def test_timeout_leaves_the_job_running(jobs: JobManager) -> None:
    gate = Gate()
    job = jobs.submit("k", "x", gate)
    with pytest.raises(TimeoutError):
        job.result(timeout_sec=0.05)
    gate.go.set()
    assert job.result() == "done"


def test_waiting_inside_a_job_is_refused(jobs: JobManager) -> None:
    with pytest.raises(DataProcessingError, match="wait for each other"):
        jobs.run("outer", "outer", lambda job: jobs.run("inner", "inner", lambda inner: 1))


def test_running_progress_is_in_the_store(jobs: JobManager, store: Store) -> None:
    gate = Gate()

    def work(job: JobContext) -> str:
        job.progress(0.4, phase="read")
        return gate(job)

    job = jobs.submit("k", "x", work)
    with Store(store.home) as other:
        wait_until(lambda: other.jobs.get(job.id).info.progress.fraction == 0.4)
        record = other.jobs.get(job.id)
        assert (record.info.state, record.info.progress.phase) == (JobState.RUNNING, "read")
    gate.go.set()
    job.result()


def test_progress_is_stored_about_once_a_second(
    jobs: JobManager, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[float] = []
    real = Jobs.update
    monkeypatch.setattr(Jobs, "update", lambda self, *a: calls.append(time.monotonic()) or real(self, *a))

    def work(job: JobContext) -> None:
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            job.progress(0.5)

    jobs.run("k", "x", work)
    assert len(calls) >= 2  # the start, and one per second
    assert min(b - a for a, b in pairwise(calls)) > 0.8


def test_names_that_are_no_text(jobs: JobManager) -> None:
    name = "caf\udce9.xdat"  # a Latin-1 file name, as Linux gives it

    def work(job: JobContext) -> None:
        raise FilterDesignError(f"{name} is bad")

    with pytest.raises(FilterDesignError):
        jobs.run("k", f"export {name}", work, outputs=[name])
    (info,) = jobs.list()
    assert (info.label, info.error, info.outputs) == ("export caf?.xdat", "caf?.xdat is bad", (name,))


def test_outputs_named_by_the_work(jobs: JobManager) -> None:
    jobs.run("k", "x", lambda job: job.add_output(Path("b.xdat")), outputs=["a.xdat"])
    assert jobs.list()[0].outputs == ("a.xdat", "b.xdat")


def test_another_manager_cancels_through_the_store(jobs: JobManager, store: Store) -> None:
    gate = Gate()
    job = jobs.submit("k", "x", gate)
    other = JobManager(Store(store.home))
    assert other.cancel(job.id).id == job.id
    with pytest.raises(JobCancelledError):
        job.result(timeout_sec=20)
    assert other.cancel(job.id).state is JobState.CANCELLED  # finished already: nothing to do
    with pytest.raises(DatasetError, match="no job 'nobody'"):
        other.cancel("nobody")


def test_clear_keeps_what_runs(jobs: JobManager) -> None:
    first, second = (jobs.submit("k", str(k), lambda job: None) for k in range(2))
    first.result(), second.result()
    gate = Gate()
    running = jobs.submit("k", "running", gate)
    assert jobs.clear([first.id, running.id]) == 1
    assert jobs.clear() == 1
    assert [info.id for info in jobs.list()] == [running.id]
    gate.go.set()


def test_close_waits_and_then_refuses(store: Store) -> None:
    with JobManager(store) as jobs:
        done = [jobs.submit("k", "x", lambda job: time.sleep(0.02)) for _ in range(3)]
    assert all(job.is_finished for job in done)
    assert not list((store.home / "owners").glob("*.lock"))
    with pytest.raises(DataProcessingError, match="closed"):
        jobs.submit("k", "x", lambda job: None)


def test_leaving_with_an_error_cancels(store: Store) -> None:
    gate = Gate()

    def session() -> None:
        with JobManager(store) as jobs:
            jobs.submit("k", "x", gate)
            assert gate.started.wait(10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session()
    assert gate.cleaned
    assert [record.info.state for record in store.jobs.all()] == [JobState.CANCELLED]


def test_nothing_is_written_before_the_first_job(tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    with JobManager(store) as jobs:
        assert jobs.list() == []
    assert not store.home.exists()


def test_a_home_that_cannot_be_written_refuses_the_job(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with JobManager(Store(tmp_path / "file" / "home")) as jobs, pytest.raises(StoreError, match="RANVIER_HOME"):
        jobs.submit("k", "x", lambda job: None)


def test_an_end_that_cannot_be_recorded_is_said(jobs: JobManager, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Jobs, info: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(Jobs, "finish", full)
    job = jobs.submit("k", "x", lambda job: 3)
    assert job.result() == 3
    assert job.info.state is JobState.DONE
    assert "could not be recorded: the disk is full" in (jobs.get(job.id).error or "")


def test_old_finished_jobs_are_forgotten(jobs: JobManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ranvier.store.jobs.KEPT_JOBS", 3)
    for k in range(6):
        jobs.run("k", str(k), lambda job: None)
    assert [info.label for info in jobs.list()] == ["5", "4", "3", "2"]  # the newest was added after the pruning


def run_script(body: str, home: Path) -> subprocess.Popen[str]:
    head = """
        import sys, time
        from pathlib import Path
        from ranvier.hub.jobs import JobManager
        from ranvier.store import Store
        jobs = JobManager(Store(Path(sys.argv[1])))
    """
    script = textwrap.dedent(head) + textwrap.dedent(body)
    return subprocess.Popen([sys.executable, "-c", script, str(home)], stdout=subprocess.PIPE, text=True)


def test_a_script_that_ends_finishes_its_jobs(tmp_path: Path, store: Store) -> None:
    script = run_script("jobs.submit('k', 'x', lambda job: time.sleep(0.3))", store.home)
    script.communicate(timeout=60)
    assert script.returncode == 0
    assert [info.state for info in JobManager(store).list()] == [JobState.DONE]


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_cancels_cleans_up_and_is_raised(tmp_path: Path, store: Store) -> None:
    script = run_script(
        """
        def work(job):
            print("started", flush=True)
            try:
                while True:
                    job.check()
                    time.sleep(0.01)
            finally:
                time.sleep(0.2)
                print("cleaned", flush=True)
        try:
            jobs.run("k", "x", work)
        except KeyboardInterrupt:
            print("interrupted", jobs.list()[0].state.value, flush=True)
        """,
        store.home,
    )
    assert script.stdout is not None
    assert script.stdout.readline() == "started\n"
    script.send_signal(signal.SIGINT)
    assert script.communicate(timeout=30)[0] == "cleaned\ninterrupted cancelled\n"
    assert script.returncode == 0


def test_ctrl_c_while_the_thread_of_a_job_starts(jobs: JobManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work may be under way before ``submit`` has returned: nothing may go on that nobody waits for."""
    started, cleaned = threading.Event(), threading.Event()
    start = threading.Thread.start

    def interrupted(self: threading.Thread) -> None:
        start(self)
        if self.name == "ranvier-job":
            assert started.wait(30)
            raise KeyboardInterrupt

    def work(job: JobContext) -> None:
        started.set()
        try:
            while True:
                job.check()
                time.sleep(0.01)
        finally:
            cleaned.set()

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        jobs.run("k", "x", work)
    monkeypatch.undo()
    assert cleaned.is_set()
    assert [info.state for info in jobs.list()] == [JobState.CANCELLED]
    assert jobs.run("k", "y", lambda job: 5) == 5
    assert not jobs.is_busy()


HANG = """
    def work(job):
        job.progress(0.3)
        print("started", flush=True)
        time.sleep(1.3)       # the progress reaches the store
        print("reported", flush=True)
        time.sleep(600)
    jobs.run("bandpass", "bandpass x", work)
"""


@pytest.mark.slow
def test_a_killed_process_leaves_a_lost_job(store: Store) -> None:
    killed, living = run_script(HANG, store.home), run_script(HANG, store.home)
    try:
        for script in (killed, living):
            assert script.stdout is not None
            assert script.stdout.readline() == "started\n"
            assert script.stdout.readline() == "reported\n"
        jobs = JobManager(store)
        before = {record.pid: record.info.state for record in store.jobs.all()}
        assert {info.state for info in jobs.list()} == {JobState.RUNNING}
        assert before == {killed.pid: JobState.RUNNING, living.pid: JobState.RUNNING}
        killed.kill()
        killed.wait(30)
        states = {r.pid: jobs.get(r.info.id) for r in store.jobs.all()}
        assert states[killed.pid].state is JobState.LOST
        jobs.list()
        records = {record.pid: record.info for record in store.jobs.all()}
        assert records[killed.pid].state is JobState.LOST
        assert f"its process ({killed.pid} on " in (records[killed.pid].error or "")
        assert "at 30%" in (records[killed.pid].error or "")
        assert records[living.pid].state is JobState.RUNNING
        # a killed job can be cleared, a living one cannot
        assert jobs.clear() == 1
    finally:
        for script in (killed, living):
            script.kill()
            script.communicate(timeout=30)
