"""Welch's density against scipy.signal.welch: one thread, 128 channels x 10 s at 30 kHz, Hann, half overlap.

Floor: 2x SciPy per thread, the better of its two orders of the axes (float32 in, as ours; ours computes in float64).
Results agree to 1e-6 relative with SciPy in float64. Run: python benchmarks/bench_spectra.py
"""

from __future__ import annotations

import argparse
from fractions import Fraction

import numpy as np
from common import machine, race, show, summary
from scipy import signal

from ranvier.models import SpectralWindowType
from ranvier.recordings.memory import ArrayRecording
from ranvier.spectral.estimate import density
from ranvier.spectral.frames import Framing
from ranvier.spectral.windows import window

FS = Fraction(30000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    rows = int(args.seconds * FS)
    x = (np.random.default_rng(1).standard_normal((rows, args.channels)) * 10 + 50).astype(np.float32)
    across = np.ascontiguousarray(x.T)
    recording = ArrayRecording(x, FS)
    columns = np.arange(args.channels)
    results: dict[str, object] = {"machine": machine(), "channels": args.channels, "rows": rows}
    floor_holds = True
    for n in (1024, 4096, 30000):
        framing = Framing(FS, window(SpectralWindowType.HANN, n)[None], n // 2)
        found = density(recording, 0, rows, columns, framing).density
        _, expected = signal.welch(across.astype(np.float64), float(FS), "hann", n, axis=1)
        error = float(np.max(np.abs(found[:, 1:] / expected[:, 1:] - 1)))
        assert error < 1e-6, f"{n}: off by {error}"
        times = race(
            {
                "ranvier": lambda f=framing: density(recording, 0, rows, columns, f),
                "scipy channel-major float32": lambda n=n: signal.welch(across, float(FS), "hann", n, axis=1),
                "scipy channel-major float64": lambda n=n: signal.welch(
                    across.astype(np.float64), float(FS), "hann", n, axis=1
                ),
                "scipy time-major float32": lambda n=n: signal.welch(x, float(FS), "hann", n, axis=0),
            },
            args.rounds,
        )
        rates = {case: summary(seconds, x.size) for case, seconds in times.items()}
        best = max(rates[c]["median"] for c in rates if c.startswith("scipy"))
        ratio = rates["ranvier"]["median"] / best
        floor_holds &= ratio >= 2
        results[f"segments of {n}"] = {
            "million channel-samples per second": rates,
            "ratio to the best of SciPy": ratio,
            "largest relative error": error,
        }
    show(results)
    if not floor_holds:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
