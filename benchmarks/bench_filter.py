"""The causal kernel against scipy.signal.sosfilt: one thread, 128 channels, Butterworth band-pass of order 4.

Floor: 6x on the same time-major array, 3x SciPy's channel-major best. Run: python benchmarks/bench_filter.py
"""

from __future__ import annotations

import argparse
from fractions import Fraction

import numpy as np
from common import machine, race, show, summary
from scipy import signal

from ranvier.dsp import BandPass, HighPass, Team
from ranvier.recordings import Block, plain_channels

FS = Fraction(30000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()

    rng = np.random.default_rng(1)
    rows = int(args.seconds * FS)
    t = np.arange(rows)[:, None] / float(FS)
    x = (50 * np.sin(2 * np.pi * 8 * t) + rng.standard_normal((rows, args.channels)) * 10).astype(np.float32)
    across = np.ascontiguousarray(x.T)
    channels = plain_channels(amp=args.channels)
    block = Block(x, 0)
    results: dict[str, object] = {"machine": machine(), "channels": args.channels, "rows": rows}
    for name, operation in {
        "bandpass 300-6000, order 4": BandPass(300, 6000),
        "highpass 300, order 4": HighPass(300),
    }.items():
        stage = operation.bind(FS, channels)
        stage.team = Team(1)
        sos = stage.design.sos_array  # type: ignore[attr-defined]
        expected = signal.sosfilt(sos, x.astype(np.float64), axis=0)
        got = stage.process(block, stage.start())[0].samples
        ulp = float(np.spacing(np.float32(np.abs(x).max())))
        error = float(np.abs(got - expected).max())
        assert error <= ulp, f"{name}: off by {error} uV"
        times = race(
            {
                "ranvier": lambda s=stage: s.process(block, s.start()),
                "scipy time-major": lambda s=sos: signal.sosfilt(s, x, axis=0),
                "scipy channel-major": lambda s=sos: signal.sosfilt(s, across, axis=1),
                "scipy channel-major float64": lambda s=sos: signal.sosfilt(s, across.astype(np.float64), axis=1),
            },
            args.rounds,
        )
        rates = {case: summary(seconds, x.size) for case, seconds in times.items()}
        best_across = max(rates[c]["median"] for c in rates if "channel-major" in c)
        results[name] = {
            "million channel-samples per second": rates,
            "ratio to time-major": rates["ranvier"]["median"] / rates["scipy time-major"]["median"],
            "ratio to channel-major": rates["ranvier"]["median"] / best_across,
            "largest error uV": error,
            "one unit in the last place of the peak uV": ulp,
        }
    show(results)


if __name__ == "__main__":
    main()
