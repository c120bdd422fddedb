"""Saved set-ups: what every part of a rig tells about itself, kept together, taken over all or nothing."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Mapping
from typing import Any, Protocol

from ranvier._version import __version__
from ranvier.exceptions import ConfigurationError, DataProcessingError
from ranvier.models.rig import Workspace
from ranvier.rig.state import Action, StateMachine
from ranvier.store import Store, WorkspaceRecord

#: Version of the document. A reader refuses newer ones; older ones are brought up by :func:`_upgrade`.
VERSION = 1

_MAX_NAME = 100


class Restorable(Protocol):
    """A part of a rig that workspaces save: plain JSON data out, and in again."""

    def snapshot(self) -> dict[str, Any]:
        """Return the settings as plain JSON data."""
        ...

    def validate(self, document: Mapping[str, Any], /) -> None:
        """Raise one of our errors for data that cannot be read. What depends on other parts is left to ``restore``."""
        ...

    def restore(self, document: Mapping[str, Any], /) -> None:
        """Take the settings over, or raise one of our errors."""
        ...


class Workspaces:
    """Saved set-ups of one rig (``services.rig.RigWorkspaces``), in the store of this home.

    Parameters
    ----------
    store
        Where they are kept.
    machine
        The rig's state: switching needs an idle rig.
    parts
        By name, in the order of restoring: first the source, then what hangs on its channels.
    """

    def __init__(self, store: Store, machine: StateMachine, parts: Mapping[str, Restorable]) -> None:
        self._store = store
        self._machine = machine
        self._parts = dict(parts)
        self._current: str | None = None
        self._lock = threading.RLock()

    def list(self) -> list[Workspace]:
        """Return the saved set-ups, by name."""
        return [self._model(record) for record in self._store.workspaces.all()]

    def current(self) -> Workspace | None:
        """Return the one that was saved or taken over last by this rig, or None. Later changes do not unset it."""
        known = [record for record in self._store.workspaces.all() if record.id == self._current]
        return self._model(known[0]) if known else None

    def save(self, name: str, *, tags: str = "", notes: str = "") -> Workspace:
        """Save the set-up under a name, which is its id too; one of that name is replaced."""
        name = name.strip()
        if not name or len(name) > _MAX_NAME or not name.isprintable():
            raise ConfigurationError(f"a workspace needs a name of 1-{_MAX_NAME} printable characters, got {name!r}")
        with self._machine.control, self._lock:
            document = {
                "version": VERSION,
                "ranvier": __version__,
                "parts": {key: part.snapshot() for key, part in self._parts.items()},
            }
            record = self._store.workspaces.put(name, name, document, tags=tags, notes=notes)
            self._current = record.id
            return self._model(record)

    def switch(self, workspace_id: str) -> Workspace:
        """Take a saved set-up over, all or nothing.

        Raises
        ------
        DatasetError
            There is none of that id.
        ConfigurationError
            The rig is not idle, or the set-up does not fit; everything is then as it was before.
        DataProcessingError
            The set-up does not fit, and some parts could not be brought back; the message names them.
        """
        with self._machine.during(Action.SWITCH_WORKSPACE), self._lock:
            record = self._store.workspaces.get(workspace_id)
            documents = self._checked(record)
            before = {key: copy.deepcopy(self._parts[key].snapshot()) for key in documents}
            for key, document in documents.items():
                try:
                    self._parts[key].restore(document)
                except Exception as error:  # noqa: BLE001  # whatever it is: all or nothing
                    self._roll_back(record, key, error, before)
            self._current = record.id
            self._store.workspaces.used(record.id)
            return self._model(record)

    def delete(self, workspace_id: str) -> None:
        """Forget one; DatasetError where there is none of that id. The set-up in force stays as it is."""
        with self._lock:
            self._store.workspaces.remove(workspace_id)
            if self._current == workspace_id:
                self._current = None

    def _checked(self, record: WorkspaceRecord) -> dict[str, Mapping[str, Any]]:
        """Return the document of every part in the order of restoring, each read once without changing anything."""
        parts = _upgrade(record)
        unknown = sorted(set(parts) - set(self._parts))
        if unknown:
            raise ConfigurationError(
                f"workspace {record.id!r} holds {', '.join(unknown)}, which this rig does not have; update Ranvier"
            )
        for key, document in parts.items():
            if not isinstance(document, dict):
                raise ConfigurationError(
                    f"{key} of workspace {record.id!r} cannot be read; delete it and save it again"
                )
            self._parts[key].validate(document)
        return {key: parts[key] for key in self._parts if key in parts}

    def _roll_back(
        self, record: WorkspaceRecord, failed: str, error: Exception, before: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Bring every part back, then raise. All of them: restoring the source may have reset parts not yet touched."""
        lost = []
        for key, document in before.items():
            try:
                self._parts[key].restore(document)
            except Exception as again:  # noqa: BLE001  # the other parts are still to be brought back
                lost.append(f"{key} ({again})")
        what = f"workspace {record.id!r} was not taken over: {failed}: {error}"
        if lost:
            raise DataProcessingError(f"{what}; these could not be brought back either: {'; '.join(lost)}") from error
        raise ConfigurationError(f"{what}; everything is as it was") from error

    def _modified(self, record: WorkspaceRecord) -> bool:
        """Whether a part is set up otherwise than the record says."""
        now = {key: part.snapshot() for key, part in self._parts.items()}
        return bool(json.loads(json.dumps(now)) != record.document.get("parts"))

    def _model(self, record: WorkspaceRecord) -> Workspace:
        return Workspace(
            id=record.id,
            name=record.name,
            saved_utc=record.saved_utc,
            used_utc=record.used_utc,
            is_current=record.id == self._current,
            is_modified=record.id == self._current and self._modified(record),
            tags=record.tags,
            notes=record.notes,
        )


def _upgrade(record: WorkspaceRecord) -> dict[str, Mapping[str, Any]]:
    """Return the parts of a document in the form of :data:`VERSION`."""
    version = record.document.get("version")
    parts = record.document.get("parts")
    if not isinstance(version, int) or not isinstance(parts, dict):
        raise ConfigurationError(f"workspace {record.id!r} cannot be read; delete it and save it again")
    if version > VERSION:
        raise ConfigurationError(
            f"workspace {record.id!r} was saved by a newer Ranvier ({record.document.get('ranvier')}); update this one"
        )
    return parts
