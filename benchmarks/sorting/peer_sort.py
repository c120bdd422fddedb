"""Run a peer on one recording: a process of its own in the peers' environment, started by ``measure``.

    python -m benchmarks.sorting.peer_sort SORTER FOLDER OUT.npz JOBS OPTIONS_JSON

Peers run with their defaults, which include their own filters. ``_mc`` behind a name switches on the peer's motion
correction where it is off by default. SpikeSift takes raw int16 samples and filters them itself.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.sorting.truth import Truth

_MOTION = "_mc"


def recording_of(truth: Truth) -> Any:
    """Return the recording as SpikeInterface has it."""
    import spikeinterface.full as si
    from probeinterface import Probe

    probe = Probe(ndim=2)
    probe.set_contacts(truth.places_um, shapes="circle", shape_params={"radius": 6})
    probe.set_device_channel_indices(np.arange(truth.channels))
    recording = si.read_binary(
        truth.folder / "traces.i16",
        sampling_frequency=truth.fs,
        dtype="int16",
        num_channels=truth.channels,
        gain_to_uV=float(truth.about["gain_uv"]),
        offset_to_uV=0.0,
        is_filtered=False,
    )
    recording.set_probe(probe)  # in place
    return recording


def with_spikeinterface(sorter: str, truth: Truth, jobs: int, options: dict[str, Any]) -> tuple[Any, Any, float, float]:
    import spikeinterface.full as si
    from spikeinterface.sorters import get_default_sorter_params

    si.set_global_job_kwargs(n_jobs=jobs, progress_bar=False, chunk_duration="1s")
    name = sorter.removesuffix(_MOTION)
    parameters = dict(options)
    if sorter.endswith(_MOTION):
        parameters["apply_motion_correction"] = True
    if name == "mountainsort5":
        parameters.setdefault("scheme", "2")
    if "n_jobs" in get_default_sorter_params(name):
        parameters.setdefault("n_jobs", jobs)
    recording = recording_of(truth)
    folder = Path(tempfile.mkdtemp(prefix="peer-", dir=truth.folder.parent))
    try:
        began, cpu = time.perf_counter(), sum(os.times()[:4])
        sorting = si.run_sorter(
            name, recording, folder=folder / "out", remove_existing_folder=True, verbose=False, **parameters
        )
        spikes = sorting.to_spike_vector()
        seconds, cpu = time.perf_counter() - began, sum(os.times()[:4]) - cpu
        return spikes["sample_index"], spikes["unit_index"], seconds, cpu
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def with_spikesift(truth: Truth, options: dict[str, Any]) -> tuple[Any, Any, float, float]:
    import spikesift

    recording = spikesift.Recording(
        binary_file=str(truth.folder / "traces.i16"),
        data_type=np.int16,
        probe_geometry=np.ascontiguousarray(truth.places_um, np.float64),
        sampling_frequency=truth.fs,
    )
    began, cpu = time.perf_counter(), sum(os.times()[:4])
    sorted_recording = spikesift.perform_spike_sorting(recording, verbose=False, **options)
    seconds, cpu = time.perf_counter() - began, sum(os.times()[:4]) - cpu
    trains = {int(k): np.asarray(v) for k, v in sorted_recording.all_spikes().items()}
    sample = np.concatenate([*trains.values(), np.empty(0, np.int64)]).astype(np.int64)
    unit = np.concatenate([*(np.full(len(v), k) for k, v in trains.items()), np.empty(0, np.int64)]).astype(np.int64)
    return sample, unit, seconds, cpu


def main(sorter: str, folder: Path, out: Path, jobs: int, options: dict[str, Any]) -> None:
    truth = Truth.load(folder)
    if sorter == "spikesift":
        sample, unit, seconds, cpu = with_spikesift(truth, options)
    else:
        sample, unit, seconds, cpu = with_spikeinterface(sorter, truth, jobs, options)
    np.savez(out, sample_index=sample, unit=unit, seconds=seconds, cpu_seconds=cpu)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), json.loads(sys.argv[5]))
