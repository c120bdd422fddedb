"""Signal types, selections and the arrays that reads return."""

from __future__ import annotations

from enum import IntEnum


class SignalType(IntEnum):
    """Kind of a signal."""

    AMP = 0
    AIN = 1
    DIN = 2
    DOUT = 3


class KeyIndex(IntEnum):
    """Index space of channel numbers."""

    NTV = 0
    DATA = 1
    SYS = 2
