from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.exceptions import ProbeError
from ranvier.probes.layouts import Layout, layout
from ranvier.probes.names import KNOWN_PROBES, ProbeName, parse_probe_name

# Facts from SpikeInterface/probeinterface_library (MIT), neuronexus/*, read at commit dca31ae: site numbers of one
# shank from the tip up, site pitch and shank pitch in um. All seven probes of that library are here. Its radii of
# Poly3 (10) and 200-400-703 (14.5) contradict the areas in the names; ours follow the names.
LIBRARY_4X8 = [
    ("A4x8-5mm-50-200-177", 50, 200, 7.5),
    ("A4x8-5mm-100-200-177", 100, 200, 7.5),
    ("A4x8-5mm-100-400-177", 100, 400, 7.5),
    ("A4x8-5mm-200-400-177", 200, 400, 7.5),
    ("A4x8-5mm-100-400-703", 100, 400, 15.0),
    ("A4x8-5mm-200-400-703", 200, 400, 15.0),
]
LIBRARY_4X8_FROM_TIP = [1, 8, 2, 7, 3, 6, 4, 5]
LIBRARY_POLY3_LEFT_FROM_TOP = [2, 1, 3, 4, 5, 6, 7, 8, 9, 10]  # x 0, y 500 to 50
LIBRARY_POLY3_MIDDLE_FROM_TIP = [11, 22, 12, 21, 13, 20, 14, 19, 15, 18, 16, 17]  # x 50, y 0 to 550
LIBRARY_POLY3_RIGHT_FROM_TOP = [31, 32, 30, 29, 28, 27, 26, 25, 24, 23]  # x 100, y 500 to 50


def places(found: Layout) -> dict[int, tuple[float, float]]:
    return {s.number: (s.site.x_um, s.site.y_um) for s in found.sites}


@pytest.mark.parametrize(("name", "pitch", "shank_pitch", "radius"), LIBRARY_4X8)
def test_multi_shank_probes_agree_with_the_library(name: str, pitch: int, shank_pitch: int, radius: float) -> None:
    found = layout(parse_probe_name(name))
    for site in found.sites:
        shank, within = divmod(site.number - 1, 8)
        row = LIBRARY_4X8_FROM_TIP.index(within + 1)
        assert site.shank == shank
        assert abs(site.site.x_um - shank * shank_pitch) < 1
        assert abs(site.site.y_um - row * pitch) < 1
        assert abs(site.site.width_um / 2 - radius) < 0.1
    assert found.approximate == ""


def test_poly3_agrees_with_the_library() -> None:
    at = places(layout(parse_probe_name("A1x32-Poly3-10mm-50-177")))
    expected = {n: (0, 500 - 50 * i) for i, n in enumerate(LIBRARY_POLY3_LEFT_FROM_TOP)}
    expected |= {n: (50, 50 * i) for i, n in enumerate(LIBRARY_POLY3_MIDDLE_FROM_TIP)}
    expected |= {n: (100, 500 - 50 * i) for i, n in enumerate(LIBRARY_POLY3_RIGHT_FROM_TOP)}
    assert at.keys() == expected.keys()
    for number, (x, y) in expected.items():
        assert math.dist(at[number], (x, y)) < 1


@pytest.mark.parametrize(
    ("area", "diameter"),
    [(100, 11.3), (121, 12.4), (177, 15.0), (312, 19.9), (413, 22.9), (703, 29.9), (1250, 39.9)],
)
def test_areas_give_the_catalogues_diameters(area: int, diameter: float) -> None:
    site = layout(parse_probe_name(f"A1x16-5mm-100-{area}")).sites[0].site
    assert abs(site.width_um - diameter) < 0.05
    assert site.area_um2 == area


@pytest.mark.parametrize("known", KNOWN_PROBES)
def test_every_known_probe_has_all_its_sites(known: str) -> None:
    name = parse_probe_name(known)
    found = layout(name)
    assert [s.number for s in found.sites] == list(range(1, name.site_count + 1))
    xy = np.array([(s.site.x_um, s.site.y_um) for s in found.sites])
    distance = np.linalg.norm(xy[:, None] - xy[None], axis=2) + 1e9 * np.eye(len(xy))
    assert distance.min() > 10
    if name.family != "eeg_mouse":
        assert xy[:, 1].min() == 0
    assert sorted({s.shank for s in found.sites}) == list(range(name.shanks))


def test_linear_numbers_alternate_from_both_ends() -> None:
    at = places(layout(parse_probe_name("A1x32-5mm-25-177")))
    assert [n for n, _ in sorted(at.items(), key=lambda item: item[1][1])][:6] == [1, 32, 2, 31, 3, 30]
    # A1x16 has an order of its own: sites 9, 8, 10, 7 are the topmost
    at = places(layout(parse_probe_name("a1x16_5mm150_177")))
    assert [n for n, _ in sorted(at.items(), key=lambda item: -item[1][1])][:4] == [9, 8, 10, 7]
    assert at[9] == (0, 15 * 150)
    # edge probes count from the tip
    at = places(layout(parse_probe_name("v1x16_edge_10mm200_177")))
    assert [at[n][1] for n in (1, 2, 16)] == [0, 200, 3000]


def test_buzsaki_shanks_taper_to_site_5() -> None:
    at = places(layout(parse_probe_name("buz64")))
    heights = sorted(at[n][1] for n in range(1, 9))
    assert heights == [20 * i for i in range(8)]
    assert at[5] == (0, 0)
    assert at[13] == (200, 0)
    assert at[1][0] < at[2][0] < at[4][0] < 0 < at[6][0] < at[8][0]
    assert max(x for x, _ in at.values()) < 1420


def test_staggered_poly3_has_10_12_10_sites_18_um_apart() -> None:
    at = places(layout(parse_probe_name("A1x32-Poly3-5mm-25s-177")))
    columns = {x: sorted(y for x2, y in at.values() if x2 == x) for x, _ in at.values()}
    assert {x: len(ys) for x, ys in columns.items()} == {0: 10, 18: 12, 36: 10}
    assert (columns[0][0], columns[18][0]) == (12.5, 0)
    assert (at[1], at[11], at[17], at[32]) == ((0, 12.5), (18, 0), (18, 275), (36, 12.5))


def test_poly5_is_a_wedge() -> None:
    at = places(layout(parse_probe_name("poly5-32")))
    columns = {x: sorted(y for x2, y in at.values() if x2 == x) for x, _ in at.values()}
    assert {round(x): len(ys) for x, ys in columns.items()} == {0: 1, 14: 6, 28: 6, 42: 6, 56: 6, 70: 6, 84: 1}
    assert [min(ys) for _, ys in sorted(columns.items())] == [227.5, 35, 17.5, 0, 17.5, 35, 227.5]


def test_tetrodes_are_squares_of_25_um() -> None:
    at = places(layout(parse_probe_name("a8x1_tet_7mm_200_121")))
    top, left, right, bottom = (at[n] for n in (5, 6, 7, 8))
    for a, b in ((top, left), (left, bottom), (bottom, right), (right, top)):
        assert math.isclose(math.dist(a, b), 25)
    assert top[0] == bottom[0] == 200
    at = places(layout(parse_probe_name("A4x2-tet-5mm-150-200-121")))
    assert at[8][1] - at[4][1] == 150


def test_eeg_grid_is_symmetric() -> None:
    at = set(places(layout(parse_probe_name("eeg_mouse_1x30"))).values())
    assert {(-x, y) for x, y in at} == at
    assert max(abs(x) for x, _ in at) == 4130
    assert layout(parse_probe_name("eeg_mouse_1x30")).approximate


def test_impossible_columns_are_refused() -> None:
    with pytest.raises(ProbeError, match="probeinterface"):
        layout(parse_probe_name("A1x31-Poly5-6mm-35s-100"))
    with pytest.raises(ProbeError, match="poly9"):
        layout(parse_probe_name("A1x32-Poly9-6mm-35s-100"))


@settings(deadline=None)
@given(
    st.integers(1, 8),
    st.integers(2, 64),
    st.integers(10, 500),
    st.integers(600, 900),
    st.sampled_from(["", "edge", "tet", "poly2", "poly3"]),
    st.booleans(),
)
def test_generated_layouts_number_each_place_once(
    shanks: int, per_shank: int, pitch: int, shank_pitch: int, style: str, staggered: bool
) -> None:
    if style == "poly2":
        per_shank += per_shank % 2
    name = ProbeName("a", shanks, per_shank, style, 5, pitch, staggered, shank_pitch if shanks > 1 else 0, 177)
    found = layout(name)
    assert [s.number for s in found.sites] == list(range(1, name.site_count + 1))
    if style != "tet" or pitch > 40:
        assert len(set(places(found).values())) == name.site_count
