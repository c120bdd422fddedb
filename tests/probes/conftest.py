"""What the probe tests share."""

from __future__ import annotations

import pytest

from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.recordings.channels import Channel, ChannelTable, plain_channels


@pytest.fixture
def two_ports() -> ChannelTable:
    """32 channels on port A, 16 on port B, two analog, two digital."""
    plain = plain_channels(48, 2, 1, 1)
    moved = [
        Channel(**{**_fields(c), "port": Port.B}) if c.type == SignalType.AMP and c.ntv >= 32 else c for c in plain
    ]
    return plain.with_channels(moved)


def _fields(channel: Channel) -> dict[str, object]:
    return {name: getattr(channel, name) for name in Channel.__dataclass_fields__}
