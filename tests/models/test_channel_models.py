from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ranvier.exceptions import DatasetError
from ranvier.models import (
    COLOR_GROUP_UNSET,
    SITE_NUM_UNSET,
    AreaUnits,
    ChannelInfo,
    ChannelMetadata,
    KeyIdxs,
    Port,
    SignalType,
)

AMP, AIN, DIN = SignalType.AMP, SignalType.AIN, SignalType.DIN


def test_channel_info_of_an_amplifier_channel(channels: ChannelMetadata) -> None:
    info = channels.get_channel_info(5, AMP)
    assert (info.ntv_idx, info.dset_idx, info.sys_idx) == (5, 2, 5)
    assert (info.name, info.ntv_name, info.site_num, info.port, info.is_selected) == ("c", "pri_5", 9, Port.B, False)
    assert info.has_position
    assert info.site_position == channels.site_positions[2]
    assert info.bounding_box_size == (22, 22, 0)
    assert info.bounding_box_center == (25, 25, 0)
    assert channels.get_channel_info(7, AMP).is_selected


def test_channel_info_of_a_digital_channel(channels: ChannelMetadata) -> None:
    info = channels.get_channel_info(1, DIN)
    assert (info.sys_idx, info.name, info.port) == (33, "trial", None)
    assert (info.site_num, info.color_group_idx) == (SITE_NUM_UNSET, COLOR_GROUP_UNSET)
    assert not info.has_position
    assert info.site_position is info.bounding_box_size is info.bounding_box_center is None
    assert info.get_area(AreaUnits.SQUARE_METERS) is None


@pytest.mark.parametrize(("unit", "per_um2"), [*zip(AreaUnits, [1, 1e-6, 1e-8, 1e6, 1e-12], strict=True)])
def test_area(channels: ChannelMetadata, unit: AreaUnits, per_um2: float) -> None:
    assert channels.site_positions[0].get_area(unit) == pytest.approx(413 * per_um2)
    assert channels.get_channel_info(4, AMP).get_area(unit) == pytest.approx(413 * per_um2)


def test_index_spaces(channels: ChannelMetadata) -> None:
    assert channels.ntv_from_dset(1, AMP) == 7
    assert channels.ntv_from_sys(33, DIN) == 1
    assert channels.index(AIN) == channels.selected_index(DIN) == KeyIdxs(ntv=[], dset=[], sys=[])
    assert channels.selected_index(AMP).sys == [7]
    assert (channels.get_num_channels(AMP), channels.get_num_channels(AIN)) == (3, 0)
    assert (channels.total_selected_channels, channels.amp_site_count) == (1, 3)
    np.testing.assert_array_equal(channels.all_amp_indices(), [4, 7, 5])


def test_sites_and_color_groups(channels: ChannelMetadata) -> None:
    assert channels.sys_indices_for_site_nums(AMP, [9, 12]) == [5, 4]
    assert channels.sys_indices_for_color_groups(AMP, [0, 7]) == [4, 5]
    assert channels.ntv_indices_for_sites([3, 12], port=Port.A) == [7, 4]
    assert channels.ntv_indices_for_sites([9], port=Port.B, probe_idx=0) == [5]


@pytest.mark.parametrize(
    "ask",
    [
        lambda c: c.get_channel_info(0, AMP),
        lambda c: c.get_channel_info(4, AIN),
        lambda c: c.ntv_from_dset(3, AMP),
        lambda c: c.ntv_from_sys(1, DIN),
        lambda c: c.sys_indices_for_site_nums(AMP, [4]),
        lambda c: c.sys_indices_for_site_nums(DIN, [1]),
        lambda c: c.ntv_indices_for_sites([9], port=Port.A),
        lambda c: c.ntv_indices_for_sites([12], port=Port.A, probe_idx=1),
    ],
)
def test_unknown_channels_are_refused(channels: ChannelMetadata, ask: Callable[[ChannelMetadata], object]) -> None:
    with pytest.raises(DatasetError):
        ask(channels)


def test_channel_info_with_an_incomplete_site_has_no_position() -> None:
    info = ChannelInfo(
        ntv_idx=0,
        dset_idx=0,
        sys_idx=0,
        signal_type=AMP,
        name="a",
        ntv_name="a",
        is_selected=True,
        probe_id="",
        headstage_id="",
        sensor_id="",
        probe_x=1.0,
    )
    assert not info.has_position
    assert info.site_position is None
