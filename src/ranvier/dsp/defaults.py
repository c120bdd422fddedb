"""What a filter is when the user did not say: the one place where ``None`` becomes a number."""

from __future__ import annotations

from typing import Final

#: Order N as ``scipy.signal.butter`` takes it (a band filter of order N has N second-order sections).
ORDER: Final = 4

#: Filters are causal, from a zero state, unless zero phase is asked for.
ZERO_PHASE: Final = False


def resolve_order(order: int | None) -> int:
    """Return the order to design with."""
    return ORDER if order is None else order
