"""Named hubs: which engine a name means."""

from __future__ import annotations

from ranvier.exceptions import ConfigurationError, ServerDiscoveryError
from ranvier.store.data import storable, utc_now
from ranvier.store.database import Database

#: The hub that needs no entry: the one that ``open_hub()`` gives.
DEFAULT = "default"


class Hubs:
    """Name and address of each hub of this home, besides the default one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, str]:
        """Return the address of every hub, by name, oldest first."""
        return {row["name"]: row["address"] for row in self._database.read("SELECT * FROM hubs ORDER BY rowid")}

    def address(self, name: str) -> str:
        """Return the address of a hub; ServerDiscoveryError lists the known ones."""
        known = self.all()
        if name not in known:
            raise unknown_hub(name, known)
        return known[name]

    def put(self, name: str, address: str) -> None:
        """Name a hub; the address of one that has the name already is replaced."""
        if not name or name == DEFAULT or any(letter in name for letter in ":/\\ "):
            raise ConfigurationError(
                f"{name!r} cannot name a hub: a name has no blanks, colons or slashes, and {DEFAULT!r} is taken"
            )
        if not address:
            raise ConfigurationError(f"hub {name!r} needs an address: 'embedded:FOLDER', or 'process'")
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO hubs (name, address, added_utc) VALUES (?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET address = excluded.address",
                (storable(name), storable(address), utc_now()),
            )

    def remove(self, name: str) -> None:
        """Forget a hub; ServerDiscoveryError for an unknown one."""
        self.address(name)
        with self._database.write() as connection:
            connection.execute("DELETE FROM hubs WHERE name = ?", (name,))


def unknown_hub(name: object, known: dict[str, str]) -> ServerDiscoveryError:
    """Return the error that names the hubs there are."""
    names = ", ".join(repr(hub) for hub in (DEFAULT, *known))
    return ServerDiscoveryError(
        f"there is no hub {name!r}; known are {names} ('ranvier hub add NAME ADDRESS' adds one)"
    )
