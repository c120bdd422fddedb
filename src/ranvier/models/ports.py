"""Ports of an instrument."""

from __future__ import annotations

from enum import IntEnum

from ranvier.models._base import Model
from ranvier.models._coerce import EnumInput

__all__ = ["GPIOChannelCount", "Port", "PortChannelCount"]


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


coerce_port = EnumInput(Port, "a port", ints=True)


def optional_port(value: object) -> Port | None:
    """Return the port that ``value`` means; None stays None (every port, or unknown)."""
    return None if value is None else coerce_port(value)


class PortChannelCount(Model):
    """How many amplifier channels are on one port."""

    port: Port
    channel_count: int


class GPIOChannelCount(Model):
    """How many auxiliary (analog in), digital in and digital out channels there are."""

    n_aux: int
    n_din: int
    n_dout: int
