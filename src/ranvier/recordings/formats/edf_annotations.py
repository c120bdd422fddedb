"""Time-stamped annotation lists (TALs) of EDF+ and BDF+ files: when each record began, and what was noted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ranvier.recordings.events import Events
from ranvier.recordings.formats.edf_header import EdfHeader

if TYPE_CHECKING:
    from ranvier.recordings.recording import Recording

#: ``+onset[\x15duration]\x14text\x14...\x14`` and a zero (EDF+ specification, section 2.2.2).
_TAL = re.compile(rb"([+-]\d+(?:\.\d*)?)(?:\x15(\d+(?:\.\d*)?))?\x14([^\0]*)\x14?\0")
_MOST_SEC = 1e10


def record_onsets(header: EdfHeader, records: int, notes: list[str]) -> npt.NDArray[np.float64]:
    """Return when each record began, in seconds from the start that the header tells.

    Continuous files count from the onset of the first record. Where the onsets of a discontinuous file are missing or
    run backwards, records are taken to follow each other, and a note says so.
    """
    duration = float(header.record_sec)
    regular: npt.NDArray[np.float64] = np.arange(records, dtype=np.float64) * duration
    first = next(_first_onsets(header, 1), None)
    if first is not None and np.isfinite(first):
        regular += first
    if not header.is_discontinuous:
        return regular
    found = np.fromiter(_first_onsets(header, records), np.float64)
    if len(found) == records and np.all(np.isfinite(found)) and np.all(np.diff(found) >= 0.5 * duration):
        return found
    notes.append("the times of its records are damaged: they are taken to follow each other, gaps cannot be told")
    return regular


def annotation_events(header: EdfHeader, records: int, stream: Recording) -> Events:
    """Return all annotations in counters of a stream; those outside it are kept at its ends."""
    rows: list[tuple[float, int, str]] = []
    for content in _annotation_bytes(header, records):
        for onset, duration, texts in _lists(content):
            for text in texts:
                rows.append((onset, 1 if duration is not None else -1, text))
                if duration is not None:
                    rows.append((onset + duration, 0, text))
    seconds = np.array([r[0] for r in rows], np.float64)
    counters = np.clip(np.rint(seconds * float(stream.fs)), stream.start, stream.stop).astype(np.int64)
    order = np.argsort(counters, kind="stable")
    return Events(
        counters[order],
        np.full(len(rows), -1, np.int32),
        np.array([rows[i][1] for i in order], np.int8),
        ("annotation",) * len(rows),
        tuple(rows[i][2] for i in order),
    )


def _first_onsets(header: EdfHeader, records: int) -> Iterator[float]:
    """Yield the time of each record: the onset of the first list of its first annotation signal."""
    for content in _annotation_bytes(header, records, first_only=True):
        match = _TAL.match(content)
        yield float(match[1]) if match is not None and len(match[1]) < 30 else np.nan


def _annotation_bytes(header: EdfHeader, records: int, *, first_only: bool = False) -> Iterator[bytes]:
    signals = [s for s in header.signals if s.is_annotations and s.samples]
    signals = signals[:1] if first_only else signals
    if not signals:
        return
    with open(header.path, "rb", buffering=0) as handle:
        for record in range(records):
            for signal in signals:
                begin = header.header_bytes + record * header.record_bytes + signal.first * header.value_bytes
                handle.seek(begin)
                yield handle.read(signal.samples * header.value_bytes)


def _lists(content: bytes) -> Iterator[tuple[float, float | None, list[str]]]:
    """Yield onset, duration and texts of each list; the empty text of the time-keeping one is left out."""
    for match in _TAL.finditer(content):
        if len(match[1]) > 30 or len(match[2] or b"") > 30:
            continue
        onset, duration = float(match[1]), None if match[2] is None else float(match[2])
        texts = [t.decode("utf-8", "replace") for t in match[3].split(b"\x14") if t]
        if abs(onset) < _MOST_SEC and (duration is None or duration < _MOST_SEC):
            yield onset, duration, texts
