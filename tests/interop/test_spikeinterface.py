"""SpikeInterface both ways, in the environment where it is installed; and what is said where it is not."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from interop_tools import Curated

from ranvier.exceptions import CapabilityError
from ranvier.interop import spikeinterface as interop
from ranvier.spikes import SpikeStore

HERE = importlib.util.find_spec("spikeinterface") is not None


@pytest.mark.skipif(HERE, reason="SpikeInterface is installed here")
def test_without_spikeinterface_it_says_what_to_install(curated: Curated) -> None:
    for call in (interop.register, lambda: curated.videre.to_spikeinterface(curated.recording)):
        with pytest.raises(CapabilityError, match="pip install spikeinterface"):
            call()


@pytest.mark.slow
@pytest.mark.interop
def test_our_files_as_spikeinterface_objects(curated: Curated, peer: Callable[[str], str]) -> None:
    script = f"""
import json, os
os.environ["RANVIER_HOME"] = {str(curated.folder / "home2")!r}
import numpy as np
import spikeinterface as si
from ranvier import VidereClient
from ranvier.interop.spikeinterface import read_recording, read_sorting
path = {str(curated.folder / "rec_SIMULATED.xdat")!r}
sorting, recording = VidereClient(progress=False).to_spikeinterface(path)
file = read_sorting({str(curated.folder / "rec_SIMULATED.spikes")!r})
again = si.load(recording.to_dict())
analyzer = si.create_sorting_analyzer(file, recording, sparse=False)
analyzer.compute(["random_spikes", "waveforms", "templates"])
templates = analyzer.get_extension("templates").get_data()
print(json.dumps(dict(
    units=[int(u) for u in sorting.unit_ids], file=[int(u) for u in file.unit_ids],
    trains={{int(u): sorting.get_unit_spike_train(u).tolist() for u in sorting.unit_ids}},
    same=all((sorting.get_unit_spike_train(u) == file.get_unit_spike_train(u)).all() for u in sorting.unit_ids),
    quality=file.get_property("quality").tolist(), called=sorting.get_property("quality").tolist(),
    location=sorting.get_property("location").tolist(),
    fs=recording.get_sampling_frequency(), n=recording.get_num_samples(), t=float(recording.get_times()[0]),
    places=recording.get_channel_locations().tolist(), traces=recording.get_traces(0, 1000, 1010).tolist(),
    again=again.get_traces(0, 1000, 1010).tolist(), channels=recording.channel_ids.tolist(),
    peak=float(templates[1].min()))))
"""
    found = json.loads(peer(script).splitlines()[-1])
    store = SpikeStore.open(curated.folder / "rec_SIMULATED.spikes")
    units = [3, 5, curated.merged]  # not what is noise
    assert found["units"] == found["file"] == units
    assert found["same"]
    for unit in units:
        assert found["trains"][str(unit)] == (store.unit_samples(unit) - 60_000).tolist()
    assert found["quality"] == found["called"] == ["good", "unsorted", "unsorted"]
    assert (found["fs"], found["n"], found["t"]) == (30_000, 240_000, 2.0)
    known = curated.videre.get_neurons(curated.recording).neurons_by_channel
    place = next(n.pos_probe for some in known.values() for n in some if n.spike_label == "5")
    assert found["location"][1] == pytest.approx(place[:2])
    own = curated.videre.get_signals(curated.recording, [2.0, 3.0], "all").amp
    assert own is not None
    np.testing.assert_allclose(np.array(found["traces"]).T, own[:, 1000:1010], atol=1e-3)
    assert found["traces"] == found["again"]  # made again from JSON, as in SpikeInterface's worker processes
    sites = curated.recording.channel_metadata.site_positions
    assert sites is not None
    assert sorted(y for _, y in found["places"]) == sorted(site.probe_y for site in sites)
    assert found["peak"] < -30  # uV


@pytest.mark.slow
@pytest.mark.interop
def test_a_spikeinterface_sorting_as_a_file(curated: Curated, peer: Callable[[str], str]) -> None:
    """From memory with text ids, and of a recording that Ranvier reads: the file then belongs to it."""
    truth = SpikeStore.open(curated.folder / "rec_SIMULATED.spikes").select(units=[3, 5])
    np.savez(curated.folder / "in.npz", samples=truth.samples - 60_000, units=truth.units)
    script = f"""
import numpy as np
from spikeinterface.core import NumpySorting, generate_ground_truth_recording
from ranvier.interop.spikeinterface import read_recording, write_spikes
given = np.load({str(curated.folder / "in.npz")!r})
names = np.array(["a", "b"])[(given["units"] == 5).astype(int)]
sorting = NumpySorting.from_samples_and_labels([given["samples"]], [names], 30000.0, unit_ids=np.array(["a", "b"]))
sorting.set_property("quality", np.array(["good", "unsorted"]))
write_spikes(sorting, {str(curated.folder / "rec_SIMULATED.si.spikes")!r},
             recording={str(curated.folder / "rec_SIMULATED.xdat")!r})
print(write_spikes(sorting, {str(curated.folder / "bare")!r}))
recording, units = generate_ground_truth_recording(durations=[5.0], num_channels=8, num_units=3, seed=1)
print(write_spikes(units, {str(curated.folder / "theirs")!r}, recording=recording))
"""
    peer(script)
    ids = curated.videre.get_spikes_ids(curated.recording)
    (mine,) = [one for one in ids if ".si" in one or "_si" in one or one.endswith("si")] or ids[1:2]
    neurons = {u.label: u for u in curated.videre.get_units(curated.recording, spikes_id=mine)}
    assert set(neurons) == {1, 2}
    other = {u.label: u for u in curated.videre.get_units(curated.recording)}
    assert neurons[2].site_ntv_chan_idx == other[5].site_ntv_chan_idx
    assert neurons[2].snr == pytest.approx(other[5].snr, rel=0.3)
    store = SpikeStore.open(curated.folder / "rec_SIMULATED.si.spikes")
    assert (store.units[1].name, store.units[1].label) == ("a", "good")
    assert store.unit_samples(2).tolist() == truth.samples[truth.units == 5].tolist()
    bare = SpikeStore.open(curated.folder / "bare.spikes")
    assert bare.info.recording is None
    assert bare.counts() == {0: 0, 1: int((truth.units == 3).sum()), 2: int((truth.units == 5).sum())}
    theirs = SpikeStore.open(curated.folder / "theirs.spikes")
    assert len(theirs.units) == 3
    assert all(unit.site >= 0 and unit.y_um is not None for unit in theirs.units.values())
    assert theirs.templates is not None


@pytest.mark.slow
@pytest.mark.interop
def test_run_sorter_runs_ranvier(tmp_path: Path, peer: Callable[[str], str]) -> None:
    """The sorter by name, on SpikeInterface's own recording, whose truth it knows."""
    script = f"""
import json
import spikeinterface.comparison as sc
from spikeinterface.core import generate_ground_truth_recording
from spikeinterface.preprocessing import bandpass_filter
from spikeinterface.sorters import installed_sorters, read_sorter_folder, run_sorter
from ranvier.interop.spikeinterface import register
register(); register()
recording, truth = generate_ground_truth_recording(
    durations=[40.0], num_channels=16, num_units=5, seed=3, noise_kwargs=dict(noise_levels=5.0))
recording = recording.save(folder={str(tmp_path / "in")!r})
folder = {str(tmp_path / "out")!r}
found = run_sorter("ranvier", recording, folder=folder, seed=4, workers=1)
score = sc.compare_sorter_to_ground_truth(truth, found, exhaustive_gt=True).get_performance()["accuracy"]
again = read_sorter_folder(folder)
other = run_sorter("ranvier", bandpass_filter(recording), folder=folder + "2")
print(json.dumps(dict(installed="ranvier" in installed_sorters(), score=score.tolist(),
    again=[int(u) for u in again.unit_ids] == [int(u) for u in found.unit_ids], n=len(other.unit_ids),
    band=json.load(open(folder + "2/spikeinterface_params.json"))["sorter_params"]["band_hz"])))
"""
    found = json.loads(peer(script).splitlines()[-1])
    assert found["installed"]
    assert found["again"]
    assert sum(score > 0.8 for score in found["score"]) >= 4  # of 5 units
    assert found["n"] >= 3
    assert found["band"] is None  # it was filtered already
    assert (tmp_path / "out" / "sorter_output" / "units.spikes").is_file()
