"""Channels: what each index means, where each site lies."""

from __future__ import annotations

from enum import IntEnum

#: Site number of a channel without a probe site.
SITE_NUM_UNSET = -23
#: Color group of a channel that has none.
COLOR_GROUP_UNSET = 2147483647


class SignalUnits(IntEnum):
    """Unit of a signal type."""

    UNKNOWN = 0
    MICROVOLTS = 1
    VOLTS = 2
    BINARY = 3
