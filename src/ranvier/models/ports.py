"""Ports of an instrument."""

from __future__ import annotations

from enum import IntEnum


class Port(IntEnum):
    """Headstage port of an instrument."""

    A = 0
    B = 1
    C = 2
    D = 3
    E = 4
    F = 5
    G = 6
    H = 7
