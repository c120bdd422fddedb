"""Band-pass 300-6000 Hz (order 5) and mean common reference, float32 file to file, against SpikeInterface.

128 channels x 60 s at 30 kHz, 2 workers each, files in the page cache; each run in a fresh process, in turn.
Floor: 5x (zero phase and forward only); peak memory under 300 MB. The limit beside them is the same run without any
processing: the file copied through the same reads and writes. Needs the peers' Python:
RANVIER_PEERS=/path/to/python. Run: python benchmarks/bench_preprocess.py
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
from common import machine, peak_memory_mb, show, summary

FS = Fraction(30000)
HERE = Path(__file__).parent


def write_input(path: Path, channels: int, seconds: float) -> None:
    """Noise, a common 60 Hz hum and an offset per channel; the same numbers every time."""
    rng = np.random.default_rng(2)
    rows = int(seconds * FS)
    offsets = rng.uniform(-200, 200, channels).astype(np.float32)
    with open(path, "wb") as handle:
        for at in range(0, rows, 30000):
            n = min(30000, rows - at)
            hum = 30 * np.sin(2 * np.pi * 60 * np.arange(at, at + n) / float(FS))
            noise = rng.standard_normal((n, channels), dtype=np.float32) * 12
            handle.write((noise + offsets + hum[:, None].astype(np.float32)).astype(np.float32).tobytes())


def ours(source: str, destination: str, channels: int, form: str, workers: int) -> None:
    """Run once, in this process; print one line of JSON."""
    import time

    from flat_file import FlatRecording, FlatSink

    from ranvier.curation.executor import make_header, run
    from ranvier.dsp import BandPass, Chain, CommonAverageReference
    from ranvier.kernels import warm

    warm()
    recording = FlatRecording(Path(source), channels, FS)
    chain = None
    if form != "copy":  # bound here, as the peer's filter is designed before its run
        operations = [BandPass(300, 6000, 5, zero_phase=form == "zero_phase"), CommonAverageReference()]
        chain = Chain.bind(operations, recording.fs, recording.channels)
    Path(destination).with_suffix(".raw").unlink(missing_ok=True)
    began, cpu_began = time.perf_counter(), time.process_time()
    sink = FlatSink(Path(destination), make_header(recording, chain), force=True)
    report = run(recording, chain, sink, workers=workers)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_began
    rss = peak_memory_mb()
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "rss_mb": rss, "files": [str(report.path)]}))


def call(command: list[str]) -> dict[str, object]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def largest_difference(one: str, two: str, channels: int) -> dict[str, float]:
    """Compare two outputs, without the first and the last second."""
    a, b = (np.memmap(p, np.float32, "r").reshape(-1, channels) for p in (one, two))
    assert a.shape == b.shape
    edge, most, peak, total, count = int(FS), 0.0, 0.0, 0.0, 0
    for at in range(edge, len(a) - edge, 30000):
        stop = min(at + 30000, len(a) - edge)
        difference = np.abs(a[at:stop] - b[at:stop])
        most, peak = max(most, float(difference.max())), max(peak, float(np.abs(b[at:stop]).max()))
        total, count = total + float(np.square(difference, dtype=np.float64).sum()), count + difference.size
    return {"largest uV": most, "rms uV": (total / count) ** 0.5, "peak of the signal uV": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--forms", nargs="+", default=["zero_phase", "causal"])
    parser.add_argument("--once", nargs=3, metavar=("SOURCE", "DESTINATION", "FORM"))
    args = parser.parse_args()
    if args.once:
        ours(args.once[0], args.once[1], args.channels, args.once[2], args.workers)
        return

    peer = os.environ.get("RANVIER_PEERS")
    samples = int(args.seconds * FS) * args.channels
    result: dict[str, object] = {"machine": machine(), "channels": args.channels, "seconds": args.seconds}
    with tempfile.TemporaryDirectory() as folder:
        source = f"{folder}/input.raw"
        write_input(Path(source), args.channels, args.seconds)
        for form in args.forms:
            runs: dict[str, list[dict[str, object]]] = {"ranvier": [], "copy": [], "spikeinterface": []}
            for _ in range(args.rounds + 1):  # the first one is not counted: it touches memory and fills caches
                options = ["--channels", str(args.channels), "--workers", str(args.workers)]
                mine = [sys.executable, str(HERE / "bench_preprocess.py"), *options, "--once", source]
                runs["ranvier"].append(call([*mine, f"{folder}/ours_{form}", form]))
                runs["copy"].append(call([*mine, f"{folder}/copy", "copy"]))
                Path(f"{folder}/copy.raw").unlink()
                if peer:
                    theirs = [peer, str(HERE / "peers/si_preprocess.py"), source, f"{folder}/si_{form}"]
                    runs["spikeinterface"].append(call([*theirs, str(args.channels), form, str(args.workers)]))
            for done in runs.values():
                del done[:1]
            rates = {
                name: summary([float(r["seconds"]) for r in done], samples)
                for name, done in runs.items()
                if done  # type: ignore[arg-type]
            }
            report: dict[str, object] = {
                "million channel-samples per second": rates,
                "peak memory MB": {
                    name: max(float(r["rss_mb"]) for r in done)
                    for name, done in runs.items()
                    if done  # type: ignore[arg-type]
                },
            }
            report["CPU seconds"] = {
                name: statistics.median(float(r["cpu_seconds"]) for r in done)  # type: ignore[arg-type]
                for name, done in runs.items()
                if done
            }
            if peer:
                report["ratio"] = rates["ranvier"]["median"] / rates["spikeinterface"]["median"]
                last = [str(runs[name][-1]["files"][0]) for name in ("ranvier", "spikeinterface")]  # type: ignore[index]
                report["difference inside"] = largest_difference(last[0], last[1], args.channels)
            result[form] = report
    show(result)


if __name__ == "__main__":
    main()
