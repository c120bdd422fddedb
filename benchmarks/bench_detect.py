"""Threshold events against SpikeInterface's detect_peaks(method='by_channel'): one thread, in memory.

384 channels x 10 s: the same array, negative threshold and number of workers on both sides. SpikeInterface takes local
minima within 0.1 ms (its default; wider ones cost it more); ours takes the minimum within 0.4 ms of a crossing, and
1 ms are dead. Spikes lie apart and fall steeply, so that both must find the same samples; the script fails where under
99.9 % agree. What the largest of the same array takes is the memory's bandwidth. Floor 20x, goal 50x.
Run, with the Python of the peers: python benchmarks/bench_detect.py
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np
from common import machine, race, show, summary

from ranvier.detect import Detections, ThresholdDetector
from ranvier.recordings import Block

PEERS = ("spikeinterface",)
FS = 30_000
THRESHOLD_UV = 60.0
SPIKE_UV = -np.array([30, 120, 85, 55, 35, 20, 10, 5], np.float32)


def signal(seconds: int, channels: int) -> np.ndarray:
    """Noise of 10 uV, and ten spikes a second and channel, at least 3 ms apart."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((seconds * FS, channels), dtype=np.float32) * 10
    slots = np.arange(100, len(x) - 100, 90)
    for c in range(channels):
        at = rng.choice(slots, 10 * seconds, replace=False)
        x[at[:, None] + np.arange(len(SPIKE_UV)), c] += SPIKE_UV
    return x


def ours(x: np.ndarray) -> Detections:
    detector = ThresholdDetector(-THRESHOLD_UV, shadow=30, window=12, num_channels=x.shape[1])
    state = detector.start()
    parts = [detector.process(Block(x[at : at + FS], at), state) for at in range(0, len(x), FS)]
    return Detections.concatenate([*parts, detector.finish(state)])


def main() -> int:
    import spikeinterface as si
    from spikeinterface.sortingcomponents.peak_detection import detect_peaks

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=384)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    x = signal(args.seconds, args.channels)
    recording = si.NumpyRecording([x], FS)
    recording.set_channel_gains(1.0)
    recording.set_channel_offsets(0.0)
    recording.set_dummy_probe_from_locations(np.stack([np.zeros(args.channels), 20.0 * np.arange(args.channels)], 1))

    def theirs() -> np.ndarray:
        return detect_peaks(
            recording,
            method="by_channel",
            method_kwargs={
                "peak_sign": "neg",
                "detect_threshold": THRESHOLD_UV,
                "exclude_sweep_ms": 0.1,
                "noise_levels": np.ones(args.channels),
            },
            job_kwargs={"n_jobs": 1, "chunk_duration": "1s", "progress_bar": False},
        )

    found, peaks = ours(x), theirs()
    a = set(zip(found.counters.tolist(), found.channels.tolist(), strict=True))
    b = set(zip(peaks["sample_index"].tolist(), peaks["channel_index"].tolist(), strict=True))
    agree = len(a & b) / max(len(a | b), 1)
    if agree < 0.999 or len(a) < 0.9 * 10 * args.seconds * args.channels:
        raise SystemExit(f"not the same work: {len(a)} and {len(b)} events, {agree:.2%} of them shared")
    times = race({"ranvier": lambda: ours(x), "spikeinterface": theirs, "max": x.max}, args.rounds)
    median = {case: statistics.median(seconds) for case, seconds in times.items()}
    ratio = median["spikeinterface"] / median["ranvier"]
    show(
        {
            "machine": machine(),
            "events": len(a),
            "shared": agree,
            "million channel-samples per second": {case: summary(seconds, x.size) for case, seconds in times.items()},
            "ratio": ratio,
            "GB/s read": x.nbytes / median["ranvier"] / 1e9,
            "GB/s read by max": x.nbytes / median["max"] / 1e9,
            "fraction of the bandwidth of max": median["max"] / median["ranvier"],
        }
    )
    return int(ratio < 20)


if __name__ == "__main__":
    raise SystemExit(main())
