"""A process that dies while it writes: what it left is found, cleaned, and done again."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from ranvier import CurateClient
from ranvier.cli import main
from ranvier.exceptions import ConfigurationError
from ranvier.models.jobs import JobState
from ranvier.models.simulation import SimulationSpec
from ranvier.recordings.files import remove_left_behind

TOKEN = "0123abcd"


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text(name)


def left(folder: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in folder.iterdir()}


def test_unfinished_files_go_and_others_stay(tmp_path: Path) -> None:
    put(tmp_path, f".a.xdat.{TOKEN}.writing", ".a.xdat.99999999.writing", "a.xdat", ".other.writing")
    (tmp_path / f".folder.{TOKEN}.writing").mkdir()
    assert len(remove_left_behind([tmp_path, tmp_path / "none"], [TOKEN])) == 2
    assert set(left(tmp_path)) == {".a.xdat.99999999.writing", "a.xdat", ".other.writing"}


def test_what_was_to_be_replaced_is_put_back(tmp_path: Path) -> None:
    """Died between the renames: the data is new, its metadata still unfinished."""
    put(tmp_path, "a_data", f".a_data.{TOKEN}.replaced.writing", f".a.json.{TOKEN}.replaced.writing",
        f".a.json.{TOKEN}.writing")  # fmt: skip
    remove_left_behind([tmp_path], [TOKEN])
    assert left(tmp_path) == {
        "a_data": f".a_data.{TOKEN}.replaced.writing",
        "a.json": f".a.json.{TOKEN}.replaced.writing",
    }


def test_what_was_replaced_goes_where_all_is_there(tmp_path: Path) -> None:
    put(tmp_path, "a_data", "a.json", f".a_data.{TOKEN}.replaced.writing", f".a.json.{TOKEN}.replaced.writing")
    remove_left_behind([tmp_path], [TOKEN])
    assert left(tmp_path) == {"a_data": "a_data", "a.json": "a.json"}


SCRIPT = """
    import sys, time
    from ranvier import CurateClient
    import ranvier.hub.curation as curation

    real = curation.run
    def slow(recording, chain, sink, *, progress, **options):
        def report(p):
            progress(p)
            if p.fraction > 0.3:
                print("writing", flush=True)
                time.sleep(600)
        return real(recording, chain, sink, progress=report, block_rows=3000, **{k: v for k, v in options.items() if k != "block_rows"})
    curation.run = slow
    with CurateClient(progress=False) as curate:
        curate.bandpass(sys.argv[1], 300, 6000, sys.argv[2], force=True)
"""  # noqa: E501


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.parametrize("suffix", [".xdat", ".nwb", ".bin"])
@pytest.mark.parametrize("replace", [False, True])
def test_killed_cleaned_and_done_again(tmp_path: Path, suffix: str, replace: bool, capsys) -> None:
    with CurateClient(progress=False) as curate:
        source = curate.simulate_recording(SimulationSpec(duration_sec=3.0, num_units=2), tmp_path / "raw_SIMULATED")
        target = tmp_path / f"out_SIMULATED{suffix}"
        if replace:
            curate.car(source, target)
        expected = curate.bandpass(source, 300, 6000, tmp_path / f"expected_SIMULATED{suffix}")
        before = {str(p): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
        script = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path / "raw_SIMULATED.xdat.json"), str(target)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert script.stdout is not None
        assert script.stdout.readline() == "writing\n"
        time.sleep(1.2)  # a progress report reaches the store
        running = next(info for info in curate.jobs() if info.state is JobState.RUNNING)
        assert running.repeatable
        with pytest.raises(ConfigurationError, match="is running"):
            curate.retry_job(running.id)
        script.kill()
        script.communicate(timeout=30)
        assert any(p.name.endswith(".writing") for p in tmp_path.rglob("*"))

        lost = curate.job(running.id)
        assert lost.state is JobState.LOST
        assert main(["jobs", "list"]) == 0
        assert "cleaned up" in capsys.readouterr().out
        assert {str(p): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before

        assert main(["jobs", "retry", lost.id]) == 0
        again = next(info for info in curate.jobs() if info.retry_of == lost.id)
        assert again.state is JobState.DONE
        made = curate.link_data_file(target)
        np.testing.assert_array_equal(curate.get_signals(made).amp, curate.get_signals(expected).amp)
        assert not any(p.name.endswith(".writing") for p in tmp_path.rglob("*"))
        assert curate.replay(made).identical


def test_jobs_on_the_command_line(tmp_path: Path, capsys) -> None:
    assert main(["jobs"]) == 0
    assert "no jobs" in capsys.readouterr().out
    with CurateClient(progress=False) as curate:
        source = curate.simulate_recording(SimulationSpec(duration_sec=0.2, num_units=1), tmp_path / "raw_SIMULATED")
        curate.car(source, tmp_path / "out_SIMULATED")
        (job, _) = curate.jobs()
    assert main(["jobs", "list"]) == 0
    text = capsys.readouterr().out
    assert f"{job.id}  done" in text
    assert "100%" in text
    assert main(["jobs", "list", "--json"]) == 0
    assert '"kind": "curate"' in capsys.readouterr().out
    assert main(["jobs", "retry", job.id]) == 1
    assert "nothing to do again" in capsys.readouterr().err
    assert main(["jobs", "cancel", job.id]) == 0
    assert main(["jobs", "settings", "--memory", "1.5", "--workers", "3", "--at-once", "2", "--retries", "1"]) == 0
    assert "1.5 GiB, 3 workers, 2 jobs at once, 1 retries" in capsys.readouterr().out
    assert main(["jobs", "settings", "--workers", "0"]) == 1
    assert "lets nothing run" in capsys.readouterr().err
    assert main(["jobs", "clear"]) == 0
    assert "2 jobs forgotten" in capsys.readouterr().out
