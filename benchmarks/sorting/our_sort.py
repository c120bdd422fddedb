"""Run Ranvier's sorter on one recording: a process of its own, started by ``measure``.

python -m benchmarks.sorting.our_sort FOLDER OUT.npz WORKERS OPTIONS_JSON
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from benchmarks.sorting.recording import open_recording
from benchmarks.sorting.truth import Truth

SEED = 1


def main(folder: Path, out: Path, workers: int, options: dict[str, object]) -> None:
    from ranvier.sorting.offline import sort_recording  # neither imports nor loading kernels are timed: as for peers

    recording = open_recording(Truth.load(folder))
    began, cpu = time.perf_counter(), sum(os.times()[:4])
    units = sort_recording(recording, seed=SEED, workers=workers, **options)
    seconds, cpu = time.perf_counter() - began, sum(os.times()[:4]) - cpu
    np.savez(out, sample_index=units.sample_index, unit=units.unit, seconds=seconds, cpu_seconds=cpu)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4]))
