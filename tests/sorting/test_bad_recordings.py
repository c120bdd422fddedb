"""Recordings that cannot be sorted, or only in part: what is told, and that nothing is written. All data simulated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from ranvier import VidereClient
from ranvier.curation.executor import make_header, run
from ranvier.exceptions import ConfigurationError, DataProcessingError
from ranvier.models import SpikeSorterLaunchParams, SpikeSorterPhase
from ranvier.recordings.channels import Site, plain_channels
from ranvier.recordings.formats.xdat_sink import XdatSink
from ranvier.recordings.memory import ArrayRecording
from ranvier.sorting.suitable import artifact_share, suitable
from ranvier.spikes import SpikeStore

RATE = 30_000
CHANNELS = 10
F32 = npt.NDArray[np.float32]


@pytest.fixture
def videre() -> Iterator[VidereClient]:
    with VidereClient(progress=False) as client:
        yield client


def noise(seconds: float = 4.0, sd_uv: float = 8.0) -> F32:
    random = np.random.default_rng(3)
    return (sd_uv * random.standard_normal((int(seconds * RATE), CHANNELS))).astype(np.float32)


def with_spikes(x: F32, site: int, every: int = 1500) -> F32:
    shape = -180.0 * np.exp(-0.5 * (np.arange(-20, 40) / 4.0) ** 2)
    for t in range(500, len(x) - 100, every):
        x[t - 20 : t + 40, site] += shape.astype(np.float32)
        x[t - 20 : t + 40, site + 1] += 0.4 * shape.astype(np.float32)
    return x


def recording(x: F32, pitch_um: float = 25.0) -> ArrayRecording:
    table = plain_channels(amp=x.shape[1])
    table = table.with_channels(replace(c, site=Site(0.0, pitch_um * i)) for i, c in enumerate(table))
    return ArrayRecording(x, RATE, table, simulated=True, name="made")


def written(x: F32, folder: Path, pitch_um: float = 25.0) -> Path:
    made = recording(x, pitch_um)
    with XdatSink(folder / "made_SIMULATED", make_header(made, None, sources=[])) as sink:
        run(made, None, sink)
    return folder / "made_SIMULATED.xdat.json"


def refused(videre: VidereClient, path: Path, why: str) -> str:
    """Sort, which fails; return what the sorter's state says of it."""
    before = {p.name for p in path.parent.iterdir()}
    with pytest.raises(DataProcessingError, match=why):
        videre.spike_sort(path)
    sorter = videre.spike_sorter_launch(path).spike_sorter_id
    while videre.get_spike_sorter_state(sorter).is_on:
        pass
    state = videre.get_spike_sorter_state(sorter)
    assert state.phase != SpikeSorterPhase.COMPLETE
    assert {p.name for p in path.parent.iterdir()} == before
    return state.error_msg


def test_a_silent_recording(videre: VidereClient, tmp_path: Path) -> None:
    path = written(np.zeros((3 * RATE, CHANNELS), np.float32), tmp_path)
    assert "get_channel_quality" in refused(videre, path, "no channel can be sorted; 10 channels are left out .silent")


def test_a_recording_of_which_half_is_silent(videre: VidereClient, tmp_path: Path) -> None:
    """The amplifier was off: that is no artifact of the other half."""
    x = with_spikes(noise(6.0), 3)
    x[: 3 * RATE] = 0
    assert "50% of the time most channels are silent" in refused(
        videre, written(x, tmp_path), "most channels are silent"
    )
    assert len(videre.get_units(tmp_path / "made_SIMULATED.xdat.json", spikes_id=sort_of(videre, tmp_path, 3.0))) == 1


def sort_of(videre: VidereClient, folder: Path, start_sec: float) -> str:
    ds = videre.link_data_file(folder / "made_SIMULATED.xdat.json")
    return videre.spike_sort(SpikeSorterLaunchParams(dsource_id=ds.id, seed=1), time_range=[start_sec, start_sec + 3.0])


@pytest.mark.filterwarnings("error")
def test_samples_that_are_no_numbers_are_told() -> None:
    x = with_spikes(noise(4.0), 3)
    made = recording(x)
    columns = np.arange(CHANNELS, dtype=np.int64)
    assert suitable(made, made, columns, 0, len(x)).notes == ()
    x[::1000, 2:4] = np.nan
    x[5, 1] = 3e38
    (note,) = suitable(recording(x), recording(x), columns, 0, len(x)).notes
    assert "0.02% of the samples are missing (NaN), in 5.95 pieces a second" in note
    x[:] = np.nan
    with pytest.raises(DataProcessingError, match="no channel can be sorted"):
        suitable(recording(x), recording(x), columns, 0, len(x))


def test_channels_that_miss_samples_all_over_are_left_out(videre: VidereClient, tmp_path: Path) -> None:
    """Filters begin anew behind every one: units of what lies between would be none."""
    x = with_spikes(with_spikes(noise(6.0), 1), 6, every=1300)
    random = np.random.default_rng(6)
    for channel in (4, 8):
        x[random.random(len(x)) < 0.08, channel] = np.nan
    made = recording(x)
    found = suitable(made, made, np.arange(CHANNELS, dtype=np.int64), 0, len(x))
    assert found.columns.tolist() == [0, 1, 2, 3, 5, 6, 7, 9]
    assert found.notes == ("2 channels are left out (samples that miss (NaN) all over them): 4, 8",)
    x[random.random(x.shape) < 0.08] = np.nan
    with pytest.raises(DataProcessingError, match=r"no channel can be sorted; 10 channels are left out \(samples that"):
        suitable(recording(x), recording(x), np.arange(CHANNELS, dtype=np.int64), 0, len(x))


def test_a_channel_far_louder_than_the_others_is_left_out(videre: VidereClient, tmp_path: Path) -> None:
    x = with_spikes(noise(6.0), 2)
    x[:, 7] += np.random.default_rng(7).normal(0.0, 300.0, len(x)).astype(np.float32)
    path = written(x, tmp_path)
    sorter = videre.spike_sort(path)
    told = videre.get_spike_sorter_state(sorter).warn_msg
    assert told == "1 channels are left out (noise far above that of the others): 7"
    (unit,) = videre.get_units(path, spikes_id=sorter)
    assert unit.site_ntv_chan_idx == 2


def test_channels_that_are_one_are_named(videre: VidereClient, tmp_path: Path) -> None:
    x = with_spikes(noise(6.0), 2)
    x[:, 7] = x[:, 6]
    path = written(x, tmp_path)
    sorter = videre.spike_sort(path)
    assert "one and the same signal: 6 and 7; do their wires touch?" in videre.get_spike_sorter_state(sorter).warn_msg
    (unit,) = videre.get_units(path, spikes_id=sorter)
    assert unit.site_ntv_chan_idx == 2


def test_a_saturated_recording(videre: VidereClient, tmp_path: Path) -> None:
    x = np.where(np.arange(3 * RATE)[:, None] // 700 % 2, 3000.0, -3000.0) + noise(3.0)
    path = written(np.clip(x, -3000.0, 3000.0).astype(np.float32), tmp_path)
    assert "amplifier's gain" in refused(videre, path, r"10 channels are left out \(saturated\)")


def test_nothing_but_artifacts(videre: VidereClient, tmp_path: Path) -> None:
    x = noise()
    for t in range(100, len(x) - 200, 240):  # stimulation at 125 Hz
        x[t : t + 60] += 2500.0 * np.exp(-np.arange(60) / 20.0)[:, None].astype(np.float32)
    x[:9000] = noise()[:9000]  # a quiet beginning
    path = written(x, tmp_path)
    assert "blank_artifacts" in refused(videre, path, "artifacts on most channels at once")


def test_a_few_samples_out_of_range_cost_no_unit(videre: VidereClient, tmp_path: Path) -> None:
    """Single samples of a broken cable: once, they took the place of every unit in what is learned."""
    x = with_spikes(with_spikes(noise(20.0), 3), 7, every=1300)
    clean = _sizes(videre, written(x, tmp_path / "clean"))
    assert len(clean) == 2
    random = np.random.default_rng(5)
    x[random.integers(0, len(x), 30), random.integers(0, CHANNELS, 30)] = 30_000.0
    path = written(x, tmp_path / "broken")
    found = _sizes(videre, path)
    assert len(found) == 2
    for few, all_of_them in zip(found, clean, strict=True):
        assert 0.95 * all_of_them <= few <= all_of_them + 1
    (sorter,) = videre.get_spike_sorter_ids(videre.link_data_file(path))
    told = videre.get_spike_sorter_state(sorter).warn_msg
    assert "no spikes are looked for there" in told
    assert 30 * 3 < float(told.split()[0]) < 30 * 6  # ms


def _sizes(videre: VidereClient, path: Path) -> list[int]:
    """Spikes of each unit, by depth."""
    return [unit.spike_count for unit in videre.get_units(path, spikes_id=videre.spike_sort(path))]


def test_noise_that_no_electrode_has(videre: VidereClient, tmp_path: Path) -> None:
    path = written(noise(3.0, sd_uv=2500.0), tmp_path)
    refused(videre, path, "noise beyond what electrodes have")


def test_too_short(videre: VidereClient, tmp_path: Path) -> None:
    path = written(noise(1.5), tmp_path)
    with pytest.raises(DataProcessingError, match=r"too short to sort; at least 2 s\. Give a longer time range"):
        videre.spike_sort(path)
    with pytest.raises(DataProcessingError, match="too short"):
        videre.spike_sorter_launch(path)


def test_noise_alone_is_no_error_and_gives_no_units(videre: VidereClient, tmp_path: Path) -> None:
    path = written(noise(3.0), tmp_path)
    spikes = videre.spike_sort(path)
    assert videre.get_units(path, spikes_id=spikes) == []
    assert "no units were found" in videre.get_spike_sorter_state(spikes).warn_msg


def test_channels_in_one_place(videre: VidereClient, tmp_path: Path) -> None:
    path = written(noise(3.0), tmp_path, pitch_um=0.0)
    ds = videre.link_data_file(path)
    with pytest.raises(ConfigurationError, match=r"0 at \(0, 0\) um and 1 at \(0, 0\) um.*9 more.*set_probe|set_probe"):
        videre.spike_sort(ds)
    videre.spike_sort(ds, channels=[4])  # one by itself is in nobody's place
    with pytest.raises(ConfigurationError, match="named twice"):
        videre._hub.sorters.launch([ds.id], SpikeSorterLaunchParams(), _options(channels=(3, 3)))


def _options(**given: object) -> object:
    from ranvier.models.sorting import SortOptions

    return SortOptions.model_validate(given)


def test_bad_channels_are_left_out_and_do_not_enter_the_reference(videre: VidereClient, tmp_path: Path) -> None:
    x = with_spikes(noise(6.0), 2)
    x[:, 7] = 0.0
    x[:, 8] = np.clip(x[:, 8] + np.where(np.arange(len(x)) // 900 % 2, 3000.0, -3000.0), -3000.0, 3000.0)
    path = written(x, tmp_path)
    sorter = videre.spike_sort(path)
    warned = videre.get_spike_sorter_state(sorter).warn_msg
    assert "1 channels are left out (silent): 7" in warned
    assert "1 channels are left out (saturated): 8" in warned
    with SpikeStore.open(tmp_path / "made_SIMULATED.spikes") as store:
        assert [s.ntv for s in store.info.sites] == [0, 1, 2, 3, 4, 5, 6, 9]
        assert store.info.provenance is not None
        assert any("silent" in note for note in store.info.provenance["notes"])
    (unit,) = videre.get_units(path, spikes_id=sorter)
    assert unit.site_ntv_chan_idx == 2
    assert unit.spike_count == pytest.approx(6 * RATE / 1500, abs=3)


def test_windows_with_spikes_of_one_unit_are_no_artifacts() -> None:
    x = recording(with_spikes(noise(3.0), 2, every=250))
    every = np.arange(CHANNELS)
    found = suitable(x, x, every, 0, x.stop)
    np.testing.assert_array_equal(found.columns, every)
    assert found.notes == ()
    assert artifact_share(np.ones((2, 0, CHANNELS), np.float32)) == 0.0
