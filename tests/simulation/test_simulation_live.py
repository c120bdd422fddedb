"""Live signals: tones to the last bit, models for any sites, conversion to counts."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ranvier.exceptions import ConfigurationError
from ranvier.simulation import live_kernels
from ranvier.simulation.amplifier import AmplifierSignal
from ranvier.simulation.live import SIGNAL_MODELS, SignalModel, neural_spec
from ranvier.simulation.tones import Tone, ToneSignal, mapped_tone, multi_band

FS = Fraction(10_000)
PLACES = tuple((0.0, 25.0 * i, 0.0) for i in range(8))


def played(model: SignalModel, start: int, n: int, channels: int = 8) -> np.ndarray:
    out = np.full((n, channels), np.nan, np.float32)
    model.fill(start, np.arange(channels), out)
    return out


def test_kernels_equal_their_references() -> None:
    rng = np.random.default_rng(1)
    table = rng.standard_normal(997).astype(np.float32)
    steps = rng.integers(0, 997, (3, 21)).astype(np.int32)
    amplitudes = rng.standard_normal((3, 21)).astype(np.float32)
    first = rng.integers(0, 997, (3, 21)).astype(np.int32)
    results = []
    for function in (live_kernels.tones, live_kernels.tones.reference):
        at, out = first.copy(), np.empty((500, 21), np.float32)
        function(table, at, steps, amplitudes, out)
        results.append((out, at))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


def test_conversion_rounds_half_to_even_and_saturates() -> None:
    samples = np.array([[0.5, 1.5, -0.5, -2.5, 32766.6, 40_000.0, -40_000.0, np.inf]], np.float32)
    for function in (live_kernels.convert, live_kernels.convert.reference):
        out = np.full((1, 10), 77, np.int16)
        function(samples, 1.0, out)
        assert out[0].tolist() == [0, 2, 0, -2, 32767, 32767, -32768, 32767, 77, 77]


@pytest.mark.parametrize("name", SIGNAL_MODELS)
@pytest.mark.parametrize("fs", [1000, 3333, 30_000])
def test_models_are_pure_functions_of_the_counter(name: str, fs: int) -> None:
    whole = played(SIGNAL_MODELS[name](Fraction(fs), PLACES, 3), 700, 900)
    assert np.isfinite(whole).all()
    assert whole.std() > 1.0
    model = SIGNAL_MODELS[name](Fraction(fs), PLACES, 3)
    for at, n in ((1500, 100), (700, 1), (701, 799)):
        np.testing.assert_array_equal(played(model, at, n), whole[at - 700 : at - 700 + n])
    few = np.full((50, 2), np.nan, np.float32)
    model.fill(800, np.array([6, 1]), few)
    np.testing.assert_array_equal(few, whole[100:150, [6, 1]])


@pytest.mark.parametrize("name", ["spikes", "lfp", "broadband"])
def test_seed_changes_what_is_random(name: str) -> None:
    one, other = (played(SIGNAL_MODELS[name](FS, PLACES, seed), 0, 500) for seed in (1, 2))
    assert not np.array_equal(one, other)


def test_tones_are_what_they_say_far_from_the_start() -> None:
    signal = ToneSignal(FS, [[Tone(7, 100.0, 90), Tone(1234, 20.0)], [Tone(3999, 50.0), Tone(0, 0.0)]])
    start = 123_456_789_012
    got = played(signal, start, 400, channels=2)
    second = np.float64(start % 10_000 + np.arange(400)) / 10_000
    expected = np.stack(
        [
            100 * np.cos(2 * np.pi * 7 * second) + 20 * np.sin(2 * np.pi * 1234 * second),
            50 * np.sin(2 * np.pi * 3999 * second),
        ],
        axis=1,
    )
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_tones_above_the_limit_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="4001"):
        ToneSignal(FS, [[Tone(4001, 1.0)]])
    assert [t.hz for t in multi_band(Fraction(1000), 1).tones[0]] == [8, 60, 150]


def test_mapped_tones_differ_on_all_channels() -> None:
    assert len({mapped_tone(c) for c in range(1024)}) == 1024
    assert max(mapped_tone(c).hz for c in range(1024)) < 0.4 * 1000


def test_mapped_sine_tells_the_order_of_channels() -> None:
    count = 300
    places = tuple((0.0, 20.0 * i, 0.0) for i in range(count))
    second = played(SIGNAL_MODELS["mapped sine"](Fraction(1000), places, 1), 4321 * 1000, 1000, channels=count)
    spectrum = np.fft.rfft(second.astype(np.float64), axis=0)
    hz = np.abs(spectrum).argmax(axis=0)
    phase_deg = np.rad2deg(np.angle(spectrum[hz, np.arange(count)])) + 90
    assert hz.tolist() == [mapped_tone(c).hz for c in range(count)]
    turned = np.array([mapped_tone(c).phase_deg for c in range(count)])
    np.testing.assert_allclose(np.mod(phase_deg - turned + 180, 360), 180, atol=0.5)


def test_neurons_fire_where_the_truth_says() -> None:
    model = SIGNAL_MODELS["spikes"](Fraction(20_000), PLACES, 4)
    assert isinstance(model, AmplifierSignal)
    truth = model.ground_truth(0, 80_000)
    signal = played(model, 0, 80_000)
    assert len(truth) > 10
    depth = np.array([signal[c, s] for c, s in zip(truth.counter, truth.site, strict=True)])
    assert np.median(depth) < -40.0
    quiet = np.median(signal)
    assert abs(quiet) < 5.0


def test_looking_ahead_changes_nothing_but_when_spikes_are_drawn() -> None:
    spec = neural_spec(FS, 8, seed=7, rate_hz=(20.0, 40.0))
    places = np.array(PLACES)
    plain, ahead = AmplifierSignal(spec, places), AmplifierSignal(spec, places)
    window = plain.population.window
    drawn: list[int] = []
    ahead.population._draw, draw = lambda unit, at: drawn.append(at) or draw(unit, at), ahead.population._draw  # type: ignore[method-assign]
    played(ahead, 0, 100)
    early = max(drawn)
    for start in range(0, window - 200, 100):
        ahead.look_ahead(start, 100)
    assert max(drawn) > early, "nothing was drawn in advance"
    before = len(drawn)
    start = window - 150
    np.testing.assert_array_equal(played(ahead, start, 300), played(plain, start, 300))
    np.testing.assert_array_equal(played(ahead, window + 500, 300), played(plain, window + 500, 300))
    assert len(drawn) == before, "the next window was not ready"


def test_what_is_remembered_of_spikes_stays_bounded() -> None:
    model = AmplifierSignal(neural_spec(FS, 8, seed=7), np.array(PLACES))
    first = played(model, 500, 100)
    for window in range(100):
        model.ground_truth(window * model.population.window, window * model.population.window + 10)
    assert len(model.population._merged) <= 32
    assert len(model.population._known) <= 32 * len(model.population.units)
    np.testing.assert_array_equal(played(model, 500, 100), first)
