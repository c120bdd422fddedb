"""SpikeInterface doing what bench_preprocess does: runs in the peers' environment, prints one line of JSON."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import time
from pathlib import Path

import spikeinterface.core as core
import spikeinterface.preprocessing as preprocessing


def main() -> None:
    source, folder, channels, form, jobs = sys.argv[1:6]
    recording = core.read_binary(source, sampling_frequency=30000.0, dtype="float32", num_channels=int(channels))
    direction = "forward-backward" if form == "zero_phase" else "forward"
    filtered = preprocessing.bandpass_filter(
        recording, freq_min=300.0, freq_max=6000.0, filter_order=5, direction=direction
    )
    referenced = preprocessing.common_reference(filtered, reference="global", operator="average")
    shutil.rmtree(folder, ignore_errors=True)
    began, cpu_began = time.perf_counter(), sum(os.times()[:4])
    referenced.save(
        format="binary", folder=folder, n_jobs=int(jobs), chunk_duration="1s", progress_bar=False, dtype="float32"
    )
    seconds, cpu = time.perf_counter() - began, sum(os.times()[:4]) - cpu_began
    mine = next(int(t.split()[1]) for t in Path("/proc/self/status").read_text().splitlines() if t.startswith("VmHWM"))
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    files = sorted(str(p) for p in Path(folder).glob("*.raw"))
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu_seconds": cpu,
                "rss_mb": mine / 1024,
                "largest_child_rss_mb": children / 1024,
                "files": files,
            }
        )
    )


if __name__ == "__main__":
    main()
