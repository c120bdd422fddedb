"""When the rows of an NWB series were sampled: a rate and a start, or one timestamp per row."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.recordings.formats.counters import counters_of_rows, counters_of_seconds, exact_rate
from ranvier.recordings.formats.nwb_file import child, is_plausible, number_of
from ranvier.recordings.formats.nwb_own import rate_from_json
from ranvier.recordings.segments import Segments
from ranvier.recordings.session import Clock

_SLAB_ROWS = 1 << 20
_RATE_ROWS = 100_000
_CLOCK_POINTS = 10_000


@dataclass(frozen=True)
class Timing:
    """Rate, gap table and, where the file has timestamps, the clock they give."""

    fs: Fraction
    segments: Segments
    clock: Clock | None = None
    notes: tuple[str, ...] = ()

    def counters(self, seconds: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the nearest counters of times in the file's seconds."""
        times = np.asarray(seconds, dtype=np.float64)
        if self.clock is None or not len(self.clock.counter):
            return counters_of_seconds(times, self.fs)
        points, known = self.clock.seconds, self.clock.counter
        i = np.clip(np.searchsorted(points, times, side="right") - 1, 0, len(points) - 1)
        return known[i] + counters_of_seconds(times - points[i], self.fs)


def timing_of(series: Any, rows: int, own: dict[str, Any] | None) -> Timing:
    """Return the timing of the first ``rows`` rows of a series (h5py group).

    ``own`` is what Ranvier stored about the series, where it wrote it: the exact rate and gap table.

    Raises
    ------
    RecordingError
        Where the file tells neither a rate nor timestamps that give one.
    """
    if own is not None:
        exact = _own_timing(own, rows)
        if exact is not None:
            return exact
    start = child(series, "starting_time")
    if start is not None and "rate" in start.attrs:
        single = np.asarray(start.attrs["rate"]).dtype == np.float32
        fs = exact_rate(number_of(start.attrs, "rate", 0.0), single=single, where=series.name)
        return _regular(float(start[()]), fs, rows)
    stamps = child(series, "timestamps")
    if stamps is None or stamps.ndim != 1 or stamps.dtype.kind not in "fiu" or not is_plausible(stamps):
        raise RecordingError(f"{series.name} has neither a rate nor timestamps")
    return _stamped(series.name, stamps, min(rows, int(stamps.shape[0])))


def _own_timing(own: dict[str, Any], rows: int) -> Timing | None:
    """Return the stored gap table cut to the rows that are there; None where it does not fit."""
    try:
        fs = rate_from_json(own["fs"])
        runs = [(int(c), int(n)) for c, n in own["runs"]]
        full = Segments.from_runs(runs)
    except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError, OverflowError, RecordingError):
        return None
    if full.rows < rows:
        return None
    kept, left = [], rows
    for counter, n in full.runs():
        kept.append((counter, min(n, left)))
        left -= min(n, left)
    return Timing(fs, Segments.from_runs(kept))


def _regular(starting_time_sec: float, fs: Fraction, rows: int) -> Timing:
    if not np.isfinite(starting_time_sec):
        raise RecordingError("its starting_time is not a number")
    exact = Fraction(starting_time_sec) * fs
    start = round(exact)
    notes: tuple[str, ...] = ()
    off = float(abs(exact - start))
    if off > 0.01:
        notes = (f"it starts {off:.2f} of a sample off the grid of its rate; counters are rounded",)
    if abs(start) > 2**60:
        raise RecordingError("its starting_time is beyond what a sample counter holds")
    return Timing(fs, Segments.single(start, rows), None, notes)


def _stamped(name: str, stamps: Any, rows: int) -> Timing:
    """Find rate and gaps of a timestamp column: a step of more than one and a half samples is a gap."""
    if rows < 2:
        raise RecordingError(f"{name}: {rows} timestamps do not tell a rate")
    fs = rate_of_times(name, stamps[: min(rows, _RATE_ROWS)].astype(np.float64))
    note = f"{name}: rate {float(fs):.9g} Hz found from its timestamps"
    first = float(stamps[0])
    found = _breaks(stamps, rows, float(fs))
    start = int(counters_of_seconds([first], fs)[0])
    if found is None:
        bad = (
            f"{name}: timestamps are invalid or run backwards; samples are counted from the first, gaps cannot be told"
        )
        return Timing(fs, Segments.single(start, rows), None, (note, bad))
    edges = [0, *(row for row, _ in found), rows]
    runs, counter = [], start
    for i, (a, b) in enumerate(itertools.pairwise(edges)):
        counter += found[i - 1][1] if i else 0
        runs.append((counter, b - a))
        counter += b - a
    segments = Segments.from_runs(runs)
    step = max(1, int(fs), -(-rows // _CLOCK_POINTS))
    at = np.unique(np.concatenate((np.arange(0, rows, step), np.array(edges[:-1][:_CLOCK_POINTS]), [rows - 1])))
    seconds = _pick(stamps, at, rows)
    notes = (note,) if not segments.missing else (note, f"{name}: {len(segments.gaps)} gaps")
    return Timing(fs, segments, Clock(counters_of_rows(segments, at), seconds, f"timestamps of {name}"), notes)


def rate_of_times(name: str, times: npt.NDArray[np.float64]) -> Fraction:
    """Return the rate of a piece of timestamps: whole Hz where within 1e-5 of them, else thousandths."""
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.diff(times)
    steps = steps[np.isfinite(steps) & (steps > 0)]
    if not len(steps):
        raise RecordingError(f"{name}: its timestamps do not grow; they tell no rate")
    usual = float(np.median(steps))
    rate = 1.0 / float(np.mean(steps[np.abs(steps - usual) <= 0.5 * usual]))
    whole = round(rate)
    if whole and abs(rate - whole) <= 1e-5 * rate:
        return Fraction(whole)
    return exact_rate(rate, single=True, where=name)


def _breaks(stamps: Any, rows: int, fs: float) -> list[tuple[int, int]] | None:
    """Return ``(row, samples missing before it)`` of each gap; None where timestamps run backwards."""
    found: list[tuple[int, int]] = []
    for a in range(0, rows - 1, _SLAB_ROWS):
        with np.errstate(over="ignore", invalid="ignore"):
            steps = np.diff(stamps[a : min(rows, a + _SLAB_ROWS + 1)].astype(np.float64)) * fs
        if not np.all(steps > 0) or np.any(steps > 2.0**50):  # also refuses NaN
            return None
        at = np.flatnonzero(steps > 1.5)
        found += [(a + int(i) + 1, round(float(steps[i])) - 1) for i in at]
        if len(found) > 1 << 20:
            return None
    return found


def _pick(stamps: Any, at: npt.NDArray[np.int64], rows: int) -> npt.NDArray[np.float64]:
    """Read single values by slabs: HDF5 is slow at scattered ones."""
    parts = []
    for a in range(0, rows, _SLAB_ROWS):
        wanted = at[(at >= a) & (at < a + _SLAB_ROWS)]
        if len(wanted):
            parts.append(stamps[a : min(rows, a + _SLAB_ROWS)].astype(np.float64)[wanted - a])
    return np.concatenate(parts)
