"""The clocks of a recording: ``<base>_ranvier_clock.bin``, our own addition to an XDAT set.

While a set is recorded, one record is appended about every second, 40 bytes, little endian:

======== ======================= ===================================================================================
bytes    field                   meaning
======== ======================= ===================================================================================
0-7      int64 counter           a sample counter of the set: the sample *before* it had just arrived
8-15     int64 monotonic_ns      the monotonic clock of the recording computer then, ns (its origin means nothing)
16-23    int64 utc_ns            its time of day then, ns since 1970 (UTC); it may have been set meanwhile
24-31    int64 durable_rows      rows of the set that were safe from power loss when the record was written
32-35    uint32 uncertainty_us   quality: the sample was taken at most this long before, in us (2**32 - 1: unknown)
36-39    uint32 crc32            of the 36 bytes before
======== ======================= ===================================================================================

A record whose checksum is wrong ends the file: what follows was being written when the power failed.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ranvier.recordings.session import Clock

RECORD = np.dtype(
    [
        ("counter", "<i8"),
        ("monotonic_ns", "<i8"),
        ("utc_ns", "<i8"),
        ("durable_rows", "<i8"),
        ("uncertainty_us", "<u4"),
        ("crc32", "<u4"),
    ]
)
_CHECKED = RECORD.itemsize - 4


class ClockTriple(NamedTuple):
    """One moment: a sample counter, two clocks of the computer, and how far they can be trusted."""

    counter: int
    monotonic_ns: int
    utc_ns: int
    uncertainty_us: int


def pack(triple: ClockTriple, durable_rows: int) -> bytes:
    """Return one record."""
    limited = min(max(triple.uncertainty_us, 0), 2**32 - 1)
    values = (triple.counter, triple.monotonic_ns, triple.utc_ns, durable_rows, limited, 0)
    checked = np.array([values], RECORD).tobytes()[:_CHECKED]
    return checked + zlib.crc32(checked).to_bytes(4, "little")


def read_records(path: Path) -> npt.NDArray[Any]:
    """Return the records (a structured array of ``RECORD``) up to the first that is damaged; none without a file."""
    try:
        content = path.read_bytes()
    except OSError:
        return np.empty(0, RECORD)
    records = np.frombuffer(content, RECORD, count=len(content) // RECORD.itemsize)
    for i, stated in enumerate(records["crc32"].tolist()):
        at = i * RECORD.itemsize
        if zlib.crc32(content[at : at + _CHECKED]) != stated:
            return records[:i]
    return records


def clocks_of(records: npt.NDArray[Any]) -> dict[str, Clock]:
    """Return the two clocks of the recording computer, by name; none where nothing was recorded."""
    if not len(records):
        return {}
    counter = records["counter"].astype(np.int64)
    return {
        name: Clock(counter, records[field].astype(np.float64) / 1e9, text)
        for name, field, text in (
            ("monotonic", "monotonic_ns", "monotonic clock of the recording computer"),
            ("utc", "utc_ns", "time of day of the recording computer, seconds since 1970 UTC"),
        )
    }
