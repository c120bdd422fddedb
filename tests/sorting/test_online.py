"""The sorter of a stream: known neurons are told, packets do not matter, labels stay, units are saved."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ranvier.dsp.chain import Chain
from ranvier.exceptions import DataProcessingError, DatasetError, JobCancelledError
from ranvier.kernels import registry
from ranvier.metrics.event_levels import changed_params
from ranvier.models.signals import SignalType
from ranvier.models.simulation import SimulationSpec
from ranvier.models.spikesorter import SpikeDetectParams
from ranvier.recordings.block import Block
from ranvier.rig.core import warm
from ranvier.rig.sorter_board import neuron_stats
from ranvier.rig.sorter_settings import SorterSettings
from ranvier.simulation import SimulatedRecording
from ranvier.sorting import online
from ranvier.sorting.apart import train_apart
from ranvier.sorting.event_finder import FinderSettings, default_detect_params
from ranvier.sorting.geometry import geometry_of
from ranvier.sorting.linking import linked_labels
from ranvier.sorting.online import OnlineSorter, StreamSites, _Settling
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.source import filters
from ranvier.sorting.spike_table import SpikeFlag, SpikeTable
from ranvier.sorting.stream_kernels import (
    SLACK,
    subtract_spikes,
    subtract_spikes_reference,
    whiten_near,
    whiten_near_reference,
)
from ranvier.sorting.stream_matcher import StreamMatcher
from ranvier.sorting.stream_training import stop_when, train_on_tape
from ranvier.sorting.tape import TapeRecording, TrainingTape
from ranvier.sorting.trained import TrainedUnits, load_units
from ranvier.sorting.unit_tables import UnitTables

SPEC = SimulationSpec(
    seed=3,
    duration_sec=16.0,
    start_sec=2.0,
    probe="a1x16_3mm50_177",
    num_units=3,
    rate_hz=(15.0, 25.0),
    amplitude_uv=(150.0, 250.0),
    burst_fraction=0.0,
    lfp_uv=0.0,
    mains_uv=0.0,
)
PARAMETERS = SorterParameters()


class Stream:
    """A simulated stream and the sorter of it."""

    def __init__(self, recording: SimulatedRecording, *, tape: bool) -> None:
        self.recording = recording
        columns = recording.channels.columns_of(SignalType.AMP)
        channels = recording.channels.take(columns)
        self.sites = StreamSites(recording.fs, channels, np.arange(len(columns)))
        self.chain = Chain.bind(filters(PARAMETERS, 30_000.0, len(columns)), recording.fs, channels)
        params = changed_params({}, [SpikeDetectParams()], self.sites.ntv, 30_000.0, default=default_detect_params)
        geometry = geometry_of(channels, self.sites.columns)
        settings = FinderSettings.of(params, self.sites.ntv, 30_000.0, geometry.nearest(75.0, 13), geometry.group)
        self.tape = TrainingTape(recording.fs, channels, 64 << 20, 1) if tape else None
        self.sorter = OnlineSorter(self.sites, self.chain, settings, tape=self.tape)
        self.columns = columns

    def play(self, start: int, stop: int, packet: int) -> SpikeTable:
        told = []
        x = self.recording.read(start, stop, self.columns).samples
        for at in range(0, len(x), packet):
            told.append(self.sorter.process(Block(np.ascontiguousarray(x[at : at + packet]), start + at)))
        return SpikeTable.concatenate(told)


@pytest.fixture(scope="module")
def recording() -> SimulatedRecording:
    return SimulatedRecording(SPEC)


@pytest.fixture(scope="module")
def learned(recording: SimulatedRecording) -> TrainedUnits:
    stream = Stream(recording, tape=True)
    stream.play(recording.start, recording.start + 8 * 30_000, 30_000)
    assert stream.tape is not None
    fractions: list[float] = []
    trained, following = train_on_tape(
        stream.tape.snapshot(),
        stream.chain.describe_stages(),
        PARAMETERS,
        None,
        1,
        seed=1,
        report=fractions.append,
        check=lambda: None,
    )
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)
    assert trained.labels.tolist() == list(range(1, following))
    return trained


def accuracy(recording: SimulatedRecording, told: SpikeTable, start: int, stop: int) -> list[float]:
    truth = recording.ground_truth(start, stop)
    found = []
    for unit in np.unique(truth.unit):
        true = truth.counter[truth.unit == unit]
        best = 0.0
        for label in np.unique(told.label[told.label > 0]):
            own = told.counter[told.label == label]
            nearest = np.abs(own[:, None] - true[None]).min(axis=1) if len(own) else np.empty(0)
            hits = min(int((nearest <= 12).sum()), len(true))
            best = max(best, hits / (len(true) + len(own) - hits))
        found.append(best)
    return found


def test_neurons_are_told_in_packets_of_any_length(recording: SimulatedRecording, learned: TrainedUnits) -> None:
    start, stop = recording.start + 8 * 30_000, recording.start + 14 * 30_000
    told = {}
    for packet in (150, 30, 4321):
        stream = Stream(recording, tape=False)
        stream.sorter.use(learned)
        parts = [stream.play(start, stop, packet), stream.sorter.flush()]
        told[packet] = SpikeTable.concatenate(parts).ordered()
        kept = stream.sorter.ring.read()
        np.testing.assert_array_equal(kept.counter, told[packet].counter)
    whole = told[150]
    for other in (told[30], told[4321]):
        for name in ("counter", "site", "label", "amplitude_uv", "scale", "margin", "flags"):
            np.testing.assert_array_equal(getattr(other, name), getattr(whole, name))
    assert (np.diff(whole.counter) >= 0).all()
    assert min(accuracy(recording, whole, start + 3000, stop - 3000)) > 0.9
    whole = whole.take(whole.counter > start + 33_000)  # before, noise and thresholds are not known
    assert (whole.flags[whole.label > 0] & SpikeFlag.THRESHOLD > 0).mean() > 0.9
    near = whole.label[(whole.flags & SpikeFlag.THRESHOLD > 0) & (np.abs(whole.amplitude_uv) > 100)]
    assert (near > 0).mean() > 0.95  # no large event is told twice, as a spike and as an event without a label


def test_what_was_told_is_subtracted(learned: TrainedUnits) -> None:
    """A large spike that was told in one window must not pass for others in the next, nor hide them."""
    unit = int(np.argmax(np.abs(learned.waveforms_uv).max(axis=(1, 2))))
    waveform = learned.waveforms_uv[unit]
    length = len(waveform)
    x = np.zeros((40 * 300, waveform.shape[1]), np.float32)
    begins = 100 + 303 * np.arange(38)  # at every place within a window
    for at in begins:
        x[at : at + length] += waveform
    matcher = StreamMatcher(UnitTables(learned, 30_000.0))
    told = SpikeTable.concatenate([matcher.process(Block(x, 0)), matcher.flush()])
    assert told.label.tolist() == [int(learned.labels[unit])] * 38
    assert np.abs(told.counter - begins - learned.window.before).max() <= 1
    np.testing.assert_allclose(told.scale, 1.0, atol=0.05)
    left = StreamMatcher(UnitTables(learned, 30_000.0))
    for at in range(0, 6000, 150):
        left.process(Block(x[at : at + 150].copy(), at))
        signal = left.signal
        final = left.sure_before - left.units.before - left.units.front - signal.origin
        decided = signal.white[:, signal.start - signal.origin : max(0, final)]
        assert np.abs(decided).max(initial=0.0) < 3.0


def test_no_kernel_is_loaded_while_spikes_are_labelled(
    recording: SimulatedRecording, learned: TrainedUnits, monkeypatch: pytest.MonkeyPatch
) -> None:
    for item in registry.all_kernels():
        monkeypatch.setattr(item, "_compiled", None)  # as in a new process
    warm()
    late: list[str] = []
    load = registry._compile

    def noted(item: registry.Kernel[..., object]) -> object:
        late.append(item.name)
        return load(item)

    monkeypatch.setattr(registry, "_compile", noted)
    stream = Stream(recording, tape=False)
    stream.sorter.use(stream.sorter.prepare(learned), follow=True)
    told = stream.play(recording.start, recording.start + 60_000, 150)
    assert (told.label > 0).sum() > 20
    assert not late


def test_what_was_told_stays_though_memory_is_used_again(recording: SimulatedRecording, learned: TrainedUnits) -> None:
    stream = Stream(recording, tape=False)
    matcher = StreamMatcher(UnitTables(learned, 30_000.0))
    x = recording.read(recording.start, recording.start + 30_000, stream.columns).samples
    (filtered,) = stream.chain.process(Block(x, 0), stream.chain.start())
    told, as_told = [], []
    decided: list[tuple[np.ndarray, np.ndarray]] = []
    for at in range(0, 30_000, 150):
        told.append(matcher.process(Block(filtered.samples[at : at + 150].copy(), at)))
        as_told.append([getattr(told[-1], name).copy() for name in SpikeTable.__slots__])
        decided += [(group.rows, group.rows.copy()) for group in matcher._recent[-1:]]
    assert sum(map(len, told)) > 20
    for rows, as_decided in decided:
        np.testing.assert_array_equal(rows, as_decided)
    for table, columns in zip(told, as_told, strict=True):
        for name, column in zip(SpikeTable.__slots__, columns, strict=True):
            np.testing.assert_array_equal(getattr(table, name), column)


def test_columns_of_an_empty_table_are_apart() -> None:
    table = SpikeTable.empty(3)
    kinds = [np.int64, np.int32, np.int32, *[np.float32] * 5, np.uint8]
    assert [getattr(table, name).dtype for name in SpikeTable.__slots__] == kinds
    for name in ("scale", "margin", "x_um", "y_um"):
        assert np.isnan(getattr(table, name)).all()
    for value, name in enumerate(SpikeTable.__slots__):
        assert getattr(table, name).flags.c_contiguous
        getattr(table, name)[:] = value
    assert [getattr(table, name).tolist() for name in SpikeTable.__slots__] == [[v] * 3 for v in range(9)]


def test_labels_stay_and_units_are_saved(learned: TrainedUnits, tmp_path: Path) -> None:
    order = np.arange(len(learned))[::-1]
    turned = TrainedUnits(
        learned.templates.take(order),
        learned.whitening,
        learned.window,
        learned.parameters,
        np.zeros(len(learned), np.int32),
        learned.positions_um[order],
        learned.digest,
        learned.learned_sec,
    )
    labels, following = linked_labels(turned, learned, 100, 30_000.0)
    assert labels.tolist() == learned.labels[order].tolist()
    assert following == 100
    fresh, following = linked_labels(turned, None, 100, 30_000.0)
    assert fresh.tolist() == list(range(100, 100 + len(learned)))
    assert following == 100 + len(learned)
    path = tmp_path / "units.npz"
    learned.save(path)
    again = load_units(path)
    assert (again.digest, again.parameters, again.window) == (learned.digest, learned.parameters, learned.window)
    np.testing.assert_array_equal(again.waveforms_uv, learned.waveforms_uv)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DatasetError, match="damaged"):
        load_units(path)
    with pytest.raises(DatasetError, match="no file"):
        load_units(tmp_path / "nowhere.npz")


def test_gaps_and_counters_that_begin_anew(recording: SimulatedRecording, learned: TrainedUnits) -> None:
    stream = Stream(recording, tape=False)
    stream.sorter.use(learned)
    start = recording.start
    stream.play(start, start + 45_000, 150)
    stream.play(start + 60_000, start + 100_000, 150)
    assert stream.sorter.gaps == 1
    kept = stream.sorter.ring.read()
    assert (np.diff(kept.counter) >= 0).all()
    assert not ((kept.counter >= start + 45_000) & (kept.counter < start + 60_000)).any()
    stream.play(start, start + 45_000, 150)
    assert stream.sorter.ring.read().counter.max() < start + 45_000
    assert stream.sorter.first == start


def test_units_that_others_replaced_are_still_judged_by_their_waveforms(
    recording: SimulatedRecording, learned: TrainedUnits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their spikes stay on the board: a waveform that is no spike's must not pass for want of one."""
    stream, start = Stream(recording, tape=False), recording.start
    sorting: Any = SimpleNamespace(engine=stream.sorter, settings=SorterSettings())
    stream.sorter.use(learned)
    stream.play(start, start + 60_000, 150)
    before = {n.spike_label: n for n in neuron_stats(sorting, templates=True)}
    assert len(before) == len(learned)
    stream.sorter.use(learned.relabelled(learned.labels + 100))
    stream.play(start + 60_000, start + 120_000, 150)
    after = {n.spike_label: n for n in neuron_stats(sorting, templates=True)}
    assert len(after) == 2 * len(learned)
    for label, neuron in before.items():
        assert len(neuron.template_uv) == learned.waveforms_uv.shape[1]
        assert after[label].template_uv == neuron.template_uv
        assert after[str(int(label) + 100)].template_uv == neuron.template_uv
    monkeypatch.setattr(online, "REPLACED", 2)
    stream.sorter.use(learned.relabelled(learned.labels + 200))
    kept = [u for u in range(300) if stream.sorter.replaced_waveform_uv(u) is not None]
    assert kept == [int(u) + 100 for u in learned.labels[-2:]]
    stream.sorter.clear()
    assert stream.sorter.replaced_waveform_uv(kept[0]) is None


def test_training_is_repeatable_and_ends_when_told(recording: SimulatedRecording, learned: TrainedUnits) -> None:
    stream = Stream(recording, tape=True)
    stream.play(recording.start, recording.start + 8 * 30_000, 150)
    assert stream.tape is not None

    def train(stopped: bool) -> TrainedUnits:
        assert stream.tape is not None
        return train_on_tape(
            stream.tape.snapshot(), stream.chain.describe_stages(), PARAMETERS, None, 1, seed=1,
            report=lambda _: None, check=stop_when(lambda: stopped),
        )[0]  # fmt: skip

    reports: list[float] = []
    apart, following = train_apart(
        stream.tape.snapshot(), stream.chain.describe_stages(), PARAMETERS, learned, 9, seed=1,
        report=reports.append, check=lambda: None,
    )  # fmt: skip
    np.testing.assert_array_equal(apart.templates.weights, learned.templates.weights)
    assert (apart.labels.tolist(), apart.digest, following) == (learned.labels.tolist(), learned.digest, 9)
    assert reports[-1] == pytest.approx(1.0)
    calls: list[int] = []

    def stop_later() -> None:
        calls.append(1)
        if len(calls) > 3:
            raise JobCancelledError("stopped")

    with pytest.raises(JobCancelledError):
        train_apart(
            stream.tape.snapshot(), stream.chain.describe_stages(), PARAMETERS, None, 1, seed=1,
            report=lambda _: None, check=stop_later,
        )  # fmt: skip
    with pytest.raises(DataProcessingError, match="at least one array"):
        train_apart(
            TapeRecording([], 30_000, stream.recording.fs, stream.sites.channels), [], PARAMETERS, None, 1, seed=1,
            report=lambda _: None, check=lambda: None,
        )  # fmt: skip
    np.testing.assert_array_equal(train(False).templates.weights, learned.templates.weights)
    with pytest.raises(JobCancelledError):
        train(True)


def test_the_tape_is_bounded() -> None:
    recording = SimulatedRecording(SPEC)
    channels = recording.channels.take(recording.channels.columns_of(SignalType.AMP))
    tape = TrainingTape(recording.fs, channels, 5 * 16 * 2 * 30_000, 1)
    for second in range(12):
        tape.add(np.full((30_000, 16), float(second), np.float32))
    assert tape.held_sec == 5.0
    held = tape.snapshot().read(0, 150_000).samples[::30_000, 0]
    assert len(set(np.round(held))) == 5
    tape.add(np.full((29_999, 16), 99.0, np.float32))
    tape.cut()
    tape.add(np.full((29_999, 16), 99.0, np.float32))
    assert 99.0 not in np.round(tape.snapshot().read(0, 150_000).samples)
    tape.cut()
    tape.recent_sec = 4.0
    for second in range(20, 27):
        tape.add(np.full((30_000, 16), float(second), np.float32))
    held = tape.snapshot().read(0, 120_000).samples[::30_000, 0]
    np.testing.assert_allclose(held, [23.0, 24.0, 25.0, 26.0], atol=0.1)
    assert tape.held_sec == 4.0


def test_kernels_are_their_references() -> None:
    random = np.random.default_rng(1)
    x = random.standard_normal((50, 8)).astype(np.float32)
    near = np.array([[c, (c + 1) % 8, -1 if c % 2 else (c + 3) % 8] for c in range(8)], np.int32)
    weights = random.standard_normal((8, 3)).astype(np.float32)
    x[7, 2] = np.nan
    out = np.full((2, 2, 8, 50 + 7 + SLACK), 9.0, np.float32)
    whiten_near(x, near, weights, out[0, 0], out[0, 1], 7)
    whiten_near_reference(x, near, weights, out[1, 0], out[1, 1], 7)
    np.testing.assert_allclose(out[0, :, :, :57], out[1, :, :, :57], atol=1e-5)
    x[7, 2] = 0.0
    rows = np.array([-3, 10, 45, 12], np.int64)
    units, phases = np.array([0, 1, 2, 1], np.int32), np.array([0, 3, 1, 2], np.int64)
    amplitudes = random.uniform(0.5, 1.5, 4).astype(np.float32)
    waveforms = random.standard_normal((3, 4, 3, 9)).astype(np.float32)
    x = np.ascontiguousarray(x.T)
    one, two = x.copy(), x.copy()
    subtract_spikes(one, rows, units, phases, amplitudes, near[:3], waveforms)
    subtract_spikes_reference(two, rows, units, phases, amplitudes, near[:3], waveforms)
    np.testing.assert_allclose(one, two, atol=1e-5)
    assert (one != x).sum() > 50


def test_spikes_told_after_a_clear_lie_in_what_was_sorted_since(
    recording: SimulatedRecording, learned: TrainedUnits
) -> None:
    """A spike is told some milliseconds late: the first ones after a clear lay before the range that was served."""
    start = recording.start + 30_000
    stream = Stream(recording, tape=False)
    stream.sorter.use(learned)
    seen = 0
    for packet in range(200):
        at = start + 30_000 + 150 * packet
        if packet == 0:
            stream.play(start, at, 150)
        stream.sorter.clear()
        told = stream.play(at, at + 150, 150)
        assert stream.sorter.first is not None
        assert (told.counter >= stream.sorter.first).all()
        seen += int((told.counter < at).sum())
    assert seen > 5
    stream.sorter.flush()
    stream.sorter.clear()
    assert stream.sorter.first is None


def test_spikes_that_no_event_can_be_are_forgotten(learned: TrainedUnits) -> None:
    """Without threshold events nothing else looks through them: they must not pile up over hours."""
    settling = _Settling()
    settling.use(UnitTables(learned, 30_000.0))
    for k in range(300):
        spikes = SpikeTable.empty(10)
        spikes.counter[:] = 300 * k + np.arange(10)
        spikes.label[:] = 1
        settling.labelled(spikes)
        settling.settle(np.zeros((16, 1), np.int32), 12, 300 * k)
    assert len(settling._spike_counters) < 2000
