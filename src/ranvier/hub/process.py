"""The process of a hub that several programs use, one after the other or together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ranvier.hub.hub import Hub
from ranvier.services import Hub as HubProtocol
from ranvier.transport import Hosted


def entry(home: Path, options: Mapping[str, str]) -> Hosted:
    """Build the hub of an engine process; it takes no options. Jobs keep it alive."""
    hub = Hub(home)
    return Hosted(engine=hub, protocol=HubProtocol, busy=hub.jobs.is_busy, close=hub.close)
