"""SpikeInterface doing what bench_transforms does: runs in the peers' environment, prints one line of JSON."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import warnings
from pathlib import Path

import spikeinterface.core as core
import spikeinterface.preprocessing as preprocessing


def made(recording: core.BaseRecording, case: str) -> core.BaseRecording:
    if case in ("bandpass", "chain"):
        recording = preprocessing.bandpass_filter(recording, freq_min=300.0, freq_max=6000.0, filter_order=5)
    if case == "highpass":
        recording = preprocessing.highpass_filter(recording, freq_min=300.0, filter_order=5)
    if case in ("notch", "chain"):
        recording = preprocessing.notch_filter(recording, freq=60.0, q=30)
    if case in ("median", "chain"):
        operator = "median" if case == "median" else "average"
        recording = preprocessing.common_reference(recording, reference="global", operator=operator)
    if case in ("decimate", "chain"):
        recording = preprocessing.decimate(recording, decimation_factor=10, antialias=True)
    return recording


def cpu_sec() -> float:
    """Return the CPU time of this process and of its workers that have ended."""
    return sum(os.times()[:4])


def main() -> None:
    warnings.simplefilter("ignore")
    source, folder, channels, dtype, case, jobs = sys.argv[1:7]
    recording = core.read_binary(source, sampling_frequency=30000.0, dtype=dtype, num_channels=int(channels))
    recording = made(recording, case)
    shutil.rmtree(folder, ignore_errors=True)
    began, cpu = time.perf_counter(), cpu_sec()
    recording.save(format="binary", folder=folder, n_jobs=int(jobs), chunk_duration="1s", progress_bar=False)
    seconds = time.perf_counter() - began
    files = sorted(str(p) for p in Path(folder).glob("*.raw"))
    print(
        json.dumps({"seconds": seconds, "cpu": cpu_sec() - cpu, "file": files[0], "dtype": str(recording.get_dtype())})
    )


if __name__ == "__main__":
    main()
