"""The header of EDF, EDF+, BDF and BDF+ files (Kemp et al. 1992; Kemp and Olivan 2003; BioSemi's 24-bit variant)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

from ranvier.exceptions import RecordingError
from ranvier.recordings.formats.binary_header import exactly

_EDF_MAGIC = b"0       "
_BDF_MAGIC = b"\xffBIOSEMI"
_HEAD_BYTES = 256
_MOST_SIGNALS = 10_000
_MOST_RECORD_BYTES = 1 << 26
#: Widths of the fields of a signal; each field stands for all signals before the next begins.
_FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
#: Factors of physical dimensions to microvolts.
_MICROVOLTS = {"uv": 1.0, "µv": 1.0, "μv": 1.0, "mv": 1e3, "v": 1e6, "nv": 1e-3}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True)
class EdfSignal:
    """One signal of a file.

    Attributes
    ----------
    samples
        Per record.
    first
        Position of its samples in a record.
    gain, offset
        Physical value = gain * stored + offset, in microvolts where ``is_voltage``, else in ``dimension``.
    """

    label: str
    dimension: str
    transducer: str
    prefilter: str
    samples: int
    first: int
    gain: float
    offset: float

    @property
    def is_annotations(self) -> bool:
        """Whether it holds time-stamped texts instead of samples."""
        return self.label in ("EDF Annotations", "BDF Annotations")

    @property
    def is_voltage(self) -> bool:
        """Whether its physical dimension is one of voltage."""
        return self.dimension.lower() in _MICROVOLTS


@dataclass(frozen=True)
class EdfHeader:
    """What the header says.

    Attributes
    ----------
    records
        Number of records that it claims; None where the recording was not closed.
    record_sec
        Duration of a record.
    value_bytes
        2 (EDF) or 3 (BDF).
    is_discontinuous
        EDF+D: records have a time of their own each.
    """

    path: Path
    value_bytes: int
    header_bytes: int
    records: int | None
    record_sec: Fraction
    is_discontinuous: bool
    begun: datetime | None
    patient: str
    recording: str
    signals: tuple[EdfSignal, ...]

    @property
    def record_values(self) -> int:
        """Values of one record."""
        return sum(s.samples for s in self.signals)

    @property
    def record_bytes(self) -> int:
        """Bytes of one record."""
        return self.record_values * self.value_bytes


def is_edf(path: Path) -> bool:
    """Return whether a file begins as EDF and BDF files do."""
    try:
        with open(path, "rb") as handle:
            head = handle.read(_HEAD_BYTES)
    except OSError:
        return False
    return len(head) == _HEAD_BYTES and head[:8] in (_EDF_MAGIC, _BDF_MAGIC) and head[184:192].strip().isdigit()


def read_header(path: Path) -> EdfHeader:
    """Read the header; RecordingError names what is damaged."""
    with open(path, "rb") as handle:
        head = handle.read(_HEAD_BYTES)
        if len(head) < _HEAD_BYTES or head[:8] not in (_EDF_MAGIC, _BDF_MAGIC):
            raise RecordingError(f"{path} does not begin as an EDF or BDF file")
        count = _whole(head[252:256], "number of signals", path)
        if not 0 < count <= _MOST_SIGNALS:
            raise RecordingError(f"{path}: {count} signals; its header is damaged")
        body = exactly(handle, count * sum(_FIELDS), path)
    value_bytes = 3 if head[:8] == _BDF_MAGIC else 2
    reserved = _text(head[192:236])
    records = _whole(head[236:244], "number of records", path)
    recording = _text(head[88:168])
    header = EdfHeader(
        path=path,
        value_bytes=value_bytes,
        header_bytes=_HEAD_BYTES * (count + 1),
        records=None if records < 0 else records,
        record_sec=_duration(head[244:252], path),
        is_discontinuous=reserved[:5] in ("EDF+D", "BDF+D"),
        begun=_begun(_text(head[168:176]), _text(head[176:184]), recording),
        patient=_text(head[8:88]),
        recording=recording,
        signals=_signals(body, count, path),
    )
    if not 0 < header.record_bytes <= _MOST_RECORD_BYTES:
        raise RecordingError(f"{path}: records of {header.record_bytes} bytes; its header is damaged")
    return header


def _signals(body: bytes, count: int, path: Path) -> tuple[EdfSignal, ...]:
    fields: list[list[str]] = []
    at = 0
    for width in _FIELDS:
        fields.append([_text(body[at + i * width : at + (i + 1) * width]) for i in range(count)])
        at += count * width
    found: list[EdfSignal] = []
    first = 0
    for i, label in enumerate(fields[0]):
        samples = _whole(fields[8][i].encode(), f"number of samples of {label!r}", path)
        if samples < 0 or samples > _MOST_RECORD_BYTES:
            raise RecordingError(f"{path}: {samples} samples per record of {label!r}; its header is damaged")
        gain, offset = _scale([fields[k][i] for k in (3, 4, 5, 6)], fields[2][i], label, path)
        found.append(EdfSignal(label, fields[2][i], fields[1][i], fields[7][i], samples, first, gain, offset))
        first += samples
    return tuple(found)


def _scale(limits: list[str], dimension: str, label: str, path: Path) -> tuple[float, float]:
    """Return gain and offset: the physical range stands for the digital one."""
    if label in ("EDF Annotations", "BDF Annotations"):
        return 1.0, 0.0
    try:
        low, high, digital_low, digital_high = (float(v.replace(",", ".")) for v in limits)
        gain = (high - low) / (digital_high - digital_low)
        offset = low - digital_low * gain
    except (ValueError, ZeroDivisionError) as error:
        raise RecordingError(f"{path}: the range of {label!r} ({', '.join(limits)}) is no range") from error
    factor = _MICROVOLTS.get(dimension.lower(), 1.0)
    if not (abs(gain) < 1e30 and gain != 0 and abs(offset) < 1e30):
        raise RecordingError(f"{path}: the range of {label!r} ({', '.join(limits)}) is no range")
    return gain * factor, offset * factor


def _duration(field: bytes, path: Path) -> Fraction:
    text = _text(field)
    if re.fullmatch(r"\d+(\.\d*)?|\.\d+", text):
        duration = Fraction(text)
        if Fraction(1, 10**6) <= duration <= 10**6:
            return duration
    raise RecordingError(f"{path}: records last {text!r} seconds; its header is damaged, or it holds annotations only")


def _begun(date: str, time: str, recording: str) -> datetime | None:
    """Return the start; years of two digits are 1985 to 2084, EDF+ gives all four."""
    day = re.fullmatch(r"(\d\d)[./-](\d\d)[./-](\d\d)", date)
    clock = re.fullmatch(r"(\d\d)[.:](\d\d)[.:](\d\d)", time)
    if day is None or clock is None:
        return None
    year = int(day[3]) + (1900 if int(day[3]) >= 85 else 2000)
    parts = [year, int(day[2]), int(day[1])]
    full = re.search(r"Startdate (\d\d)-([A-Za-z]{3})-(\d{4})", recording)
    if full is not None and full[2].upper() in _MONTHS:
        parts = [int(full[3]), _MONTHS.index(full[2].upper()) + 1, int(full[1])]
    try:
        return datetime(parts[0], parts[1], parts[2], int(clock[1]), int(clock[2]), int(clock[3]), tzinfo=UTC)
    except ValueError:
        return None


def _whole(field: bytes, what: str, path: Path) -> int:
    text = _text(field)
    if not re.fullmatch(r"[+-]?\d{1,18}", text):
        raise RecordingError(f"{path}: the {what} is {text!r}; its header is damaged")
    return int(text)


def _text(field: bytes) -> str:
    return field.decode("latin-1").replace("\0", " ").strip()
