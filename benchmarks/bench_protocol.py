"""A protocol with three branches against its most expensive branch run alone, float32 file to file.

384 channels at 30 kHz, 2 workers, files in the page cache; every case in turn, medians over the rounds. Branches:

* ``lab``: notch -> zero-phase band-pass -> common average (full rate); notch -> downsample by 10 -> low-pass; a copy of
  one tenth of the time.
* ``full``: three branches at full rate behind one notch (zero-phase band-pass -> common average, low-pass, high-pass):
  each writes as much as it reads. No execution can bring this near its most expensive branch; the figure to compare is
  the sum of the three run one after the other.

Floor 1.5x, goal 1.3x the most expensive branch. Run: python benchmarks/bench_protocol.py
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from fractions import Fraction
from pathlib import Path

from bench_preprocess import write_input
from common import machine, peak_memory_mb, show
from flat_file import FlatRecording, FlatSink

from ranvier.curation.branches import run_tree
from ranvier.curation.executor import make_header, run
from ranvier.curation.task import Branch, OutputRef
from ranvier.dsp import BandPass, Chain, CommonAverageReference, Downsample, HighPass, LowPass, Notch, Operation
from ranvier.kernels import warm
from ranvier.models.dataset import RadiensFileType

FS = Fraction(30000)
NOTCH = Notch(50, 2)
SPIKES = (BandPass(300, 6000, zero_phase=True), CommonAverageReference())
Paths = dict[str, tuple[tuple[Operation, ...], tuple[int, int] | None]]


def output(name: str, recording: FlatRecording, operations: tuple[Operation, ...]) -> OutputRef:
    chain = Chain.bind(operations, recording.fs, recording.channels) if operations else None
    header = make_header(recording, chain)
    span = (recording.start, recording.stop)
    return OutputRef(name, name, name, RadiensFileType.XDAT, header, *span, span, force=True)


def tree(recording: FlatRecording, paths: Paths) -> Branch:
    """Return the paths as one tree: what begins with the notch shares it."""
    shared, own = [], []
    for name, (operations, cut) in paths.items():
        rest = operations[1:] if operations[:1] == (NOTCH,) else operations
        branch = Branch(cut, rest, (), (output(name, recording, operations),))
        (shared if len(rest) < len(operations) else own).append(branch)
    return Branch(branches=(Branch(None, (NOTCH,), tuple(shared)), *own))


def alone(recording: FlatRecording, folder: Path, name: str, path: tuple[object, ...], workers: int) -> None:
    operations, cut = path
    chain = Chain.bind(operations, recording.fs, recording.channels) if operations else None  # type: ignore[arg-type]
    start, stop = cut or (recording.start, recording.stop)  # type: ignore[misc]
    sink = FlatSink(folder / name, make_header(recording, chain), force=True)
    run(recording, chain, sink, workers=workers, start=start, stop=stop)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=384)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    warm()
    tenth = int(args.seconds * FS) // 10
    protocols: dict[str, Paths] = {
        "lab": {
            "spikes": ((NOTCH, *SPIKES), None),
            "lfp": ((NOTCH, Downsample(10), LowPass(300)), None),
            "raw": ((), (0, tenth)),
        },
        "full": {
            "spikes": ((NOTCH, *SPIKES), None),
            "low": ((NOTCH, LowPass(300)), None),
            "high": ((NOTCH, HighPass(300)), None),
        },
    }
    result: dict[str, object] = {"machine": machine(), "channels": args.channels, "seconds": args.seconds}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_input(folder / "input.raw", args.channels, args.seconds)
        recording = FlatRecording(folder / "input.raw", args.channels, FS)
        for protocol, paths in protocols.items():
            times: dict[str, list[float]] = {"all in one pass": [], **{path: [] for path in paths}}
            for turn in range(args.rounds + 1):
                for path, measured in times.items():
                    began = time.perf_counter()
                    if path in paths:
                        alone(recording, folder, path, paths[path], args.workers)
                    else:
                        report = run_tree(
                            recording,
                            tree(recording, paths),
                            lambda ref: FlatSink(folder / ref.uri, ref.header, force=True),
                            workers=args.workers,
                        )
                        assert not report.failures, report.failures
                    if turn:
                        measured.append(time.perf_counter() - began)
            medians = {path: statistics.median(measured) for path, measured in times.items()}
            most = max(medians[path] for path in paths)
            result[protocol] = {
                "seconds": medians,
                "spread": {path: [min(m), max(m)] for path, m in times.items()},
                "times the most expensive branch": medians["all in one pass"] / most,
                "times the branches one after the other": medians["all in one pass"]
                / sum(medians[path] for path in paths),
            }
        result["peak memory MB"] = peak_memory_mb()
    show(result)


if __name__ == "__main__":
    main()
