"""Verdicts on synthetic faults."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest
from pydantic import ValidationError

from ranvier.metrics import channel_quality, measure, quality_table
from ranvier.models.quality import ChannelQuality, ChannelQualityTable, ChannelVerdict
from ranvier.recordings import plain_channels

FS, SECONDS = 2000, 4
DEAD, SATURATED, NOISY, GOOD = (
    ChannelVerdict.DEAD,
    ChannelVerdict.SATURATED,
    ChannelVerdict.NOISY,
    ChannelVerdict.GOOD,
)


def recording_like(rng: np.random.Generator, channels: int, spread: float) -> np.ndarray:
    """Noise whose level differs between channels, common field potential and mains, spikes on some channels; uV."""
    n = FS * SECONDS
    seconds = np.arange(n)[:, None] / FS
    level = rng.uniform(5, 15) * np.exp(rng.normal(0, spread, channels))
    x = rng.normal(0, 1, (n, channels)) * level
    x += rng.uniform(0, 30) * np.sin(2 * np.pi * 8 * seconds + 1) * rng.uniform(0.7, 1.3, channels)
    x += rng.uniform(0, 5) * np.sin(2 * np.pi * 50 * seconds)
    for c in rng.choice(channels, channels // 2, replace=False):
        x[rng.choice(n, rng.integers(5, 60) * SECONDS), c] -= rng.uniform(40, 400)
    return x


def break_channel(rng: np.random.Generator, x: np.ndarray, fault: ChannelVerdict) -> None:
    """Break one channel in place, in one of the ways seen on rigs."""
    n = len(x)
    if fault is DEAD:
        way = rng.integers(4)
        if way == 0:
            x[:] = rng.uniform(-200, 200)  # constant
        elif way == 1:
            x[:] = rng.normal(0, rng.uniform(0.02, 0.4), n)  # nearly nothing
        elif way == 2:
            x[:] = 0.195 * (rng.random(n) < 0.002)  # toggles in its last bit
        else:
            x *= rng.uniform(0.005, 0.03)  # not connected: a trace of the others
    elif fault is SATURATED:
        rail = rng.choice([-6389.0, 5000.0, 1200.0])
        way = rng.integers(3)
        if way == 0:
            x[rng.random(n) < rng.uniform(0.004, 0.3)] = rail  # thrown to the rail again and again
        elif way == 1:
            first = int(rng.integers(0, n // 2))
            x[first : first + int(rng.uniform(0.05, 0.5) * n)] = rail  # stuck there for a while
        else:
            x[:] = x * rng.uniform(30, 60)  # huge pick-up, clipped
            level = np.quantile(np.abs(x), rng.uniform(0.8, 0.995))
            x[:] = np.clip(x, -level, level)
    elif fault is NOISY:
        x += rng.normal(0, np.std(x) * rng.uniform(4, 10), n)


def simulate(seed: int) -> tuple[np.ndarray, list[ChannelVerdict], bool]:
    rng = np.random.default_rng(seed)
    channels = int(rng.choice([8, 16, 32, 64]))
    x = recording_like(rng, channels, spread=rng.uniform(0.05, 0.3))
    truth = [GOOD] * channels
    broken = rng.choice(channels, int(rng.integers(0, max(2, channels // 4) + 1)), replace=False)
    for c in broken:
        truth[c] = [DEAD, SATURATED, NOISY][rng.integers(3)]
        break_channel(rng, x[:, c], truth[c])
    counts = rng.random() < 0.5
    x = np.round(x / 0.195) * 0.195 if counts else x
    return x.astype(np.float32), truth, counts


def score(recording_of: Callable, seeds: range) -> dict[ChannelVerdict, tuple[float, float, int]]:
    hits = {v: [0, 0, 0] for v in ChannelVerdict}  # right, said, true
    for seed in seeds:
        x, truth, _ = simulate(seed)
        recording = recording_of(x, FS)
        found = channel_quality(measure(recording), recording.channels)
        for said, true in zip((q.verdict for q in found), truth, strict=True):
            hits[said][1] += 1
            hits[true][2] += 1
            hits[said][0] += said is true
    return {v: (right / max(said, 1), right / max(true, 1), true) for v, (right, said, true) in hits.items()}


def check(scores: dict[ChannelVerdict, tuple[float, float, int]], at_least: int) -> None:
    for verdict, floor in ((DEAD, 0.95), (SATURATED, 0.95), (NOISY, 0.85), (GOOD, 0.98)):
        precision, recall, true = scores[verdict]
        assert true >= at_least, verdict
        assert precision >= floor, (verdict, scores)
        assert recall >= floor, (verdict, scores)


def test_faults_are_found(recording_of: Callable) -> None:
    check(score(recording_of, range(40)), at_least=25)


@pytest.mark.slow
def test_faults_are_found_for_many_seeds(recording_of: Callable) -> None:
    check(score(recording_of, range(1000, 1600)), at_least=400)


def verdicts(recording_of: Callable, x: np.ndarray) -> list[ChannelVerdict]:
    recording = recording_of(x.astype(np.float32), FS)
    return [q.verdict for q in channel_quality(measure(recording), recording.channels)]


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("seed", range(5))
def test_few_good_channels_are_good(recording_of: Callable, channels: int, seed: int) -> None:
    x = recording_like(np.random.default_rng(seed), channels, 0.3)
    assert verdicts(recording_of, x) == [GOOD] * channels


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_one_faulty_channel_of_few_needs_no_comparison(recording_of: Callable, channels: int) -> None:
    x = recording_like(np.random.default_rng(0), channels, 0.1)
    rest = [GOOD] * (channels - 1)
    x[:, 0] = 3.0
    assert verdicts(recording_of, x) == [DEAD, *rest]
    x[:, 0] = np.random.default_rng(1).normal(0, 0.1, len(x))
    assert verdicts(recording_of, x) == [DEAD, *rest]
    x[::3, 0] = 5000.0
    assert verdicts(recording_of, x) == [SATURATED, *rest]


def test_four_channels_with_one_noisy(recording_of: Callable) -> None:
    x = recording_like(np.random.default_rng(0), 4, 0.1)
    x[:, 2] = np.random.default_rng(1).normal(0, 200, len(x))
    assert verdicts(recording_of, x) == [GOOD, GOOD, NOISY, GOOD]


def test_a_probe_half_dead_keeps_its_other_half(recording_of: Callable) -> None:
    x = recording_like(np.random.default_rng(0), 16, 0.1)
    x[:, :10] = np.random.default_rng(1).normal(0, 0.05, (len(x), 10))
    assert verdicts(recording_of, x) == [DEAD] * 10 + [GOOD] * 6


def test_a_probe_whose_channels_differ_anyway_keeps_them(recording_of: Callable) -> None:
    # white matter beside cortex: levels spread by a factor of 5 up and down are no faults
    rng = np.random.default_rng(0)
    levels = 10.0 * np.geomspace(0.2, 5.0, 24)
    assert verdicts(recording_of, rng.normal(0, levels, (FS * SECONDS, 24))) == [GOOD] * 24


def test_a_wrong_unit_does_not_kill_every_channel(recording_of: Callable) -> None:
    x = recording_like(np.random.default_rng(0), 16, 0.1) * 1e-6  # volts taken for microvolts
    assert verdicts(recording_of, x) == [GOOD] * 16


def test_no_sample_at_all(recording_of: Callable) -> None:
    x = recording_like(np.random.default_rng(0), 5, 0.1)
    x[:, 1] = np.nan
    assert verdicts(recording_of, x) == [GOOD, DEAD, GOOD, GOOD, GOOD]
    assert verdicts(recording_of, np.full_like(x, np.nan)) == [DEAD] * 5
    assert verdicts(recording_of, np.zeros_like(x)) == [DEAD] * 5


def test_stuck_at_a_rail_of_the_converter_is_saturated(recording_of: Callable) -> None:
    counts = (recording_like(np.random.default_rng(0), 4, 0.1) / 0.195).round().astype(np.int16)
    counts[:, 1] = 32767
    recording = recording_of(counts, FS)
    found = channel_quality(measure(recording), recording.channels)
    assert [q.verdict for q in found] == [GOOD, SATURATED, GOOD, GOOD]
    assert "100.00% of the samples are at the rails" in found[1].reasons[0]


def test_raw_statistics_find_what_a_filter_hides(recording_of: Callable) -> None:
    raw = recording_like(np.random.default_rng(0), 6, 0.1)
    raw[::20, 3] = 5000.0
    filtered = np.diff(raw, axis=0, prepend=0.0)
    filtered[:, 3] += np.random.default_rng(1).normal(0, 5, len(raw))
    recordings = [recording_of(x.astype(np.float32), FS) for x in (filtered, raw)]
    clean, before = (measure(r) for r in recordings)
    alone = channel_quality(clean, recordings[0].channels)
    both = channel_quality(clean, recordings[0].channels, raw=before)
    assert alone[3].verdict is not SATURATED
    assert [q.verdict for q in both] == [GOOD] * 3 + [SATURATED] + [GOOD] * 2
    assert both[0].noise_uv == clean.noise_uv[0]


def test_a_common_reference_does_not_hide_a_dead_channel(recording_of: Callable) -> None:
    raw = np.random.default_rng(0).normal(0, 10, (FS * SECONDS, 12))
    raw[:, 4] *= 0.001
    raw[:, 7] = 0.0
    referenced = raw - raw.mean(axis=1, keepdims=True)
    recordings = [recording_of(x.astype(np.float32), FS) for x in (referenced, raw)]
    clean, before = (measure(r) for r in recordings)
    assert [q.verdict for q in channel_quality(clean, recordings[0].channels)] == [GOOD] * 12
    both = [q.verdict for q in channel_quality(clean, recordings[0].channels, raw=before)]
    assert both == [GOOD] * 4 + [DEAD] + [GOOD] * 2 + [DEAD] + [GOOD] * 4


def test_reasons_name_numbers(recording_of: Callable) -> None:
    x = recording_like(np.random.default_rng(0), 8, 0.05)
    x[:, 1] *= 0.001
    x[:, 2] += np.random.default_rng(1).normal(0, 300, len(x))
    recording = recording_of(x.astype(np.float32), FS)
    found = channel_quality(measure(recording), recording.channels)
    assert found[0].reasons == ()
    assert "below a tenth of the others'" in " ".join(found[1].reasons)
    assert "times the others'" in found[2].reasons[0]


def table(recording_of: Callable) -> ChannelQualityTable:
    x = recording_like(np.random.default_rng(0), 6, 0.05)
    x[:, 1] = 0.0
    recording = recording_of(x[:, :3].astype(np.float32), FS, channels=plain_channels(amp=6).take([5, 2, 0]))
    return quality_table("d", measure(recording, start=1000), recording.channels)


def test_table(recording_of: Callable) -> None:
    made = table(recording_of)
    assert made.ntv_idx.tolist() == [5, 2, 0]
    assert (made.dataset_id, made.time_range_sec) == ("d", (0.5, 4.0))
    assert (made.good, made.by_verdict("dead"), made.by_verdict(NOISY)) == ([5, 0], [2], [])
    assert made.noise_uv[1] == made.rms_uv[1] == made.sd_uv[1] == 0.0
    assert made.channels[0].name == "pri_5"
    assert ChannelQualityTable.model_validate_json(made.model_dump_json()) == made
    assert pickle.loads(pickle.dumps(made)) == made
    frame = made.to_dataframe()
    assert frame["verdict"].tolist() == ["good", "dead", "good"]
    assert frame["ntv_idx"].tolist() == [5, 2, 0]
    assert list(frame.columns) == list(ChannelQuality.model_fields)


def test_a_channel_without_samples_travels_as_json(recording_of: Callable) -> None:
    recording = recording_of(np.full((100, 1), np.nan, np.float32), FS)
    made = quality_table("d", measure(recording), recording.channels)
    again = ChannelQualityTable.model_validate_json(made.model_dump_json())
    assert np.isnan([again.rms_uv, again.sd_uv, again.noise_uv]).all()
    assert again.by_verdict("dead") == [0]


def test_models_are_frozen_and_forbid_unknown_fields(recording_of: Callable) -> None:
    made = table(recording_of)
    with pytest.raises(ValidationError):
        made.dataset_id = "other"
    with pytest.raises(ValidationError):
        ChannelQualityTable(dataset_id="d", time_range_sec=(0, 1), channels=(), more=1)
