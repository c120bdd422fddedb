from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ranvier.exceptions import OutputExistsError, ProbeError
from ranvier.models.channels import SITE_NUM_UNSET
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.probes import assign, assume_column, layout, parse_probe_name, read_probeinterface, write_probeinterface
from ranvier.recordings.channels import ChannelTable, Site, plain_channels

# probeinterface.wiring (MIT): amplifier channel of sites 1 to 4 of an H32 package on an RHD2132
H32_TO_RHD2132_FIRST = [16, 17, 18, 20]


def amp_sites(channels: ChannelTable) -> list[Site | None]:
    return [channels[int(c)].site for c in channels.columns_of(SignalType.AMP)]


def test_identity_is_assumed_and_flagged() -> None:
    placed = assign(plain_channels(32, 2), probe="a4x8_5mm100_200_177", headstage="passthrough_32")
    assert placed.geometry_source == "probe name"
    assert placed.wiring_verified is False
    first = placed[0]
    assert (first.site_num, first.probe_id, first.headstage_id) == (
        1,
        "probe__a4x8_5mm100_200_177",
        "hstg__passthrough_32",
    )
    # site 8 is the second from the tip of shank 0; site 9 the lowest of shank 1
    assert (placed[7].site.x_um, placed[7].site.y_um) == (0, 100)
    assert (placed[8].site.x_um, placed[8].site.y_um, placed[8].shank, placed[8].color_group) == (200, 0, 1, 1)
    assert placed[32].site is None


def test_uncertain_layouts_say_so() -> None:
    assert "approximate" in assign(plain_channels(32), probe="poly5-32").geometry_source


def test_a_given_wiring_is_taken_and_verified() -> None:
    reverse = list(range(31, -1, -1))
    placed = assign(plain_channels(32), probe="4x8-32", wiring=reverse)
    assert [c.site_num for c in placed] == list(range(32, 0, -1))
    assert placed.wiring_verified is True


@pytest.mark.parametrize(
    "arguments",
    [
        {"probe": "A1x32-Poly3-10mm-50-177-H32", "headstage": "RHD2132"},
        {"probe": "A1x32-Poly3-10mm-50-177", "wiring": "H32>RHD2132"},
    ],
)
def test_the_published_wiring_is_used_where_it_applies(arguments: dict[str, str]) -> None:
    placed = assign(plain_channels(32), **arguments)
    channel_of_site = {c.site_num: c.ntv for c in placed}
    assert [channel_of_site[n] for n in (1, 2, 3, 4)] == H32_TO_RHD2132_FIRST
    assert placed[0].probe_id == "probe__a1x32_poly3_10mm50_177"
    assert placed.wiring_verified is True


def test_sites_that_are_not_connected_and_channels_without_site() -> None:
    wiring = [i + 1 for i in range(30)]
    wiring[4] = -1
    placed = assign(plain_channels(32), probe="eeg_mouse_1x30", wiring=wiring)
    assert placed[0].site is None
    assert placed[0].site_num == SITE_NUM_UNSET
    assert placed[5].site is None
    assert placed[0].probe_id == ""
    assert placed[1].site_num == 1
    assert sum(s is not None for s in amp_sites(placed)) == 29


def test_ports_have_probes_of_their_own(two_ports: ChannelTable) -> None:
    placed = assign(two_ports, probe="4x8-32", port=Port.A, wiring=range(32))
    assert placed[40].site is None
    both = assign(placed, probe="v1x16-16", port=Port.B)
    assert both[32].site_num == 1
    assert both[31].probe_id != both[32].probe_id
    # one half is known, the other is not
    assert both.wiring_verified is False
    assert both.geometry_source == "probe name + probe name (approximate)"


def test_mismatches_name_both_numbers(two_ports: ChannelTable) -> None:
    with pytest.raises(ProbeError, match=r"64 sites.*port A has 32 amplifier"):
        assign(two_ports, probe="buz64", port=Port.A)
    with pytest.raises(ProbeError, match=r"32 sites.*recording has 48 amplifier"):
        assign(two_ports, probe="buz32")
    with pytest.raises(ProbeError, match=r"30 sites.*32 amplifier channels.*wiring="):
        assign(plain_channels(32), probe="eeg_mouse_1x30")
    with pytest.raises(ProbeError, match=r"passthrough_64 has 64 channels.*has 32"):
        assign(plain_channels(32), probe="buz32", headstage="pass-64")
    with pytest.raises(ProbeError, match=r"wiring names 16 channels.*32 sites"):
        assign(plain_channels(32), probe="buz32", wiring=range(16))
    with pytest.raises(ProbeError, match="two sites to one channel"):
        assign(plain_channels(32), probe="buz32", wiring=[0] * 32)
    with pytest.raises(ProbeError, match="32 sites"):
        assign(plain_channels(32), probe="buz32", wiring=range(1, 33))
    with pytest.raises(ProbeError, match=r"port H has no amplifier channels; ports here: A, B"):
        assign(two_ports, probe="buz32", port=Port.H)
    with pytest.raises(ProbeError, match="H32>RHD2132"):
        assign(plain_channels(32), probe="buz32", wiring="H33>RHD2132")


def test_the_files_own_geometry_wins_unless_overridden() -> None:
    of_file = replace(assign(plain_channels(32), probe="buz32"), geometry_source="file")
    assert assign(of_file, probe="4x8-32") is of_file
    assert assign(of_file, probe="4x8-32", override=True)[31].site.x_um == 600


def test_without_geometry_one_column_is_assumed(two_ports: ChannelTable) -> None:
    assumed = assume_column(two_ports)
    assert assumed.geometry_source == "assumed"
    assert assumed.wiring_verified is False
    assert [(s.x_um, s.y_um) for s in amp_sites(assumed)[:2]] == [(0, 0), (0, 25)]
    assert (amp_sites(assumed)[32].x_um, amp_sites(assumed)[32].y_um) == (1000, 0)
    assert assumed[0].site_num == SITE_NUM_UNSET
    assert assume_column(assumed) is assumed


def test_probeinterface_files_survive_a_round_trip(tmp_path: Path, two_ports: ChannelTable) -> None:
    placed = assign(two_ports, probe="buz32", port=Port.A, wiring=[(i * 5) % 32 for i in range(32)])
    placed = assign(placed, probe="v1x16-16", port=Port.B, wiring=range(16))
    path = write_probeinterface(tmp_path / "probe.json", placed)
    again = assign(two_ports, probe=path)
    assert again.geometry_source == "probeinterface"
    assert again.wiring_verified is True
    assert [c.site_num for c in again] == [c.site_num for c in placed]
    assert [c.shank for c in again] == [c.shank for c in placed]
    for a, b in zip(amp_sites(again), amp_sites(placed), strict=True):
        assert (a.x_um, a.y_um, a.shape) == (b.x_um, b.y_um, b.shape)
        assert a.width_um == pytest.approx(b.width_um)
    assert again[47].probe_idx == 1
    with pytest.raises(OutputExistsError, match="force"):
        write_probeinterface(path, placed)
    write_probeinterface(path, placed, force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["probe.json"]


def test_probeinterface_reads_what_we_write(tmp_path: Path) -> None:
    import probeinterface

    placed = assign(plain_channels(32), probe="4x8-32")
    probe = probeinterface.read_probeinterface(write_probeinterface(tmp_path / "p.json", placed)).probes[0]
    assert probe.get_contact_count() == 32
    assert list(probe.device_channel_indices) == list(range(32))
    assert [float(v) for v in probe.contact_positions[8]] == [200, 0]


def test_a_file_by_another_hand(tmp_path: Path) -> None:
    import probeinterface

    probe = probeinterface.Probe(ndim=2, si_units="mm")
    probe.set_contacts(positions=[[0, 0.1], [0.02, 0]], shapes="square", shape_params={"width": 0.012})
    probe.set_contact_ids(["2", "1"])
    group = probeinterface.ProbeGroup()
    group.add_probe(probe)
    probeinterface.write_probeinterface(tmp_path / "mine.json", group)
    (found,) = read_probeinterface(tmp_path / "mine.json")
    assert found.wiring is None
    placed = assign(plain_channels(2), probe=tmp_path / "mine.json")
    # site 1 is the second contact of the file
    assert (placed[0].site.x_um, placed[0].site.y_um) == pytest.approx((20, 0))
    assert placed[0].site.area_um2 == pytest.approx(144)
    assert placed.wiring_verified is False


def test_nothing_to_write(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="assign a probe first"):
        write_probeinterface(tmp_path / "p.json", plain_channels(4))
    assert list(tmp_path.iterdir()) == []


def test_missing_and_foreign_files_are_our_errors(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="no probe file"):
        assign(plain_channels(4), probe=tmp_path / "absent.json")
    for text in ("", "[]", "{}", "not json", json.dumps({"specification": "probeinterface", "probes": []})):
        bad = tmp_path / "bad.json"
        bad.write_text(text)
        with pytest.raises(ProbeError, match=r"bad\.json"):
            assign(plain_channels(4), probe=bad)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_files_are_our_errors(tmp_path: Path, data: st.DataObject) -> None:
    good = tmp_path / "good.json"
    if not good.exists():
        write_probeinterface(good, assign(plain_channels(8), probe="A1x8-5mm-100-177"))
    content = bytearray(good.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(1, 6))] = data.draw(st.binary(max_size=6))
    bad = tmp_path / "bad.json"
    bad.write_bytes(content)
    message = "bad.json"
    try:
        assert len(assign(plain_channels(8), probe=bad)) == 8
    except ProbeError as error:
        message = str(error)
    assert "bad.json" in message


@settings(deadline=None)
@given(st.permutations(range(16)))
def test_any_wiring_puts_each_site_on_its_channel(wiring: list[int]) -> None:
    places = layout(parse_probe_name("a1x16_5mm150_177"))
    placed = assign(plain_channels(16), probe="a1x16_5mm150_177", wiring=wiring)
    for site, channel in zip(places.sites, wiring, strict=True):
        assert placed[channel].site == site.site
        assert placed[channel].site_num == site.number
