"""``radiens.workspace_client``: saved set-ups of an acquisition system."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ranvier.classic._hubs import HubClient
from ranvier.classic.utils.enums import WorkspaceApp
from ranvier.clients.allego import AllegoClient
from ranvier.exceptions import ConfigurationError
from ranvier.models.rig import Workspace

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("ID", "app", "last_used", "last_modified", "is_modified", "notes", "tags")


class WorkspaceClient(HubClient):
    """Save, list and take over set-ups; without a client of the rig it joins the rig itself."""

    def __init__(self, allego: AllegoClient | None = None) -> None:
        super().__init__()
        self._rig = AllegoClient() if allego is None else allego
        self._own_rig = allego is None

    def close(self) -> None:
        """Close the client (an addition to the documented API)."""
        super().close()
        if self._own_rig:
            self._rig.close()

    def workspace_save(self, workspace_id: str | None = None, tags: str = "", notes: str = "") -> None:
        """Save the set-up under an id, or (None) as the current one."""
        current = self._rig.get_current_workspace()
        if workspace_id is None and current is None:
            raise ConfigurationError("there is no current workspace yet; name one: workspace_save('my set-up')")
        self._rig.save_workspace(workspace_id or current.id, tags=tags, notes=notes)  # type: ignore[union-attr]

    def workspace_switch(self, workspace_id: str) -> None:
        """Take a saved set-up over; only while nothing streams."""
        self._rig.switch_workspace(workspace_id)

    def workspace_delete(self, workspace_id: str) -> None:
        """Forget a saved set-up."""
        self._rig.delete_workspace(workspace_id)

    def workspace_current(self) -> pd.DataFrame:
        """Return the current one as a table of one row, or none."""
        current = self._rig.get_current_workspace()
        return _table([] if current is None else [current])

    def workspace_list(self) -> pd.DataFrame:
        """Return the saved set-ups, a row each; times are UTC."""
        return _table(self._rig.list_workspaces())


def _table(found: Sequence[Workspace]) -> pd.DataFrame:
    import pandas as pd

    app = WorkspaceApp.ALLEGO.name
    rows = [(one.id, app, one.used_utc, one.saved_utc, one.is_modified, one.notes, one.tags) for one in found]
    return pd.DataFrame(rows, columns=list(COLUMNS))
