"""From arrival to label: known units that fire at a given rate on a grid, replayed in real time; every label is timed.

    python -m benchmarks.sorting.online_latency [--channels 384] [--rate 10] [--seconds 30] [--block-ms 1] \
        [--slowest 10] [--unprepared]

Software latency of a simulated source, which is an open loop: it never waits for the sorter. ``L_sw`` counts from the
arrival of the packet that holds the sample half a millisecond behind a spike's trough to the label, ``L_label`` from
the time the trough was sampled; both are of all labels behind the first two seconds. The stream of ``online_load``,
two seconds of it again and again, goes through the rig's own pump and queue to the sorter's thread, in a process that
is prepared as a rig's is (``--unprepared``: as Python begins). How late this machine ends a sleep of 1 ms, measured
before with nothing else in this process, is told beside: what is late by less cannot be seen. ``--slowest`` writes out
the packets with the latest labels.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from typing import Any

import numpy as np
from benchmarks.sorting.online import Replayed, percentiles, replay_recording
from benchmarks.sorting.online_load import grid, run, stream, told
from benchmarks.sorting.online_sorter import Labels
from benchmarks.sorting.recipes import FS, GAIN_UV

from ranvier.recordings.memory import ArrayRecording

#: Milliseconds that the issue asks for: floor and goal.
ASKED = {"p50": (2.0, 1.0), "p99": (6.0, 3.0)}
_STREAM_SEC = 2.0
_PROBE_SEC = 5.0


def sleeps_late() -> dict[str, float]:
    """Return by how much sleeps of 1 ms end too late on this machine (ms)."""
    late, began = [], time.monotonic()
    for k in range(1, int(_PROBE_SEC * 1000)):
        due = began + k / 1000
        if (wait := due - time.monotonic()) > 0:
            time.sleep(wait)
        late.append(time.monotonic() - due)
    return percentiles(np.array(late))


def slowest(done: Replayed, number: int) -> list[dict[str, Any]]:
    """Return the packets with the latest labels, one of each tenth of a second: when, and how long each step took."""
    begun, handed, ended = done.begun_sec, done.handed_sec, done.done_sec
    late = dict(zip(done.arrived_sec.tolist(), done.late_sec.tolist(), strict=True))
    told: list[dict[str, Any]] = []
    order = np.argsort(handed - ended, kind="stable")
    taken: list[float] = []
    for i in order:
        if len(told) == number:
            break
        if any(abs(handed[i] - t) < 0.1 for t in taken):
            continue
        taken.append(float(handed[i]))
        told.append(
            {
                "at_ms": round(1000 * float(handed[i] - handed[0]), 1),
                "source_late_ms": round(1000 * late[float(handed[i])], 3),
                "until_begun_ms": round(1000 * float(begun[i] - handed[i]), 3),
                "at_work_ms": round(1000 * float(ended[i] - begun[i]), 3),
                "at_work_cpu_ms": round(1000 * float(done.cpu_sec[i]), 3),
                "behind_another": bool(i > 0 and ended[i - 1] > handed[i]),
            }
        )
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--channels", type=int, default=384)
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--block-ms", type=float, default=1.0)
    parser.add_argument("--slowest", type=int, default=0)
    parser.add_argument("--unprepared", action="store_true")
    asked = parser.parse_args()
    table = grid(asked.channels)
    x, trains = stream(table, asked.rate, _STREAM_SEC)
    sorter = told(table, x, trains)
    counts = np.round(x / np.float32(GAIN_UV)).astype(np.int16)
    del x
    run(sorter, counts, 0, round(FS / 1000))  # kernels are loaded, noise and thresholds are known
    table = table.with_channels(replace(c, gain=GAIN_UV, offset=0.0) for c in table)
    recording = ArrayRecording(counts, sorter.sites.fs, table, start=len(counts), simulated=True)
    machine = sleeps_late()
    done = replay_recording(
        recording,
        Labels(sorter),
        seconds=asked.seconds,
        block_ms=asked.block_ms,
        loop=True,
        as_rig=not asked.unprepared,
        least_rows=sorter.least_rows,
    )
    figures = done.latencies(2 * len(counts))
    print(
        json.dumps(
            {
                "channels": asked.channels,
                "block_ms": asked.block_ms,
                "prepared_as_a_rig": not asked.unprepared,
                "labels": len(done.sample_index),
                "sleeps_of_1_ms_late_ms": machine,
                **figures,
                "asked_ms": {name: dict(zip(("floor", "goal"), limits, strict=True)) for name, limits in ASKED.items()},
                "shed_samples": done.shed_samples,
                "busy_fraction": round(done.busy_fraction, 3),
                **({"slowest": slowest(done, asked.slowest)} if asked.slowest else {}),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
