"""Live sorting of detected spikes: labels by waveforms alone, the same for any packets, kept over learning rounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ranvier.dsp.chain import Chain
from ranvier.exceptions import JobCancelledError
from ranvier.metrics.event_levels import changed_params
from ranvier.models.signals import SignalType
from ranvier.models.simulation import SimulationSpec
from ranvier.models.spikesorter import SpikeDetectParams
from ranvier.recordings.block import Block
from ranvier.simulation import SimulatedRecording
from ranvier.sorting.apart import learn_events_apart
from ranvier.sorting.event_finder import FinderSettings, default_detect_params
from ranvier.sorting.event_stream import EventLabeller, EventTape
from ranvier.sorting.event_units import EventUnits, learn_events, linked_events
from ranvier.sorting.geometry import geometry_of
from ranvier.sorting.online import OnlineSorter, StreamSites
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.source import filters
from ranvier.sorting.spike_table import SpikeTable
from ranvier.sorting.stream_training import stop_when

SPEC = SimulationSpec(
    seed=3, duration_sec=16.0, start_sec=2.0, probe="a1x16_3mm50_177", num_units=3, rate_hz=(15.0, 25.0),
    amplitude_uv=(150.0, 250.0), burst_fraction=0.0, lfp_uv=0.0, mains_uv=0.0,
)  # fmt: skip
PARAMETERS = SorterParameters()
BEFORE, AFTER = 15, 30


class Stream:
    def __init__(self) -> None:
        self.recording = SimulatedRecording(SPEC)
        self.columns = self.recording.channels.columns_of(SignalType.AMP)
        channels = self.recording.channels.take(self.columns)
        sites = StreamSites(self.recording.fs, channels, np.arange(len(self.columns)))
        chain = Chain.bind(filters(PARAMETERS, 30_000.0, len(self.columns)), self.recording.fs, channels)
        params = changed_params({}, [SpikeDetectParams()], sites.ntv, 30_000.0, default=default_detect_params)
        geometry = geometry_of(channels, sites.columns)
        settings = FinderSettings.of(params, sites.ntv, 30_000.0, geometry.nearest(75.0, 13), geometry.group)
        self.tape = EventTape(16, BEFORE + AFTER, 1 << 24, 1)
        self.labeller = EventLabeller(BEFORE, AFTER, geometry.positions_um.astype(np.float32), self.tape)
        self.sorter = OnlineSorter(sites, chain, settings, labeller=self.labeller)

    def play(self, start: int, stop: int, packet: int) -> SpikeTable:
        x = self.recording.read(start, stop, self.columns).samples
        told = [
            self.sorter.process(Block(np.ascontiguousarray(x[at : at + packet]), start + at))
            for at in range(0, len(x), packet)
        ]
        return SpikeTable.concatenate([*told, self.sorter.flush()]).ordered()


@pytest.fixture(scope="module")
def learned() -> tuple[EventTape, EventUnits]:
    stream = Stream()
    stream.play(60_000, 60_000 + 9 * 30_000, 300)
    sample = stream.tape.snapshot()
    assert (np.diff(sample.samples) >= 0).all()
    units = learn_events(
        sample.samples, sample.sites, sample.waveforms_uv, {}, BEFORE, 30_000.0, PARAMETERS, seed=1
    )  # fmt: skip
    assert len(units) >= 3
    return stream.tape, units


def test_events_get_labels_whatever_the_packets(learned: tuple[EventTape, EventUnits]) -> None:
    start, stop = 60_000 + 9 * 30_000, 60_000 + 14 * 30_000
    told = {}
    for packet in (30, 150, 4321):
        stream = Stream()
        stream.labeller.units = learned[1]
        told[packet] = stream.play(start, stop, packet)
    for other in (30, 4321):
        for name in ("counter", "site", "label", "amplitude_uv", "flags", "x_um"):
            np.testing.assert_array_equal(getattr(told[other], name), getattr(told[150], name))
    truth = Stream().recording.ground_truth(start + 33_000, stop - 300)
    found = told[150]
    for unit in np.unique(truth.unit):
        true = truth.counter[truth.unit == unit]
        scores = []
        for label in np.unique(found.label[found.label > 0]):
            own = found.counter[(found.label == label) & (found.counter >= start + 33_000)]
            hits = int((np.abs(own[:, None] - true[None]).min(axis=1) <= 12).sum()) if len(own) else 0
            scores.append(hits / (len(true) + len(own) - min(hits, len(true))))
        assert max(scores) > 0.85


def test_labels_stay_with_units_and_new_ones_are_new(learned: tuple[EventTape, EventUnits]) -> None:
    _, units = learned
    again, following = linked_events(units, units, 50)
    assert following == 50
    for number, site in units.sites.items():
        np.testing.assert_array_equal(again.sites[number].labels, site.labels)
    first, following = linked_events(units, None, 50)
    assert following == 50 + len(units)
    turned = {n: replace(s, templates_uv=-s.templates_uv) for n, s in units.sites.items()}
    other, following = linked_events(EventUnits(turned), units, 50)  # nothing looks like what was known
    assert following == 50 + len(units)
    assert first.sites.keys() == other.sites.keys()


def test_learning_apart_is_learning_here(learned: tuple[EventTape, EventUnits]) -> None:
    tape, units = learned
    reports: list[float] = []
    apart = learn_events_apart(
        tape.snapshot(), {}, BEFORE, 30_000.0, PARAMETERS, seed=1, report=reports.append, check=lambda: None
    )
    assert reports[-1] == pytest.approx(1.0)
    for number, site in units.sites.items():
        np.testing.assert_array_equal(apart.sites[number].labels, site.labels)
        np.testing.assert_array_equal(apart.sites[number].centres, site.centres)
    with pytest.raises(JobCancelledError):
        learn_events_apart(
            tape.snapshot(), {}, BEFORE, 30_000.0, PARAMETERS, seed=1, report=reports.append,
            check=stop_when(lambda: True),
        )  # fmt: skip


def test_the_tape_is_bounded_and_keeps_whole_rows() -> None:
    tape = EventTape(2, 4, 1, 1)
    assert tape.kept == 100
    for at in range(1000):
        tape.add(np.array([at]), np.array([at % 2], np.int32), np.full((1, 4), float(at), np.float32))
    sample = tape.snapshot()
    assert len(sample.samples) == 200
    np.testing.assert_array_equal(sample.waveforms_uv[:, 0], sample.samples)
    np.testing.assert_array_equal(sample.sites, sample.samples % 2)
    assert 300 < np.median(sample.samples) < 700  # all had the same chance
