"""Fewer channels: which stay, in which order, with which indices."""

from __future__ import annotations

import numpy as np
import pytest

from ranvier.checks.stages import joined, run_stage
from ranvier.curation.plan import plan
from ranvier.dsp import SliceChannels
from ranvier.exceptions import SignalSelectionError
from ranvier.models.dataset import TransformNode
from ranvier.recordings import plain_channels
from ranvier.recordings.memory import ArrayRecording

CHANNELS = plain_channels(amp=4, ain=2, din=2)  # SYS 0-3, 4-5, 6-7


def test_channels_stay_in_the_order_of_the_recording() -> None:
    x = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)
    stage = SliceChannels((7, 2, 4, 0, 2)).bind(30000, CHANNELS)
    np.testing.assert_array_equal(joined(run_stage(stage, x)), x[:, [0, 2, 4, 7]])
    assert [(c.type.name, c.ntv, c.sys) for c in stage.out_channels] == [
        ("AMP", 0, 0), ("AMP", 2, 2), ("AIN", 0, 4), ("DIN", 1, 7),
    ]  # fmt: skip
    assert stage.describe()["parameters"] == {"source": list(range(8)), "retained": [0, 2, 4, 7]}


@pytest.mark.parametrize(("channels", "complaint"), [((0, 9, 8), r"\[8, 9\]"), ((), "at least one"), ((-1,), "-1")])
def test_nonsense_is_refused(channels: tuple[int, ...], complaint: str) -> None:
    with pytest.raises(SignalSelectionError, match=complaint):
        SliceChannels(channels).bind(30000, CHANNELS)


def test_slices_move_to_the_front_only_past_what_treats_channels_for_themselves() -> None:
    """Fewer columns are read where that changes no bit; what was sliced keeps its indices for the next slice."""
    recording = ArrayRecording(np.zeros((100, 8), np.float32), 30000, CHANNELS)
    band, car = TransformNode.bandpass(300, 6000), TransformNode.car()
    keep, again = TransformNode.slice_channels([1, 2, 3, 6]), TransformNode.slice_channels([3, 2])

    early = plan([band, keep, TransformNode.downsample(2), again, car], recording, CHANNELS)
    assert early.columns == [2, 3]
    assert early.chain is not None
    assert [s["kind"] for s in early.chain.describe_stages()] == ["bandpass", "downsample", "car"]
    asked = ["bandpass", "slice_channels", "downsample", "slice_channels", "car"]
    assert [s["kind"] for s in early.end.stages] == asked, "provenance tells the steps as they were asked for"
    late = plan([keep, car, again], recording, CHANNELS)
    assert late.columns == [1, 2, 3, 6]
    assert late.chain is not None
    assert [s["kind"] for s in late.chain.describe_stages()] == ["car", "slice_channels"]
    assert [c.sys for c in late.chain.out_channels] == [2, 3]
    blank = TransformNode.blank_artifacts(counters=[50], channels=[0])
    behind = plan([blank, keep], recording, CHANNELS)  # channel 0 is blanked, then dropped
    assert behind.columns is None
    only = plan([keep], recording, CHANNELS)
    assert only.chain is None
    assert [c.sys for c in only.end.channels] == [1, 2, 3, 6]
    with pytest.raises(SignalSelectionError, match=r"index \[0\]"):
        plan([keep, TransformNode.slice_channels([0])], recording, CHANNELS)
