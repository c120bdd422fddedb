"""Datasets, settings and provenance."""

from __future__ import annotations

from pathlib import Path

import pytest

from ranvier.exceptions import ConfigurationError, DatasetError, StoreError
from ranvier.models.dataset import RadiensFileType
from ranvier.models.signals import SignalType
from ranvier.store import DatasetRecord, Store, dataset_id

XDAT, NWB = RadiensFileType.XDAT, RadiensFileType.NWB


def test_dataset_id_is_fixed_by_path_type_and_stream() -> None:
    made = dataset_id("rec", "/data/rec.xdat.json", XDAT, None)
    assert made == "rec_-_621df654"  # SHA-256 of "/data/rec.xdat.json\0XDAT\0"; ids in users' notes must stay valid
    assert made == dataset_id("rec", Path("/data/rec.xdat.json"), XDAT, "")
    others = {
        dataset_id("rec", "/data/rec.xdat.json", NWB, None),
        dataset_id("rec", "/data/rec.xdat.json", XDAT, "probe"),
        dataset_id("rec", "/data/b/rec.xdat.json", XDAT, None),
    }
    assert len(others | {made}) == 4


def test_relinking_gives_the_same_id_and_keeps_settings(tmp_path: Path) -> None:
    with Store(tmp_path / "home") as store:
        first = store.datasets.link("rec", tmp_path / "rec.xdat", XDAT, uid="u1")
        store.datasets.set_selection(first.id, {SignalType.AMP: [3, 1]})
    with Store(tmp_path / "home") as store:
        again = store.datasets.link("rec", tmp_path / "sub" / ".." / "rec.xdat", XDAT)
        assert again.id == first.id
        assert again.uid == "u1"
        assert again.selected == {SignalType.AMP: (3, 1)}
        assert len(store.datasets.all()) == 1


def test_links_are_resolved(store: Store, tmp_path: Path) -> None:
    (tmp_path / "rec.xdat").write_text("")
    (tmp_path / "alias.xdat").symlink_to(tmp_path / "rec.xdat")
    assert store.datasets.link("rec", tmp_path / "alias.xdat", XDAT) == store.datasets.link(
        "rec", tmp_path / "rec.xdat", XDAT
    )


def test_force_adds_a_counter(store: Store) -> None:
    ids = [store.datasets.link("rec", "/d/rec", XDAT, force=force).id for force in (False, True, True, False)]
    assert ids == [ids[0], f"{ids[0]}.2", f"{ids[0]}.3", ids[0]]


def test_files_whose_digits_collide_stay_apart(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ranvier.store.datasets.dataset_id", lambda base, path, kind, stream: f"{base}_-_00000000")
    first, second = store.datasets.link("rec", "/a/rec", XDAT), store.datasets.link("rec", "/b/rec", XDAT)
    assert (first.id, second.id) == ("rec_-_00000000", "rec_-_00000000.2")
    assert store.datasets.link("rec", "/b/rec", XDAT) == second
    assert store.datasets.link("rec", "/a/rec", XDAT) == first


def test_a_dataset_round_trips(store: Store, tmp_path: Path) -> None:
    groups = {"shank 1": {"amp": [0, 1]}, "µ": None}
    record = DatasetRecord(
        "x_-_1", tmp_path / "x.nwb", NWB, "ElectricalSeries", "x", "u", selected={}, groups=groups, dsp=[{"low": 300.0}]
    )
    store.datasets.put(record)
    assert store.datasets.get("x_-_1") == record
    assert store.datasets.find("x_-_2") is None


def test_selection_changes_one_type_only(store: Store) -> None:
    made = store.datasets.link("rec", "/d/rec", XDAT)
    store.datasets.set_selection(made.id, {SignalType.AMP: range(3), SignalType.DIN: []})
    store.datasets.set_selection(made.id, {SignalType.AMP: [2]})
    assert store.datasets.get(made.id).selected == {SignalType.AMP: (2,), SignalType.DIN: ()}
    store.datasets.set_groups(made.id, {"a": 1})
    store.datasets.set_dsp(made.id, {"b": 2})
    store.datasets.set_groups(made.id, None)
    known = store.datasets.get(made.id)
    assert (known.groups, known.dsp) == (None, {"b": 2})


def test_unknown_datasets_are_named(store: Store) -> None:
    for call in (
        lambda: store.datasets.get("nobody"),
        lambda: store.datasets.set_selection("nobody", {SignalType.AMP: [1]}),
        lambda: store.datasets.set_dsp("nobody", {}),
    ):
        with pytest.raises(DatasetError, match="'nobody' is linked"):
            call()


def test_a_path_that_is_no_text_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="rename the file"):
        store.datasets.link("rec", "/d/caf\udce9", XDAT)
    assert store.datasets.all() == []


def test_remove_tells_what_was_there(store: Store) -> None:
    a, b = (store.datasets.link(name, f"/d/{name}", XDAT).id for name in "ab")
    assert store.datasets.remove([a, "nobody"]) == [a]
    assert [d.id for d in store.datasets.all()] == [b]


def test_settings(store: Store) -> None:
    store.settings.set("theme", {"dark": True})
    assert store.settings.get("theme") == {"dark": True}
    assert store.settings.get("other", 5) == 5
    store.settings.remove("theme")
    store.settings.remove("theme")
    assert store.settings.all() == {}
    with pytest.raises(ConfigurationError, match="setting 'bad'"):
        store.settings.set("bad", object())


def test_provenance_follows_the_file(store: Store, tmp_path: Path) -> None:
    record = {"version": 1, "sources": [{"path": "a"}], "seed": None}
    store.provenance.put(tmp_path / "out.xdat", record)
    assert store.provenance.get(tmp_path / "b" / ".." / "out.xdat") == record
    store.provenance.move(tmp_path / "out.xdat", tmp_path / "copy.xdat", copy=True)
    store.provenance.move(tmp_path / "out.xdat", tmp_path / "new.xdat")
    assert store.provenance.get(tmp_path / "out.xdat") is None
    assert store.provenance.get(tmp_path / "new.xdat") == store.provenance.get(tmp_path / "copy.xdat") == record
    store.provenance.move(tmp_path / "nothing", tmp_path / "new.xdat")
    store.provenance.remove(tmp_path / "new.xdat")
    assert store.provenance.get(tmp_path / "new.xdat") is None
