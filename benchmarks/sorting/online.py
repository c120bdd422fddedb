"""Sorting online: a recording is replayed in real time, and every label is timed.

    python -m benchmarks.sorting.online NAME [--seed-index 0] [--seconds 20] [--block-ms 1]      # the harness's own
    python -m benchmarks.sorting.online NAME --train-sec 120 [--offline]                         # Ranvier's sorter

Software latency with a simulated source. The source is an open loop: it releases each packet at its time and never
waits for the sorter, so queueing shows. The sorter is trained on the beginning of the recording (as fast as it can be
read; ``--units FILE`` keeps what was learned) and labels what follows; ``--offline`` sorts the recording at rest too,
for comparison on the same spikes. ``L_sw`` counts from the arrival of the packet with the last sample a label needs
(0.5 ms after the trough) to the label; ``L_label`` from the time the trough was sampled. Without a sorter the labels
are those of the truth, handed back as soon as their samples are there: the harness's own floor.
"""

from __future__ import annotations

import argparse
import gc
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.sorting import measure
from benchmarks.sorting.recipes import DEVELOPMENT, RECIPES
from benchmarks.sorting.recording import open_recording
from benchmarks.sorting.score import scores
from benchmarks.sorting.truth import Truth

from ranvier.recordings import Block, Recording
from ranvier.recordings.memory import ArrayRecording
from ranvier.rig.cache import SignalCache
from ranvier.rig.clock import RealClock
from ranvier.rig.consumer import BackPressure
from ranvier.rig.consumers import QueueConsumer
from ranvier.rig.process import keep_what_is_loaded, take_short_turns
from ranvier.rig.pump import Pump
from ranvier.rig.sorting import TOGETHER_ROWS
from ranvier.rig.sources.replay import ReplaySource

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

#: Samples after the trough that a label needs (ms).
POST_MS = 0.5
#: For how long the cache remembers.
_KEPT_SEC = 2.0
PERCENTILES = (50.0, 95.0, 99.0, 99.9, 100.0)

#: Takes the next packet; returns the labels that are known now: samples, units (0, 1, ...; -1: none).
Labeller = Callable[[Block], tuple[Sequence[int] | I64, Sequence[int] | I64]]


@dataclass(frozen=True)
class Replayed:
    """What a live run gave.

    Attributes
    ----------
    sample_index, unit
        Labels, in the order of their publication.
    published_sec, needed_sec, taken_sec
        For each label: when it was there, when the last sample that it needs had arrived, when its trough was sampled.
    arrived_sec, late_sec
        For each packet: when it arrived, and how long after its time (the simulator's own jitter).
    handed_sec, begun_sec, done_sec, cpu_sec
        For each time that the labeller worked: when the (first) packet arrived, when the labeller began and when it
        was done, and its CPU time. Packets that wait are worked on together.
    collections_sec
        How long each full collection of Python's garbage held up all threads.
    preferred
        Whether the scheduler preferred the pump's thread.
    shed_samples
        Samples that the labeller had no time for.
    busy_fraction
        Of one core, in the labeller's thread.
    stop
        Counter after the last sample that was replayed.
    """

    sample_index: I64
    unit: I64
    published_sec: F64
    needed_sec: F64
    taken_sec: F64
    arrived_sec: F64
    late_sec: F64
    handed_sec: F64
    begun_sec: F64
    done_sec: F64
    cpu_sec: F64
    collections_sec: list[float]
    preferred: bool
    shed_samples: int
    busy_fraction: float
    stop: int

    def latencies(self, first: int) -> dict[str, Any]:
        """Return percentiles (ms) of the labels from a counter on, and how late the source was."""
        mine = self.sample_index >= first
        return {
            "L_sw_ms": percentiles((self.published_sec - self.needed_sec)[mine]),
            "L_label_ms": percentiles((self.published_sec - self.taken_sec)[mine]),
            "source_late_ms": percentiles(self.late_sec),
            "until_begun_ms": percentiles(self.begun_sec - self.handed_sec),
            "at_work_ms": percentiles(self.done_sec - self.begun_sec),
            "at_work_cpu_ms": percentiles(self.cpu_sec),
            "full_collections_ms": [round(1000 * sec, 2) for sec in self.collections_sec],
            "pump_preferred": self.preferred,
        }

    def report(self, truth: Truth, from_sec: float = 0.0) -> dict[str, Any]:
        """Return latencies (ms) and scores as plain numbers; of the labels and spikes after ``from_sec``."""
        first = int(from_sec * truth.fs)
        mine, real = self.sample_index >= first, (truth.sample_index >= first) & (truth.sample_index < self.stop)
        return {
            "labels": int(mine.sum()),
            **self.latencies(first),
            "shed_samples": self.shed_samples,
            "busy_fraction": round(self.busy_fraction, 4),
            "scores": scores(
                truth.sample_index[real],
                truth.unit[real],
                truth.snr,
                truth.cosine,
                self.sample_index[mine],
                self.unit[mine],
                truth.fs,
            ),
        }


def replay(
    truth: Truth, labeller: Labeller, *, seconds: float, block_ms: float = 1.0, from_sec: float = 0.0
) -> Replayed:
    """Replay a part of a recording in real time to a labeller that runs in a thread of its own."""
    first = int(from_sec * truth.fs)
    whole = open_recording(truth)
    part = ArrayRecording(truth.counts()[first:], whole.fs, whole.channels, start=first, simulated=True)
    return replay_recording(part, labeller, seconds=min(seconds, part.segments.rows / truth.fs), block_ms=block_ms)


def replay_recording(
    recording: Recording,
    labeller: Labeller,
    *,
    seconds: float,
    block_ms: float = 1.0,
    loop: bool = False,
    as_rig: bool = True,
    least_rows: int = 0,
) -> Replayed:
    """Replay a recording in real time to a labeller that runs in a thread of its own.

    With ``as_rig`` this process is prepared as that of a rig is: short turns of threads, a collector of garbage that
    leaves alone what is loaded, a pump that the scheduler prefers where it may, and a cache whose memory was touched.
    ``least_rows``: what the labeller waits for (:attr:`ranvier.sorting.online.OnlineSorter.least_rows`).
    """
    return _Run(recording, labeller, seconds, block_ms, loop, as_rig, least_rows).go()


class _Run:
    def __init__(
        self,
        recording: Recording,
        labeller: Labeller,
        seconds: float,
        block_ms: float,
        loop: bool,
        as_rig: bool,
        least_rows: int,
    ) -> None:
        self._labeller = labeller
        self._least_rows = least_rows
        self._fs = float(recording.fs)
        self._source = ReplaySource(recording, loop=loop, block_sec=block_ms / 1000)
        self._stop = recording.start + int(seconds * self._fs)
        self._seconds = seconds
        self._arrivals: list[tuple[int, float, float]] = []
        self._labels: list[tuple[I64, I64, float]] = []
        self._worked: list[tuple[int, float, float, float]] = []
        self._collections: list[float] = []
        self._collecting_since = 0.0
        self._as_rig = as_rig
        self._over = threading.Event()
        self._failed = ""

    # what the pump tells
    def stream_started(self) -> None: ...

    def stream_stopped(self) -> None:
        self._over.set()

    def on_block(self, block: Block, arrival_monotonic: float) -> None:
        due = self._source.sample_time(block.stop - 1)
        self._arrivals.append((block.stop, arrival_monotonic, arrival_monotonic if due is None else due))
        if block.stop >= self._stop:
            self._over.set()

    def _work(self, block: Block) -> None:
        begun, cpu = time.monotonic(), time.thread_time()
        sample, unit = self._labeller(block)
        done = time.monotonic()
        self._worked.append((block.start, begun, done, time.thread_time() - cpu))
        if len(sample):
            self._labels.append((np.asarray(sample, np.int64), np.asarray(unit, np.int64), done))

    def _collects(self, phase: str, told: dict[str, int]) -> None:
        """Note how long a full collection takes: every thread waits for it."""
        if phase == "start":
            self._collecting_since = time.monotonic()
        elif told["generation"] == 2:
            self._collections.append(time.monotonic() - self._collecting_since)

    def _fail(self, why: str) -> None:
        if "over" not in why:
            self._failed = why
        self._over.set()

    def go(self) -> Replayed:
        pump = Pump(
            SignalCache(),
            RealClock(),
            acquisition=lambda: None,
            persistence_sec=lambda: _KEPT_SEC,
            failed=self._fail,
        )
        if self._as_rig:
            take_short_turns()
            pump.in_a_hurry = True
            source = self._source
            pump.cache.prepare(source.channels, source.fs, _KEPT_SEC, counts=source.recording.stores_counts)
            keep_what_is_loaded()
        gc.callbacks.append(self._collects)
        consumer = QueueConsumer(
            "sorter",
            BackPressure.SHED_OLDEST,
            self._work,
            max_blocks=1024,
            together_rows=TOGETHER_ROWS,
            least_rows=lambda: self._least_rows,
        )
        pump.add_hook(self)
        pump.add_consumer(consumer)
        pump.start(self._source)
        try:
            if not self._over.wait(self._seconds + 30.0):
                raise RuntimeError("the replay came to no end")
        finally:
            pump.stop()
            consumer.close(60.0)
            self._source.close()
            gc.callbacks.remove(self._collects)
        if self._failed or consumer.failure:
            raise RuntimeError(self._failed or consumer.failure)
        return self._result(consumer, pump.is_preferred)

    def _result(self, consumer: QueueConsumer, preferred: bool) -> Replayed:
        stops, arrivals, due = (np.array(column) for column in zip(*self._arrivals, strict=True))
        nothing: list[I64] = [np.empty(0, np.int64)]
        sample = np.concatenate([s for s, _, _ in self._labels] or nothing)
        needed_stop = sample + round(POST_MS / 1000 * self._fs) + 1
        packet = np.minimum(np.searchsorted(stops, needed_stop), len(stops) - 1)
        begin = due[0] - stops[0] / self._fs
        status = consumer.status()
        worked, begun, ended, cpu = (np.array(column) for column in zip(*self._worked, strict=True))
        return Replayed(
            sample_index=sample,
            unit=np.concatenate([u for _, u, _ in self._labels] or nothing),
            published_sec=np.concatenate([np.full(len(s), t) for s, _, t in self._labels] or [np.empty(0)]),
            needed_sec=arrivals[packet],
            taken_sec=begin + (sample + 1) / self._fs,
            arrived_sec=arrivals,
            late_sec=arrivals - due,
            handed_sec=arrivals[np.searchsorted(stops, worked, side="right")],
            begun_sec=begun,
            done_sec=ended,
            cpu_sec=cpu,
            collections_sec=self._collections,
            preferred=preferred,
            shed_samples=int(status.shed_samples),
            busy_fraction=float(status.busy_fraction),
            stop=int(stops[-1]),
        )


def oracle(truth: Truth) -> Labeller:
    """Return a labeller that knows the truth, and tells it as soon as the samples are there."""
    needed = truth.sample_index + round(POST_MS / 1000 * truth.fs) + 1
    at = 0

    def label(block: Block) -> tuple[I64, I64]:
        nonlocal at
        until = int(np.searchsorted(needed, block.stop, side="right"))
        told = slice(at, max(at, until))
        at = told.stop
        return truth.sample_index[told], truth.unit[told]

    return label


def percentiles(sec: F64) -> dict[str, float]:
    """Return percentiles in ms."""
    if not len(sec):
        return {}
    values = np.percentile(sec * 1000, PERCENTILES)
    return {f"p{p:g}": round(float(v), 3) for p, v in zip(PERCENTILES, values, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("name", choices=list(RECIPES))
    parser.add_argument("--seed-index", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--block-ms", type=float, default=1.0)
    parser.add_argument("--train-sec", type=float, default=0.0, help="train our sorter on as much, then label")
    parser.add_argument("--units", type=Path, help="file of trained units: read where it is there, else written")
    parser.add_argument("--offline", action="store_true", help="sort the recording at rest as well")
    asked = parser.parse_args()
    truth = measure.get(asked.name, RECIPES[asked.name].seed(DEVELOPMENT, asked.seed_index))
    if truth is None:
        raise SystemExit(measure.missing(asked.name))
    labeller, name = oracle(truth), "the truth (the harness's floor)"
    if asked.train_sec:
        from benchmarks.sorting.online_sorter import Labels, trained_on

        labeller = Labels(trained_on(open_recording(truth), asked.train_sec, asked.units))
        name = f"ranvier, {len(labeller.sorter.trained or ())} units"
    first = asked.train_sec
    done = replay(truth, labeller, seconds=asked.seconds, block_ms=asked.block_ms, from_sec=first)
    told = done.report(truth, first + (1.0 if first else 0.0))  # the first second: filters and noise settle
    told["scores"] = brief(told["scores"], truth.snr)
    if asked.offline:
        told["offline_scores"] = at_rest(truth, first + 1.0, done.stop)
    print(json.dumps({"recording": asked.name, "labeller": name, **told}, indent=1))


def at_rest(truth: Truth, from_sec: float, stop: int) -> dict[str, Any]:
    """Return the scores of the offline sorter, of the same spikes as the live ones."""
    from ranvier.sorting.offline import sort_recording

    units = sort_recording(open_recording(truth), seed=1)
    first = int(from_sec * truth.fs)
    mine = (units.sample_index >= first) & (units.sample_index < stop)
    real = (truth.sample_index >= first) & (truth.sample_index < stop)
    found = scores(
        truth.sample_index[real],
        truth.unit[real],
        truth.snr,
        truth.cosine,
        units.sample_index[mine],
        units.unit[mine].astype(np.int64),
        truth.fs,
    )
    return brief(found, truth.snr)


def brief(found: dict[str, Any], snr: F64) -> dict[str, Any]:
    """Return the scores that live and offline sorting are compared by; the issue asks for units of SNR >= 6."""
    clear = np.array(found["by_unit"])[snr >= 6.0]
    mean = round(float(clear.mean()), 4) if len(clear) else None
    return {
        "accuracy": found["accuracy"],
        "accuracy_snr_6": mean,
        "units_snr_6": len(clear),
        "well": found["well"],
        "false": found["false"],
        "redundant": found["redundant"],
        "collisions": found["collisions"],
    }


if __name__ == "__main__":
    main()
