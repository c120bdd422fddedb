"""Named hubs: the registry, and what a name opens."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ranvier import VidereClient, connect
from ranvier.exceptions import ConfigurationError, ServerDiscoveryError
from ranvier.store import Store
from ranvier.store.database import Database
from ranvier.store.schema import MIGRATIONS


def test_reading_creates_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    assert store.hubs.all() == {}
    assert not store.home.exists()


def test_a_name_gives_its_address_until_it_is_forgotten(store: Store) -> None:
    store.hubs.put("lab", "embedded:/data/lab")
    store.hubs.put("b", "10.0.0.7:50055")
    store.hubs.put("lab", "embedded:/data/lab2")
    assert store.hubs.all() == {"lab": "embedded:/data/lab2", "b": "10.0.0.7:50055"}
    store.hubs.remove("lab")
    with pytest.raises(ServerDiscoveryError, match=r"no hub 'lab'; known are 'default', 'b'"):
        store.hubs.address("lab")


@pytest.mark.parametrize("name", ["", "default", "a b", "a:1", "a/b"])
def test_names_that_cannot_be(store: Store, name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a hub"):
        store.hubs.put(name, "embedded")


def test_an_older_store_gets_the_table(tmp_path: Path) -> None:
    made_before = next(i for i, step in enumerate(MIGRATIONS) if step.__name__ == "_hubs")
    old = Database(tmp_path / "ranvier.sqlite", migrations=MIGRATIONS[:made_before])
    with old.write() as connection:
        connection.execute("INSERT INTO settings (key, value) VALUES ('a', '1')")
    old.close()
    with Store(tmp_path) as store:
        assert store.hubs.all() == {}
        assert store.settings.get("a") == 1
        store.hubs.put("lab", "embedded")
    with sqlite3.connect(tmp_path / "ranvier.sqlite") as raw:
        assert raw.execute("SELECT name FROM hubs").fetchall() == [("lab",)]


def test_a_named_hub_is_an_engine_of_its_own(tmp_path: Path) -> None:
    connect.name_hub("lab", f"embedded:{tmp_path / 'lab'}")
    named, default = connect.open_hub("lab"), connect.open_hub()
    assert named is not default
    assert named is connect.open_hub(connect.hub_address("lab"))
    assert connect.hub_address("default") is None
    with VidereClient(address="lab") as videre:
        assert videre.list_data_source_ids() == []


def test_unknown_hubs_and_addresses_that_nobody_answers() -> None:
    connect.name_hub("lab", "10.0.0.7:50055")
    with pytest.raises(ServerDiscoveryError, match="known are 'default', 'lab'"):
        connect.hub_address("other")
    with pytest.raises(ServerDiscoveryError, match=r"no hub answers at '10\.0\.0\.7:50055'"):
        connect.open_hub("lab")
