"""Digital columns as events: where a line changes its state."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ranvier.models.signals import SignalType
from ranvier.recordings.events import Events
from ranvier.recordings.recording import Recording

#: Rows read at once while edges are looked for.
BLOCK_ROWS = 1 << 16


def digital_edges(recording: Recording) -> Events:
    """Return every change of every digital column: source ``"DIN"`` or ``"DOUT"``, line = native index, state after it.

    An edge has the counter of the first sample in the new state. A line that is high from the first sample on has no
    rising edge; a change across a gap counts at the first sample behind it. This reads the whole recording.
    """
    columns = np.flatnonzero(recording.channels.is_digital).astype(np.int64)
    if not len(columns):
        return Events.empty()
    counters: list[npt.NDArray[np.int64]] = []
    which: list[npt.NDArray[np.int64]] = []
    states: list[npt.NDArray[np.bool_]] = []
    last: npt.NDArray[np.bool_] | None = None
    for block in recording.blocks(BLOCK_ROWS, columns=columns):
        high = block.samples > 0.5
        before = np.vstack((high[:1] if last is None else last, high[:-1]))
        rows, changed = np.nonzero(high != before)
        counters.append(block.start + rows)
        which.append(changed)
        states.append(high[rows, changed])
        last = high[-1:]
    if not counters:
        return Events.empty()
    return _table(recording, columns, np.concatenate(counters), np.concatenate(which), np.concatenate(states))


def edges_lost_at(events: Events, ratio: Fraction) -> int:
    """Return how many edges of digital lines vanish where one of ``ratio`` samples is kept.

    An edge shows at the first kept sample at or behind it; two edges of one line that meet there cancel.
    """
    if ratio == 1:
        return 0
    digital = np.array([s in ("DIN", "DOUT") for s in events.source], dtype=np.bool_)
    shown = -(-events.counter[digital] * ratio.denominator // ratio.numerator)
    is_output = np.array([s == "DOUT" for s in events.source], dtype=np.int64)[digital]
    table = np.column_stack((is_output, events.line[digital], shown))
    _, meeting = np.unique(table, axis=0, return_counts=True)
    return int((meeting - meeting % 2).sum())


def with_digital_edges(stored: Events, recording: Recording) -> Events:
    """Return stored events and the edges of digital columns; what both tell is given once."""
    digital = (SignalType.DIN, SignalType.DOUT)
    recorded = {(c.type.name, c.ntv) for c in recording.channels if c.type in digital}
    return Events.merge(drop_stored_edges(stored, recorded), digital_edges(recording))


def drop_stored_edges(events: Events, recorded: set[tuple[str, int]]) -> Events:
    """Return the events without edges of lines that are stored as columns, given as ``(source, line)``."""
    keep = np.array(
        [(s, int(i)) not in recorded for s, i in zip(events.source, events.line, strict=True)], dtype=np.bool_
    )
    if keep.all():
        return events
    kept = np.flatnonzero(keep)
    return Events(
        events.counter[kept],
        events.line[kept],
        events.state[kept],
        tuple(events.source[i] for i in kept),
        tuple(events.text[i] for i in kept),
    )


def _table(
    recording: Recording,
    columns: npt.NDArray[np.int64],
    counters: npt.NDArray[np.int64],
    which: npt.NDArray[np.int64],
    states: npt.NDArray[np.bool_],
) -> Events:
    channels = [recording.channels[int(c)] for c in columns]
    lines = np.array([c.ntv for c in channels], dtype=np.int32)
    names = ["DIN" if c.type == SignalType.DIN else "DOUT" for c in channels]
    return Events(
        counters.astype(np.int64),
        lines[which],
        states.astype(np.int8),
        tuple(names[i] for i in which),
        ("",) * len(counters),
    )
