"""AllegoClient: channels, signals, subscriptions, events and filters of the live stream."""

from __future__ import annotations

import os
import time
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import ranvier.models as m
from ranvier import AllegoClient
from ranvier.clients import _rig_signals
from ranvier.exceptions import ClientClosedError, ConfigurationError, SignalSelectionError, TimeRangeError
from ranvier.models import SignalType, TimeRangeSpec
from ranvier.services.signals import SignalBlock

FS = 30_000


@pytest.fixture
def live(allego: AllegoClient) -> AllegoClient:
    """Return the client of a rig that streams, with half a second in the cache."""
    allego.start_streaming()
    wait_until(allego, 0.5)
    return allego


def watched(monkeypatch: pytest.MonkeyPatch) -> list[SignalBlock]:
    """Return a list of the blocks that come from the engine from now on."""
    blocks: list[SignalBlock] = []
    real = _rig_signals.widened

    def widened(block: SignalBlock, *more: Any) -> Any:
        blocks.append(block)
        return real(block, *more)

    monkeypatch.setattr(_rig_signals, "widened", widened)
    return blocks


def wait_until(allego: AllegoClient, sec: float) -> None:
    until = time.monotonic() + 60
    while allego.get_status().streaming.primary_cache_t_range[1] < sec:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_signals_in_the_forms_of_the_api(live: AllegoClient) -> None:
    sig = live.get_signals([0.1, 0.3])
    assert isinstance(sig, m.SignalArrays)
    assert sig.amp is not None
    assert (sig.amp.shape, sig.amp.dtype) == ((32, 6000), np.float64)
    assert sig.amp.flags.c_contiguous
    assert 1.0 < np.median(np.abs(sig.amp)) < 100.0  # uV
    assert sig.gpio_ain is None
    assert sig.time_range is not None
    assert sig.time_range.timestamp == (3000, 9000)
    some = live.get_signals(TimeRangeSpec.subset(0.1, 0.3), [5, 0])
    np.testing.assert_array_equal(some.amp, sig.amp[[5, 0]])
    again = live.get_signals(np.array([0.1, 0.3]), "all")
    np.testing.assert_array_equal(again.amp, sig.amp)
    back = live.get_signals([0.2, float("nan")], m.SignalSpec.amp([3]))
    assert back.amp is not None
    assert back.amp.shape == (1, 6000)


def test_signals_of_every_type(live: AllegoClient) -> None:
    sig = live.get_signals([0.1, 0.2], {"amp": [1], "ain": "all", "din": "all", "dout": "all"})
    assert sig.amp is not None
    assert sig.gpio_ain is not None
    assert sig.gpio_din is not None
    assert sig.gpio_dout is not None
    assert [a.shape for a in (sig.amp, sig.gpio_ain, sig.gpio_din, sig.gpio_dout)] == [(1, 3000)] + 3 * [(2, 3000)]
    assert set(np.unique(sig.gpio_din)) <= {0.0, 1.0}
    assert set(np.unique(sig.gpio_dout)) <= {0.0, 1.0}
    live.set_selected_channels({"amp": [4, 7]})
    selected = live.get_signals([0.1, 0.2], {"amp": "selected"}).amp
    assert selected is not None
    assert selected.shape == (2, 3000)


def test_memory_of_the_caller_is_filled(live: AllegoClient) -> None:
    memory = np.empty((2, 3000))
    sig = live.get_signals([0.1, 0.2], [0, 1], out={"amp": memory})
    assert sig.amp is memory
    np.testing.assert_array_equal(memory, live.get_signals([0.1, 0.2], [0, 1]).amp)
    with pytest.raises(ConfigurationError, match=r"\(2, 3000\)"):
        live.get_signals([0.1, 0.2], [0, 1], out={"amp": np.empty((2, 3001))})
    with pytest.raises(ConfigurationError, match="gpio_din"):
        live.get_signals([0.1, 0.2], [0, 1], out={"gpio_din": np.empty((2, 3000))})


def test_large_reads_are_those_of_small_ones(live: AllegoClient) -> None:
    """More than a million samples go through the kernels, fewer through NumPy."""
    wait_until(live, 1.6)
    whole = live.get_signals([0.1, 1.4])
    assert whole.amp is not None
    assert whole.amp.size > 1 << 20
    for start in (0.1, 0.75, 1.3):
        part = live.get_signals([start, start + 0.1]).amp
        assert part is not None
        first = round((start - 0.1) * FS)
        np.testing.assert_array_equal(whole.amp[:, first : first + 3000], part)


def test_what_is_not_there_is_refused(live: AllegoClient) -> None:
    with pytest.raises(SignalSelectionError, match="32"):
        live.get_signals([0.1, 0.2], [32])
    with pytest.raises(TimeRangeError):
        live.get_signals([1000.0, 1001.0])
    with pytest.raises(TimeRangeError):
        live.get_signals("yesterday")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="apply_dsp"):
        live.get_signals([0.1, 0.2], apply_dsp="no")  # type: ignore[arg-type]


def test_new_signals_follow_each_other(live: AllegoClient) -> None:
    first = live.get_new_signals([0, 1])
    assert first.amp is not None
    assert first.amp.shape == (2, 0)
    parts = []
    for _ in range(5):
        time.sleep(0.05)
        parts.append(live.get_new_signals([0, 1]))
    edges = [p.time_range.timestamp for p in parts if p.time_range is not None]
    assert all(a[1] == b[0] for a, b in pairwise(edges))
    assert all(p.gaps == () for p in parts)
    joined = np.concatenate([p.amp for p in parts if p.amp is not None], axis=1)
    start, stop = edges[0][0], edges[-1][1]
    whole = live.get_signals([start / FS, stop / FS], [0, 1]).amp
    np.testing.assert_allclose(joined, whole, atol=1e-3)
    time.sleep(0.1)
    live.skip_to_head()
    after = live.get_new_signals([0, 1])
    assert after.time_range is not None
    assert after.time_range.timestamp[0] > stop + 2000


def test_every_block_of_a_subscription(live: AllegoClient) -> None:
    with live.subscribe([2], every_block=True, block_sec=0.02) as stream:
        blocks = [next(stream) for _ in range(8)]
    edges = [b.time_range.timestamp for b in blocks if b.time_range is not None]
    assert all(a[1] == b[0] for a, b in pairwise(edges))
    assert all(b.amp is not None and b.amp.shape == (1, 600) for b in blocks)
    assert all(b.gaps == () for b in blocks)
    assert list(stream) == []
    resumed = live.subscribe([2], every_block=True, start_counter=edges[2][0], block_sec=0.02)
    again = next(resumed)
    resumed.close()
    np.testing.assert_array_equal(again.amp, blocks[2].amp)


def test_a_slow_subscriber_gets_the_newest_and_is_told(live: AllegoClient) -> None:
    with live.subscribe([2], block_sec=0.02) as stream:
        last = next(stream)
        time.sleep(0.5)
        gaps: list[tuple[int, int]] = []
        for _ in range(12):  # a few blocks are on their way already
            block = next(stream)
            assert last.time_range is not None
            assert block.time_range is not None
            start = block.time_range.timestamp[0]
            assert block.gaps == (((last.time_range.timestamp[1], start),) if block.gaps else ())
            assert block.gaps or start == last.time_range.timestamp[1]
            gaps += block.gaps
            last = block
    assert sum(stop - start for start, stop in gaps) > 0.2 * FS


def test_a_subscription_ends_with_the_stream_and_with_the_client(live: AllegoClient) -> None:
    stream = live.subscribe([0], every_block=True)
    next(stream)
    live.stop_streaming()
    assert len(list(stream)) < 20
    with pytest.raises(ConfigurationError, match="nothing streams"):
        next(live.subscribe([0]))
    live.start_streaming()
    stream = live.subscribe([0])
    next(stream)
    live.close()
    with pytest.raises(ClientClosedError):
        next(stream)
    stream.close()


def test_events_and_truth(live: AllegoClient) -> None:
    live.set_dio_manual(0, True)
    wait_until(live, live.get_status().streaming.primary_cache_t_range[1] + 0.3)
    edges = live.get_events(lines=[0])
    assert isinstance(edges, m.EventTable)
    assert 1 in edges.filter(source="DOUT").state
    assert set(edges.line) <= {0}
    truth = live.get_ground_truth()
    assert len(truth) > 0
    assert len(live.get_ground_truth([0.0, 0.25])) < len(truth)


def test_truth_shows_in_the_signal(live: AllegoClient) -> None:
    """At the counters of the true spikes some site goes far below its noise."""
    wait_until(live, 1.0)
    sig = live.get_signals([0.1, 0.9])
    assert sig.amp is not None
    assert sig.time_range is not None
    noise = np.median(np.abs(sig.amp), axis=1) / 0.6745
    counters = live.get_ground_truth([0.11, 0.89]).timestamp - sig.time_range.timestamp[0]
    depth = np.array([(sig.amp[:, c - 5 : c + 6].min(axis=1) / noise).min() for c in counters])
    others = np.random.default_rng(3).integers(10, 23_000, 200)
    usual = np.median([(sig.amp[:, c - 5 : c + 6].min(axis=1) / noise).min() for c in others])
    assert np.median(depth) < 1.3 * usual < 0


def test_selection_and_groups(allego: AllegoClient) -> None:
    assert allego.get_selected_channels()[SignalType.AMP] == list(range(32))
    channels = allego.set_selected_channels([3, 1, 2])
    assert isinstance(channels, m.ChannelMetadata)
    assert sorted(channels.selected_index(SignalType.AMP).ntv) == [1, 2, 3]
    allego.select_channels({"amp": [9]})
    allego.deselect_channels([1])
    assert allego.get_selected_channels()[SignalType.AMP] == [2, 3, 9]
    assert allego.get_selected_channels()[SignalType.DIN] == [0, 1]
    grouped = allego.set_channel_groups([[2], [3, 9]])
    colors = {i: grouped.get_channel_info(i, SignalType.AMP).color_group_idx for i in (2, 3, 9)}
    assert colors[3] == colors[9] != colors[2]
    with pytest.raises((SignalSelectionError, ConfigurationError)):
        allego.set_channel_groups([[0]])
    with pytest.raises(SignalSelectionError):
        allego.select_channels([99])


def test_channels_cross_only_where_they_changed(allego: AllegoClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = allego.get_channel_metadata
    monkeypatch.setattr(allego, "get_channel_metadata", lambda: asked.append(1) or real())
    allego.start_streaming()
    for _ in range(3):
        allego.get_signals([0.05, float("nan")], [0])
    assert len(asked) == 1
    allego.set_selected_channels([5])
    selected = allego.get_signals([0.05, float("nan")], {"amp": "selected"}).amp
    assert selected is not None
    assert len(selected) == 1
    allego.stop_streaming()
    allego.set_sensor(port="B", headstage="passthrough_32", probe="a1x32_poly3_8mm50s_177")
    allego.start_streaming()
    everything = allego.get_signals([0.05, float("nan")]).amp
    assert everything is not None
    assert len(everything) == 64


def test_filters(live: AllegoClient) -> None:
    live.set_dsp_group(stage="stage2", params=[{"type": "car"}])
    group = live.get_dsp_group()
    assert isinstance(group, m.DSPGroup)
    assert [p.type for p in group.software_stage2] == [m.DSPType.CAR]
    assert group.software_stage1 == []
    raw = live.get_signals([0.1, 0.2]).amp
    referenced = live.get_signals([0.1, 0.2], apply_dsp=True).amp
    assert raw is not None
    np.testing.assert_allclose(referenced, raw - raw.mean(axis=0), atol=1e-2)
    live.set_dsp_group(stage=m.FilterStage.STAGE1, params=[m.DSPParams(type="highpass", stage="stage1", freq=300.0)])
    assert len(live.get_dsp_group("Live Signals").software_stage2) == 1
    with pytest.raises(ConfigurationError, match="Live Signals"):
        live.get_dsp_group("another")
    with pytest.raises(ConfigurationError):
        live.set_dsp_group(stage="stage2", params=[{"type": "highpass"}])


def test_filters_in_front_of_the_cache_leave_no_counts(allego: AllegoClient) -> None:
    """What is filtered on its way is float32 in the cache: reads take that, and look the same to the caller."""
    allego.set_dsp_group(stage="stage1", params=[{"type": "highpass", "freq": 300.0}])
    allego.start_streaming()
    wait_until(allego, 0.4)
    sig = allego.get_signals([0.1, 0.3], [0])
    assert sig.amp is not None
    assert (sig.amp.shape, sig.amp.dtype) == ((1, 6000), np.float64)
    assert abs(sig.amp.mean()) < 1.0


def test_counts_cross_to_the_client(live: AllegoClient, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = watched(monkeypatch)
    live.get_signals([0.1, 0.2], {"amp": "all", "ain": "all"})
    assert {kind: block.dtype for kind, block in seen[0].samples.items()} == {
        SignalType.AMP: np.int16,
        SignalType.AIN: np.int16,
    }


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="nothing to share memory with")
@pytest.mark.parametrize("filtered", [False, True])
def test_many_samples_are_read_where_they_lie(
    allego: AllegoClient, filtered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the engine's own ring; equal to the copy that the engine makes."""
    if filtered:
        allego.set_dsp_group(stage="stage1", params=[{"type": "highpass", "freq": 300.0}])
    allego.start_streaming()
    wait_until(allego, 1.2)
    seen = watched(monkeypatch)
    wanted = {"amp": "all", "ain": [1], "dout": "all"}
    mapped = allego.get_signals([0.1, 1.0], wanted)
    monkeypatch.setattr(allego, "_can_borrow", False)
    copied = allego.get_signals([0.1, 1.0], wanted)
    lent = seen[0].lent
    assert lent is not None
    assert lent.dtype == ("float32" if filtered else "int16")
    assert seen[1].lent is None
    assert mapped.time_range == copied.time_range
    for name in ("amp", "gpio_ain", "gpio_dout"):
        np.testing.assert_allclose(getattr(mapped, name), getattr(copied, name), rtol=0, atol=0, err_msg=name)
    assert allego._ring[1] is not None
    allego.close()
    assert allego._ring[1] is None, "a client that is closed holds no memory of the engine"


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="nothing to share memory with")
def test_samples_that_were_overwritten_while_they_were_read_are_read_again(
    allego: AllegoClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    allego.start_streaming()
    wait_until(allego, 1.2)
    real = _rig_signals.widened
    blocks = []

    def spoilt(block: SignalBlock, out: Any = None, memory: Any = None) -> Any:
        blocks.append(block)
        found = real(block, out, memory)
        if block.lent is not None:
            found["amp"][:] = 1e9  # what another turn of the ring leaves
            monkeypatch.setattr(type(allego._rig.signals), "kept", lambda self, epoch: 10**9)
        return found

    monkeypatch.setattr(_rig_signals, "widened", spoilt)
    sig = allego.get_signals([0.1, 1.1])
    assert [block.lent is None for block in blocks] == [False, True]
    assert sig.amp is not None
    assert np.abs(sig.amp).max() < 1e5


def test_the_cache_is_empty_before_the_first_stream(allego: AllegoClient) -> None:
    with pytest.raises(TimeRangeError, match="start_streaming"):
        allego.get_signals([0.0, 1.0])
