"""Random 1-second reads of all channels as float32 microvolts, against neo.

    python benchmarks/bench_read.py [--channels 128] [--seconds 60] [--rounds 7]

Both read a headerless int16 file in the page cache: the same windows in the same order, in interleaved rounds after a
warm-up; results are compared first. neo: ``RawBinarySignalRawIO.get_analogsignal_chunk`` and
``rescale_signal_raw_to_float(dtype float32)``. Both allocate their result; the line with ``out=`` reuses it. Printed:
p50 over the windows of each round, then median and range over the rounds. Exits with 1 where the floor (half of neo's
time) does not hold.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ranvier.recordings.formats.raw import open_raw

FS = 30_000
FLOOR = 0.5  # of neo's time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--windows", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.raw"
        write_noise(path, options.channels, options.seconds)
        holds = run(path, options.channels, options.seconds, options.rounds, options.windows)
    print(f"floor: at most {FLOOR:g} of neo's time: {'holds' if holds else 'DOES NOT HOLD'}")
    sys.exit(0 if holds else 1)


def write_noise(path: Path, channels: int, seconds: int) -> None:
    rng = np.random.default_rng(0)
    with open(path, "wb") as handle:
        for _ in range(seconds):
            handle.write(rng.integers(-3000, 3000, (FS, channels), dtype=np.int16).tobytes())


def run(path: Path, channels: int, seconds: int, rounds: int, windows: int) -> bool:
    ours, reused, ours_counts = make_ours(path, channels)
    neo_scaled, neo_raw = make_neo(path, channels)
    starts = np.random.default_rng(1).integers(0, (seconds - 1) * FS, windows)
    same = np.max(np.abs(ours(int(starts[0])) - neo_scaled(int(starts[0]))))
    assert same <= 2e-3, f"results differ by {same} uV"  # neo rounds gain and product to float32
    assert np.array_equal(ours(int(starts[0])), reused(int(starts[0])))
    contenders: dict[str, Callable[[int], np.ndarray]] = {
        "neo, rescaled to float32": neo_scaled,
        "ranvier read": ours,
        "ranvier read, out= reused": reused,
        "neo, int16 counts": neo_raw,
        "ranvier read_counts": ours_counts,
    }
    p50 = {name: [] for name in contenders}
    for round_ in range(rounds + 1):
        for name, read in contenders.items():
            times = [timed(read, int(s)) for s in starts]
            if round_:
                p50[name].append(np.median(times))
    print(f"{windows} windows of 1 s x {channels} channels, {rounds} rounds; largest difference {same:.1e} uV")
    print(f"{'':28s} {'p50 ms':>8s} {'range':>15s} {'of neo rescaled':>16s}")
    base = np.median(p50["neo, rescaled to float32"])
    for name, values in p50.items():
        middle = np.median(values)
        spread = f"{min(values):.2f}-{max(values):.2f}"
        print(f"{name:28s} {middle:8.2f} {spread:>15s} {middle / base:16.2f}")
    return bool(np.median(p50["ranvier read"]) <= FLOOR * base)


def make_ours(path: Path, channels: int) -> tuple[Callable, Callable, Callable]:
    recording = open_raw(path, FS, channels).stream()
    out = np.empty((FS, channels), np.float32)
    return (
        lambda start: recording.read(start, start + FS).samples,
        lambda start: recording.read(start, start + FS, out=out).samples,
        lambda start: recording.read_counts(start, start + FS).samples,
    )


def make_neo(path: Path, channels: int) -> tuple[Callable, Callable]:
    from neo.rawio import RawBinarySignalRawIO

    reader = RawBinarySignalRawIO(
        str(path), dtype="int16", sampling_rate=float(FS), nb_channel=channels, signal_gain=0.195, signal_offset=0.0
    )
    reader.parse_header()

    def raw(start: int) -> np.ndarray:
        return np.array(reader.get_analogsignal_chunk(0, 0, start, start + FS, stream_index=0))

    def scaled(start: int) -> np.ndarray:
        chunk = reader.get_analogsignal_chunk(0, 0, start, start + FS, stream_index=0)
        return reader.rescale_signal_raw_to_float(chunk, dtype="float32", stream_index=0)

    return scaled, raw


def timed(read: Callable[[int], np.ndarray], start: int) -> float:
    before = time.perf_counter()
    read(start)
    return 1000 * (time.perf_counter() - before)


if __name__ == "__main__":
    main()
