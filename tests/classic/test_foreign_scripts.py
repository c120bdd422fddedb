"""Scripts in the style of other people's, run unchanged by ``ranvier run``.

They follow scripts that are public (session loggers, evoked responses, set-up checks), written anew here. Those of the
acquisition system talk to a rig in a process of its own, as a script's AllegoClient starts it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ranvier import AllegoClient
from ranvier.models.file_types import RadiensFileType
from ranvier.recordings import Block, Header, format_for_type, plain_channels
from ranvier.transport import end_process

SCRIPTS = Path(__file__).with_name("foreign")


def run(name: str, *arguments: object, home: Path | None = None) -> str:
    command = [sys.executable, "-m", "ranvier", "run", str(SCRIPTS / name), *map(str, arguments)]
    environment = {**os.environ, "MPLBACKEND": "Agg", **({} if home is None else {"RANVIER_HOME": str(home)})}
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the home of the rig process that the scripts share."""
    folder = tmp_path_factory.mktemp("rig")
    yield folder
    end_process("rig", folder)


@pytest.mark.slow
def test_batch_filter_and_convert(made: Path, tmp_path: Path) -> None:
    for file in made.parent.glob("rec_SIMULATED*"):
        if file.is_file() and file.suffix != ".kpi":
            shutil.copy(file, tmp_path)
            shutil.copy(file, tmp_path / file.name.replace("rec_", "two_"))
    assert run("batch_filter_and_convert.py", tmp_path).split() == ["2", "{}"]
    assert sorted(f.name for f in (tmp_path / "out").glob("*.nwb")) == [
        "rec_SIMULATED_bp.nwb",
        "two_SIMULATED_bp.nwb",
    ]


@pytest.mark.slow
def test_link_and_list(made: Path) -> None:
    assert run("link_and_list.py", made).splitlines() == [
        "True [3. 5.] 30000.0",
        "16 [0, 1, 2]",
        "2.0",
        "True rec_SIMULATED",
        "1 ['dataset ID', 'base name'] 0",
    ]


def test_link_and_plot(made: Path, tmp_path: Path) -> None:
    assert run("link_and_plot.py", made, tmp_path / "p.png").splitlines() == [
        "rec_SIMULATED 30000.0 (4, 15000) True",
        "4 3.0 True",
    ]
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_evoked_average(tmp_path: Path) -> None:
    fs, onsets = 10_000, np.arange(1000, 20_000, 2000)
    signal = np.random.default_rng(1).standard_normal((20_000, 5)).astype(np.float32) * 20
    signal[:, 4] = 0
    for onset in onsets:  # 12 ms after the pulse, 150 uV down on channel 2
        signal[onset + 120 - 30 : onset + 120 + 31, 2] -= 150 * np.hanning(61)
        signal[onset : onset + 50, 4] = 1
    sink_type = format_for_type(RadiensFileType.XDAT).sink
    assert sink_type is not None
    with sink_type(tmp_path / "rat", Header(fs=fs, channels=plain_channels(amp=4, din=1), start=50_000)) as sink:
        sink.write(Block(signal, 50_000))
        sink.commit()
    counted, trough = run("evoked_average.py", tmp_path / "rat.xdat", tmp_path / "evoked.png").splitlines()
    assert counted == "10 10 (4, 700)"
    words = trough.split()
    assert abs(float(words[1]) + 150) < 25
    assert (words[5], abs(float(words[6]) - 12.0) < 0.7) == ("2,", True)
    assert (tmp_path / "evoked.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_threshold_and_stimulate(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANVIER_HOME", str(home))
    with AllegoClient() as rig:  # keeps the rig that the script joins, and looks at what it did
        assert run("threshold_and_stimulate.py", home=home).splitlines() == ["10.0", "True 3 S_OFF"]
        pulses = rig.get_pulses()
        assert [pulse.sys_chan_idx for pulse in pulses[-3:]] == [4, 4, 4]
        outputs = rig.details().outputs
        assert outputs is not None
        assert outputs.armed_by is None, "the end of the script disarmed"


@pytest.mark.slow
def test_poll_since_last_call(home: Path, tmp_path: Path) -> None:
    assert run("poll_since_last_call.py", tmp_path / "all.npz", home=home).splitlines() == [
        "20000.0 float32 True True True",
        "True",
    ]
    with np.load(tmp_path / "all.npz") as kept:
        assert kept["signals"].shape[1] >= 20_000
        power = np.abs(np.fft.rfft(kept["signals"][0, :20_000] - kept["signals"][0, :20_000].mean())) ** 2
    assert power.max() > 0.5 * power.sum(), "a sine without breaks is one line"


def test_monitor_status(home: Path, tmp_path: Path) -> None:
    out = run("monitor_status.py", tmp_path, home=home)
    assert "Allego status" in out
    lines = out.splitlines()
    assert lines[-2].startswith("recording session_SIMULATED_7")
    assert lines[-2].endswith("True")
    assert lines[-1] == "['OFF', 'ON', 'OFF'] ['session_SIMULATED']"
    assert list(tmp_path.glob("session_SIMULATED_7*.xdat"))


@pytest.mark.slow
def test_metrics_of_the_stream(home: Path) -> None:
    out = run("metrics_of_the_stream.py", home=home)
    assert "packet dur (sec)" in out
    assert out.splitlines()[-1] == "0.2 True 32 True"
