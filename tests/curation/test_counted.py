"""From stored counts to the counts of an output: the same as float32 in whole blocks, saturated values counted."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ranvier.checks.stages import joined, run_stage
from ranvier.curation import counted
from ranvier.curation.executor import RunReport, make_header, run
from ranvier.dsp import BandPass, Chain, CommonAverageReference, PairedReference, VirtualReference, count_kernels
from ranvier.dsp.operations import Operation
from ranvier.exceptions import ConfigurationError
from ranvier.recordings import Block, ChannelTable, Segments, kernels, plain_channels
from ranvier.recordings.formats.kilosort_sink import KilosortSink
from ranvier.recordings.memory import ArrayRecording, ArraySink
from ranvier.recordings.quantiser import Quantiser

FS = Fraction(30000)
GAIN = 0.195
OPERATIONS = {
    "median": CommonAverageReference("median"),
    "mean": CommonAverageReference(),
    "median by port": CommonAverageReference("median", groups="port"),
    "virtual": VirtualReference(1),
    "paired": PairedReference(0, 2),
}


def _channels(amp: int, *, gains: bool = False, others: int = 0) -> ChannelTable:
    """Amplifier channels of one gain, or of a gain and an offset each; analog and digital ones behind them."""
    plain = plain_channels(amp, ain=others, din=others)
    odd = [GAIN * (1 + 0.37 * i) if gains else GAIN for i in range(amp)]
    return plain.with_channels(
        replace(c, gain=odd[i], offset=-3.25 * i if gains else 0.0) if i < amp else c for i, c in enumerate(plain)
    )


def _counts(rows: int, channels: ChannelTable, seed: int = 3) -> np.ndarray:
    """Noise on a common part, with whole rows and single values at both ends of the range."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 60, (rows, len(channels))) + rng.normal(0, 200, (rows, 1))
    counts = np.rint(x).astype(np.int16)
    counts[rng.random(counts.shape) < 0.01] = 32767
    counts[rng.random(counts.shape) < 0.01] = -32768
    counts[5], counts[6], counts[7] = 32767, -32768, 0
    counts[8, ::2], counts[8, 1::2] = 32767, -32768
    return counts


def _chain(operation: Operation, recording: ArrayRecording) -> Chain:
    return Chain.bind([operation], recording.fs, recording.channels)


def _expected(recording: ArrayRecording, chain: Chain) -> tuple[np.ndarray, tuple[int, int]]:
    """The definition: physical float32 samples, the stage, rounding by NumPy."""
    done = joined(run_stage(chain, recording.read(recording.start, recording.stop).samples, start=recording.start))
    amp = recording.channels.count(recording.channels[0].type)
    out = np.empty((len(done), amp), np.int16)
    gain, offset = np.full(amp, GAIN), np.zeros(amp)
    return out, kernels.round_to_counts.reference(np.ascontiguousarray(done[:, :amp]), gain, offset, out)


def _run(folder: Path, recording: ArrayRecording, chain: Chain, **options: int) -> tuple[np.ndarray, RunReport]:
    sink = KilosortSink(folder / f"out{len(list(folder.iterdir()))}", make_header(recording, chain))
    report = run(recording, chain, sink, **options)
    assert sink.unknown_samples == 0
    return np.fromfile(report.path, "<i2").reshape(-1, recording.channels.count(recording.channels[0].type)), report


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize(("amp", "gains", "others"), [(64, False, 0), (33, True, 0), (7, False, 2), (128, True, 1)])
def test_counts_equal_those_of_whole_float_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, amp: int, gains: bool, others: int
) -> None:
    channels = _channels(amp, gains=gains, others=others)
    recording = ArrayRecording(_counts(3000, channels), FS, channels, start=555)
    chain = _chain(OPERATIONS[name], recording)
    expected, (clipped, unknown) = _expected(recording, chain)
    assert (clipped > 0, unknown) == (True, 0)
    for piece_rows, workers, rows in ((100, 2, 1000), (1, 1, 37), (2999, 3, 3000), (4096, 2, None)):
        monkeypatch.setattr(counted, "PIECE_BYTES", 4 * len(channels) * piece_rows)
        options = {"workers": workers} | ({} if rows is None else {"block_rows": rows})
        found, report = _run(tmp_path, recording, chain, **options)
        np.testing.assert_array_equal(found, expected)
        assert report.clipped_samples == clipped


@pytest.mark.parametrize("columns", [2, 3, 63, 64, 65, 130])
@pytest.mark.parametrize(("gain", "offset", "same"), [(GAIN, 0.0, True), (GAIN, 0.0, False), (0.31, -2.5, False)])
def test_median_of_counts_is_its_reference(columns: int, gain: float, offset: float, same: bool) -> None:
    rng = np.random.default_rng(columns)
    parts = [_counts(400, _channels(columns)), rng.integers(-32768, 32768, (400, columns)).astype(np.int16)]
    parts += [np.clip(rng.normal(m, 3, (50, columns)), -32768, 32767).astype(np.int16) for m in (-32767, 32766, 0)]
    x = np.ascontiguousarray(rng.permutation(np.concatenate(parts)))
    out, expected = np.empty((2, *x.shape), np.int16)
    to = np.full(columns, GAIN), np.zeros(columns)
    kernel = count_kernels.subtract_median_of_counts
    clipped = kernel(x, gain, offset, *to, same, out)
    assert clipped == kernel.reference(x, gain, offset, *to, same, expected)
    assert (clipped > 0) == (columns > 2 or gain > GAIN)
    np.testing.assert_array_equal(out, expected)


def test_gaps_are_zeros(tmp_path: Path) -> None:
    channels = _channels(16)
    segments = Segments(np.array([100, 5000]), np.array([700, 1300]))
    recording = ArrayRecording(_counts(2000, channels), FS, channels, segments=segments)
    chain = _chain(OPERATIONS["median"], recording)
    found, report = _run(tmp_path, recording, chain, block_rows=256)
    expected, (clipped, _) = _expected(ArrayRecording(recording.samples, FS, channels), chain)
    assert len(found) == 6200
    np.testing.assert_array_equal(found[:700], expected[:700])
    assert not found[700:4900].any()
    np.testing.assert_array_equal(found[4900:], expected[700:])
    assert (report.gaps, report.clipped_samples) == (1, clipped)


def test_only_memoryless_chains_from_counts_to_counts_go_that_way(tmp_path: Path) -> None:
    channels = _channels(4)
    stored = ArrayRecording(_counts(300, channels), FS, channels)
    physical = ArrayRecording(stored.read(0, 300).samples, FS)
    median = _chain(OPERATIONS["median"], stored)
    filtered = Chain.bind([BandPass(300, 6000)], FS, channels)
    of_counts, of_floats = KilosortSink(tmp_path / "a", make_header(stored, None)), ArraySink(make_header(stored, None))
    assert counted.CountedPath.of(stored, median, of_counts) is not None
    for recording, chain, sink in (
        (physical, median, of_counts),
        (stored, filtered, of_counts),
        (stored, None, of_counts),
        (stored, median, of_floats),
    ):
        assert counted.CountedPath.of(recording, chain, sink) is None
    of_counts.abort()


def test_blocks_of_other_samples_are_refused() -> None:
    channels = _channels(4)
    path = counted.CountedPath(
        Chain.bind([CommonAverageReference()], FS, channels), Quantiser(None, np.ones(4), np.zeros(4))
    )
    with pytest.raises(ConfigurationError, match="physical"):
        path.through(Block(np.zeros((3, 4), np.float32), 0))
