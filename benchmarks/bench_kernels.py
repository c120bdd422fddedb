"""Downsampling, common references and skew correction in memory: 384 channels, blocks as the executor cuts them.

Floors, 2 threads: 430 million input samples/s for downsampling by 10, 210 for the exact median reference: ten times
what SpikeInterface's file-to-file jobs reached with 2 workers. Results are compared with SciPy and NumPy first. Run:
python benchmarks/bench_kernels.py
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
from common import machine, show
from scipy.ndimage import correlate1d

from ranvier.dsp import Chain, CommonAverageReference, CorrectSkew, Downsample
from ranvier.dsp.decimation import steps_for
from ranvier.dsp.parallel import Team
from ranvier.recordings import Block, plain_channels

FS = Fraction(30000)
CHANNELS, ROWS, BLOCKS = 384, 2730, 20
FLOORS = {"downsample by 10": 430.0, "median reference": 210.0}


def table():
    channels = plain_channels(amp=CHANNELS)
    return channels.with_channels(replace(c, skew_samples=(c.ntv % 13) / 13) for c in channels)


def million_samples_per_sec(chain: Chain, x: np.ndarray, workers: int) -> float:
    chain.use(Team(workers))
    rates, at = [], 0
    state = chain.start()
    for _ in range(8):
        began = time.perf_counter()
        for _ in range(BLOCKS):
            chain.process(Block(x, at), state)
            at += len(x)
        rates.append(BLOCKS * x.size / (time.perf_counter() - began) / 1e6)
    return statistics.median(rates[1:])


def check(x: np.ndarray) -> None:
    """The downsampled signal is SciPy's correlation with the taps; the reference is NumPy's median."""
    chain = Chain.bind([Downsample(10)], FS, plain_channels(amp=CHANNELS))
    state = chain.start()
    got = np.concatenate([b.samples for b in (*chain.process(Block(x, 0), state), *chain.finish(state))])
    expected = x.astype(np.float64)
    for step in steps_for(10):
        expected = correlate1d(expected, np.array(step.taps), axis=0, mode="mirror")[:: step.factor]
    np.testing.assert_allclose(got, expected, atol=1e-6 * np.abs(x).max())
    median = Chain.bind([CommonAverageReference("median")], FS, plain_channels(amp=CHANNELS))
    [out] = median.process(Block(x, 0), median.start())
    reference = np.median(x.astype(np.float64), axis=1).astype(np.float32)
    np.testing.assert_array_equal(out.samples, x - reference[:, None])


def main() -> int:
    rng = np.random.default_rng(3)
    hum = 30 * np.sin(2 * np.pi * 60 * np.arange(ROWS) / float(FS))
    x = (rng.standard_normal((ROWS, CHANNELS)) * 12 + rng.uniform(-20, 20, CHANNELS) + hum[:, None]).astype(np.float32)
    check(x)
    failed = 0
    rates = {}
    for name, operation in {
        "downsample by 10": Downsample(10),
        "downsample by 30": Downsample(30),
        "median reference": CommonAverageReference("median"),
        "mean reference": CommonAverageReference(),
        "skew": CorrectSkew(),
    }.items():
        chain = Chain.bind([operation], FS, table())
        one, two = (million_samples_per_sec(chain, x, workers) for workers in (1, 2))
        rates[name] = {"1 thread": round(one), "2 threads": round(two)}
        failed += two < FLOORS.get(name, 0)
    show({"machine": machine(), "million input samples per second": rates})
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
