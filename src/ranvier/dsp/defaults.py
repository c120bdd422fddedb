"""What a filter is when the user did not say: the one place where ``None`` becomes a number."""

from __future__ import annotations

from typing import Final

from ranvier.exceptions import FilterDesignError

#: Order N as ``scipy.signal.butter`` takes it (a band filter of order N has N second-order sections).
ORDER: Final = 4

#: Filters are causal, from a zero state, unless zero phase is asked for.
ZERO_PHASE: Final = False

#: How far the pass-band of a Chebyshev I or elliptic filter falls, and how far the stop-band of a Chebyshev II or
#: elliptic filter is down.
RIPPLE_DB: Final = 0.5
ATTENUATION_DB: Final = 40.0

#: What each family can be told.
USES_RIPPLE: Final = ("chebyshev_i", "elliptic")
USES_ATTENUATION: Final = ("chebyshev_ii", "elliptic")


def resolve_order(order: int | None) -> int:
    """Return the order to design with."""
    return ORDER if order is None else order


def resolve_decibels(family: str, ripple_db: float | None, attenuation_db: float | None) -> dict[str, float]:
    """Return ripple and attenuation where the family has them; FilterDesignError where one is given in vain."""
    resolved: dict[str, float] = {}
    for name, value, families, default in (
        ("ripple_db", ripple_db, USES_RIPPLE, RIPPLE_DB),
        ("attenuation_db", attenuation_db, USES_ATTENUATION, ATTENUATION_DB),
    ):
        if family in families:
            resolved[name] = default if value is None else float(value)
        elif value is not None:
            raise FilterDesignError(f"{name} means nothing for family {family!r}; it is for {' and '.join(families)}")
    return resolved
