"""The head of a CSV file: what its comment lines and column names say."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import NotARecordingError
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.recordings.channels import NATIVE_UNIT, TYPE_ORDER, Channel, ChannelTable

MAGIC = "# ranvier csv"
EVENTS_MAGIC = "# ranvier csv events"
_HEAD_BYTES = 1 << 22
_MOST_COMMENTS = 1000

_KINDS: tuple[tuple[str, SignalType], ...] = (
    ("pri|amp|ch|chan|channel|electrode|elec|e", SignalType.AMP),
    ("aux|ain|adc|analog|anin", SignalType.AIN),
    ("din|di|ttl|digital_in", SignalType.DIN),
    ("dout|do|digital_out", SignalType.DOUT),
)
_CHANNEL = re.compile("|".join(f"(?P<k{i}>(?:{names})[ _-]?(\\d+))" for i, (names, _) in enumerate(_KINDS)), re.I)
#: Names of columns that count samples, and of those that tell time with what divides it into seconds.
_COUNTERS = {"counter", "sample", "samples", "sample_number", "index", "timestamp", "timestamps", ""}
_TIMES = {"time": 1, "t": 1, "seconds": 1, "sec": 1, "s": 1, "time_s": 1, "time_sec": 1, "time_seconds": 1,
          "time_ms": 1000, "ms": 1000, "milliseconds": 1000, "time_us": 10**6, "us": 10**6}  # fmt: skip
_RATES = ("fs_hz", "fs", "sampling_rate", "sample_rate", "sampling_frequency", "samp_freq", "rate")
#: Factors of units to microvolts (amplifier) or volts (analog inputs).
_MICROVOLTS = {"uv": 1.0, "µv": 1.0, "μv": 1.0, "microvolts": 1.0, "mv": 1e3, "millivolts": 1e3, "v": 1e6, "volts": 1e6}


@dataclass(frozen=True)
class Head:
    """What stands before the first row.

    Attributes
    ----------
    values
        Comment lines of the form ``# key = value`` (or ``key: value``), keys in lower case.
    names
        Names of all columns, units stripped.
    units
        What stood in brackets behind the names, or in the comment ``units``.
    time_column
        Column of the time, or None.
    counts
        True where that column counts samples rather than seconds.
    per_second
        What a time is divided by to be seconds.
    first_byte
        Where the first row begins.
    """

    is_ours: bool
    values: Mapping[str, str]
    names: tuple[str, ...]
    units: tuple[str, ...]
    delimiter: str
    decimal: str
    time_column: int | None
    counts: bool
    per_second: int
    first_byte: int
    columns: tuple[int, ...] = field(default=())

    @property
    def rate(self) -> Fraction | None:
        """The rate that the comment lines state, or None."""
        for key in _RATES:
            found = rate_of(self.values.get(key, ""))
            if found is not None:
                return found
        return None


def rate_of(text: str) -> Fraction | None:
    """Return a rate written as ``30000``, ``24414.0625``, ``390625/16`` or ``30 kHz``; None for anything else."""
    match = re.fullmatch(r"\s*([0-9][0-9.eE+-]*(?:/[0-9]+)?)\s*(k?)(?:hz)?\s*", text, re.I)
    if match is None or len(text) > 100:
        return None
    try:
        rate = Fraction(match[1]) * (1000 if match[2] else 1)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    return rate if Fraction(1, 10**5) <= rate <= 10**9 else None


def read_head(path: Path) -> Head | None:
    """Return the head of a file; None where it is no table of numbers under a row of names."""
    with open(path, "rb") as handle:
        content = handle.read(_HEAD_BYTES)
    at = 3 if content.startswith(b"\xef\xbb\xbf") else 0
    values: dict[str, str] = {}
    is_ours = content[at:].startswith(MAGIC.encode()) and not content[at:].startswith(EVENTS_MAGIC.encode())
    for _ in range(_MOST_COMMENTS):
        end = content.find(b"\n", at)
        line = content[at : end if end >= 0 else len(content)]
        if not line.strip() or line.startswith((b"#", b"%")):
            _note(values, line.decode("utf-8", "replace"))
        else:
            break
        if end < 0:
            return None
        at = end + 1
    end = content.find(b"\n", at)
    if end < 0:
        return None
    header = content[at:end].decode("utf-8", "replace").strip("\r")
    following = content[end + 1 : content.find(b"\n", end + 1) if b"\n" in content[end + 1 :] else len(content)]
    return _head(values, header, following.decode("latin-1").strip("\r"), end + 1, is_ours)


def _note(values: dict[str, str], line: str) -> None:
    match = re.match(r"[#%]+\s*([A-Za-z_][\w ]*?)\s*[=:]\s*(.*)", line.strip())
    if match is not None:
        values[match[1].lower().replace(" ", "_")] = match[2]


def _head(values: dict[str, str], header: str, row: str, first_byte: int, is_ours: bool) -> Head | None:
    delimiter = max((",", ";", "\t"), key=header.count)
    decimal = "," if delimiter == ";" and "." not in row and "," in row else "."
    if any(number_of_cell(cell, decimal) is None for cell in row.split(delimiter)) and row.strip():
        return None
    cells = [cell.strip().strip('"') for cell in header.split(delimiter)]
    if all(number_of_cell(cell, decimal) is not None for cell in cells) or len(cells) > 100_000:
        return None
    names, units = zip(*(_name_and_unit(cell) for cell in cells), strict=True)
    stated = [u.strip() for u in values.get("units", "").split(delimiter if is_ours else ",")]
    if len(stated) == len(cells):
        units = tuple(stated)
    column, counts, per_second = _time(names, units, row.split(delimiter), decimal)
    return Head(is_ours, values, tuple(names), tuple(units), delimiter, decimal, column, counts, per_second, first_byte)


def number_of_cell(cell: str, decimal: str) -> float | None:
    """Return the number in a cell, NaN for an empty one, None where it is no number."""
    text = cell.strip().replace(decimal, ".")
    try:
        return float(text) if text else math.nan
    except ValueError:
        return None


def _name_and_unit(cell: str) -> tuple[str, str]:
    match = re.fullmatch(r"(.*?)\s*[\[(]\s*([^\])]*?)\s*[\])]", cell)
    return (match[1], match[2]) if match is not None else (cell, "")


def _time(names: tuple[str, ...], units: tuple[str, ...], row: list[str], decimal: str) -> tuple[int | None, bool, int]:
    """Return the column of the time, whether it counts samples, and what turns it into seconds."""
    for i, name in enumerate(names):
        key = name.lower().replace(" ", "_")
        if key in _TIMES:
            return i, False, _TIMES.get(f"time_{units[i].lower()}", _TIMES[key])
        if key in _COUNTERS and i == 0:
            value = number_of_cell(row[0], decimal) if row else None
            return i, units[i].lower() not in ("s", "sec", "seconds") and (value is None or value == int(value or 0)), 1
    return None, False, 1


def looks_like_channels(head: Head) -> bool:
    """Return whether any column has the name of a channel."""
    return any(_CHANNEL.fullmatch(name) for name in head.names)


def channels_of(head: Head, path: Path) -> tuple[ChannelTable, npt.NDArray[np.int64]]:
    """Return the channels in the order of types, and the column of the file that each is.

    Names such as ``pri_3`` tell type and index; other names are taken for amplifier channels. Amplifier columns without
    a unit are assumed to be microvolts, analog inputs volts.
    """
    found: dict[SignalType, list[tuple[int, int | None]]] = {kind: [] for kind in TYPE_ORDER}
    for column, name in enumerate(head.names):
        if column == head.time_column:
            continue
        match = _CHANNEL.fullmatch(name)
        if match is None:
            found[SignalType.AMP].append((column, None))
            continue
        which = next(i for i in range(len(_KINDS)) if match[f"k{i}"])
        digits = re.search(r"\d+$", name)
        number = int(digits[0]) if digits is not None and len(digits[0]) < 7 else None
        found[_KINDS[which][1]].append((column, number))
    channels: list[Channel] = []
    columns: list[int] = []
    for kind in TYPE_ORDER:
        numbers = [n for _, n in found[kind]]
        usable = None not in numbers and len(set(numbers)) == len(numbers)
        for position, (column, number) in enumerate(found[kind]):
            ntv = number if usable and number is not None else position
            channels.append(_channel(head, kind, ntv, len(channels), column))
            columns.append(column)
    if not channels:
        raise NotARecordingError(f"{path} has no column of samples")
    return ChannelTable(tuple(channels)), np.array(columns, np.int64)


def _channel(head: Head, kind: SignalType, ntv: int, sys: int, column: int) -> Channel:
    unit = head.units[column].lower()
    gain, source = 1.0, "assumed"
    if kind == SignalType.AMP and unit in _MICROVOLTS:
        gain, source = _MICROVOLTS[unit], "file"
    elif kind == SignalType.AIN and unit in _MICROVOLTS:
        gain, source = _MICROVOLTS[unit] / 1e6, "file"
    elif kind not in (SignalType.AMP, SignalType.AIN):
        source = "file"
    made = Channel(kind, ntv, sys, head.names[column] or f"column_{column}", unit_source=source, gain=gain)
    is_amp = kind == SignalType.AMP
    return replace(made, ntv_name=made.name, unit=NATIVE_UNIT[kind], port=Port.A if is_amp else None)
