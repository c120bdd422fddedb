"""Exports of spikes: what stands in the files, and (slow) that the programs they are for read them."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from interop_tools import Curated

from ranvier.cli import main
from ranvier.exceptions import CapabilityError, ConfigurationError, OutputError, OutputExistsError
from ranvier.interop.phy import export_phy
from ranvier.interop.sorted_spikes import SortedSpikes
from ranvier.recordings import plain_channels
from ranvier.recordings.memory import ArrayRecording
from ranvier.spikes import SpikeStore, StoreInfo, write_store

METADATA = {
    "subject": {"subject_id": "m1", "species": "Mus musculus", "age": "P90D", "sex": "M", "description": "a mouse"},
    "electrode_location": "VISp",
    "experimenter": ["Doe, Jane"],
    "institution": "University",
    "experiment_description": "Units of a test recording.",
    "keywords": ["spikes"],
    "session_start_time": "2026-03-01T10:00:00",
    "timezone": "Europe/Berlin",
    "session_id": "s1",
    "lab": "Lab",
}


def store_of(curated: Curated) -> SpikeStore:
    return SpikeStore.open(curated.folder / "rec_SIMULATED.spikes")


def test_phy_holds_the_curated_units(curated: Curated) -> None:
    params = curated.videre.export_spikes(curated.recording, curated.folder / "phy", signals=True)
    folder, store = params.parent, store_of(curated)
    clusters, times = np.load(folder / "spike_clusters.npy"), np.load(folder / "spike_times.npy")
    assert sorted(set(clusters.tolist())) == [3, 4, 5, curated.merged]
    wanted = store.select(units=[3, 4, 5, curated.merged])
    assert times.tolist() == (wanted.samples - 60_000).tolist()  # rows, from the recording's first sample
    assert clusters.tolist() == wanted.units.tolist()
    group = dict(line.split("\t") for line in (folder / "cluster_group.tsv").read_text().splitlines()[1:])
    assert group == {"3": "good", "4": "noise", "5": "unsorted", str(curated.merged): "unsorted"}
    templates, of = np.load(folder / "templates.npy"), np.load(folder / "spike_templates.npy")
    mean = curated.videre.get_unit_waveforms(curated.recording, 5, list(range(16)), most=200).mean_uv
    np.testing.assert_allclose(templates[2].T * 0.195, mean, atol=0.2)
    amplitude, extreme = np.load(folder / "amplitudes.npy"), np.abs(templates * 0.195).max(axis=(1, 2))
    assert np.allclose(amplitude[of == 2] * extreme[2], amplitude[of == 2] * np.abs(mean).max(), rtol=1e-2)
    dat = np.fromfile(folder / "recording.dat", "<i2").reshape(-1, 16)
    own = curated.videre.get_signals(curated.recording, [2.0, 3.0], "all").amp
    assert own is not None
    np.testing.assert_allclose(dat[:30_000].T * 0.195, own, atol=0.1)
    with pytest.raises(OutputExistsError):
        curated.videre.export_spikes(curated.recording, curated.folder / "phy")


def test_phy_and_back(curated: Curated) -> None:
    """What is exported is imported as what it was: spikes, labels, waveforms in uV."""
    curated.videre.export_spikes(curated.recording, curated.folder / "phy", signals=True)
    back = curated.videre.convert_spikes(
        curated.folder / "phy", curated.folder / "back", recording=curated.recording, force=True
    )
    own, again = store_of(curated), SpikeStore.open(curated.folder / "back.spikes")
    for unit in (3, 4, 5, curated.merged):
        assert again.unit_samples(unit).tolist() == own.unit_samples(unit).tolist()
        assert again.units[unit].label == own.units[unit].label
        amplitude = again.select(units=[unit], columns=("amplitude_uv",)).columns["amplitude_uv"]
        assert -400 < amplitude.mean() < -20
    ours = curated.videre.get_unit_waveforms(curated.recording, 5, list(range(16)), most=200).mean_uv
    np.testing.assert_allclose(again.template(5), ours, rtol=0.05, atol=1.0)
    assert back.parent_dsource_id == curated.recording.id


def test_halves_of_a_unit_have_waveforms_of_their_own(curated: Curated) -> None:
    """Every merged unit's spikes are of two neurons here: split apart again, each looks like itself, not like both."""
    store = store_of(curated)
    samples = store.unit_samples(curated.merged)
    curated.videre.undo_curation(curated.recording)  # the label, the other label, the merge
    curated.videre.undo_curation(curated.recording)
    curated.videre.undo_curation(curated.recording)
    first = store_of(curated).unit_samples(1)
    merged = curated.videre.merge_units(curated.recording, [1, 2])
    assert merged > curated.merged  # the number that was undone is not given again
    halves = curated.videre.split_unit(curated.recording, merged, np.isin(samples, first))
    assert len(halves) == 2
    waves = [curated.videre.get_unit_waveforms(curated.recording, h, list(range(16)), most=200) for h in halves]
    sizes = {u.label: u for u in curated.videre.get_units(curated.recording)}
    assert all(sizes[h].snr > 0 for h in halves)
    params = curated.videre.export_spikes(curated.recording, curated.folder / "halves", signals=True)
    templates, clusters = np.load(params.parent / "templates.npy"), np.load(params.parent / "spike_clusters.npy")
    rows = {int(unit): k for k, unit in enumerate(np.unique(clusters))}
    for half, wave in zip(halves, waves, strict=True):
        np.testing.assert_allclose(templates[rows[half]].T * 0.195, wave.mean_uv, atol=0.2)
    assert len(store) == len(store_of(curated))


def test_unitmatch_has_two_halves_of_every_unit(curated: Curated) -> None:
    folder = curated.videre.export_spikes(curated.recording, curated.folder / "um", "unitmatch")
    rows = [line.split("\t") for line in (folder / "cluster_group.tsv").read_text().splitlines()]
    assert rows[0] == ["cluster_id", "group"]
    assert dict(rows[1:]) == {"3": "good", "4": "noise", "5": "good", str(curated.merged): "good"}
    assert np.load(folder / "channel_positions.npy").shape == (16, 2)
    for unit, _ in rows[1:]:
        halves = np.load(folder / "RawWaveforms" / f"Unit{unit}_RawSpikes.npy")
        assert halves.shape == (82, 16, 2)
        main = int(np.ptp(halves[:, :, 0], axis=0).argmax())
        assert abs(int(halves[:, main, 0].argmin()) - 41) <= 3  # the spike is in the middle
        assert np.corrcoef(halves[:, main, 0], halves[:, main, 1])[0, 1] > 0.9
        assert np.abs(halves[:20].mean(axis=0)).max() < 5  # uV, without the baseline


def test_nwb_units(curated: Curated) -> None:
    from pynwb import NWBHDF5IO, validate

    path = curated.videre.export_spikes(curated.recording, curated.folder / "units", "nwb", metadata=METADATA)
    with NWBHDF5IO(path, "r") as io:
        assert validate(io=io) == []
        file = io.read()
        units = file.units
        assert units.id[:].tolist() == [3, 5, curated.merged]  # what is noise is not archived
        store = store_of(curated)
        for row, unit in enumerate((3, 5, curated.merged)):
            assert np.allclose(units["spike_times"][row], store.unit_samples(unit) / 30_000, atol=1e-9)
        assert list(units["quality"][:]) == ["good", "unsorted", "unsorted"]
        assert units["waveform_mean"].data.shape == (3, 90, 6)
        mean = curated.videre.get_unit_waveforms(curated.recording, 5, most=200).mean_uv
        assert np.nanmin(units["waveform_mean"][1]) == pytest.approx(mean.min() * 1e-6, rel=1e-3)  # V
        nearest = units["electrodes"][1]["ntv_chan_idx"].tolist()
        assert nearest[0] == units["peak_channel"][1]
        assert len(nearest) == 6
        assert units["obs_intervals"][0].tolist() == [[2.0, 10.0]]
        assert file.subject.subject_id == "m1"
        peaks = dict(zip((3, 5, curated.merged), units["peak_channel"][:].tolist(), strict=True))
    back = curated.videre.get_neurons(path).neurons_by_channel  # read as any file of units
    assert {int(n.spike_label): n.site_ntv_chan_idx for some in back.values() for n in some} == peaks


def test_what_cannot_be_exported(curated: Curated, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="phy, nwb, unitmatch"):
        curated.videre.export_spikes(curated.recording, tmp_path / "x", "mat")
    with pytest.raises(ConfigurationError, match="for phy only"):
        curated.videre.export_spikes(curated.recording, tmp_path / "x", "nwb", signals=True)
    bare = write_store(tmp_path / "bare", StoreInfo(Fraction(30_000)), {"sample_index": [5, 9], "unit": [1, 1]})
    for kind in ("phy", "nwb", "unitmatch"):
        with pytest.raises(CapabilityError):
            curated.videre.export_spikes(bare, tmp_path / "x", kind)
        assert not [p.name for p in tmp_path.iterdir() if p.name.lstrip(".").startswith("x")]  # nothing half is left


@pytest.mark.parametrize("kind", ["phy", "unitmatch"])
def test_force_replaces_an_export_and_no_other_folder_or_file(curated: Curated, kind: str) -> None:
    def export(where: Path) -> None:
        curated.videre.export_spikes(curated.recording, where, kind, force=True)

    before = {p.name: p.read_bytes() for p in curated.folder.iterdir() if p.is_file()}
    mine = curated.folder / "mine"
    export(mine)
    export(mine)
    (mine / "notes.txt").write_text("a day's work")
    for where, why in (
        (mine, "it holds notes.txt, which would be lost"),
        (curated.folder, "which would be lost"),  # that of the recording
        (curated.folder / "rec_SIMULATED.xdat.json", "never replaced"),
        (curated.folder / "mine" / "notes.txt", "is a file, and a folder is to be written"),
    ):
        with pytest.raises(OutputError, match=why):
            export(where)
    assert (mine / "notes.txt").read_text() == "a day's work"
    assert {p.name: p.read_bytes() for p in curated.folder.iterdir() if p.is_file()} == before


def test_an_nwb_recording_is_not_replaced_by_its_units(curated: Curated) -> None:
    nwb = curated.videre.convert(curated.recording, curated.folder / "whole.nwb")
    path, spikes = curated.folder / "whole.nwb", store_of(curated).path
    before = path.read_bytes()
    for name in ("whole.nwb", "whole", "../" + curated.folder.name + "/whole.nwb"):
        with pytest.raises(OutputError, match="never replaced"):
            curated.videre.export_spikes(spikes, curated.folder / name, "nwb", recording=nwb, force=True)
    assert path.read_bytes() == before
    with pytest.raises(OutputError, match="never replaced"):  # the same file by another name
        curated.videre.convert_spikes(spikes, curated.folder / ".." / curated.folder.name / spikes.name, force=True)


def test_the_command(curated: Curated, capsys: pytest.CaptureFixture[str]) -> None:
    recording = curated.folder / "rec_SIMULATED.xdat"
    assert main(["spikes", "units", str(recording), "--json"]) == 0
    assert [unit["unit"] for unit in json.loads(capsys.readouterr().out)] == [3, 5, curated.merged]
    assert main(["spikes", "units", str(recording)]) == 0
    assert "good" in capsys.readouterr().out
    assert main(["spikes", "export", str(recording), str(curated.folder / "out")]) == 0
    assert capsys.readouterr().out.strip() == str(curated.folder / "out" / "params.py")
    assert main(["spikes", "import", str(curated.folder / "out"), str(curated.folder / "in")]) == 0
    assert capsys.readouterr().out.strip() == str(curated.folder / "in.spikes")
    assert main(["spikes", "export", str(recording), str(curated.folder / "out")]) == 1
    assert "exists already" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.interop
def test_phylib_opens_phy(curated: Curated, peer: Callable[[str], str]) -> None:
    params = curated.videre.export_spikes(curated.recording, curated.folder / "phy", signals=True)
    script = f"""
import json, numpy as np
from phylib.io.model import load_model
model = load_model({str(params)!r})
unit = int(model.cluster_ids[-1])
wave = model.get_cluster_spike_waveforms(unit)
template = model.get_template(int(model.spike_templates[model.spike_clusters == unit][0]))
print(json.dumps(dict(
    clusters=model.cluster_ids.tolist(), spikes=int(model.n_spikes), rows=model.traces.shape[0],
    group=model.metadata["group"], raw=float(np.median(wave, axis=0).min()), template=float(template.template.min()),
    similar=model.similar_templates.shape, shanks=model.channel_shanks.tolist())))
"""
    found = json.loads(peer(script).splitlines()[-1])
    assert found["clusters"] == [3, 4, 5, curated.merged]
    assert found["spikes"] == len(store_of(curated).select(units=found["clusters"]))
    assert found["rows"] == 240_000
    assert found["group"]["3"] == "good"
    assert found["raw"] == pytest.approx(found["template"], rel=0.25)  # both in counts; the template is filtered
    assert found["similar"] == [4, 4]


@pytest.mark.slow
@pytest.mark.interop
def test_spikeinterface_reads_phy_and_nwb(curated: Curated, peer: Callable[[str], str]) -> None:
    curated.videre.export_spikes(curated.recording, curated.folder / "phy")
    path = curated.videre.export_spikes(curated.recording, curated.folder / "units", "nwb", metadata=METADATA)
    script = f"""
import json
import spikeinterface.extractors as se
phy = se.read_phy({str(curated.folder / "phy")!r})
nwb = se.read_nwb_sorting({str(path)!r}, sampling_frequency=30000.0, t_start=2.0)
out = dict(phy={{int(u): phy.get_unit_spike_train(u).tolist() for u in phy.unit_ids}},
           quality=phy.get_property("quality").tolist(),
           nwb={{str(u): nwb.get_unit_spike_train(u).tolist() for u in nwb.unit_ids}})
print(json.dumps(out))
"""
    found, store = json.loads(peer(script).splitlines()[-1]), store_of(curated)
    assert found["quality"] == ["good", "noise", "unsorted", "unsorted"]
    for unit in (3, 5, curated.merged):
        rows = (store.unit_samples(unit) - 60_000).tolist()
        assert found["phy"][str(unit)] == rows
        assert found["nwb"][str(unit)] == rows


@pytest.mark.slow
@pytest.mark.interop
def test_nwbinspector_has_nothing_to_say(curated: Curated, peer: Callable[[str], str]) -> None:
    path = curated.videre.export_spikes(curated.recording, curated.folder / "units", "nwb", metadata=METADATA)
    script = f"""
import json
from nwbinspector import inspect_nwbfile, load_config
print(json.dumps([f"{{m.check_function_name}}: {{m.message}}"
                  for m in inspect_nwbfile(nwbfile_path={str(path)!r}, config=load_config("dandi"))]))
"""
    assert json.loads(peer(script).splitlines()[-1]) == []


def test_phy_says_what_its_copy_of_the_samples_lost(tmp_path: Path) -> None:
    samples = np.zeros((3_000, 2), np.float32)
    samples[1_000, 0], samples[1_001, 0], samples[1_002, 1] = 7_000, -np.inf, np.nan
    recording = ArrayRecording(samples, 30_000, plain_channels(amp=2))
    store = SpikeStore.open(
        write_store(tmp_path / "own", StoreInfo(Fraction(30_000)), {"sample_index": [500, 900], "unit": [1, 1]})
    )
    spikes = SortedSpikes(store, store.units, recording.channels, recording, 0, 3_000)
    params = export_phy(spikes, tmp_path / "phy", signals=True)
    comments = [line for line in params.read_text().splitlines() if line.startswith("#")]
    assert [line.partition(" (")[0] for line in comments] == [
        "# 2 values were saturated", "# 1 values that were not known"
    ]  # fmt: skip
    stored = np.fromfile(params.with_name("recording.dat"), "<i2").reshape(-1, 2)
    assert stored[1_000:1_003].tolist() == [[32_767, 0], [-32_768, 0], [0, 0]]
