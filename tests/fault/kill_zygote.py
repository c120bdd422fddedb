"""Starts recordings in children and kills each at a random moment; prints what they had flushed (a script, no test).

``python kill_zygote.py <folder> <seed> <trials>``: one JSON line per trial, ``{"folder": ..., "durable": rows}``.
"""

from __future__ import annotations

import json
import os
import random
import signal
import struct
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np

from ranvier.models.ports import Port
from ranvier.models.status import BackboneMode, RecordingConfig
from ranvier.recordings import Block
from ranvier.recordings.channels import plain_channels
from ranvier.rig import recording_rows
from ranvier.rig.clock import RealClock
from ranvier.rig.recorder import Recorder
from ranvier.rig.recording_limits import RecorderLimits
from ranvier.rig.source import SourceInfo
from ranvier.rig.stream import StreamInfo
from ranvier.store import Store

CHANNELS = plain_channels(12, 2, 2, port=Port.B)
FS = 30_000
FIRST = 12_345
GAIN = np.array([0.195] * 12 + [0.001] * 2 + [1.0] * 2)


def counts_at(counters: np.ndarray) -> np.ndarray:
    """The value of every sample is a function of its counter and column."""
    return ((counters[:, None] * 31 + np.arange(len(CHANNELS)) * 7) % 4001 + 1).astype(np.int16)


class Context:
    def ensure_streaming(self) -> None:
        pass

    def stream(self) -> StreamInfo:
        source = SourceInfo(BackboneMode.SMARTBOX_SIM_GEN_SINE, "fake", True, (float(FS),))
        return StreamInfo(Fraction(FS), CHANNELS, source, simulated=True)

    def client_name(self) -> str:
        return "kill test"


def record(folder: Path, pipe: int) -> None:
    """Record as fast as it goes and tell how much is flushed, until somebody kills us."""
    # About 20 flushes per second of real time: the stream runs faster than real.
    recorder = Recorder(Store(folder / "home"), Context(), RealClock(), limits=RecorderLimits(flush_sec=0.05))
    recorder.set_config(RecordingConfig(base_file_name="killed", base_file_path=str(folder), time_stamp=False))
    recorder.start()
    (active,) = recorder._active.values()
    counter, told = FIRST, -1
    while True:
        counters = np.arange(counter, counter + 150)
        recorder.offer(Block(counts_at(counters), counter, GAIN, np.zeros(len(GAIN))))
        counter += 150 if counter % 7 else 190  # gaps too
        durable = active.file.durable_rows
        if durable != told:
            os.write(pipe, struct.pack("<q", durable))
            told = durable
        time.sleep(0.0005)


def trial(folder: Path, rng: random.Random) -> int:
    folder.mkdir(parents=True)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            record(folder, writing)
        finally:
            os._exit(1)
    os.close(writing)
    os.read(reading, 8)  # it records
    time.sleep(rng.uniform(0.0, 0.3))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WTERMSIG(status) != signal.SIGKILL:
        raise RuntimeError("the recording ended by itself")
    durable = 0
    while len(told := os.read(reading, 8)) == 8:
        durable = struct.unpack("<q", told)[0]
    os.close(reading)
    return durable


def main() -> None:
    base, seed, trials = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    rng = random.Random(seed)
    recording_rows.warm()  # before the fork: children find the kernels loaded
    for i in range(trials):
        folder = base / f"trial{i}"
        durable = trial(folder, rng)
        print(json.dumps({"folder": str(folder), "durable": durable}), flush=True)


if __name__ == "__main__":
    main()
