"""A small dataset that is cut out of a larger recording, so that its three index spaces differ."""

from __future__ import annotations

import pytest

from ranvier.models import (
    ChannelMetadata,
    DatasetMetadata,
    KeyIdxs,
    Port,
    RadiensFileType,
    SignalType,
    SignalUnits,
    SitePosition,
    TimeRange,
)

AMP, DIN = SignalType.AMP, SignalType.DIN


def site(x: float, y: float) -> SitePosition:
    return SitePosition(
        probe_x=x,
        probe_y=y,
        probe_z=0,
        tissue_x=x,
        tissue_y=y + 100,
        tissue_z=0,
        site_shape="circle",
        site_area_um2=413,
        site_lim_x_min=x - 11,
        site_lim_x_max=x + 11,
        site_lim_y_min=y - 11,
        site_lim_y_max=y + 11,
        site_lim_z_min=0,
        site_lim_z_max=0,
        scs_to_tcs_x=0,
        scs_to_tcs_y=100,
        scs_to_tcs_z=0,
    )


@pytest.fixture(scope="session")
def channels() -> ChannelMetadata:
    """Three amplifier channels (NTV 4, 7, 5) and one digital input (NTV 1) of a 32 + 4 channel stream."""
    amp = KeyIdxs(ntv=[4, 7, 5], dset=[0, 1, 2], sys=[4, 7, 5])
    return ChannelMetadata(
        dataset_uid="uid",
        fs=30000,
        source_label="test",
        neighbor_max_radius_um=75,
        signal_units={AMP: SignalUnits.MICROVOLTS, DIN: SignalUnits.BINARY},
        has_discrete=False,
        has_continuous_amp=True,
        sig_map={AMP: amp, DIN: KeyIdxs(ntv=[1], dset=[0], sys=[33])},
        selected_sig_map={AMP: KeyIdxs(ntv=[7], dset=[1], sys=[7])},
        num_channels={AMP: 3, DIN: 1},
        selected_num_channels={AMP: 1},
        site_positions=[site(0, 0), site(0, 50), site(25, 25)],
        chan_names={AMP: ["a", "b", "c"], DIN: ["trial"]},
        ntv_chan_names={AMP: ["pri_4", "pri_7", "pri_5"], DIN: ["din_1"]},
        probe_ids={AMP: ["p1"] * 3},
        headstage_ids={AMP: ["hs"] * 3},
        sensor_ids={AMP: ["s"] * 3},
        site_nums={AMP: [12, 3, 9]},
        color_group_idxs={AMP: [0, 1, 0]},
        ports={AMP: [Port.A, Port.A, Port.B]},
    )


@pytest.fixture(scope="session")
def dataset(channels: ChannelMetadata) -> DatasetMetadata:
    """Two seconds at 30 kHz that start at sample 10000."""
    return DatasetMetadata(
        id="rat1_-_0123abcd",
        base_name="rat1",
        path="data",
        file_type=RadiensFileType.XDAT,
        time_range=TimeRange.from_samples(10_000, 70_000, 30_000, "2026-01-02T03:04:05+00:00"),
        channel_metadata=channels,
    )
