"""``ranvier run``: a script under documented import names, as Python would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ranvier import redirect
from ranvier.cli import main


def run(script: Path, text: str, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    script.write_text(text, encoding="utf-8")
    paths = [str(path)] if path else []
    paths += [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "ranvier", "run", str(script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)


NAMES = """
import sys, pickle
from radiens_core import VidereClient
from radiens_core.models import dsp
from radiens_core.models.dsp import FilterStage, FlexFilterStage
import radiens_core.models.dataset, radiens_core.exceptions, radiens
import helper
assert VidereClient.__module__ == "ranvier.clients.videre", VidereClient.__module__
assert dsp.FilterStage is FilterStage is sys.modules["ranvier.models.dsp"].FilterStage
assert radiens_core.exceptions.DatasetError is sys.modules["ranvier.exceptions"].DatasetError
class Mine: pass
assert isinstance(pickle.loads(pickle.dumps(Mine())), Mine) and sys.modules["__main__"].Mine is Mine
try:
    import radiens_core.hub
except ModuleNotFoundError:
    print("not documented, not there")
print(__name__, helper.WHERE, sys.argv[1:])
"""


def test_names_mean_this_engine_and_the_script_is_main(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("WHERE = 'beside'")
    done = run(tmp_path / "s.py", NAMES, "--help", "--traceback", "a b", "-x")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "not documented, not there",
        "__main__ beside ['--help', '--traceback', 'a b', '-x']",
    ]
    assert done.stderr == ""


def test_it_says_so_where_the_vendor_is_installed_too(tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "radiens_core").mkdir(parents=True)
    (site / "radiens_core" / "__init__.py").write_text("OWNER = 'vendor'")
    (site / "radiens_core" / "only_theirs.py").write_text("")
    (site / "radiens_core-0.0.8.dist-info").mkdir()
    (site / "radiens_core-0.0.8.dist-info" / "METADATA").write_text("Name: radiens-core\nVersion: 0.0.8\n")
    text = "import radiens_core; print(hasattr(radiens_core, 'OWNER'), radiens_core.VidereClient.__module__)"
    done = run(tmp_path / "s.py", text, path=site)
    assert done.stdout.strip() == "False ranvier.clients.videre", done.stderr
    assert done.stderr.splitlines() == [
        "ranvier run: radiens and radiens_core mean Ranvier here, not the installed radiens-core"
    ]
    missing = run(tmp_path / "s.py", "import radiens_core.only_theirs", path=site)
    assert missing.returncode == 1
    assert "No module named 'radiens_core.only_theirs'" in missing.stderr


@pytest.mark.parametrize(
    ("text", "status", "error"),
    [("import sys; sys.exit(7)", 7, ""), ("raise SystemExit('no data')", 1, "no data\n"), ("exit()", 0, "")],
)
def test_exit_status(tmp_path: Path, text: str, status: int, error: str) -> None:
    done = run(tmp_path / "s.py", text)
    assert (done.returncode, done.stderr) == (status, error)


def test_tracebacks_begin_in_the_users_script(tmp_path: Path) -> None:
    done = run(tmp_path / "s.py", "def work():\n    return 1 / 0\n\nwork()\n")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == f'  File "{tmp_path / "s.py"}", line 4, in <module>'
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert "ranvier" not in done.stderr
    wrong = run(tmp_path / "s.py", "x = (\n")
    assert wrong.returncode == 1
    assert f'File "{tmp_path / "s.py"}", line 1' in wrong.stderr


def test_a_script_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(tmp_path / "none.py")]) == 1
    assert capsys.readouterr().err.startswith(f"ranvier: {tmp_path / 'none.py'} cannot be read")


def test_redirection_can_be_taken_back() -> None:
    redirect.install()
    try:
        import radiens_core

        assert type(radiens_core).__name__ == "_DocumentedModule"
    finally:
        redirect.uninstall()
    assert "radiens_core" not in sys.modules


def test_hub_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hub", "add", "lab", f"embedded:{tmp_path}"]) == 0
    assert main(["hub", "list"]) == 0
    assert capsys.readouterr().out.splitlines() == ["default  embedded", f"lab  embedded:{tmp_path}"]
    assert main(["hub", "remove", "lab"]) == 0
    assert main(["hub", "remove", "lab"]) == 1
    assert "there is no hub 'lab'; known are 'default'" in capsys.readouterr().err
