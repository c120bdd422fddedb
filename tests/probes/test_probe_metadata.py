from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.exceptions import DatasetError
from ranvier.models.channels import SITE_NUM_UNSET, AreaUnits, SignalUnits
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.probes import assign, assume_column, channel_metadata, neighbor_radius_um
from ranvier.recordings.channels import ChannelTable, plain_channels

AMP, AIN, DIN = SignalType.AMP, SignalType.AIN, SignalType.DIN


def describe(channels: ChannelTable, **more: object) -> object:
    return channel_metadata(channels, fs=Fraction(30000), dataset_uid="ds", source_label="test", **more)


@pytest.fixture
def probed() -> ChannelTable:
    return assign(plain_channels(32, 2, 2, 2), probe="4x8-32", headstage="pass-32")


def test_metadata_describes_every_channel(probed: ChannelTable) -> None:
    found = describe(probed)
    assert found.fs == 30000.0
    assert found.num_channels == {AMP: 32, AIN: 2, DIN: 2, SignalType.DOUT: 2}
    assert found.sig_map[AMP].ntv == found.sig_map[AMP].dset == found.sig_map[AMP].sys == list(range(32))
    assert (found.sig_map[AIN].ntv, found.sig_map[AIN].dset, found.sig_map[AIN].sys) == ([0, 1], [0, 1], [32, 33])
    assert found.signal_units[AMP] == SignalUnits.MICROVOLTS
    assert found.signal_units[AIN] == SignalUnits.VOLTS
    assert found.chan_names[DIN] == ["din_0", "din_1"]
    assert found.ntv_chan_names[AMP][31] == "port_A_31"
    assert found.sensor_ids[AMP][0] == "hstg__passthrough_32/probe__a4x8_5mm100_200_177"
    assert found.site_nums[AMP] == list(range(1, 33))
    assert found.site_nums[AIN] == [SITE_NUM_UNSET] * 2
    assert found.color_group_idxs[AMP][7:9] == [0, 1]
    assert found.ports[AMP][0] == Port.A
    assert found.probe_idxs[AMP][0] == 0
    assert (found.wiring_verified, found.geometry_source) == (False, "probe name")
    assert found.shank_ids[AMP][31] == 3
    assert found.has_continuous_amp is True


def test_site_positions_have_limits_and_area(probed: ChannelTable) -> None:
    site = describe(probed).get_channel_info(8, AMP).site_position
    assert (site.probe_x, site.probe_y, site.tissue_x) == (200, 0, 200)
    assert site.bounding_box_size == pytest.approx((15.01, 15.01, 0), abs=0.01)
    assert site.bounding_box_center == pytest.approx((200, 0, 0))
    assert site.get_area(AreaUnits.SQUARE_MICROMETERS) == 177


def test_tissue_is_probe_plus_shift(probed: ChannelTable) -> None:
    from dataclasses import replace

    shifted = probed.with_channels(
        replace(c, site=replace(c.site, scs_to_tcs_um=(1.0, -2000.0, 3.0))) if c.site else c for c in probed
    )
    site = describe(shifted).site_positions[8]
    assert (site.tissue_x, site.tissue_y, site.tissue_z) == (201, -2000, 3)
    assert (site.probe_x, site.scs_to_tcs_y) == (200, -2000)


def test_types_that_are_not_there_are_absent() -> None:
    found = describe(plain_channels(4))
    assert set(found.sig_map) == {AMP}
    assert found.site_positions == []
    assert found.geometry_source is None
    assert describe(plain_channels(0, 1)).has_continuous_amp is False


def test_unconnected_channels_keep_the_lists_parallel() -> None:
    placed = assign(plain_channels(32), probe="eeg_mouse_1x30", wiring=[i + 1 for i in range(30)])
    found = describe(placed)
    assert len(found.site_positions) == 32
    assert (found.site_positions[0].site_shape, found.site_positions[1].site_shape) == ("", "circle")
    assert found.site_nums[AMP][0] == SITE_NUM_UNSET
    assert (found.probe_ids[AMP][0], found.sensor_ids[AMP][0]) == ("", "")


def test_selection_comes_from_channels_or_from_the_caller(probed: ChannelTable) -> None:
    from dataclasses import replace

    off = probed.with_channels(replace(c, selected=c.ntv != 3) for c in probed)
    assert describe(off).selected_num_channels[AMP] == 31
    found = describe(off, selected={AMP: [5, 3]})
    assert found.selected_sig_map[AMP].ntv == [3, 5]
    assert found.selected_num_channels[AIN] == 2
    assert found.get_channel_info(3, AMP).is_selected is True
    with pytest.raises(DatasetError, match=r"\[99\]"):
        describe(off, selected={AMP: [99]})


@settings(deadline=None)
@given(st.data())
def test_index_spaces_round_trip_through_any_slice(data: st.DataObject) -> None:
    full = assign(plain_channels(16, 2, 3, 1), probe="a1x16_5mm150_177")
    kept = []
    for kind in SignalType:
        columns = full.columns_of(kind).tolist()
        kept += data.draw(st.lists(st.sampled_from(columns), unique=True))
    sliced = full.take(kept)
    found = describe(sliced)
    for kind, keys in found.sig_map.items():
        assert keys.dset == list(range(len(keys.ntv)))
        for position, (ntv, dset, sys) in enumerate(zip(keys.ntv, keys.dset, keys.sys, strict=True)):
            assert found.ntv_from_dset(dset, kind) == ntv
            assert found.ntv_from_sys(sys, kind) == ntv
            info = found.get_channel_info(ntv, kind)
            original = next(c for c in full if c.type == kind and c.ntv == ntv)
            assert (info.dset_idx, info.sys_idx, info.name) == (position, original.sys, original.name)
            column = int(sliced.columns_for_ntv(kind, [ntv])[0])
            assert sliced[column].ntv == ntv
            if kind == AMP:
                assert info.site_position.probe_y == original.site.y_um
                assert found.ntv_indices_for_sites([original.site_num], port=Port.A) == [ntv]
    assert sum(found.num_channels.values()) == len(kept)


@pytest.mark.parametrize(
    ("probe", "channels", "radius"),
    [("4x8-32", 32, 200), ("A1x32-5mm-25-177", 32, 50), ("8x8-64", 64, 250), ("8x1tet-32", 32, 50)],
)
def test_neighbors_are_within_two_pitches(probe: str, channels: int, radius: float) -> None:
    assert neighbor_radius_um(assign(plain_channels(channels), probe=probe)) == pytest.approx(radius)


def test_neighbors_do_not_reach_across_ports(two_ports: ChannelTable) -> None:
    assumed = assume_column(two_ports)
    assert neighbor_radius_um(assumed) == 50
    assert neighbor_radius_um(plain_channels(4)) == 0
    assert np.isfinite(describe(assumed).neighbor_max_radius_um)
