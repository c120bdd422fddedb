"""The hard limits of stimulation. Every figure here is computed by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranvier.exceptions import ConfigurationError
from ranvier.models.rig import SafetyLimits
from ranvier.rig.safety import Phase, check_limits, check_pulse, describe_change, shannon_charge_nc

LIMITS = SafetyLimits()


def check(
    *phases: tuple[float, float], area_um2: float | None = 400.0, max_ua: float = 1e6, limits: SafetyLimits = LIMITS
):
    return check_pulse(
        [Phase(ua, us) for ua, us in phases], area_um2=area_um2, max_ua=max_ua, limits=limits, channel="pri_0"
    )


def test_the_defaults_are_those_of_the_literature() -> None:
    assert LIMITS.model_dump() == {
        "charge_per_phase_nc": 4.0,
        "shannon_k": 1.75,
        "small_site_um2": 2000.0,
        "imbalance_fraction": 0.01,
    }


def test_20_ua_for_200_us_are_4_nc_and_just_allowed() -> None:
    verdict = check((-20, 200), (20, 200))
    assert verdict.charge_nc == pytest.approx(4.0)
    assert verdict.imbalance == 0
    with pytest.raises(
        ConfigurationError, match=r"4\.02 nC per phase exceed the limit of 4 nC .* 2000 um2 \(Cogan et al"
    ):
        check((-20.1, 200), (20.1, 200))


def test_a_refusal_tells_channel_figures_limit_source_and_the_way_out() -> None:
    with pytest.raises(ConfigurationError) as refused:
        check((-100, 100), (90, 100), max_ua=50)
    text = str(refused.value)
    for part in (
        "pri_0",
        "100 uA",
        "50 uA",
        "10 nC",
        "4 nC",
        "13:021001",
        "-1 nC",
        "0.1 of",
        "0.01",
        "set_safety_limits",
    ):
        assert part in text


@pytest.mark.parametrize("area", [None, 0.0, 1.0, 2000.0])
def test_small_and_unknown_sites_have_the_charge_limit(area: float | None) -> None:
    check((-20, 200), (20, 200), area_um2=area)
    with pytest.raises(ConfigurationError, match="4 nC per phase"):
        check((-21, 200), (21, 200), area_um2=area)


def test_shannon_is_the_limit_of_larger_sites() -> None:
    # A = 10 000 um2 = 1e-4 cm2, k = 1.75: Q = sqrt(1e-4 * 56.234) uC = 74.99 nC; D = 749.9 uC/cm2
    charge = shannon_charge_nc(1.75, 10_000)
    assert charge == pytest.approx(74.989, abs=1e-3)
    q_uc, area_cm2 = charge / 1000, 1e-4
    assert math.log10(q_uc / area_cm2) == pytest.approx(1.75 - math.log10(q_uc))
    check((-74.9, 1000), (74.9, 1000), area_um2=10_000)
    with pytest.raises(ConfigurationError, match=r"75\.1 nC per phase exceed .* Shannon's k 1\.75 at 10000 um2"):
        check((-75.1, 1000), (75.1, 1000), area_um2=10_000)


def test_the_border_between_the_two_rules() -> None:
    with pytest.raises(ConfigurationError, match="Cogan"):
        check((-30, 1000), (30, 1000), area_um2=2000)
    check((-30, 1000), (30, 1000), area_um2=2000.1)  # sqrt(2.0001e-5 * 56.234) uC = 33.5 nC
    with pytest.raises(ConfigurationError, match="Shannon"):
        check((-34, 1000), (34, 1000), area_um2=2000.1)


def test_charge_imbalance_up_to_one_percent_of_the_first_phase() -> None:
    assert check((-10, 100), (9.9, 100)).imbalance == pytest.approx(0.01)
    with pytest.raises(ConfigurationError, match=r"leave -0\.02 nC behind"):
        check((-10, 100), (9.8, 100))
    check((-10, 100), (5, 200))  # another shape, the same charge
    with pytest.raises(ConfigurationError, match="behind"):
        check((-10, 100))
    check((-5, 100), (10, 100), (-5, 100))  # triphasic


def test_a_long_phase_cannot_hide_in_two() -> None:
    with pytest.raises(ConfigurationError, match="8 nC per phase"):
        check((-20, 200), (0, 100), (-20, 200), (20, 400))


def test_the_current_of_the_instrument_is_a_limit() -> None:
    check((-50, 10), (50, 10), max_ua=50)
    with pytest.raises(ConfigurationError, match=r"50\.5 uA exceed the instrument's 50 uA"):
        check((-50.5, 10), (50.5, 10), max_ua=50)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_never_allowed(bad: float) -> None:
    for phases in (((bad, 100.0), (10.0, 100.0)), ((-10.0, bad), (10.0, 100.0))):
        with pytest.raises(ConfigurationError):
            check(*phases)
    with pytest.raises(ConfigurationError):
        check((-1, 100), (1, 100), area_um2=bad)
    with pytest.raises(ConfigurationError):
        check_limits(LIMITS.model_copy(update={"charge_per_phase_nc": bad}))


def test_limits_that_are_not_numbers_refuse_rather_than_allow() -> None:
    for name in ("charge_per_phase_nc", "imbalance_fraction"):
        with pytest.raises(ConfigurationError):
            check((-1, 100), (1, 100), limits=LIMITS.model_copy(update={name: math.nan}))
    with pytest.raises(ConfigurationError):
        check((-1, 100), (1, 100), max_ua=math.nan)
    with pytest.raises(ConfigurationError):
        check((-1, 100), (1, 100), area_um2=-5.0)
    with pytest.raises(ConfigurationError):
        check()


def test_notes_tell_what_is_not_known() -> None:
    assert "not known" in check((-1, 100), (1, 100), area_um2=None).notes[0]
    assert "not established" in check((-1, 100), (1, 100), area_um2=5000).notes[0]
    assert check((-1, 100), (1, 100), area_um2=40_000).notes == ()
    assert check((-20, 100), (20, 100)).notes == ()
    assert "McCreery" in check((-20, 150), (20, 150)).notes[0]


def test_describe_change() -> None:
    assert describe_change(LIMITS, LIMITS) == ""
    assert describe_change(LIMITS, SafetyLimits(charge_per_phase_nc=8)) == "charge_per_phase_nc 4 -> 8"
    with pytest.raises(ConfigurationError, match="fraction"):
        check_limits(SafetyLimits(imbalance_fraction=2))


amplitudes = st.floats(-1e4, 1e4, allow_nan=False)
durations = st.floats(0.1, 5e3)


@given(phases=st.lists(st.tuples(amplitudes, durations), min_size=1, max_size=4), area=st.none() | st.floats(0, 1e7))
def test_what_is_allowed_is_within_every_limit(phases: list[tuple[float, float]], area: float | None) -> None:
    try:
        check(*phases, area_um2=area, max_ua=100.0)
    except ConfigurationError:
        return
    charges = [ua * us / 1000 for ua, us in phases]
    limit = 4.0 if not area or area <= 2000 else math.sqrt(area * 1e-8 * 10**1.75) * 1000
    slack = 1 + 1e-6
    assert max(map(abs, charges)) <= limit * slack
    assert max(abs(ua) for ua, _ in phases) <= 100 * slack
    first = next((q for q in charges if q), 0.0)
    assert abs(math.fsum(charges)) <= 0.01 * max(abs(first), *map(abs, charges)) * len(charges) * slack


@given(ua=st.floats(0.01, 1000), us=st.floats(1, 5000), factor=st.floats(1.0, 100.0))
def test_more_charge_is_never_safer(ua: float, us: float, factor: float) -> None:
    def allowed(scale: float) -> bool:
        try:
            check((-ua * scale, us), (ua * scale, us))
        except ConfigurationError:
            return False
        return True

    assert allowed(1.0) or not allowed(factor)
