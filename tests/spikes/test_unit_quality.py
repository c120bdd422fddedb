"""Quality metrics against transcriptions of their formulas, and on trains whose contamination is known."""

from __future__ import annotations

import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d
from scipy.stats import chi2, poisson

from ranvier.exceptions import ConfigurationError
from ranvier.recordings import Segments
from ranvier.spikes import quality
from ranvier.spikes.correlograms import Binning, correlograms
from ranvier.spikes.kernels import count_pairs, count_pairs_reference

PEERS = Path(os.environ.get("RANVIER_PEERS", Path(__file__).parents[2] / ".venv-peers/bin/python"))
FS = 30000.0
I64 = npt.NDArray[np.int64]


def train(seed: int, rate_hz: float = 20.0, seconds: float = 600.0, refractory_sec: float = 0.003) -> I64:
    rng = np.random.default_rng(seed)
    n = int(rate_hz * seconds * 1.5)
    intervals = refractory_sec + rng.exponential(1 / rate_hz - refractory_sec, n)
    at = np.cumsum(intervals)
    return (at[at < seconds] * FS).astype(np.int64)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 60), st.integers(1, 4), st.integers(1, 5), st.integers(1, 6))
def test_the_pair_kernel_equals_its_reference(seed: int, n: int, units: int, width: int, half: int) -> None:
    rng = np.random.default_rng(seed)
    samples = np.sort(rng.integers(0, 80, n))
    unit = rng.integers(0, units, n).astype(np.int32)
    got, wanted = (np.zeros((units, units, 2 * half), np.int64) for _ in range(2))
    count_pairs(samples, unit, width, half, got)
    count_pairs_reference(samples, unit, width, half, wanted)
    np.testing.assert_array_equal(got, wanted)


def test_correlograms_of_units_in_any_order() -> None:
    rng = np.random.default_rng(1)
    samples, units = np.sort(rng.integers(0, 30_000, 400)), rng.integers(0, 6, 400).astype(np.int32)
    bins = Binning.of(FS, 0.5, 20)
    found = correlograms(samples, units, [5, 2, 40], bins)
    a, b = samples[units == 5], samples[units == 2]
    lags = (b[None, :] - a[:, None]).ravel()
    np.testing.assert_array_equal(found[0, 1], np.histogram(lags, np.arange(-600, 601, 15) - 0.5)[0])
    own = (a[None, :] - a[:, None])[~np.eye(len(a), dtype=bool)]
    np.testing.assert_array_equal(found[0, 0], np.histogram(own, np.arange(-600, 601, 15) - 0.5)[0])
    assert not found[2].any()
    with pytest.raises(ConfigurationError, match="too many"):
        correlograms(samples, units, list(range(5000)), bins)


def transcribed(samples: I64, seconds: float) -> dict[str, float]:
    """Each formula in NumPy, pair by pair."""
    n = len(samples)
    apart = (samples[None, :] - samples[:, None])[np.triu_indices(n, 1)]
    isi = np.sum(np.diff(samples) < 0.0015 * FS) * seconds / (2 * n**2 * 0.0015)
    under = 1 - np.sum(apart <= 30) * (seconds * FS) / (n**2 * 30)
    smallest = math.nan
    within = {k: int(np.sum(apart < 8 * k)) for k in range(3, 38)}  # k bins of 8 samples, from 0.5 to 10 ms
    for c in np.arange(35, 0, -0.5) / 100:
        for k, found in within.items():
            nc = c * n
            expected = 2 * k * 8 / FS / seconds * nc * ((1 - c) * n + (nc - 1) / 2)
            if 1 - poisson.cdf(found, expected) > 0.9:
                smallest = c
    return {"isi": isi, "contamination": 1 - math.sqrt(under) if under >= 0 else 1.0, "sliding": smallest}


@pytest.mark.parametrize("foreign_hz", [0.0, 1.0, 15.0])
def test_contamination_equals_its_transcription(foreign_hz: float) -> None:
    own = train(1, seconds=40.0)
    samples = own if not foreign_hz else np.sort(np.concatenate([own, train(2, foreign_hz, 40.0)]))
    wanted = transcribed(samples, 40.0)
    assert quality.isi_violations_ratio(samples, FS, 40.0) == pytest.approx(wanted["isi"])
    assert quality.contamination(samples, FS, 40.0) == pytest.approx(wanted["contamination"])
    assert quality.sliding_contamination(samples, FS, 40.0) == pytest.approx(wanted["sliding"], nan_ok=True)


def test_contamination_finds_what_was_put_in() -> None:
    assert quality.contamination(train(1), FS, 600.0) == 0
    mixed = np.sort(np.concatenate([train(1), train(2, 2.0)]))
    assert quality.contamination(mixed, FS, 600.0) == pytest.approx(2 / 22, abs=0.03)
    assert quality.sliding_contamination(train(1), FS, 600.0) == 0.005
    assert quality.sliding_contamination(mixed, FS, 600.0) == pytest.approx(2 / 22, abs=0.03)


def test_amplitude_cutoff() -> None:
    rng = np.random.default_rng(3)
    whole = -rng.normal(100, 12, 20_000)
    assert quality.amplitude_cutoff(whole) < 0.01
    cut = whole[np.abs(whole) > 95]
    assert quality.amplitude_cutoff(cut) == pytest.approx(1 - len(cut) / len(whole), abs=0.06)
    counts = gaussian_filter1d(np.histogram(np.abs(cut), 100)[0], 3, mode="nearest")
    last = np.where(counts >= counts[0])[0][-1]
    missing = counts[last + 1 :].sum()
    assert quality.amplitude_cutoff(cut) == pytest.approx(missing / (len(cut) + missing))
    assert math.isnan(quality.amplitude_cutoff(cut[:499]))
    assert math.isnan(quality.amplitude_cutoff(np.full(1000, 5.0)))
    assert math.isnan(quality.amplitude_cutoff(np.full(1000, np.nan)))


def test_presence_drift_snr() -> None:
    minute = int(60 * FS)
    samples = np.array([0, 5, 2 * minute + 1, 3 * minute - 1, 5 * minute + 3]) + 777
    assert quality.presence_ratio(samples, 777, 777 + 5 * minute + 10, FS) == 2 / 5
    assert quality.presence_ratio(samples[:1], 777, 900, FS) == 1
    assert quality.presence_ratio(samples[:0], 777, 900, FS) == 0
    gap = Segments.from_runs([(777, 2 * minute), (777 + 9 * minute, 2 * minute)])
    ends = gap.without_gaps(np.array([777, 777 + 11 * minute]))
    spikes = gap.without_gaps(np.array([5, 9 * minute + 5]) + 777)
    assert quality.presence_ratio(spikes, *ends, FS) == 2 / 4
    at = np.sort(np.random.default_rng(1).integers(0, 4 * minute, 4000))
    y = 100 + 5.0 * (at // minute)
    assert quality.drift_ptp_um(at, y, 0, FS) == 15
    assert math.isnan(quality.drift_ptp_um(at[:150], y[:150], 0, FS))
    assert math.isnan(quality.drift_ptp_um(at, np.full(len(at), np.nan), 0, FS))
    assert quality.snr(np.array([[1, -40, 3], [2, 30, 5.0]]), [8, 4]) == 5
    assert math.isnan(quality.snr(np.array([[1.0, 2.0]]), [0]))


def test_isolation_equals_its_transcription() -> None:
    rng = np.random.default_rng(2)
    own, other = rng.normal(0, 1, (50, 3)) @ rng.normal(0, 1, (3, 3)), rng.normal(2, 2, (80, 3))
    inverse = np.linalg.inv(np.cov(own.T))
    squared = sorted(float(d @ inverse @ d) for d in other - own.mean(axis=0))
    distance, l_ratio = quality.isolation(own, other)
    assert distance == pytest.approx(squared[49])
    assert l_ratio == pytest.approx(sum(1 - chi2.cdf(squared, 3)) / 50)
    assert math.isnan(quality.isolation(own, other[:30])[0])
    assert all(map(math.isnan, quality.isolation(own[:4], other)))
    assert all(map(math.isnan, quality.isolation(np.zeros((50, 3)), other)))


def test_nothing_is_nan() -> None:
    none = np.empty(0, np.int64)
    found: list[Any] = [
        quality.isi_violations_ratio(none, FS, 10.0),
        quality.contamination(none, FS, 10.0),
        quality.sliding_contamination(none, FS, 10.0),
        quality.drift_ptp_um(none, none, 0, FS),
    ]
    found += [quality.contamination(np.arange(9), 1.0, 9.0), quality.sliding_contamination(np.arange(9), 1.0, 9.0)]
    assert all(map(math.isnan, found))


@pytest.mark.interop
@pytest.mark.slow
def test_the_numbers_of_spikeinterface(tmp_path: Path) -> None:
    if not PEERS.is_file():
        pytest.skip("no environment with spikeinterface")
    samples = np.sort(np.concatenate([train(1), train(2, 1.0)]))
    amplitudes = np.random.default_rng(3).normal(100, 12, 20_000)
    amplitudes = amplitudes[amplitudes > 92]
    np.savez(tmp_path / "in.npz", samples=samples, amplitudes=amplitudes)
    script = f"""
import json, numpy as np
import spikeinterface.metrics.quality.misc_metrics as m
from spikeinterface.core import NumpySorting
given = np.load({str(tmp_path / "in.npz")!r})
s, seconds, fs = given["samples"], 600.0, 30000.0
sorting = NumpySorting.from_unit_dict({{1: s}}, fs)
print(json.dumps({{
    "isi": float(m.isi_violations([s / fs], seconds)[0]),
    "contamination": float(m._compute_rp_contamination_one_unit(
        m._compute_nb_violations_numba(s, 30), len(s), int(seconds * fs), 0, 30)),
    "sliding": float(m.slidingRP_violations(sorting, seconds)),
    "cutoff": float(m.amplitude_cutoff(given["amplitudes"])),
}}))
"""
    done = subprocess.run([str(PEERS), "-c", script], capture_output=True, text=True, check=True, timeout=300)
    theirs = json.loads(done.stdout.splitlines()[-1])
    assert quality.isi_violations_ratio(samples, FS, 600.0) == pytest.approx(theirs["isi"])
    assert quality.contamination(samples, FS, 600.0) == pytest.approx(theirs["contamination"])
    assert quality.sliding_contamination(samples, FS, 600.0) == pytest.approx(theirs["sliding"], abs=0.0051)
    assert quality.amplitude_cutoff(amplitudes) == pytest.approx(theirs["cutoff"])
