"""Live metrics that are too slow: they shed, and say so; the recording loses nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ranvier.connect import leave, open_rig
from ranvier.metrics.packets import PacketMaker, PacketTable
from ranvier.models.kpi import KpiMetric, KpiMetricId
from ranvier.models.rig import ConsumerStatus
from ranvier.models.status import BackboneMode
from ranvier.recordings import open_session
from ranvier.services.rig import Rig

PACKET_SEC = 0.1
PACKET = 3000
NAMES = [KpiMetricId(name=KpiMetric.RMS), KpiMetricId(name=KpiMetric.NUM_PTS)]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = open_rig(embedded=True)
    made.control.restart(BackboneMode.SMARTBOX_SIM_GEN_SPIKES)
    made.control.set_core_config(pcache_persistence=1.0)
    config = made.recording.config()
    made.recording.set_config(
        config.model_copy(update={"base_file_path": str(tmp_path), "base_file_name": "rec", "time_stamp": False})
    )
    made.metrics.set_packet_duration(PACKET_SEC)
    yield made
    made.recording.stop()
    made.control.stop_streaming()
    made.control.set_core_config(pcache_persistence=20.0)
    leave(made)


def metrics_consumer(rig: Rig) -> ConsumerStatus:
    return next(c for c in rig.control.details().consumers if c.name == "metrics")


def settled(rig: Rig) -> ConsumerStatus:
    """Return what the consumer tells when it has done all it can."""
    before, until = None, time.monotonic() + 30
    while time.monotonic() < until:
        now = metrics_consumer(rig)
        if before is not None and (now.blocks, now.shed_samples) == (before.blocks, before.shed_samples):
            return now
        before = now
        time.sleep(0.6)
    raise AssertionError("it did not come to rest")


def test_what_is_too_slow_is_shed_and_told(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []
    make = PacketMaker.make

    def slow(self: PacketMaker, index: int, *part: int) -> PacketTable:
        time.sleep(3 * PACKET_SEC)
        measured.append(index)
        return make(self, index, *part)

    monkeypatch.setattr(PacketMaker, "make", slow)
    rig.recording.start()
    files = rig.recording.files()
    while rig.control.status().streaming.primary_cache_t_range[1] < 0.3:
        time.sleep(0.01)
    rig.metrics.packets.begin()  # what the first request does, without waiting for its answer
    time.sleep(4.0)
    running, details = metrics_consumer(rig), rig.control.details()
    assert running.behind_samples > 3 * PACKET  # it is not as if it kept up
    assert running.shed_samples > 0
    status = rig.metrics.status()
    assert status.headroom is not None
    assert 0.1 < status.headroom <= 1 / 3
    told = int(status.note.split()[0])
    assert told >= running.shed_samples
    assert status.note == f"{told} samples were not measured: this machine is too slow for them"
    recorder = next(c for c in details.consumers if c.name != "metrics" and c.policy == "keep all")
    assert recorder.shed_samples == 0
    assert details.source.lost_samples == 0
    rig.recording.stop()
    rig.control.stop_streaming()

    end = settled(rig)
    assert end.blocks == len(measured) == len(set(measured))
    head = round(rig.control.status().streaming.primary_cache_t_range[1] * 30_000)
    assert measured[0] * PACKET + end.blocks * PACKET + end.shed_samples + end.behind_samples == head
    assert end.behind_samples < 2 * PACKET
    with open_session(Path(files[0])) as session:
        (recording,) = session.streams.values()
        assert recording.segments.gaps == []
        assert recording.stop - recording.start > 3.5 * 30_000
        assert np.isfinite(recording.read(recording.start, recording.stop, [0]).samples).all()


def test_what_keeps_up_sheds_nothing(rig: Rig) -> None:
    rig.control.start_streaming()
    time.sleep(0.5)
    assert rig.metrics.get(NAMES).values.shape == (32, 2)
    time.sleep(1.0)
    rig.control.stop_streaming()
    end = settled(rig)
    assert end.shed_samples == 0
    assert end.behind_samples < 2 * PACKET
    assert end.blocks >= 10
    assert rig.metrics.status().note == ""
