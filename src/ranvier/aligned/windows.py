"""Which windows around events a recording holds, and their samples in one pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError
from ranvier.models.aligned import EventCount, EventQuery
from ranvier.recordings.events import Events
from ranvier.recordings.recording import Recording
from ranvier.recordings.segments import Segments

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

#: Values read at a time.
TILE_VALUES = 4 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Samples around each event: counters ``[event - before, event + after)``."""

    before: int
    after: int

    @property
    def n(self) -> int:
        """Samples."""
        return self.before + self.after


def chosen_events(query: EventQuery, events: Events, fs: float) -> I64:
    """Return the counters of the events that a query means, in time order.

    Raises
    ------
    ConfigurationError
        No event is meant, or those of several lines; the message lists what there is.
    """
    if query.at_sec is not None:
        if not np.isfinite(query.at_sec).all():
            raise ConfigurationError("at_sec holds times that are no numbers")
        return np.sort(np.rint(query.at_sec * fs).astype(np.int64), kind="stable")
    source = np.array(events.source, dtype=object)
    keep = np.ones(len(events), dtype=np.bool_)
    if query.source is not None:
        keep &= source == query.source
    if query.line is not None:
        keep &= events.line == query.line
    if query.state is not None:
        keep &= events.state == query.state
    kinds = sorted({(str(s), int(i)) for s, i in zip(source[keep], events.line[keep], strict=True)})
    if not kinds:
        raise ConfigurationError(f"no event is of source={query.source!r}, line={query.line}, state={query.state}; "
                                 f"the recording has {_listed(events)}")  # fmt: skip
    if len(kinds) > 1:
        raise ConfigurationError(
            f"events of {len(kinds)} lines; name one by source and line. The recording has {_listed(events)}"
        )
    return events.counter[keep]


def choose(at: I64, segments: Segments, window: Window, min_interval: int = 0) -> tuple[I64, EventCount]:
    """Return the events whose whole window lies in one run of samples, and what became of the others.

    ``at`` is in time order; windows may overlap. ``min_interval`` is in samples.
    """
    apart = _apart(at, min_interval)
    kept = at[apart]
    first, last = kept - window.before, kept + window.after
    at_edge = (first < segments.start) | (last > segments.stop)
    run = np.searchsorted(segments.counters, first, side="right") - 1
    ends = np.concatenate((segments.counters + segments.lengths, [segments.start]))  # [-1]: before the first run
    whole = ~at_edge & (last <= ends[run])
    count = EventCount(
        found=len(at),
        used=int(whole.sum()),
        too_close=len(at) - len(kept),
        at_edge=int(at_edge.sum()),
        at_gap=int((~whole & ~at_edge).sum()),
    )
    return kept[whole], count


def trials(
    recording: Recording, at: I64, window: Window, columns: I64, *, reach: int = 0, tile_values: int = TILE_VALUES
) -> Iterator[tuple[int, F32]]:
    """Yield ``(position of the event, samples)``: float32 ``(window, columns)``, in time order, to be read only.

    The recording is streamed over spans of windows that are at most ``reach`` apart, so that filters run over each
    stretch once. Memory is one window and one tile; samples do not depend on the tile.
    """
    rows = max(1, tile_values // max(1, len(columns)))
    for first, last in _spans(at, window, reach):
        start = int(at[first]) - window.before
        held = np.empty((0, len(columns)), dtype=np.float32)  # rows from counter ``start`` on
        next_event = first
        for block in recording.blocks(rows, start, int(at[last - 1]) + window.after, columns):
            held = _joined(held, start, block.samples, block.start)
            start = block.stop - len(held)
            while next_event < last and int(at[next_event]) + window.after <= block.stop:
                row = int(at[next_event]) - window.before - start
                yield next_event, held[row : row + window.n]
                next_event += 1
            if next_event < last:
                done = min(len(held), max(0, int(at[next_event]) - window.before - start))
                held, start = held[done:], start + done


def _joined(held: F32, start: int, samples: F32, at: int) -> F32:
    """Return what is held with a block behind it; only the block where it does not follow (a gap between windows)."""
    if not len(held) or start + len(held) != at:
        return samples
    return np.concatenate([held, samples])


def _spans(at: I64, window: Window, reach: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of events whose windows overlap or lie at most ``reach`` samples apart."""
    breaks = np.flatnonzero(np.diff(at) > window.n + reach) + 1
    ends = [0, *breaks.tolist(), len(at)]
    yield from ((a, b) for a, b in pairwise(ends) if b > a)


def _apart(at: I64, min_interval: int) -> npt.NDArray[np.bool_]:
    keep = np.ones(len(at), dtype=np.bool_)
    if min_interval <= 0:
        return keep
    last = -(1 << 62)
    for i, counter in enumerate(at.tolist()):
        keep[i] = counter - last >= min_interval
        if keep[i]:
            last = counter
    return keep


def _listed(events: Events) -> str:
    """Say which events there are."""
    words = {1: "rising", 0: "falling", -1: "without state"}
    kinds: dict[tuple[str, int, int], int] = {}
    for key in zip(events.source, events.line.tolist(), events.state.tolist(), strict=True):
        kinds[key] = kinds.get(key, 0) + 1
    parts = [f"source {s!r} line {i}: {n} {words.get(e, e)}" for (s, i, e), n in sorted(kinds.items())[:12]]
    return "; ".join(parts) or "none at all"
