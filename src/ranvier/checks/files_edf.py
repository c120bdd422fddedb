"""Writes EDF, EDF+, BDF and BDF+ files with known content, to test readers with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class EdfContent:
    """What a made file holds: stored values per signal ``(samples,)``, and its scale to the physical dimension."""

    path: Path
    values: tuple[npt.NDArray[np.int32], ...]
    gains: tuple[float, ...]
    offsets: tuple[float, ...]
    samples_per_record: tuple[int, ...]


def write_edf(
    path: Path,
    *,
    bdf: bool = False,
    samples_per_record: Sequence[int] = (250, 250, 250),
    dimensions: Sequence[str] = ("uV", "mV", "degC"),
    records: int = 8,
    record_sec: str = "1",
    claimed_records: int | None = None,
    onsets: Sequence[float] | None = None,
    annotations: Sequence[tuple[int, str]] = (),
    status: npt.NDArray[np.int32] | None = None,
    plus: str = "",
    seed: int = 0,
) -> EdfContent:
    """Write a file of random samples.

    Parameters
    ----------
    onsets
        Times of the records (EDF+); a signal of annotations is written where they or ``annotations`` are given.
    annotations
        ``(record, list)`` as it stands in the file, without its zero.
    status
        Words of a signal "Status" with as many samples as the first.
    plus
        ``C`` or ``D`` for EDF+.
    """
    rng = np.random.default_rng(seed)
    width, low, high = (3, -(1 << 23), (1 << 23) - 1) if bdf else (2, -32768, 32767)
    values = [rng.integers(low, high, records * n).astype(np.int32) for n in samples_per_record]
    labels = [f"EEG {i}" for i in range(len(values))]
    units = list(dimensions)
    counts = list(samples_per_record)
    ranges = [(-3200.5 - i, 3200.25) for i in range(len(values))]
    if status is not None:
        values, labels, units = [*values, status], [*labels, "Status"], [*units, "Boolean"]
        counts, ranges = [*counts, counts[0]], [*ranges, (low, high)]
    gains = [(b - a) / (high - low) for a, b in ranges]
    offsets = [a - low * g for (a, _), g in zip(ranges, gains, strict=True)]
    with_texts = onsets is not None or bool(annotations) or bool(plus)
    text_values = 60
    kind = "BDF" if bdf else "EDF"
    fields: list[list[str]] = [labels, [""] * len(labels), units, [f"{a:.8g}" for a, _ in ranges]]
    fields += [[f"{b:.8g}" for _, b in ranges], [str(low)] * len(labels), [str(high)] * len(labels)]
    fields += [["HP:0.1Hz"] * len(labels), [str(n) for n in counts], [""] * len(labels)]
    if with_texts:
        extra = [f"{kind} Annotations", "", "", "-1", "1", str(low), str(high), "", str(text_values), ""]
        fields = [[*column, value] for column, value in zip(fields, extra, strict=True)]
    n = len(fields[0])
    reserved = f"{kind}+{plus}" if plus else ("24BIT" if bdf else "")
    head = (b"\xffBIOSEMI" if bdf else b"0       ") + _pad("X F 02-AUG-1951 a_name", 80)
    head += _pad("Startdate 02-MAR-2025 X X X" if plus else "a recording", 80) + b"02.03.25" + b"14.15.16"
    head += _pad(str(256 * (n + 1)), 8) + _pad(reserved, 44)
    head += _pad(str(records if claimed_records is None else claimed_records), 8) + _pad(record_sec, 8)
    head += _pad(str(n), 4)
    widths = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
    head += b"".join(_pad(v, w) for column, w in zip(fields, widths, strict=True) for v in column)
    body = bytearray()
    for record in range(records):
        for stored, count in zip(values, counts, strict=True):
            part = stored[record * count : (record + 1) * count].astype("<i4")
            body += np.ascontiguousarray(part.view(np.uint8).reshape(-1, 4)[:, :width]).tobytes()
        if with_texts:
            at = onsets[record] if onsets is not None else record * float(record_sec)
            texts = f"+{at:g}\x14\x14\0" + "".join(f"{text}\0" for r, text in annotations if r == record)
            body += texts.encode().ljust(text_values * width, b"\0")
    path.write_bytes(head + bytes(body))
    return EdfContent(path, tuple(values), tuple(gains), tuple(offsets), tuple(counts))


def _pad(text: str, width: int) -> bytes:
    return text.encode("latin-1")[:width].ljust(width)
