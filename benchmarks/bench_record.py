"""What recording costs: CPU of the writer for one second of int16 blocks, to float32 on the disk.

    python benchmarks/bench_record.py [--channels 1024] [--seconds 8] [--folder .]

Blocks of 5 ms come at the pace of the stream; the recorder's thread scales, writes and flushes once a second, on the
real disk of ``--folder``. Printed: CPU time of that thread per second of stream (median and range over the seconds),
how far it was behind at most, and how fast the same goes without pauses between blocks. Exits with 1 where the floor
(20 % of a core) does not hold or a sample was lost.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np

from ranvier.models.status import BackboneMode, RecordingConfig
from ranvier.recordings import Block, open_session
from ranvier.recordings.channels import plain_channels
from ranvier.rig.clock import RealClock
from ranvier.rig.recorder import Recorder
from ranvier.rig.source import SourceInfo
from ranvier.rig.stream import StreamInfo
from ranvier.store import Store

FS = 30_000
ROWS = 150
FLOOR = 0.2  # of a core


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channels", type=int, default=1024)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--folder", type=Path, default=Path.cwd())
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        holds = run(Path(folder), options.channels, options.seconds)
    print(f"floor: at most {FLOOR:.0%} of a core, nothing lost: {'holds' if holds else 'DOES NOT HOLD'}")
    sys.exit(0 if holds else 1)


class Context:
    def __init__(self, num_channels: int) -> None:
        self.channels = plain_channels(num_channels - 8, 4, 4)

    def ensure_streaming(self) -> None:
        pass

    def stream(self) -> StreamInfo:
        source = SourceInfo(BackboneMode.SMARTBOX_SIM_GEN_SINE, "benchmark", True, (float(FS),))
        return StreamInfo(Fraction(FS), self.channels, source, simulated=True)

    def client_name(self) -> str:
        return "benchmark"


def run(folder: Path, num_channels: int, seconds: int) -> bool:
    context = Context(num_channels)
    blocks = make_blocks(num_channels)
    gains = np.where(context.channels.is_digital, 1.0, 0.195)
    offsets = np.zeros(num_channels)
    recorder = Recorder(Store(folder / "home"), context, RealClock())
    recorder.set_config(RecordingConfig(base_file_name="bench", base_file_path=str(folder)))
    for paced in (True, False):
        recorder.start()
        (path,) = recorder.files()
        per_second = FS // ROWS
        busy, behind = [], 0
        begin = time.monotonic()
        for i in range(seconds * per_second):
            recorder.offer(Block(blocks[i % len(blocks)], i * ROWS, gains, offsets))
            behind = max(behind, recorder.status().behind_samples)
            if paced:
                time.sleep(max(0.0, begin + (i + 1) * ROWS / FS - time.monotonic()))
                if i % per_second == per_second - 1 and i > per_second:
                    busy.append(recorder.status().busy_fraction)
        recorder.stop()
        took = time.monotonic() - begin
        with open_session(path.replace("_data.xdat", ".xdat.json")) as session:
            lost = seconds * FS - session.stream().segments.rows
        if paced:
            cost = statistics.median(busy)
            print(
                f"{num_channels} channels x {FS} Hz: {cost:.1%} of a core ({min(busy):.1%} to {max(busy):.1%}), "
                f"at most {behind / FS * 1e3:.0f} ms behind, {lost} samples lost"
            )
            holds = cost <= FLOOR and not lost
        else:
            speed = seconds / took
            print(f"without pauses: {speed:.1f} x the stream ({speed * num_channels * 4 * FS / 1e6:.0f} MB/s)")
    recorder.close()
    return holds


def make_blocks(num_channels: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    made = [rng.integers(-3000, 3000, (ROWS, num_channels), dtype=np.int16) for _ in range(100)]
    for block in made:
        block.flags.writeable = False
    return made


if __name__ == "__main__":
    main()
