"""What the suites share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt


@contextmanager
def raises(kind: type[BaseException], what: str, *, naming: str = "") -> Iterator[None]:
    """Assert that the body raises ``kind``, with ``naming`` in its message."""
    try:
        yield
    except kind as error:
        if naming not in str(error):
            raise AssertionError(f"{what}: the message does not name {naming}: {error}") from error
    else:
        raise AssertionError(f"{what}: {kind.__name__} was not raised")


def same(got: npt.NDArray[Any], expected: npt.NDArray[Any], what: str) -> None:
    """Assert equality, NaN equal to NaN."""
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    different = ~((got == expected) | (np.isnan(got) & np.isnan(expected)))
    if different.any():
        where = tuple(int(i) for i in np.argwhere(different)[0])
        raise AssertionError(
            f"{what}: {int(different.sum())} values differ, first at {where}: {got[where]} instead of {expected[where]}"
        )
