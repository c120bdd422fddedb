"""The rig's sorter from its first packet on: it learns by itself, adapts, and its labels are scored at the end.

    python -m benchmarks.sorting.online_rig NAME [--seed-index 0] [--score-sec 30] [--block-ms 5] [--real-time]
                                            [--adapt] [--until-sec S]

Packets go through :class:`ranvier.rig.sorting.Sorting` as the rig's thread hands them over: rounds of learning in their
own process at 10, 30, 60 and 120 s, with ``--adapt`` templates that follow their spikes every 30 s and new rounds every
300 s. In real time where that is asked for; else as fast as they are taken, and learning and following take no time
(packets wait for them). The labels of the last ``--score-sec`` are scored, and so are those of the offline sorter of
the last 120 s; the SNR of a unit is that of the scored stretch, as units of a recording that drifts are elsewhere by
then.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from benchmarks.sorting import measure
from benchmarks.sorting.online import brief
from benchmarks.sorting.recipes import DEVELOPMENT, RECIPES
from benchmarks.sorting.recording import open_recording
from benchmarks.sorting.score import scores
from benchmarks.sorting.truth import Truth, measured

from ranvier.models.spikesorter import SpikeSorterDynamicConfig
from ranvier.recordings import Block
from ranvier.rig.core import Core
from ranvier.rig.sorter_settings import SorterSettings
from ranvier.rig.sorting import Sorting
from ranvier.sorting.offline import sort_recording

#: What offline sorting is given, at the end of the recording.
OFFLINE_SEC = 120.0


def driver(truth: Truth, adapt: bool) -> Sorting:
    """Return the rig's driver of a sorter of a recording's channels, without a rig."""
    recording = open_recording(truth)
    core = SimpleNamespace(
        source=SimpleNamespace(channels=recording.channels, fs=Fraction(recording.fs)),
        dsp=SimpleNamespace(sorter=None, live=None, sorter_params=(), describe=list),
    )
    settings = SorterSettings()
    settings.dynamics = settings.dynamics.take(SpikeSorterDynamicConfig(is_enabled=adapt))
    return Sorting(cast("Core", core), settings)


def feed(sorting: Sorting, packets: Iterator[Block], fs: float, real_time: bool) -> tuple[float, float]:
    """Hand packets over; return the CPU seconds of the thread and by how much it was late at most."""
    began, busy, late = time.monotonic(), time.thread_time(), 0.0
    first: int | None = None
    for block in packets:
        first = block.start if first is None else first
        if real_time:
            wait = began + (block.stop - first) / fs - time.monotonic()
            late = max(late, -wait)
            if wait > 0:
                time.sleep(wait)
        sorting._work(block)
        while not real_time and (sorting.progress is not None or sorting._following is not None):
            time.sleep(0.01)
    return time.thread_time() - busy, late


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("name", choices=list(RECIPES))
    parser.add_argument("--seed-index", type=int, default=0)
    parser.add_argument("--score-sec", type=float, default=30.0)
    parser.add_argument("--block-ms", type=float, default=5.0)
    parser.add_argument("--until-sec", type=float, default=0.0)
    parser.add_argument("--real-time", action="store_true")
    parser.add_argument("--adapt", action="store_true")
    asked = parser.parse_args()
    truth = measure.get(asked.name, RECIPES[asked.name].seed(DEVELOPMENT, asked.seed_index))
    if truth is None:
        raise SystemExit(measure.missing(asked.name))
    recording = open_recording(truth)
    stop = int(min(asked.until_sec or truth.seconds, truth.seconds) * truth.fs)
    sorting = driver(truth, asked.adapt)
    packets = recording.blocks(round(asked.block_ms * truth.fs / 1000), 0, stop)
    busy, late = feed(sorting, iter(packets), truth.fs, asked.real_time)
    engine = sorting.engine
    if engine is None:
        raise SystemExit("nothing was sorted")
    told = engine.ring.read(stop - int(asked.score_sec * truth.fs), stop)
    told = told.take(told.label > 0)
    result: dict[str, Any] = {
        "recording": asked.name,
        "real_time": asked.real_time,
        "adapts": asked.adapt,
        "cpu_sec_per_sec": round(busy / (stop / truth.fs), 4),
        "late_ms_at_most": round(late * 1000, 1),
        "rounds": [
            {k: v for k, v in entry.items() if k != "in_force_from_sample"}
            for entry in sorting.log
            if "learned" in str(entry["event"])
        ],
        "failure": sorting.training_failure,
        "live": _scored(truth, told.counter, told.label, stop, asked.score_sec),
    }
    begin = max(0, stop - int(OFFLINE_SEC * truth.fs))
    units = sort_recording(recording, start=begin, stop=stop, seed=1)
    mine = units.sample_index >= stop - int(asked.score_sec * truth.fs)
    result["offline"] = _scored(truth, units.sample_index[mine], units.unit[mine], stop, asked.score_sec)
    print(json.dumps(result, indent=1))


def _scored(truth: Truth, counters: Any, labels: Any, stop: int, seconds: float) -> dict[str, Any]:
    first = stop - int(seconds * truth.fs)
    real = (truth.sample_index >= first) & (truth.sample_index < stop)
    sample, unit = truth.sample_index[real], truth.unit[real]
    snr, _ = measured(truth.counts()[first:stop], truth.fs, sample - first, unit, len(truth.snr))
    found = scores(sample, unit, snr, truth.cosine, counters, labels.astype(np.int64), truth.fs)
    return {**brief(found, snr), "by_unit": list(zip(np.round(snr, 1).tolist(), found["by_unit"], strict=True))}


if __name__ == "__main__":
    main()
