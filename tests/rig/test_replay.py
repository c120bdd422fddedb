"""Replays: what was recorded, at its own pace, with honest counters."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ranvier import VidereClient
from ranvier.exceptions import CapabilityError, ConfigurationError, DatasetError, RecordingError, SourceError
from ranvier.models.file_types import RadiensFileType
from ranvier.models.ports import Port
from ranvier.models.status import BackboneMode
from ranvier.recordings import Block, Header, Segments, SpikeTrains, format_for_type, plain_channels
from ranvier.recordings.memory import ArrayRecording
from ranvier.rig.clock import FakeClock
from ranvier.rig.source import PortScan
from ranvier.rig.sources import make_source
from ranvier.rig.sources.replay import LONGEST_GAP_SEC, ReplaySource
from ranvier.simulation import SimulatedRecording, SimulationSpec


def read(source: ReplaySource, rows: int) -> list[Block]:
    blocks: list[Block] = []
    while sum(map(len, blocks)) < rows:
        block = source.read(2.0)
        assert block is not None
        blocks.append(block)
    return blocks


def test_everything_comes_once_with_its_counters_and_gaps(short_recording: ArrayRecording) -> None:
    source = ReplaySource(short_recording, loop=False, clock=FakeClock(), block_sec=0.0333)
    source.start()
    blocks = read(source, 12_000)
    assert blocks[0].start == 5000
    np.testing.assert_array_equal(np.concatenate([b.samples for b in blocks]), short_recording.samples)
    counters = np.concatenate([np.arange(b.start, b.stop) for b in blocks])
    np.testing.assert_array_equal(counters, [*range(5000, 9000), *range(10_000, 18_000)])
    assert all(b.samples.dtype == np.int16 and not b.samples.flags.writeable for b in blocks)
    with pytest.raises(SourceError, match="is over"):
        source.read(1.0)
    source.stop()
    source.start()
    assert read(source, 1)[0].start == 5000


def test_counters_go_on_when_it_begins_again_and_it_tells(short_recording: ArrayRecording) -> None:
    source = ReplaySource(short_recording, clock=FakeClock())
    source.start()
    blocks = read(source, 30_000)
    jumps = [(a.stop, b.start) for a, b in pairwise(blocks) if a.stop != b.start]
    assert jumps == [(9000, 10_000), (22_000, 23_000), (35_000, 36_000)]
    second = next(b for b in blocks if b.start == 18_000)
    np.testing.assert_array_equal(second.samples, short_recording.samples[: len(second)])
    marks = source.marks(0, 10**9)
    assert marks.counter.tolist() == [18_000, 31_000]
    assert marks.text == ("replay begins again (pass 2)", "replay begins again (pass 3)")
    assert source.marks(18_001, 31_000).counter.tolist() == []


def test_it_lasts_as_long_as_it_did_gaps_included(short_recording: ArrayRecording) -> None:
    clock = FakeClock()
    source = ReplaySource(short_recording, loop=False, clock=clock)
    source.start()
    read(source, 12_000)
    assert clock.monotonic() == pytest.approx(1.3, abs=1e-3)
    late = ArrayRecording(np.zeros((200, 1), np.int16), Fraction(1000), segments=_with_gap(3600_000), name="pause")
    clock = FakeClock()
    source = ReplaySource(late, loop=False, clock=clock)
    source.start()
    read(source, 200)
    assert clock.monotonic() == pytest.approx(0.2 + LONGEST_GAP_SEC, abs=1e-3)


def _with_gap(samples: int) -> Segments:
    return Segments.from_runs([(0, 100), (100 + samples, 100)])


def test_physical_samples_stay_physical() -> None:
    recording = ArrayRecording(np.full((100, 2), 3.25, np.float32), Fraction(1000), name="float")
    source = ReplaySource(recording, clock=FakeClock())
    source.start()
    block = read(source, 1)[0]
    assert not block.is_counts
    assert block.samples.dtype == np.float32
    assert (block.samples == 3.25).all()


def test_it_says_what_it_is_and_what_it_cannot(short_recording: ArrayRecording) -> None:
    source = ReplaySource(short_recording, clock=FakeClock())
    assert source.info.name == "REPLAY of short"
    assert source.info.simulated
    assert source.info.mode == BackboneMode.SMARTBOX_SIM_DATASOURCE
    assert list(source.scan()) == [PortScan(Port.A, "", 4)]
    with pytest.raises(ConfigurationError, match="10000"):
        source.configure(20_000.0, source.channels)
    with pytest.raises(CapabilityError):
        source.set_digital_out(0, True)
    with pytest.raises(CapabilityError, match="true spikes"):
        source.ground_truth(0, 10)
    made_up = ArrayRecording(np.zeros((10, 1), np.int16), 1000.0, name="x", simulated=True)
    assert ReplaySource(made_up).info.name == "REPLAY of SIMULATED x"


def test_empty_recordings_cannot_be_played() -> None:
    with pytest.raises(RecordingError, match="no samples"):
        ReplaySource(ArrayRecording(np.zeros((0, 1), np.int16), 1000.0, name="nothing"))


def test_truth_goes_round_with_the_recording(short_recording: ArrayRecording) -> None:
    at = np.array([5000, 8999, 17_999])
    truth = SpikeTrains(at, np.array([1, 2, 1], np.int32), np.array([0, 3, 1], np.int32), unit_names={1: "one"})
    source = ReplaySource(short_recording, truth=truth, clock=FakeClock())
    assert source.ground_truth(5000, 18_000).counter.tolist() == at.tolist()
    found = source.ground_truth(17_999, 31_001)
    assert found.counter.tolist() == [17_999, 18_000, 21_999, 30_999, 31_000]
    assert found.site.tolist() == [1, 0, 3, 1, 0]
    assert len(source.ground_truth(0, 5000)) == 0


@pytest.fixture
def xdat(tmp_path: Path, short_recording: ArrayRecording) -> Path:
    sink_type = format_for_type(RadiensFileType.XDAT).sink
    assert sink_type is not None
    header = Header(fs=Fraction(10_000), channels=plain_channels(amp=4, ain=1, din=1), start=5000)
    with sink_type(tmp_path / "session", header) as sink:
        for block in short_recording.blocks(1000):
            sink.write(block)
        return sink.commit()


def test_a_file_is_played_by_path(xdat: Path, short_recording: ArrayRecording) -> None:
    source = make_source(BackboneMode.SMARTBOX_SIM_DATASOURCE, replay=xdat, loop=False, clock=FakeClock())
    assert isinstance(source, ReplaySource)
    assert source.info.name.startswith("REPLAY of session")
    source.start()
    blocks = read(source, 12_000)
    played = np.concatenate([b.physical() for b in blocks])
    np.testing.assert_array_equal(played, short_recording.samples.astype(np.float32))
    assert blocks[-1].stop == 18_000
    source.close()
    with pytest.raises(DatasetError, match="no stream"):
        make_source(BackboneMode.SMARTBOX_SIM_DATASOURCE, replay=Path(f"{xdat}#other"))


def test_sites_may_be_given_columns_may_not(short_recording: ArrayRecording) -> None:
    source = ReplaySource(short_recording, clock=FakeClock())
    named = source.channels.with_channels(replace(c, probe_id="probe__mine") for c in source.channels)
    source.configure(10_000.0, named)
    assert source.channels[0].probe_id == "probe__mine"
    with pytest.raises(ConfigurationError, match="does not fit"):
        source.configure(10_000.0, plain_channels(amp=5, din=1))


@pytest.mark.samples
def test_a_real_recording_is_played(samples: Path) -> None:
    source = ReplaySource.open(samples / "intan" / "sampledata.rhd", loop=True, clock=FakeClock())
    recording = source.recording
    source.start()
    rows = recording.segments.rows
    blocks = read(source, rows + 1000)
    first = blocks[0]
    expected = recording.read(first.start, first.stop).samples
    np.testing.assert_array_equal(first.physical(), expected)
    again = next(b for b in blocks if b.start >= recording.stop)
    assert again.start == recording.stop
    np.testing.assert_array_equal(again.physical()[: len(first)], expected)
    source.close()


@pytest.mark.parametrize("suffix", ["", ".nwb"])
def test_a_simulated_file_brings_its_truth(tmp_path: Path, suffix: str) -> None:
    spec = SimulationSpec(probe="a1x16_5mm150_177", duration_sec=0.5, num_units=4, rate_hz=(10.0, 20.0))
    with VidereClient(embedded=True) as videre:
        videre.simulate_recording(spec, tmp_path / f"made{suffix}")
    path = tmp_path / f"made_SIMULATED{suffix or '.xdat'}"
    source = make_source(BackboneMode.SMARTBOX_SIM_DATASOURCE, replay=path, clock=FakeClock())
    assert source.info.name.startswith("REPLAY of made_SIMULATED")
    expected = SimulatedRecording(spec).ground_truth()
    found = source.ground_truth(300_000, 315_000)
    np.testing.assert_array_equal(found.counter, expected.counter)
    np.testing.assert_array_equal(found.unit, expected.unit)
    again = source.ground_truth(315_000, 330_000)
    np.testing.assert_array_equal(again.counter, expected.counter + 15_000)
    source.close()
    source.close()
