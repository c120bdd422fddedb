"""Analyses over many datasets: histograms of metrics per packet, kept over sessions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ranvier import VidereClient
from ranvier.exceptions import ConfigurationError, DatasetError
from ranvier.models import SUMMA_STATISTICS, DatasetMetadata
from ranvier.models.file_types import RadiensFileType
from ranvier.recordings import Block, Header, format_for_type, plain_channels

FS = 1000


def signals(seed: int, seconds: float, scale: float) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((int(FS * seconds), 4)) * scale).astype(np.float32)


@pytest.fixture
def videre() -> Iterator[VidereClient]:
    with VidereClient(progress=False) as client:
        yield client


def linked(videre: VidereClient, base: Path, x: np.ndarray, start: int = 0) -> DatasetMetadata:
    sink_type = format_for_type(RadiensFileType.XDAT).sink
    assert sink_type is not None
    with sink_type(base, Header(fs=FS, channels=plain_channels(amp=4), start=start)) as sink:
        sink.write(Block(x, start))
        return videre.link_data_file(sink.commit())


@pytest.fixture
def two(videre: VidereClient, tmp_path: Path) -> list[DatasetMetadata]:
    return [
        linked(videre, tmp_path / "quiet", signals(1, 6.5, 5.0)),
        linked(videre, tmp_path / "loud", signals(2, 4.0, 20.0), start=2000),
    ]


def rms_of(x: np.ndarray) -> np.ndarray:
    packets = x[: len(x) // FS * FS].reshape(-1, FS, 4).astype(np.float64)
    return np.sqrt(np.mean(packets**2, axis=1))


def test_histograms_hold_every_packet_and_channel(videre: VidereClient, two: list[DatasetMetadata]) -> None:
    state = videre.launch_summa(datasets=two, summa_id="both", metrics=["RMS", "MAX_ABS"], bins=20)
    assert state.is_complete
    found = videre.get_summa(summa_id="both")
    each = [rms_of(signals(1, 6.5, 5.0)), rms_of(signals(2, 4.0, 20.0))]
    for dataset, source, values in zip(two, found.sources, each, strict=True):
        assert (source.dataset_id, source.num_packets) == (dataset.id, len(values))
        np.testing.assert_allclose(source.channel_mean[:, 0], values.mean(axis=0), rtol=1e-6)
        assert source.histograms[0].counts.sum() == values.size
    everything = np.concatenate([v.ravel() for v in each])
    whole = found.histogram("RMS")
    counts, _ = np.histogram(everything, whole.dividers)
    assert abs(counts - whole.counts).sum() <= 2  # a value on a divider may fall to either side of it
    stats = dict(zip(SUMMA_STATISTICS, whole.stats, strict=True))
    assert stats["n"] == everything.size
    assert stats["mean"] == pytest.approx(everything.mean(), rel=1e-6)
    assert stats["sd"] == pytest.approx(everything.std(ddof=1), rel=1e-6)
    assert stats["median"] == pytest.approx(np.median(everything), rel=1e-6)
    assert (whole.dividers == found.histogram("RMS", two[0].id).dividers).all()
    assert found.to_dataframe().loc[("", "RMS"), "n"] == everything.size


def test_analyses_last_over_sessions_and_are_cleared(videre: VidereClient, two: list[DatasetMetadata]) -> None:
    videre.launch_summa(datasets=two[:1], summa_id="a")
    videre.launch_summa(datasets=two, summa_id="b", packet_dur_sec=2.0, wait=False)
    videre._hub.jobs.close()  # wait for what runs
    with VidereClient(progress=False) as again:
        assert [s.id for s in again.list_summa()] == ["a", "b"]
        assert all(s.is_complete for s in again.list_summa())
        assert again.get_summa(summa_id="b").sources[0].num_packets == 3
        assert again.clear_summa(summa_ids=["a"]) == 1
        with pytest.raises(DatasetError, match="no analysis 'a'; there are 'b'"):
            again.get_summa(summa_id="a")
        assert again.clear_summa() == 1
        assert again.list_summa() == []


def test_clearing_an_analysis_that_runs_stops_it(videre: VidereClient, two: list[DatasetMetadata]) -> None:
    videre.launch_summa(datasets=two, summa_id="a", wait=False)
    assert videre.clear_summa() == 1
    assert videre.list_summa() == []
    videre._hub.jobs.close()
    assert videre.list_summa() == []  # it did not come back when its job ended


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"datasets": []}, "at least one dataset"),
        ({"bins": 0}, "0 bins"),
        ({"packet_dur_sec": 0.0}, "longer than 0 s"),
        ({"packet_dur_sec": 0.001}, "fewer than two samples"),
        ({"metrics": []}, "at least one metric"),
        ({"summa_id": ""}, "needs an id"),
    ],
)
def test_what_cannot_be_analysed(
    videre: VidereClient, two: list[DatasetMetadata], given: dict[str, object], word: str
) -> None:
    with pytest.raises(ConfigurationError, match=word):
        videre.launch_summa(**{"datasets": two, **given})  # type: ignore[arg-type]
    assert videre.list_summa() == []
