"""The gap table of an XDAT set, from its column of sample counters.

A day at 30 kHz has 20 GB of counters, so opening must not read them all: an interval whose last counter minus its first
is its number of rows minus one has no gap, because counters only increase. Other intervals, and small files, are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ranvier.recordings.flat import FlatFile
from ranvier.recordings.segments import Segments

#: Rows whose ends are compared.
INTERVAL_ROWS = 1 << 18
#: Files up to this many rows are read whole, which also sees damage that leaves the ends of an interval right.
WHOLE_ROWS = 1 << 22
#: More gaps than this are not gaps: the column counts something else.
MOST_RUNS = 1_000_000
#: Counters beyond this cannot be told apart as float64 seconds.
LARGEST = 1 << 53
LONGEST_GAP_SEC = 30 * 24 * 3600

Runs = list[tuple[int, int]]


class BadCounters(Exception):  # noqa: N818 - told to Timeline only, which falls back
    """The column does not count samples from ``row`` on."""

    def __init__(self, row: int, why: str) -> None:
        super().__init__(why)
        self.row = row
        self.why = why


class Timeline:
    """Which counters the rows of a set have; it can grow.

    Where the stored counters cannot be counters, rows are counted from the first one instead, and ``notes`` says so.
    ``durable_rows``, where it is known, is how many rows the writer had made safe from power loss: damage behind them
    is what the power failure left, and is cut off.

    Attributes
    ----------
    segments
        The gap table of the rows seen so far.
    rows
        Rows that can be used; a tail of zeros, which a power failure leaves, is cut off.
    """

    def __init__(
        self,
        file: FlatFile | None,
        rows: int,
        fs: Fraction,
        expected_start: int | None,
        durable_rows: int | None = None,
    ) -> None:
        self.file = file
        self.fs = fs
        self.rows = 0
        self.notes: list[str] = []
        self._runs: Runs = []
        self._counted = file is None
        self._expected_start = expected_start
        self._durable_rows = durable_rows
        if file is None:
            self.notes.append("the file of sample counters is missing: gaps cannot be seen, none is assumed")
        self.segments = Segments.single(0, 0)
        self.extend(rows)

    def extend(self, rows: int) -> Segments:
        """Take in the rows up to ``rows``; return the new gap table."""
        if rows <= self.rows:
            return self.segments
        if not self._counted:
            self._extend_stored(rows)
        if self._counted:
            start = self._runs[0][0] if self._runs else self._first_counter()
            self._runs = [(start, rows)]
            self.rows = rows
        self.segments = Segments.from_runs(self._runs)
        return self.segments

    def _extend_stored(self, rows: int) -> None:
        try:
            self._take(rows)
        except BadCounters as bad:
            if self._durable_rows is not None and bad.row >= self._durable_rows:
                self._cut_off(bad.row, rows)
                return
            end = self._start_of_zero_tail(bad.row, rows)
            if end is None or end <= self.rows:
                self._count_rows(bad)
                return
            try:
                self._take(end)
                self.notes.append(f"the counters of the last {rows - end} rows are zero (power failure?): cut off")
            except BadCounters as worse:
                self._count_rows(worse)

    def _cut_off(self, row: int, rows: int) -> None:
        """Take the rows before the first bad counter; those before it that are zero belong to the damage."""
        end = row
        while end > max(self.rows, self._durable_rows or 0) and not self._read(end - 1, end)[0]:
            end -= 1
        if end > self.rows:
            self._take(end)
        note = f"the counters behind row {end} were being written when the power failed: {rows - end} rows cut off"
        if note not in self.notes:
            self.notes.append(note)

    def _take(self, rows: int) -> None:
        self._runs = _join(self._runs, self._find(self.rows, rows), rows, self.fs)
        self.rows = rows

    def _count_rows(self, bad: BadCounters) -> None:
        self._counted = True
        self._runs = []
        self.notes.append(
            f"the file of sample counters cannot be right ({bad.why}): rows are counted from the first sample "
            f"instead, and gaps cannot be seen"
        )

    def _find(self, start: int, stop: int) -> Iterator[tuple[int, Runs]]:
        """Yield the runs of each interval as ``(first row, runs)``."""
        for a in range(start, stop, INTERVAL_ROWS):
            b = min(stop, a + INTERVAL_ROWS)
            if stop > WHOLE_ROWS:
                first, last = int(self._read(a, a + 1)[0]), int(self._read(b - 1, b)[0])
                if last - first == b - 1 - a:
                    yield a, [(first, b - a)]
                    continue
            counters = self._read(a, b)
            steps = np.diff(counters)
            if np.any(steps <= 0):
                i = int(np.argmax(steps <= 0))
                raise BadCounters(a + i + 1, f"{counters[i + 1]} follows {counters[i]} at row {a + i + 1}")
            yield a, Segments.from_counters(counters).runs()

    def _read(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        if self.file is None:
            return np.arange(start, stop, dtype=np.int64)
        counters = np.empty((stop - start, 1), dtype=np.int64)
        self.file.read_into(start, counters)
        return counters[:, 0]

    def _start_of_zero_tail(self, row: int, rows: int) -> int | None:
        """Return where zeros start that reach from around ``row`` to the end; None where there are others."""
        for a in range(row, rows, INTERVAL_ROWS):
            if self._read(a, min(rows, a + INTERVAL_ROWS)).any():
                return None
        while row > 0 and not self._read(row - 1, row)[0]:
            row -= 1
        return row

    def _first_counter(self) -> int:
        if self._expected_start is not None and abs(self._expected_start) < LARGEST:
            return self._expected_start
        first = 0 if self.file is None else int(self._read(0, 1)[0])
        return first if 0 <= first < LARGEST else 0


def _join(runs: Runs, found: Iterator[tuple[int, Runs]], rows: int, fs: Fraction) -> Runs:
    """Append runs; BadCounters where they overlap, lie too far apart, or are as many as rows."""
    joined = list(runs)
    longest = int(LONGEST_GAP_SEC * fs) + 1
    for row, more in found:
        for counter, n in more:
            at = f"at row {row}"
            if abs(counter) >= LARGEST:
                raise BadCounters(row, f"{counter} {at}")
            if not joined:
                joined.append((counter, n))
                continue
            end = joined[-1][0] + joined[-1][1]
            if counter < end:
                raise BadCounters(row, f"{counter} follows {end - 1} {at}")
            if counter - end > longest:
                raise BadCounters(row, f"a gap of {float((counter - end) / fs / 86400):.0f} days {at}")
            if counter == end:
                joined[-1] = (joined[-1][0], joined[-1][1] + n)
            else:
                joined.append((counter, n))
        if len(joined) > MOST_RUNS:
            raise BadCounters(row, f"more than {MOST_RUNS} gaps")
    if len(joined) > max(2, rows // 2):
        raise BadCounters(0, "they do not step by one sample")
    return joined
