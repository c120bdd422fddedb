"""Coefficients are SciPy's; what cannot be designed is refused by name."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import signal

from ranvier.dsp import BandPass, HighPass, LowPass, Notch
from ranvier.dsp.defaults import ORDER, resolve_order
from ranvier.dsp.design import FAMILIES, butterworth, iir, notch
from ranvier.dsp.response import achieved, curve, group_delay_sec
from ranvier.exceptions import ConfigurationError, FilterDesignError
from ranvier.recordings import plain_channels

FS = 30000.0


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize(
    ("kind", "frequencies"),
    [
        ("lowpass", (250.0,)),
        ("highpass", (0.1,)),
        ("highpass", (300.0,)),
        ("bandpass", (300.0, 6000.0)),
        ("bandstop", (55.0, 65.0)),
    ],
)
def test_butterworth_is_scipys(kind: str, frequencies: tuple[float, ...], order: int) -> None:
    design = butterworth(kind, frequencies, order, FS)
    expected = signal.butter(order, frequencies if len(frequencies) > 1 else frequencies[0], kind, fs=FS, output="sos")
    np.testing.assert_array_equal(design.sos_array, expected)
    assert design.pole_radius < 1


def test_notch_is_scipys() -> None:
    b, a = signal.iirnotch(60, 30, fs=FS)
    np.testing.assert_array_equal(notch(60, 2, FS).sos_array, [[*b, *a]])


@pytest.mark.parametrize(
    ("kind", "frequencies", "order", "complaint"),
    [
        ("lowpass", (15000.0,), 4, "below the Nyquist frequency, 15000 Hz"),
        ("lowpass", (16000.0,), 4, "Nyquist"),
        ("highpass", (0.0,), 4, "above 0"),
        ("highpass", (-5.0,), 4, "above 0"),
        ("highpass", (math.nan,), 4, "above 0"),
        ("highpass", (math.inf,), 4, "above 0"),
        ("bandpass", (6000.0, 300.0), 4, "the low cut-off must be below"),
        ("bandpass", (300.0, 300.0), 4, "the low cut-off must be below"),
        ("highpass", (300.0,), 0, "at least 1"),
        ("highpass", (300.0,), 2.5, "whole number"),
        ("allpass", (300.0,), 4, "no Butterworth filter"),
        ("bandpass", (0.5, 1.0), 100, "lower order"),
    ],
)
def test_impossible_filters_are_refused(kind: str, frequencies: tuple[float, ...], order: int, complaint: str) -> None:
    with pytest.raises(FilterDesignError, match=complaint):
        butterworth(kind, frequencies, order, FS)


@pytest.mark.parametrize(
    ("frequency", "bandwidth"), [(60, 0), (60, -1), (60, math.nan), (60, 15000), (15000, 2), (0, 2)]
)
def test_impossible_notches_are_refused(frequency: float, bandwidth: float) -> None:
    with pytest.raises(FilterDesignError):
        notch(frequency, bandwidth, FS)


def test_filter_errors_are_value_errors() -> None:
    with pytest.raises(ValueError):
        LowPass(20000).bind(FS, plain_channels(amp=2))
    assert issubclass(FilterDesignError, ConfigurationError)


def test_default_order_is_resolved_in_one_place() -> None:
    assert resolve_order(None) == ORDER == 4
    assert resolve_order(2) == 2
    assert BandPass(300, 6000).parameters()["order"] == 4
    stage = BandPass(300, 6000).bind(FS, plain_channels(amp=2))
    assert len(stage.describe()["coefficients"]["sos"]) == 4
    assert stage.describe()["parameters"]["zero_phase"] is False


@pytest.mark.parametrize(
    ("design", "expected"),
    [
        (butterworth("bandpass", (300.0, 6000.0), 4, FS), [300, 6000]),
        (butterworth("highpass", (0.1,), 2, FS), [0.1]),
        (butterworth("lowpass", (250.0,), 3, FS), [250]),
        (butterworth("bandstop", (55.0, 65.0), 4, FS), [55, 65]),
        (notch(60, 2, FS), [59.0083, 61.0083]),
    ],
)
def test_half_power_frequencies_are_measured(design, expected) -> None:
    np.testing.assert_allclose(design.cutoffs_hz(), expected, rtol=1e-4)
    described = design.describe()
    assert json.loads(json.dumps(described)) == described


@pytest.mark.parametrize("order", [1, 4, 7, 12])
def test_padded_sections_change_nothing(order: int) -> None:
    design = butterworth("bandpass", (300.0, 6000.0), order, FS)
    gain = design.response([100.0, 1000.0, 9000.0])
    table = design.coefficients
    z = np.exp(-2j * np.pi * np.array([100.0, 1000.0, 9000.0]) / FS)
    again = design.gain * np.prod(
        [(1 + b1 * z + b2 * z**2) / (1 + a1 * z + a2 * z**2) for b1, b2, a1, a2 in table], axis=0
    )
    np.testing.assert_allclose(again, gain, rtol=1e-9)


def test_steady_state_is_steady() -> None:
    design = butterworth("lowpass", (250.0,), 4, FS)
    expected = signal.sosfilt_zi(design.sos_array)
    b0 = np.cumprod(design.sos_array[:, 0])
    assert design.steady_state().shape == (4,)
    level = design.response(0.0).real
    assert level == pytest.approx(1, abs=1e-6)
    assert np.isfinite(expected).all()
    assert b0[-1] == design.gain


@pytest.mark.parametrize("design", [butterworth("highpass", (300.0,), 4, FS), notch(60, 5, FS)])
def test_decay_leaves_out_less_than_negligible(design) -> None:
    n = design.decay_samples
    impulse = np.zeros(4 * n)
    impulse[0] = 1
    response = np.abs(signal.sosfilt(design.sos_array, impulse))
    assert response[n:].sum() < 1e-7 <= response[n - 1 :].sum()


def test_endless_ringing_has_no_zero_phase() -> None:
    with pytest.raises(FilterDesignError, match=r"rings for .* use a cut-off further from 0"):
        HighPass(0.001, zero_phase=True).bind(FS, plain_channels(amp=1))
    HighPass(0.001).bind(FS, plain_channels(amp=1))
    with pytest.raises(FilterDesignError, match="Nyquist"):
        Notch(16000, 2).bind(FS, plain_channels(amp=1))


SCIPYS = {
    "chebyshev_i": lambda n, w, kind: signal.cheby1(n, 0.5, w, kind, fs=FS, output="sos"),
    "chebyshev_ii": lambda n, w, kind: signal.cheby2(n, 40, w, kind, fs=FS, output="sos"),
    "elliptic": lambda n, w, kind: signal.ellip(n, 0.5, 40, w, kind, fs=FS, output="sos"),
    "bessel": lambda n, w, kind: signal.bessel(n, w, kind, fs=FS, output="sos", norm="mag"),
}


@pytest.mark.parametrize("family", SCIPYS)
@pytest.mark.parametrize("order", [1, 2, 4, 7])
@pytest.mark.parametrize("kind", ["lowpass", "highpass", "bandpass", "bandstop"])
def test_families_are_scipys(family: str, order: int, kind: str) -> None:
    edges = (300.0, 6000.0) if kind.startswith("band") else (300.0,)
    expected = SCIPYS[family](order, edges if len(edges) > 1 else edges[0], kind)
    np.testing.assert_array_equal(iir(kind, edges, order, FS, family=family).sos_array, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_gain_at_the_cutoffs_is_the_familys(family: str) -> None:
    design = iir("bandpass", (300.0, 6000.0), 4, FS, family=family, ripple_db=1.0, attenuation_db=50.0)
    wanted = {"butterworth": -3.0103, "bessel": -3.0103, "chebyshev_i": -1, "elliptic": -1, "chebyshev_ii": -50}[family]
    told = achieved(design)
    np.testing.assert_allclose(told["edge_gain_db"], wanted, atol=1e-3)
    assert told["edges_hz"] == [300.0, 6000.0]
    _, h = signal.sosfreqz(design.sos_array, worN=np.array([150.0, 12000.0]), fs=FS)
    np.testing.assert_allclose(told["beyond_gain_db"], 20 * np.log10(np.abs(h)), atol=1e-6)
    assert told["beyond_hz"] == [150.0, 12000.0]
    gains = 20 * np.log10(np.abs(design.response(told["minus_3db_hz"])))
    np.testing.assert_allclose(gains, -3.0103, atol=1e-6)


@pytest.mark.parametrize(
    ("family", "complaint"), [("bessel", "ripple_db means nothing"), ("cauer", "no filter family")]
)
def test_family_nonsense_is_refused(family: str, complaint: str) -> None:
    with pytest.raises(FilterDesignError, match=complaint):
        LowPass(250, family=family, ripple_db=1.0 if family == "bessel" else None).bind(FS, plain_channels(amp=1))


@pytest.mark.parametrize(("ripple", "attenuation"), [(0.0, 40.0), (-1.0, 40.0), (3.0, 2.0), (math.nan, 40.0)])
def test_decibel_nonsense_is_refused(ripple: float, attenuation: float) -> None:
    with pytest.raises(FilterDesignError, match="dB"):
        LowPass(250, family="elliptic", ripple_db=ripple, attenuation_db=attenuation).bind(FS, plain_channels(amp=1))


def test_a_design_that_lost_its_digits_is_refused() -> None:
    """Order 12 at 0.01 Hz: SciPy gives coefficients, but what they do is not what was asked for."""
    with pytest.raises(FilterDesignError, match=r"off by|not stable|no coefficients"):
        HighPass(1e-4, 8).bind(FS, plain_channels(amp=1))
    assert HighPass(0.1, 4).bind(FS, plain_channels(amp=1)).describe()["response"]["edge_gain_db"] == pytest.approx(
        [-3.0103], abs=0.01
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_group_delay_is_measured(family: str) -> None:
    """Against the phase: minus its derivative by angular frequency."""
    design = iir("lowpass", (1000.0,), 5, FS, family=family)
    frequency = np.linspace(50, 900, 40)
    step = 1e-3
    phase = [np.angle(design.response(frequency + s)) for s in (-step, step)]
    measured = -np.angle(np.exp(1j * (phase[1] - phase[0]))) / (2 * np.pi * 2 * step)
    np.testing.assert_allclose(group_delay_sec(design, frequency), measured, rtol=1e-4)
    assert achieved(design)["max_group_delay_sec"] >= measured.max() * 0.999


def test_zero_phase_is_told_as_it_is() -> None:
    once, twice = (HighPass(300, 2, zero_phase=z).bind(FS, plain_channels(amp=1)).describe() for z in (False, True))
    assert twice["response"]["edge_gain_db"][0] == pytest.approx(2 * once["response"]["edge_gain_db"][0])
    assert twice["response"]["max_group_delay_sec"] == 0.0 < once["response"]["max_group_delay_sec"]
    assert twice["response"]["minus_3db_hz"][0] > once["response"]["minus_3db_hz"][0]


def test_settling_is_measured() -> None:
    """After the settling time the step response stays within 1 % of its end."""
    design = butterworth("lowpass", (100.0,), 4, FS)
    told = achieved(design)["settling_sec"]
    step = signal.sosfilt(design.sos_array, np.ones(int(FS)))
    late = np.abs(step[int(told * FS) :] - 1)
    assert late.max() < 0.01
    assert 0.5 * told < np.flatnonzero(np.abs(step - 1) > 0.005)[-1] / FS


def test_curve_of_a_notch() -> None:
    told = curve(notch(60, 2, FS))
    assert min(told["gain_db"]) < -100
    assert len(told["frequency_hz"]) == len(told["gain_db"]) == len(told["group_delay_sec"]) == 257
