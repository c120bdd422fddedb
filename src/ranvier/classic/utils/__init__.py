"""``radiens.utils``; the aliases stand here, where the documentation names them, and in ``constants``."""

from __future__ import annotations

from ranvier.classic.utils.constants import DEFAULT_HUB_ID, HEADSTAGE_ALIAS, PROBE_ALIAS

#: What the documentation calls ``DEFAULT_HUB_ID``.
DEFAULT_HUB = DEFAULT_HUB_ID

__all__ = ["DEFAULT_HUB", "HEADSTAGE_ALIAS", "PROBE_ALIAS"]
