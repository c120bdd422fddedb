"""The issue's own script, word for word, in a process of its own; it starts a rig process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ranvier import AllegoClient, VidereClient
from ranvier._platform import home
from ranvier.transport import end_process, find_process

SCRIPT = """
from ranvier import AllegoClient
from ranvier.models import TimeRangeSpec
with AllegoClient() as allego:                    # starts a rig process with a simulator, or joins the one running
    allego.restart(mode="SMARTBOX_SIM_GEN_SPIKES")
    allego.start_streaming(); allego.start_recording()
    sig = allego.get_signals(TimeRangeSpec.lookback(1.0))
    allego.stop_recording(); allego.stop_streaming(); print(allego.get_status().recording)
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=False)


def test_stream_look_record_stop() -> None:
    try:
        ran = run(SCRIPT + "print(type(sig).__name__, sig.amp.dtype, sig.amp.shape[0], sig.amp.shape[1] > 0)\n")
        assert ran.returncode == 0, ran.stderr
        said, shape = ran.stdout.splitlines()
        assert "RecordMode.OFF" in said
        assert shape == "SignalArrays float64 32 True"
        again = run(SCRIPT)  # the rig is still there, and is joined
        assert again.returncode == 0, again.stderr
        record = find_process("rig")
        assert record is not None
        with AllegoClient() as allego:
            assert "SIMULATED" in repr(allego)
            assert allego.details().source.lost_samples == 0
        check_files(home() / "recordings")
    finally:
        end_process("rig")


def check_files(folder: Path) -> None:
    """Both recordings are there, whole, and marked."""
    found = sorted(folder.glob("*.xdat.json"))
    assert len(found) == 2
    assert not list(folder.glob("*.part"))
    assert all("SIMULATED" in path.name for path in found)
    with VidereClient(embedded=True) as videre:
        for path in found:
            ds = videre.link_data_file(path)
            assert ds.simulated
            assert ds.gaps == ()
