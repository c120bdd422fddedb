"""A whole rig: 1024 channels streamed, filtered, referenced and recorded; and the last second read meanwhile.

    python benchmarks/bench_rig.py [stream] [read] [soak] [--seconds 60] [--minutes 10] [--folder .]

The rig runs in a process of its own, with the spikes simulator on eight ports of 128 channels at 30 kHz; the client is
this process. All figures are those of software with a simulated source.

* ``stream``: high-pass 300 Hz and common average reference in stage 1, recorded to float32 XDAT on the disk of
  ``--folder``. Printed: what was lost (source, recorder, file), the engine's own work (the pump without the simulator,
  and the recorder's thread, as fractions of a core), and what the whole process took, simulator and all.
* ``read``: the last second of all channels through AllegoClient with ``out=`` reused, while it records (unfiltered:
  int16 with gain cross to the client).
* ``soak``: 512 channels, filtered, referenced, recorded, the last half second read twice a second; the memory of the
  rig's process every 5 s. It writes 3.7 GB per minute, in files of a minute, which are removed as it goes.

Without a word ``stream`` and ``read`` run. Exits with 1 where a floor does not hold.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from common import machine

from ranvier import AllegoClient
from ranvier.models import RecordingConfig, TimeRangeSpec
from ranvier.recordings import open_session

FS = 30_000
#: Floor and goal: the engine's own work in cores; seconds per read.
WORK, READ_SEC = (0.5, 0.3), (0.120, 0.060)
#: The soak's memory: largest against smallest after the first minute.
FLAT = 0.01
PROBES = {64: "v1x64_poly3_10mm25s_177", 128: "a8x16_5mm100_200_177"}
FILTERS = [{"type": "highpass", "freq": 300.0}, {"type": "car"}]


@dataclass
class Seen:
    """What a rig showed of itself over time."""

    pump: list[float] = field(default_factory=list)
    recorder: list[float] = field(default_factory=list)
    queued_bytes: int = 0

    def look(self, allego: AllegoClient) -> None:
        details = allego.details()
        self.pump.append(details.engine_load)
        self.recorder += [c.busy_fraction for c in details.consumers if c.name == "recorder"]
        if details.disk is not None:
            self.queued_bytes = max(self.queued_bytes, details.disk.queued_bytes)


@contextmanager
def rig(folder: Path, channels_per_port: int) -> Iterator[AllegoClient]:
    """Start a rig of its own with eight ports; recordings go to ``folder``."""
    with tempfile.TemporaryDirectory(prefix="ranvier-bench-") as home:
        os.environ["RANVIER_HOME"] = home
        with AllegoClient() as allego:
            allego.restart(mode="SMARTBOX_SIM_GEN_SPIKES")
            for port in "ABCDEFGH":
                allego.set_sensor(port=port, headstage="", probe=PROBES[channels_per_port])
            allego.update_recording_config(RecordingConfig(base_file_name="bench", base_file_path=str(folder)))
            try:
                yield allego
            finally:  # a rig that records outlives its clients: interrupted, it would fill the disk
                allego.stop_recording()
                allego.stop_streaming()


def engine_pid() -> int:
    """Return the process of the rig that runs."""
    from ranvier.transport import find_process

    found = find_process("rig", Path(os.environ["RANVIER_HOME"]))
    if found is None:
        raise SystemExit("the rig's process is gone")
    return found.pid


def cpu_sec(pid: int) -> float:
    """Return the CPU time of a process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int, what: str = "VmRSS") -> float:
    """Return the resident memory of a process, all of it or ``RssAnon``: what is its own and no cache (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def stop_and_count(allego: AllegoClient) -> tuple[int, int, int]:
    """Stop; return samples lost by the source, not written, and missing in the file."""
    (path,) = allego.get_recording_files()
    allego.stop_recording()
    details = allego.details()
    with open_session(Path(str(path).replace("_data.xdat", ".xdat.json"))) as session:
        missing = session.stream().segments.missing
    unwritten = 0 if details.disk is None else details.disk.unwritten_samples
    return details.source.lost_samples, unwritten, missing


def stream(folder: Path, seconds: float) -> bool:
    with rig(folder, 128) as allego:
        allego.set_dsp_group(stage="stage1", params=FILTERS)
        allego.start_recording()
        pid, seen = engine_pid(), Seen()
        time.sleep(2.5)
        begun, before = time.monotonic(), cpu_sec(pid)
        while time.monotonic() - begun < seconds:
            time.sleep(1.0)
            seen.look(allego)
        whole = (cpu_sec(pid) - before) / (time.monotonic() - begun)
        lost, unwritten, missing = stop_and_count(allego)
    own = [a + b for a, b in zip(seen.pump, seen.recorder, strict=True)]
    work = statistics.median(own)
    print(f"1024 channels x {FS} Hz x {seconds:g} s, high-pass 300 Hz + CAR, recorded (simulated source)")
    print(f"  lost by the source {lost}, not written {unwritten}, missing in the file {missing}")
    print(
        f"  engine's own work  {work:.1%} of a core ({min(own):.1%}-{max(own):.1%}): "
        f"pump {statistics.median(seen.pump):.1%}, recorder {statistics.median(seen.recorder):.1%}; "
        f"floor {WORK[0]:.0%}, goal {WORK[1]:.0%}"
    )
    print(f"  whole process      {whole:.1%} of a core, simulator and all")
    print(f"  longest queue      {seen.queued_bytes / 1e6:.0f} MB")
    return not (lost or unwritten or missing) and work < WORK[0]


def read(folder: Path, rounds: int) -> bool:
    with rig(folder, 128) as allego:
        allego.start_recording()
        time.sleep(2.5)
        out = {"amp": np.zeros((1024, FS))}
        taken = []
        for _ in range(rounds + 2):
            begun = time.perf_counter()
            served = allego.get_signals(TimeRangeSpec.lookback(1.0), "all", out=out)
            taken.append(time.perf_counter() - begun)
            time.sleep(0.2)
            assert served.amp is out["amp"]
        lost, unwritten, missing = stop_and_count(allego)
    taken = taken[2:]
    middle = statistics.median(taken)
    print(f"last second of 1024 channels through AllegoClient while recording, out= reused, {rounds} reads")
    print(
        f"  median {middle * 1e3:.0f} ms ({min(taken) * 1e3:.0f}-{max(taken) * 1e3:.0f}); "
        f"floor {READ_SEC[0] * 1e3:.0f}, goal {READ_SEC[1] * 1e3:.0f} ms"
    )
    print(f"  lost by the source {lost}, not written {unwritten}, missing in the file {missing}")
    return middle < READ_SEC[0] and not (lost or unwritten or missing)


def soak(folder: Path, minutes: float) -> bool:
    memory: list[float] = []
    own: list[float] = []
    lost = unwritten = missing = 0
    seen = Seen()
    with rig(folder, 64) as allego:
        allego.set_dsp_group(stage="stage1", params=FILTERS)
        allego.start_streaming()
        pid, begun = engine_pid(), time.monotonic()
        out = {"amp": np.zeros((512, FS // 2))}
        time.sleep(1.0)
        while time.monotonic() - begun < minutes * 60:
            allego.start_recording()
            until = time.monotonic() + min(60.0, minutes * 60)
            while time.monotonic() < until:
                time.sleep(0.5)
                allego.get_signals(TimeRangeSpec.lookback(0.5), "all", out=out)
                if len(seen.pump) % 10 == 0:
                    memory.append(resident_mb(pid))
                    own.append(resident_mb(pid, "RssAnon"))
                seen.look(allego)
            _, more, gone = stop_and_count(allego)
            unwritten, missing = unwritten + more, missing + gone
            for path in folder.glob("bench*"):
                path.unlink()
        lost = allego.details().source.lost_samples
    settled, own = memory[len(memory) // 10 :], own[len(own) // 10 :]  # the cache has filled by then
    spread = (max(settled) - min(settled)) / min(settled)
    print(f"soak, 512 channels x {FS} Hz x {minutes:g} min, high-pass 300 Hz + CAR, recorded, read (simulated source)")
    print(f"  memory {settled[0]:.0f} MB after a tenth, {settled[-1]:.0f} MB at the end, spread {spread:.2%} (1 %)")
    print(f"  without the live cache {own[0]:.0f} MB, {own[-1]:.0f} MB at the end ({min(own):.0f}-{max(own):.0f})")
    print(f"  lost by the source {lost}, not written {unwritten}, missing in the files {missing}")
    print(f"  engine's own work {statistics.median(seen.pump) + statistics.median(seen.recorder):.1%} of a core")
    return spread <= FLAT and not (lost or unwritten or missing)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", choices=["stream", "read", "soak", []], help="by default stream and read")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=Path.cwd())
    asked = parser.parse_args()
    what = asked.what or ["stream", "read"]
    print(machine())
    holds = True
    with tempfile.TemporaryDirectory(prefix="ranvier-bench-", dir=asked.folder) as folder:
        if "stream" in what:
            holds &= stream(Path(folder), asked.seconds)
        if "read" in what:
            holds &= read(Path(folder), asked.rounds)
        if "soak" in what:
            holds &= soak(Path(folder), asked.minutes)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
