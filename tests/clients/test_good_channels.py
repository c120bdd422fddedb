"""Selecting the good channels of a dataset in one call."""

from __future__ import annotations

from pathlib import Path

import pytest

from ranvier import VidereClient
from ranvier.checks.tissue import broken_probe
from ranvier.exceptions import ConfigurationError, SignalSelectionError
from ranvier.models import SignalType
from ranvier.models.file_types import RadiensFileType
from ranvier.recordings import Block, Header, format_for_type


def test_good_channels_are_selected_in_one_call(tmp_path: Path) -> None:
    probe = broken_probe(201, seconds=1.5, channels=48)
    sink_type = format_for_type(RadiensFileType.XDAT).sink
    assert sink_type is not None
    r = probe.recording
    with sink_type(tmp_path / "rec_SIMULATED", Header(fs=r.fs, channels=r.channels, simulated=True)) as sink:
        sink.write(Block(r.samples, 0))
        path = sink.commit()
    with VidereClient(progress=False) as videre:
        ds = videre.link_data_file(path)
        table = videre.get_channel_quality(ds)
        ds = videre.select_good_channels(ds)
        assert videre.get_selected_channels(ds)[SignalType.AMP] == table.good
        truly = [i for i, truth in enumerate(probe.truth) if truth == "good"]
        assert len(set(table.good) ^ set(truly)) <= 2
        assert len(table.good) < 48
        ds = videre.select_good_channels(ds, keep=["good", "outside"])  # all channels are judged again
        assert set(videre.get_selected_channels(ds)[SignalType.AMP]) >= set(table.good)
    # what cannot be is told before anything is asked of the engine, which is closed here
    with pytest.raises(ConfigurationError, match="verdicts are"):
        videre.select_good_channels(ds, keep=["splendid"])
    with pytest.raises(SignalSelectionError, match="no channel has such"):
        videre.select_good_channels(ds, keep=[])
