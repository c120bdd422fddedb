"""Kilosort and phy folders: templates out of whitening into uV, amplitudes, places, labels; real and made ones."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from ranvier import VidereClient
from ranvier.interop.kilosort import store_of_folder
from ranvier.recordings.channels import ChannelTable, Site, plain_channels
from ranvier.spikes import SpikeStore
from ranvier.spikes.curation import NO_UNITS

FS = Fraction(30000)
GAIN = 2.34
CHANNELS = 6


def table() -> ChannelTable:
    sites = [replace(c, site=Site(0.0, 20.0 * k)) for k, c in enumerate(plain_channels(amp=CHANNELS))]
    return ChannelTable(tuple(sites))


def truth() -> npt.NDArray[np.float64]:
    """Return templates in counts ``(3, 40, 6)``: troughs of 60, 40 and 90 on channels 1, 3 and 4."""
    shape = -np.exp(-0.5 * ((np.arange(40) - 15) / 2.5) ** 2)
    out = np.zeros((3, 40, CHANNELS))
    for k, (channel, size) in enumerate(((1, 60.0), (3, 40.0), (4, 90.0))):
        for near in range(CHANNELS):
            out[k, :, near] = shape * size * np.exp(-abs(near - channel))
    return out


def folder(tmp_path: Path, *, transposed: bool = False, kilosort4: bool = False) -> Path:
    """Write a whitened output as Kilosort does: 90 spikes, clusters 0, 2 and 5; 5 was made from templates 1 and 2.

    Kilosort 1 to 3 write templates of norm 1 and amplitudes that scale them; 4 means, and norms of the spikes.
    """
    made = tmp_path / "ks"
    made.mkdir()
    rng = np.random.default_rng(1)
    mixing = np.eye(CHANNELS) + 0.2 * rng.normal(size=(CHANNELS, CHANNELS))
    whitened = truth() @ mixing
    template = np.repeat([0, 1, 2], 30)
    norm = np.sqrt((whitened**2).sum(axis=(1, 2)))
    amplitude = norm[template] * np.tile([0.9, 1.1], 45) * (1.1 if kilosort4 else 1.0)  # with the noise of a spike
    if not kilosort4:
        whitened /= norm[:, None, None]
    cluster = np.repeat([0, 2, 5], 30)
    cluster[30:40] = 5
    times = rng.permutation(90) * 1000 + 100
    column = (lambda x: np.asfortranarray(x[:, None])) if transposed else (lambda x: x)
    np.save(made / "spike_times.npy", column(times.astype(np.uint64)))
    np.save(made / "spike_templates.npy", column(template.astype(np.uint32)))
    np.save(made / "spike_clusters.npy", column(cluster.astype(np.int32)))
    np.save(made / "amplitudes.npy", column(amplitude))
    np.save(made / "templates.npy", whitened.astype(np.float32))
    np.save(made / "whitening_mat_inv.npy", np.linalg.inv(mixing))
    np.save(made / "channel_map.npy", np.arange(CHANNELS))
    np.save(made / "channel_positions.npy", np.stack([np.zeros(CHANNELS), 20.0 * np.arange(CHANNELS)], axis=1))
    (made / "params.py").write_text(f"sample_rate = 30000.0\nampfactor = {GAIN * 1e-6!r}\n")
    (made / "cluster_KSLabel.tsv").write_text("cluster_id\tKSLabel\n0\tgood\n2\tgood\n5\tmua\n")
    (made / "cluster_group.tsv").write_text("cluster_id\tgroup\n2\tnoise\n")
    return made


@pytest.mark.parametrize("kilosort4", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
def test_waveforms_are_unwhitened_and_in_uv(tmp_path: Path, transposed: bool, kilosort4: bool) -> None:
    store = store_of_folder(folder(tmp_path, transposed=transposed, kilosort4=kilosort4), FS, table(), None)
    templates = store.templates
    assert templates is not None
    assert (templates.units.tolist(), templates.before) == ([1, 3, 6], 15)  # clusters 0, 2 and 5
    first = store.template(1)
    assert first is not None
    np.testing.assert_allclose(first, truth()[0].T * GAIN, rtol=1e-4, atol=1e-3)
    mixed = store.template(6)  # 10 spikes of template 1, 30 of template 2
    np.testing.assert_allclose(mixed, (0.25 * truth()[1] + 0.75 * truth()[2]).T * GAIN, rtol=1e-4, atol=1e-3)
    found = store.select(units=[1], columns=("amplitude_uv", "site"))
    sizes = np.sort(found.columns["amplitude_uv"]) / (-60.0 * GAIN)
    np.testing.assert_allclose(sizes, np.repeat([1.1, 0.9], 15), rtol=1e-4)
    assert set(found.sites.tolist()) == {1}
    assert store.units[1].mean_abs_peak_uv == pytest.approx(60 * GAIN, rel=1e-4)
    assert store.info.parameters["unwhitened_with"] == "whitening_mat_inv"
    how = "norm of the whitened spike" if kilosort4 else "share of the template"
    assert store.info.parameters["amplitudes"] == how


def test_labels_and_places(tmp_path: Path) -> None:
    store = store_of_folder(folder(tmp_path), FS, table(), None)
    assert {unit: record.label for unit, record in store.units.items()} == {1: "good", 3: "noise", 6: "mua"}
    assert store.units[1].site == 1
    assert store.units[1].y_um == pytest.approx(20.0, abs=3.0)
    assert store.counts()[3] == 20  # what is noise keeps its spikes
    with VidereClient(progress=False) as videre:
        ds = videre.link_data_file(tmp_path / "ks")
        assert [unit.label for unit in videre.get_units(ds)] == [1, 6]
        made = videre.convert_spikes(ds, tmp_path / "imported")
        assert [unit.label for unit in videre.get_units(made)] == [1, 6]
        waveforms = videre.get_unit_waveforms(made, 1)
        assert waveforms.source == "template"
        assert waveforms.mean_uv.min() == pytest.approx(-60 * GAIN, rel=1e-4)


def test_spike_positions_and_other_whitenings(tmp_path: Path) -> None:
    made = folder(tmp_path)
    whole = store_of_folder(made, FS, table(), None)
    places = np.stack([np.full(90, 3.0), np.linspace(0, 89, 90)], axis=1)
    np.save(made / "spike_positions.npy", places)
    np.save(made / "whitening_mat.npy", np.linalg.inv(np.load(made / "whitening_mat_inv.npy")))
    (made / "whitening_mat_inv.npy").unlink()
    store = store_of_folder(made, FS, table(), None)
    assert store.units[1].y_um == pytest.approx(14.5)
    assert store.units[1].x_um == 3.0
    assert whole.templates is not None
    assert store.templates is not None
    np.testing.assert_allclose(store.templates.templates_uv, whole.templates.templates_uv, rtol=1e-3, atol=1e-2)
    unwhitened = np.load(made / "templates.npy") @ np.linalg.inv(np.load(made / "whitening_mat.npy"))
    np.save(made / "templates_unw.npy", unwhitened.astype(np.float32))
    (made / "whitening_mat.npy").unlink()
    again = store_of_folder(made, FS, table(), None)
    assert again.templates is not None
    np.testing.assert_allclose(again.templates.templates_uv, whole.templates.templates_uv, rtol=1e-3, atol=1e-2)


def test_a_folder_without_whitening_is_in_uv(tmp_path: Path) -> None:
    made = folder(tmp_path)
    (made / "whitening_mat_inv.npy").unlink()
    (made / "params.py").write_text("sample_rate = 30000.0\n")
    sparse = truth()[:, :, [0, 1]].astype(np.float32)
    np.save(made / "templates.npy", sparse)
    np.save(made / "template_ind.npy", np.array([[1, 2], [3, -1], [4, 5]]))
    np.save(made / "amplitudes.npy", np.linspace(-80, -60, 90))
    store = store_of_folder(made, FS, table(), None)
    first = store.template(1)
    assert first is not None
    np.testing.assert_allclose(first[1], truth()[0, :, 0], rtol=1e-2)
    assert np.isnan(first[[0, 3, 4, 5]]).all()
    assert -80 <= store.select(columns=("amplitude_uv",)).columns["amplitude_uv"].min() < -60


@pytest.mark.parametrize("broken", ["templates", "amplitudes", "whitening_mat_inv", "channel_map"])
def test_damaged_arrays_cost_only_what_they_tell(tmp_path: Path, broken: str) -> None:
    made = folder(tmp_path)
    (made / f"{broken}.npy").write_bytes(b"\x93NUMPY\x01\x00 nothing")
    store = store_of_folder(made, FS, table(), None)
    assert store.counts() == {0: 0, 1: 30, 3: 20, 6: 40}


def test_the_sample_output(samples: Path, tmp_path: Path) -> None:
    """15 real units of Kilosort 2: the main channel's trough is what the arrays say, times their amplitude."""
    real = samples / "kilosort_bombcell_toy"
    if not (real / "templates.npy").is_file():
        pytest.skip("no sample Kilosort output")
    with VidereClient(progress=False) as videre:
        ds = videre.link_data_file(real)
        assert any("ampfactor" in note for note in ds.notes)  # the gain is not known, and that is said
        made = videre.convert_spikes(ds, tmp_path / "imported")
    store = SpikeStore.open(tmp_path / "imported.spikes")
    templates, inverse = np.load(real / "templates.npy"), np.load(real / "whitening_mat_inv.npy")
    amplitudes, of = (np.load(real / f"{n}.npy").ravel() for n in ("amplitudes", "spike_templates"))
    assert made.base_name == "imported"
    for template in range(15):
        counts = templates[template].astype(np.float64) @ inverse
        main = int(np.ptp(counts, axis=0).argmax())
        extreme = counts[np.abs(counts[:, main]).argmax(), main]
        found = store.select(units=[template + 1], columns=("site", "amplitude_uv"))
        assert set(found.sites.tolist()) == {int(np.load(real / "channel_map.npy").ravel()[main])}
        wanted = np.sort(amplitudes[of == template] * extreme * 0.195)
        np.testing.assert_allclose(np.sort(found.columns["amplitude_uv"]), wanted, rtol=1e-4)
        record = store.units[template + 1]
        assert record.label.lower() not in NO_UNITS
        assert record.y_um is not None
