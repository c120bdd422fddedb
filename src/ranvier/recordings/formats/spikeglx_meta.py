"""The ``.meta`` file of a SpikeGLX recording: lines of ``key=value``, tables as ``~key=(header)(entry)(entry)...``.

Source: https://billkarsh.github.io/SpikeGLX/Sgl_help/Metadata_30.html and its versions for phases 3A, 3B and 2.0.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

from ranvier.exceptions import RecordingError
from ranvier.recordings.formats.counters import exact_rate

_MAX_META_BYTES = 1 << 24
#: Channels that one stream can save; the largest probe so far has 5120 sites and 1536 channels.
_MOST_CHANNELS = 1 << 14
_NAME = re.compile(r"(?P<run>.+)_g(?P<gate>\d{1,6})_t(?P<trigger>\d{1,6}|cat)\.(?P<stream>.+)")
#: Counts of saved channels of each kind, by the key that tells them.
_KINDS: dict[str, tuple[str, ...]] = {
    "ApLfSy": ("AP", "LF", "SY"),
    "MnMaXaDw": ("MN", "MA", "XA", "XD"),
    "XaDwSy": ("XA", "XD", "SY"),
}


@dataclass(frozen=True)
class SavedChannel:
    """One column of the file: its kind, its position among those of its kind at acquisition, its name."""

    kind: str
    index: int
    name: str


@dataclass(frozen=True)
class Meta:
    """One ``.meta`` file."""

    path: Path
    values: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> Meta:
        """Parse a file; RecordingError where it is no SpikeGLX description."""
        try:
            size = path.stat().st_size
            if size > _MAX_META_BYTES:
                raise RecordingError(f"{path}: {size} bytes are too many for a description; it is damaged")
            text = path.read_bytes().decode("utf-8", errors="replace")
        except OSError as error:
            raise RecordingError(f"{path} cannot be read: {error.strerror or error}") from error
        pairs = (line.partition("=") for line in text.splitlines())
        values = {key.strip().removeprefix("~"): value.strip() for key, found, value in pairs if found}
        if "nSavedChans" not in values:
            raise RecordingError(f"{path}: it does not say how many channels are saved; not SpikeGLX's, or damaged")
        return cls(path, values)

    def number(self, key: str, default: float | None = None) -> float:
        """Return a finite number; RecordingError where it is missing (without a default) or none."""
        text = self.values.get(key, "")
        if not text and default is not None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not abs(value) < 1e15:  # also refuses NaN
            raise RecordingError(f"{self.path}: {key}={text[:40]!r} is not a number; the file is damaged")
        return value

    def integer(self, key: str, default: int | None = None) -> int:
        """Return a whole number that is not negative."""
        value = self.number(key, default)
        if value < 0 or value != int(value):
            raise RecordingError(f"{self.path}: {key}={self.values.get(key)!r} is not a count; the file is damaged")
        return int(value)

    def table(self, key: str) -> tuple[str, list[str]]:
        """Return header and entries of a table; empty where it is not there."""
        entries = re.findall(r"\(([^()]*)\)", self.values.get(key, ""))
        return (entries[0], entries[1:]) if entries else ("", [])

    @cached_property
    def device(self) -> str:
        """``imec``, ``nidq`` or ``obx``; phase 3A does not say it in so many words."""
        stated = self.values.get("typeThis", "")
        if stated in ("imec", "nidq", "obx"):
            return stated
        for key, device in (("snsApLfSy", "imec"), ("snsMnMaXaDw", "nidq"), ("snsXaDwSy", "obx")):
            if key in self.values:
                return device
        raise RecordingError(f"{self.path}: it does not say which kind of stream it describes (typeThis)")

    @cached_property
    def fs(self) -> Fraction:
        """Sampling rate in Hz, exact."""
        key = {"imec": "imSampRate", "nidq": "niSampRate", "obx": "obSampRate"}[self.device]
        return exact_rate(self.number(key), where=str(self.path))

    @cached_property
    def num_channels(self) -> int:
        """Columns of the file."""
        n = self.integer("nSavedChans")
        if not 0 < n <= _MOST_CHANNELS:
            raise RecordingError(f"{self.path}: {n} saved channels; the file is damaged")
        return n

    @cached_property
    def first_sample(self) -> int | None:
        """Counter of the first sample since the run started; None where it is not told."""
        return self.integer("firstSample") if self.values.get("firstSample") else None

    def saved(self) -> list[SavedChannel]:
        """Return the columns of the file, in order."""
        key = {"imec": "ApLfSy", "nidq": "MnMaXaDw", "obx": "XaDwSy"}[self.device]
        kinds = _KINDS[key]
        counts = self._counts("sns" + key, len(kinds))
        if sum(counts) != self.num_channels:
            raise RecordingError(
                f"{self.path}: {self.num_channels} channels are saved, but sns{key} counts {sum(counts)}"
            )
        acquired = self._counts("acq" + key, len(kinds)) if "acq" + key in self.values else counts
        first = [sum(acquired[:i]) for i in range(len(kinds))]
        subset = self._subset(sum(acquired))
        names = [entry.partition(";")[0] for entry in self.table("snsChanMap")[1]]
        saved: list[SavedChannel] = []
        for kind, n, start in zip(kinds, counts, first, strict=True):
            for i in range(n):
                column = len(saved)
                index = subset[column] - start if subset is not None else i
                name = names[column] if len(names) == self.num_channels and names[column] else f"{kind}{index}"
                saved.append(SavedChannel(kind, index if index >= 0 else i, name))
        if len({(c.kind, c.index) for c in saved}) != len(saved):
            raise RecordingError(f"{self.path}: snsSaveChanSubset does not fit the counts of saved channels")
        return saved

    def _counts(self, key: str, n: int) -> list[int]:
        parts = self.values.get(key, "").split(",")
        if len(parts) != n or not all(p.strip().isdigit() and len(p) < 9 for p in parts):
            raise RecordingError(f"{self.path}: {key}={self.values.get(key)!r} does not count {n} kinds of channels")
        return [int(p) for p in parts]

    def _subset(self, acquired: int) -> list[int] | None:
        """Return the acquired index of each saved column; None where all are saved, or where it is not told."""
        text = self.values.get("snsSaveChanSubset", "all").strip().lower()
        indices = ranges(text)
        if indices is None or len(indices) != self.num_channels or max(indices) >= acquired:
            return None
        return indices

    @cached_property
    def name(self) -> tuple[str, int, str, str]:
        """Run, gate, trigger (``cat``: joined by CatGT) and stream, from the file's name."""
        found = _NAME.fullmatch(self.path.name.removesuffix(".meta"))
        if found is None:
            run, _, stream = self.path.name.removesuffix(".meta").partition(".")
            return run, 0, "", stream or run
        return found["run"], int(found["gate"]), found["trigger"], found["stream"]


def ranges(text: str) -> list[int] | None:
    """Return the numbers of ``2,4,12:150``; None where it is no such list, or an absurdly long one."""
    numbers: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,7})(?::(\d{1,7}))?\s*", part)
        if found is None:
            return None
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first or len(numbers) + last - first > _MOST_CHANNELS:
            return None
        numbers.extend(range(first, last + 1))
    return numbers
