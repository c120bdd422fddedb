"""Saved set-ups of a rig: an addition to the documented API of this client."""

from __future__ import annotations

from ranvier.clients._rig_base import RigClient
from ranvier.models.rig import Workspace


class WorkspacesClient(RigClient):
    """Calls on saved set-ups."""

    def save_workspace(self, name: str, *, tags: str = "", notes: str = "") -> Workspace:
        """Save source, sensors, filters, recording, outputs and selection under a name; an older one is replaced."""
        return self._rig.workspaces.save(name, tags=tags, notes=notes)

    def switch_workspace(self, workspace_id: str) -> Workspace:
        """Take a saved set-up over, all or nothing; only while idle. DatasetError where there is none of that id."""
        return self._rig.workspaces.switch(workspace_id)

    def delete_workspace(self, workspace_id: str) -> None:
        """Forget a saved set-up; the one in force stays as it is."""
        self._rig.workspaces.delete(workspace_id)

    def get_current_workspace(self) -> Workspace | None:
        """Return the set-up that was saved or taken over last, or None."""
        return self._rig.workspaces.current()

    def list_workspaces(self) -> list[Workspace]:
        """Return the saved set-ups."""
        return self._rig.workspaces.list()
