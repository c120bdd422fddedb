"""Events of a recording: an addition to the API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from ranvier.exceptions import ConfigurationError
from ranvier.models._base import ArrayModel, FloatArray, Int8Array, Int32Array, IntArray, OwnModel

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EventTable"]


class EventTable(ArrayModel, OwnModel):
    """TTL edges, digital words, comments and epochs in time order; columns of equal length ``(n,)``.

    Attributes
    ----------
    sec
        Stream seconds, float64: ``timestamp / fs``.
    timestamp
        Sample counter, int64.
    line
        0-based line (TTL), -1 where there is none (comments), int32.
    state
        1 on, 0 off, -1 where that has no meaning, int8.
    source
        What made each event, e.g. ``"DIN"`` or ``"TTL example_data"``.
    text
        Free text; empty for TTL.
    """

    sec: FloatArray
    timestamp: IntArray
    line: Int32Array
    state: Int8Array
    source: tuple[str, ...]
    text: tuple[str, ...]

    @model_validator(mode="after")
    def _equal_lengths(self) -> Self:
        lengths = {name: len(getattr(self, name)) for name in type(self).model_fields}
        if len(set(lengths.values())) > 1:
            raise ConfigurationError(f"event columns differ in length: {lengths}")
        return self

    def __len__(self) -> int:
        return len(self.timestamp)

    @classmethod
    def empty(cls) -> EventTable:
        """Return a table without events."""
        return cls.model_validate({"sec": (), "timestamp": (), "line": (), "state": (), "source": (), "text": ()})

    def filter(
        self,
        *,
        line: int | Iterable[int] | None = None,
        state: int | Iterable[int] | None = None,
        source: str | Iterable[str] | None = None,
    ) -> EventTable:
        """Return the events of some lines, states and sources (one or several each); None keeps all."""
        keep = np.ones(len(self), dtype=np.bool_)
        if line is not None:
            keep &= np.isin(self.line, [line] if isinstance(line, int) else list(line))
        if state is not None:
            keep &= np.isin(self.state, [state] if isinstance(state, int) else list(state))
        if source is not None:
            wanted = {source} if isinstance(source, str) else set(source)
            keep &= np.array([name in wanted for name in self.source], dtype=np.bool_)
        return self.take(np.flatnonzero(keep))

    def take(self, rows: npt.NDArray[np.int64]) -> EventTable:
        """Return some rows."""
        return EventTable(
            sec=self.sec[rows],
            timestamp=self.timestamp[rows],
            line=self.line[rows],
            state=self.state[rows],
            source=tuple(self.source[i] for i in rows),
            text=tuple(self.text[i] for i in rows),
        )

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per event, columns named like the attributes."""
        import pandas as pd

        return pd.DataFrame({name: getattr(self, name) for name in type(self).model_fields})
