"""What people changed in a finished sorting: a log that is only ever added to, applied whenever spikes are read.

Merges and splits make units with new numbers; no number is ever given twice, not even that of an undone change. The
columns of the file stay what the sorter wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError, DatasetError, RecordingError
from ranvier.spikes import container
from ranvier.spikes.file import CURATION, Edit, SpikesFile
from ranvier.spikes.segment import Segment
from ranvier.spikes.writer import append_chunk

I64 = npt.NDArray[np.int64]
#: Labels of what is no unit; its spikes stay, and neurons leave it out.
NO_UNITS = frozenset({"noise", "bad", "delete"})
MOST_LETTERS = 100


@dataclass(frozen=True)
class Part:
    """Spikes of a unit as the sorter found them: all of one of its units, or the rows that a split left of it."""

    unit: int
    rows: I64 | None = None


@dataclass
class Curated:
    """Units after the log was applied.

    Attributes
    ----------
    parts
        What each unit that exists is made of.
    labels
        What units were called by people.
    highest
        The highest number that any unit has or had.
    undone
        Numbers of the entries that were taken back.
    notes
        What could not be applied, in words.
    """

    parts: dict[int, tuple[Part, ...]]
    labels: dict[int, str] = field(default_factory=dict)
    highest: int = 0
    undone: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def is_changed(self) -> bool:
        """Return whether units are other than the sorter's."""
        return any(
            len(parts) != 1 or parts[0].rows is not None or parts[0].unit != unit for unit, parts in self.parts.items()
        )

    def need(self, units: Sequence[int]) -> None:
        """Raise DatasetError for units that do not exist; the message lists those that do."""
        unknown = [u for u in units if u not in self.parts]
        if unknown:
            raise DatasetError(
                f"there is no unit {', '.join(map(str, unknown[:8]))}; there are {listing(list(self.parts)) or 'none'}"
            )


def listing(numbers: Sequence[int]) -> str:
    """Return numbers in short: ``1-4, 7``."""
    runs: list[list[int]] = []
    for n in sorted(numbers):
        if runs and n == runs[-1][1] + 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    shown = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs[:40])
    return shown + (", ..." if len(runs) > 40 else "")


def rows_of(parts: Sequence[Part], segment: Segment) -> npt.NDArray[np.integer]:
    """Return the rows of a unit, ascending."""
    found = [segment.by_unit.of(p.unit) if p.rows is None else p.rows for p in parts]
    return found[0] if len(found) == 1 else np.sort(np.concatenate(found))


def applied(units: Sequence[int], edits: Sequence[Edit], segment: Segment | None) -> Curated:
    """Return what the log makes of the sorter's units; stops, with a note, where an entry cannot be applied."""
    state = Curated({u: (Part(u),) for u in sorted(units)}, highest=max(units, default=0))
    for edit in edits:
        new = edit.text.get("new", [])
        state.highest = max([state.highest, *(int(n) for n in (new if isinstance(new, list) else [new]))])
    state.undone = {int(e.text["undoes"]) for e in edits if e.text.get("action") == "undo"}
    for number, edit in enumerate(edits, start=1):
        try:
            if int(edit.text["number"]) != number:
                raise DatasetError(f"entry {number} is missing")
            if number not in state.undone and edit.text.get("action") != "undo":
                _apply(state, edit, segment)
        except (DatasetError, KeyError, ValueError, TypeError, IndexError) as error:
            state.notes.append(f"changes of units from number {number} on are not applied: {error}")
            break
    return state


def _apply(state: Curated, edit: Edit, segment: Segment | None) -> None:
    text = edit.text
    units = [int(u) for u in text["units"]]
    state.need(units)
    if text["action"] == "label":
        state.labels.update(dict.fromkeys(units, str(text["label"])))
    elif text["action"] == "merge":
        state.parts[int(text["new"][0])] = tuple(p for u in units for p in state.parts.pop(u))
    elif text["action"] == "split":
        if segment is None:
            raise DatasetError("there are no spikes")
        rows = rows_of(state.parts[units[0]], segment).astype(np.int64)
        group = edit.arrays["group"]
        if len(group) != len(rows):
            raise DatasetError(f"unit {units[0]} has {len(rows):,} spikes, and {len(group):,} were divided")
        del state.parts[units[0]]
        for k, unit in enumerate(int(n) for n in text["new"]):
            state.parts[unit] = (Part(units[0], rows[group == k]),)
    else:
        raise DatasetError(f"what {text['action']!r} is, this version does not know")


def merge(path: Path, units: Sequence[int], *, by: str = "") -> int:
    """Make one unit of several; return its number.

    Raises
    ------
    ConfigurationError
        Fewer than two different units.
    DatasetError
        A unit that does not exist.
    OutputError, RecordingError
        The file cannot be written, or is not finished.
    """
    chosen = [int(u) for u in units]
    if len(set(chosen)) != len(chosen) or len(chosen) < 2:
        raise ConfigurationError(f"a merge takes two or more different units; got {chosen}")
    return _append(path, "merge", chosen, 1, by=by)[0]


def split(path: Path, unit: int, groups: npt.ArrayLike, *, by: str = "") -> list[int]:
    """Divide a unit: ``groups`` has one number per spike, in time order; return the new unit of each, ascending.

    ConfigurationError where that is not one number per spike, or all are the same.
    """
    given = np.asarray(groups)
    distinct, group = np.unique(given, return_inverse=True)
    if given.ndim != 1 or len(distinct) < 2 or given.dtype.kind not in "iub":
        raise ConfigurationError(
            "a split takes one whole number per spike of the unit, and at least two different ones"
        )
    arrays = {"group": group.astype(np.uint16 if len(distinct) <= 2**16 else np.int64)}
    return _append(path, "split", [int(unit)], len(distinct), arrays, by=by)


def label(path: Path, units: Sequence[int], text: str, *, by: str = "") -> None:
    """Call units something (good, mua, noise, ...); an empty text takes a label away.

    ConfigurationError for anything but a short word or two: labels go into tables of other programs.
    """
    if not units:
        raise ConfigurationError("name at least one unit to label")
    if not isinstance(text, str) or not text.strip().isprintable() or len(text) > MOST_LETTERS:
        raise ConfigurationError(f"a label is a line of at most {MOST_LETTERS} letters, or empty; not {text!r:.100}")
    _append(path, "label", [int(u) for u in units], 0, by=by, label=text.strip())


def undo(path: Path, *, by: str = "") -> int:
    """Take back the latest change that is in force; return its number. ConfigurationError where there is none."""
    undone = 0

    def make(file: SpikesFile) -> bytes:
        nonlocal undone
        done = _sound_state(file)
        left = [n for n, e in enumerate(file.edits, start=1) if e.text.get("action") != "undo" and n not in done.undone]
        if not left:
            raise ConfigurationError(f"{path.name}: there is no change to undo")
        undone = left[-1]
        return _entry(file, "undo", by, undoes=undone)

    append_chunk(path, make)
    return undone


def state_of(file: SpikesFile) -> Curated:
    """Return the units of a file as they are now."""
    only = file.segments[0] if len(file.segments) == 1 and file.finished else None
    return applied(raw_units(file), file.edits, only)


def _sound_state(file: SpikesFile) -> Curated:
    state = state_of(file)
    if state.notes:
        raise RecordingError(f"{file.path}: {state.notes[0]}; save the spikes to a new file and curate that")
    return state


def raw_units(file: SpikesFile) -> list[int]:
    """Return the sorter's units: those with spikes, and those it described."""
    found = {u.unit for u in file.units}
    for segment in file.segments:
        keys = segment.by_unit.keys if file.finished else np.unique(segment.column("unit"))
        found.update(int(k) for k in keys)
    return sorted(found - {0})


def _append(
    path: Path, action: str, units: list[int], made: int, arrays: container.Arrays | None = None, *, by: str,
    **more: Any,
) -> list[int]:  # fmt: skip
    new: list[int] = []

    def make(file: SpikesFile) -> bytes:
        nonlocal new
        state = _sound_state(file)
        state.need(units)
        if arrays is not None:
            n = len(rows_of(state.parts[units[0]], file.segments[0])) if file.segments else 0
            if len(arrays["group"]) != n:
                raise ConfigurationError(
                    f"unit {units[0]} has {n:,} spikes; a split takes one number for each, got {len(arrays['group']):,}"
                )
        new = list(range(state.highest + 1, state.highest + 1 + made))
        return _entry(file, action, by, arrays, units=units, new=new, **more)

    append_chunk(path, make)
    return new


def _entry(file: SpikesFile, action: str, by: str, arrays: container.Arrays | None = None, **text: Any) -> bytes:
    if not isinstance(by, str) or not by.isprintable() or len(by) > MOST_LETTERS:
        raise ConfigurationError(
            f"by names who changes units in a line of at most {MOST_LETTERS} letters; not {by!r:.100}"
        )
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return container.encode(
        CURATION, {"number": len(file.edits) + 1, "action": action, "utc": at, "by": by, **text}, arrays
    )
