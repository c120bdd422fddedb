"""Whether two recordings hold the same: every sample, counter, event and spike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ranvier.recordings.events import Events
from ranvier.recordings.recording import Recording
from ranvier.recordings.session import Session

#: Bytes of one block of each recording.
BLOCK_BYTES = 8 * 2**20


@dataclass
class Comparison:
    """How two recordings differ.

    Attributes
    ----------
    differences
        What is not equal, in words; differing sample values are not named here, see ``identical_samples``.
    identical_samples
        Whether all samples are equal to the last bit (NaN equals NaN).
    largest_difference
        Largest absolute difference of a sample, relative to the largest absolute value of its type of signal.
    count_step
        What one count is worth on that scale, where the samples are stored as int16; 0 otherwise.
    samples
        Samples per channel that were compared.
    """

    differences: list[str] = field(default_factory=list)
    identical_samples: bool = True
    largest_difference: float = 0.0
    count_step: float = 0.0
    samples: int = 0


def compare(
    old: tuple[Session, Recording], new: tuple[Session, Recording], *, cancelled: Callable[[], None] = lambda: None
) -> Comparison:
    """Compare two streams; ``cancelled`` is called before every block and may raise."""
    found = Comparison()
    a, b = old[1], new[1]
    if a.fs != b.fs:
        found.differences.append(f"rate {float(a.fs):.10g} Hz became {float(b.fs):.10g} Hz")
    names = [[(c.type, c.ntv, c.name) for c in r.channels] for r in (a, b)]
    if names[0] != names[1]:
        found.differences.append(f"channels differ: {len(names[0])} became {len(names[1])}")
    if a.segments.runs() != b.segments.runs():
        found.differences.append(
            f"samples [{a.start}, {a.stop}) with {len(a.segments.gaps)} gaps became [{b.start}, {b.stop}) "
            f"with {len(b.segments.gaps)}"
        )
    if not found.differences:
        _samples(a, b, found, cancelled)
    events = [s.events.get(s.stream_name(r), Events.empty()) for s, r in (old, new)]
    if not _same_events(*events):
        found.differences.append(f"events differ: {len(events[0])} became {len(events[1])}")
    for name in sorted({*old[0].spike_trains, *new[0].spike_trains}):
        trains = [s.spike_trains.get(name) for s in (old[0], new[0])]
        x, y = trains
        if x is None or y is None or not (_equal(x.counter, y.counter) and _equal(x.unit, y.unit)):
            found.differences.append(f"spike train {name!r} differs")
    return found


def _samples(a: Recording, b: Recording, found: Comparison, cancelled: Callable[[], None]) -> None:
    counts = a.stores_counts and b.stores_counts and _equal(a.channels.gains, b.channels.gains)
    width = max(len(a.channels), 1)
    rows = max(256, BLOCK_BYTES // (4 * width))
    largest, off = np.zeros(width), np.zeros(width)
    for piece in a.segments.pieces(a.start, a.stop):
        for at in range(piece.counter, piece.counter + piece.n, rows):
            cancelled()
            stop = min(at + rows, piece.counter + piece.n)
            x, y = a.read(at, stop).samples, b.read(at, stop).samples
            equal = _equal(a.read_counts(at, stop).samples, b.read_counts(at, stop).samples) if counts else _same(x, y)
            found.samples += stop - at
            finite = np.isfinite(x)
            largest = np.maximum(largest, np.abs(np.where(finite, x, 0)).max(axis=0, initial=0))
            if not equal:
                found.identical_samples = False
                d = np.where(_same_values(x, y), 0, np.abs(x.astype(np.float64) - y))
                off = np.maximum(off, np.where(np.isnan(d), np.inf, d).max(axis=0, initial=0))
    for kind in {c.type for c in a.channels}:  # full scale is that of a type: microvolts are not volts
        columns = a.channels.columns_of(kind)
        scale = float(largest[columns].max()) or 1.0
        found.largest_difference = max(found.largest_difference, float(off[columns].max()) / scale)
        if counts:
            found.count_step = max(found.count_step, float(a.channels.gains[columns].max()) / scale)


def _same(x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> bool:
    return bool(_same_values(x, y).all())


def _same_values(x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    return np.asarray((x.view(np.int32) == y.view(np.int32)) | (np.isnan(x) & np.isnan(y)), dtype=np.bool_)


def _equal(x: npt.NDArray[np.generic], y: npt.NDArray[np.generic]) -> bool:
    return bool(np.array_equal(x, y))


def _same_events(a: Events, b: Events) -> bool:
    return (
        _equal(a.counter, b.counter)
        and _equal(a.line, b.line)
        and _equal(a.state, b.state)
        and a.source == b.source
        and a.text == b.text
    )
