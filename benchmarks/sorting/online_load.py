"""What sorting a stream costs: known units that fire at a given rate on a grid, packets as fast as they are taken.

    python -m benchmarks.sorting.online_load [--channels 1024] [--rate 10] [--seconds 3] [--block-ms 1] [--runs 5] \
        [--each]

One unit per site, seen on the sites within 60 um, in Gaussian noise of 8 uV (simulated). The sorter is given the
units as they were made: what is measured is all that a packet of int16 counts goes through in the sorter's thread. As
there, packets are joined until there are as many rows as the sorter waits for (3 ms above 512 sites); ``--each``: every
packet by itself.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from benchmarks.sorting.online_sorter import PARAMETERS, live_sorter
from benchmarks.sorting.recipes import FS, GAIN_UV

from ranvier.recordings import Block, ChannelTable, Site, plain_channels
from ranvier.recordings.block import joined
from ranvier.sorting.basis import learn_basis
from ranvier.sorting.geometry import geometry_of
from ranvier.sorting.online import OnlineSorter
from ranvier.sorting.stream_training import digest_of
from ranvier.sorting.templates import Templates
from ranvier.sorting.trained import TrainedUnits
from ranvier.sorting.whitening import measure_noise
from ranvier.sorting.window import Window

F32 = npt.NDArray[np.float32]
I16 = npt.NDArray[np.int16]
I64 = npt.NDArray[np.int64]
NOISE_UV, PITCH_UM, SPREAD_UM, SEEN_UM = 8.0, 30.0, 20.0, 60.0
REFRACTORY = 90


def grid(channels: int) -> ChannelTable:
    """Return channels on a square grid."""
    side = int(np.ceil(np.sqrt(channels)))
    table = plain_channels(amp=channels)
    return table.with_channels(
        replace(c, site=Site(PITCH_UM * (i % side), PITCH_UM * (i // side))) for i, c in enumerate(table)
    )


def stream(table: ChannelTable, rate_hz: float, seconds: float) -> tuple[F32, list[I64]]:
    """Return a simulated signal in uV, and the spikes of each unit."""
    random = np.random.default_rng(1)
    geometry = geometry_of(table, np.arange(len(table)))
    samples = int(seconds * FS)
    x = np.float32(NOISE_UV) * random.standard_normal((samples, len(table)), np.float32)
    time_ = np.arange(-20, 60)
    trains = []
    for u in range(len(table)):
        width = (4.0, 5.0, 6.5)[u % 3]
        shape = -np.exp(-0.5 * (time_ / width) ** 2) + 0.35 * np.exp(-0.5 * ((time_ / width - 3.0) / 2.0) ** 2)
        near = np.flatnonzero(geometry.distance_um[u] <= SEEN_UM)
        profile = random.uniform(80.0, 200.0) * np.exp(-geometry.distance_um[u, near] / SPREAD_UM)
        wave = (shape[:, None] * profile[None]).astype(np.float32)
        gaps = REFRACTORY + random.exponential(FS / rate_hz - REFRACTORY, int(2 * rate_hz * seconds) + 20)
        train = np.cumsum(gaps).astype(np.int64)
        train = train[(train > 100) & (train < samples - 200)]
        for t in train:
            x[t - 20 : t + 60, near] += wave
        trains.append(train)
    return x, trains


def told(table: ChannelTable, x: F32, trains: list[I64]) -> OnlineSorter:
    """Return a sorter that knows the units of a stream: their mean waveforms behind the filters, whitened."""
    sorter, chain = live_sorter(Fraction(FS), table)
    filtered = chain.process(Block(x, 0), chain.start())[0].samples
    geometry = geometry_of(table, np.arange(len(table)))
    whitening = measure_noise([np.ascontiguousarray(filtered[::8])], geometry)
    window = Window.of(PARAMETERS, float(FS))
    basis = learn_basis(
        np.zeros((0, window.samples), np.float32), window.before, window.after, PARAMETERS.components, FS, 1
    )
    weights = np.zeros((len(trains), len(table), len(basis.components)), np.float32)
    offsets = np.arange(-window.before, window.after + 1)
    for u, train in enumerate(trains):
        near = np.flatnonzero(geometry.distance_um[u] <= SEEN_UM)
        mean = filtered[train[:, None, None] + offsets[None, :, None], near[None, None]].mean(axis=0)
        white = mean @ whitening.matrix[np.ix_(near, near)]
        weights[u, near] = white.T @ basis.components.T
    units = TrainedUnits(
        Templates(weights, basis, geometry),
        whitening,
        window,
        PARAMETERS,
        np.arange(1, len(trains) + 1, dtype=np.int32),
        geometry.positions_um.astype(np.float32),
        digest_of(FS, table, chain.describe_stages()),
        0.0,
    )
    sorter.use(units)
    return sorter


def run(sorter: OnlineSorter, counts: I16, first: int, block: int, least_rows: int = 0) -> tuple[float, int]:
    """Return the CPU seconds of a thread for the packets of a signal, and the labelled spikes it told.

    Packets are joined until there are ``least_rows``.
    """
    gain, offset = np.full(counts.shape[1], GAIN_UV), np.zeros(counts.shape[1])
    labelled, began = 0, time.thread_time()
    together = max(1, -(-least_rows // block)) * block
    for at in range(0, len(counts), together):
        stop = min(at + together, len(counts))
        packets = [Block(counts[t : t + block], first + t, gain, offset) for t in range(at, stop, block)]
        for told in sorter.take(packets[0] if len(packets) == 1 else joined(packets)):
            labelled += int(np.count_nonzero(told.label))
    return time.thread_time() - began, labelled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--channels", type=int, default=1024)
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--block-ms", type=float, default=1.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--each", action="store_true")
    asked = parser.parse_args()
    table = grid(asked.channels)
    x, trains = stream(table, asked.rate, asked.seconds)
    sorter, block = told(table, x, trains), max(1, round(asked.block_ms * FS / 1000))
    counts = np.round(x / np.float32(GAIN_UV)).astype(np.int16)
    least_rows = 0 if asked.each else sorter.least_rows
    run(sorter, counts, 0, block)  # kernels, thresholds
    done = [run(sorter, counts, (k + 1) * len(x), block, least_rows) for k in range(asked.runs)]
    shares = [cpu / asked.seconds for cpu, _ in done]
    print(
        json.dumps(
            {
                "channels": asked.channels,
                "rows_at_least": max(block, least_rows),
                "spikes_per_sec_per_channel": round(sum(map(len, trains)) / asked.seconds / asked.channels, 2),
                "labelled_share": round(done[-1][1] / sum(map(len, trains)), 3),
                "core_share": {"median": round(statistics.median(shares), 3), "all": [round(s, 3) for s in shares]},
            }
        )
    )


if __name__ == "__main__":
    main()
