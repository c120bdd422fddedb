from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.exceptions import ProbeError
from ranvier.probes.headstages import parse_headstage
from ranvier.probes.names import KNOWN_PROBES, PROBE_ALIASES, ProbeName, parse_probe_name


@pytest.mark.parametrize(
    ("text", "sites", "style", "pitch", "staggered", "shank_pitch", "area"),
    [
        ("v1x16_edge_10mm200_177", 16, "edge", 200, False, 0, 177),
        ("a4x8_5mm100_200_177", 32, "", 100, False, 200, 177),
        ("a8x1_tet_7mm_200_121", 32, "tet", 0, False, 200, 121),
        ("buz32", 32, "", 20, True, 200, 160),
        ("a1x32_poly3_8mm50s_177", 32, "poly3", 50, True, 0, 177),
        ("a1x32_poly5_6mm35s_100", 32, "poly5", 35, True, 0, 100),
        ("a8x8_5mm200_200_413", 64, "", 200, False, 200, 413),
        ("v1x64_poly3_10mm25s_177", 64, "poly3", 25, True, 0, 177),
        ("buz64", 64, "", 20, True, 200, 160),
        ("eeg_mouse_1x30", 30, "", 0, False, 0, 196350),
        ("a1x16_5mm150_177", 16, "", 150, False, 0, 177),
        ("a2x16_10mm50_500_177", 32, "", 50, False, 500, 177),
        ("A4x8-5mm-100-200-177", 32, "", 100, False, 200, 177),
        ("A1x32-Poly3-10mm-50-177", 32, "poly3", 50, False, 0, 177),
        ("A4x2-tet-5mm-150-200-121", 32, "tet", 150, False, 200, 121),
        ("A1x32-Poly3-5mm-25s-177-CM32", 32, "poly3", 25, True, 0, 177),
    ],
)
def test_names_say_what_they_mean(
    text: str, sites: int, style: str, pitch: int, staggered: bool, shank_pitch: int, area: int
) -> None:
    for spelling in (text, text.upper(), f"probe__{text}", f"  {text} "):
        name = parse_probe_name(spelling)
        found = (name.site_count, name.style, name.pitch_um, name.staggered, name.shank_pitch_um, name.area_um2)
        assert found == (sites, style, pitch, staggered, shank_pitch, area)


@pytest.mark.parametrize("alias", [*PROBE_ALIASES, " poly5-32", "probe__4x8-32"])
def test_aliases_are_known_probes(alias: str) -> None:
    assert parse_probe_name(alias).id in KNOWN_PROBES


@pytest.mark.parametrize("known", KNOWN_PROBES)
def test_known_ids_come_back_as_they_were(known: str) -> None:
    assert parse_probe_name(known).id == known
    assert parse_probe_name(known).wire_id == f"probe__{known}"


def test_spellings_of_one_probe_are_one_value() -> None:
    assert parse_probe_name("a4x8_5mm100_200_177") == parse_probe_name("A4x8-5mm-100-200-177")
    assert parse_probe_name("a4x8_5mm100_200_177").catalogue == "A4x8-5mm-100-200-177"
    assert parse_probe_name("a8x1_tet_7mm_200_121").catalogue == "A8x1-tet-7mm-200-121"
    assert parse_probe_name("A1x16-3mm-50-177-h32").package == "H32"


positive = st.integers(1, 999)


@st.composite
def names(draw: st.DrawFn) -> ProbeName:
    shanks, per_shank = draw(st.integers(1, 16)), draw(st.integers(1, 128))
    if shanks == per_shank == 1:
        per_shank = 2
    return ProbeName(
        family=draw(st.sampled_from(["a", "v", "e", "oa"])),
        shanks=shanks,
        per_shank=per_shank,
        style=draw(st.sampled_from(["", "poly2", "poly3", "poly5", "edge", "tet"])),
        length_mm=draw(positive),
        pitch_um=draw(positive) if per_shank > 1 else 0,
        staggered=draw(st.booleans()) if per_shank > 1 else False,
        shank_pitch_um=draw(positive) if shanks > 1 else 0,
        area_um2=draw(positive),
        package=draw(st.sampled_from(["", "H32", "CM32", "OA32LP"])),
    )


@settings(deadline=None)
@given(names())
def test_names_survive_both_spellings(name: ProbeName) -> None:
    assert parse_probe_name(name.id) == name
    assert parse_probe_name(name.wire_id) == name
    assert parse_probe_name(name.catalogue) == name


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_probe_or_our_error(text: str) -> None:
    message = repr(text)
    try:
        assert parse_probe_name(text).site_count > 0
    except ProbeError as error:
        message = str(error)
    assert repr(text) in message


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_a_headstage_or_our_error(text: str) -> None:
    message = repr(text)
    try:
        assert parse_headstage(text).channels > 0
    except ProbeError as error:
        message = str(error)
    assert repr(text) in message


def test_unknown_names_list_near_ones_and_the_way_out() -> None:
    with pytest.raises(ProbeError, match=r"a4x8_5mm100_200_177.*probeinterface"):
        parse_probe_name("a4x8_5mm100_200_")
    with pytest.raises(ProbeError, match="site pitch and shank pitch"):
        parse_probe_name("a4x8_5mm100_177")
    with pytest.raises(ProbeError, match="positive"):
        parse_probe_name("a1x16_5mm0_177")
    with pytest.raises(ProbeError, match="staggered"):
        parse_probe_name("a8x1_5mm100s_177")


@pytest.mark.parametrize(
    ("text", "full", "channels"),
    [
        ("acute_smartlink_A16", "acute_smartlink_A16", 16),
        ("acute_smartlink_A64", "acute_smartlink_A64", 64),
        ("chronic_smartlink_CM32", "chronic_smartlink_CM32", 32),
        ("chronic_smartlink_H64", "chronic_smartlink_H64", 64),
        ("chronic_smartlink_HC16", "chronic_smartlink_HC16", 16),
        ("passthrough_32", "passthrough_32", 32),
        ("hstg__passthrough_64", "passthrough_64", 64),
        ("smart-16", "acute_smartlink_A16", 16),
        ("smart-32", "chronic_smartlink_CM32", 32),
        ("pass-32", "passthrough_32", 32),
        ("pass-64", "passthrough_64", 64),
        ("chronic-64", "chronic_smartlink_H64", 64),
        ("hstg__acute_smartlink_A32", "acute_smartlink_A32", 32),
        ("rhd2132", "RHD2132", 32),
    ],
)
def test_headstages(text: str, full: str, channels: int) -> None:
    stage = parse_headstage(text)
    assert (stage.id, stage.channels, stage.wire_id) == (full, channels, f"hstg__{full}")


def test_unknown_headstage_names_near_ones() -> None:
    with pytest.raises(ProbeError, match="passthrough_32"):
        parse_headstage("passthru_32")
