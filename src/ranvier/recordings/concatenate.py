"""Whether recordings can stand one after the other, and where each one goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError
from ranvier.recordings.channels import Channel, ChannelTable
from ranvier.recordings.pieces import PieceTable, SourcePiece
from ranvier.recordings.recording import Recording

#: ``same``: every source has the same channels (type, native index, name, unit) in the same order. ``name``: every
#: source has the channels of the first one, found by type and name; others are left out.
MatchRule = Literal["same", "name"]
MATCH_RULES: tuple[str, ...] = get_args(MatchRule)


@dataclass(frozen=True, slots=True)
class Part:
    """A source to be concatenated: the recording, its channels as the user sees them, and where it is."""

    recording: Recording
    channels: ChannelTable
    path: str
    stream: str = ""


def match_columns(parts: Sequence[Part], rule: MatchRule) -> tuple[list[npt.NDArray[np.int64]], list[str]]:
    """Return, per part, which of its columns makes each channel of the first one; and what was left out, in words.

    Raises
    ------
    ConfigurationError
        Naming everything that does not fit, of every part.
    """
    if rule not in MATCH_RULES:
        raise ConfigurationError(f"match={rule!r}: it is one of {', '.join(MATCH_RULES)}")
    if len(parts) < 2:
        raise ConfigurationError(f"concatenating takes at least two recordings, not {len(parts)}")
    faults: list[str] = []
    notes: list[str] = []
    columns: list[npt.NDArray[np.int64]] = []
    first = parts[0]
    for part in parts:
        faults += _not_usable(part)
        if part.recording.fs != first.recording.fs:
            faults.append(
                f"{part.path}: {float(part.recording.fs):.10g} Hz, "
                f"the first one has {float(first.recording.fs):.10g} Hz"
            )
        columns.append(_same(part, first, faults) if rule == "same" else _by_name(part, first, faults, notes))
    if faults:
        raise ConfigurationError("these recordings cannot be concatenated:\n" + "\n".join(f"  {f}" for f in faults))
    return columns, notes


def place(parts: Sequence[Part], *, gap_sec: float = 0.0, by_walltime: bool = False) -> PieceTable:
    """Return where each part goes: the first one keeps its counters, the others follow.

    Back to back, ``gap_sec`` apart (rounded to whole samples), or as far apart as their wall times say.
    ConfigurationError where a wall time is missing, or parts would overlap.
    """
    if not (np.isfinite(gap_sec) and gap_sec >= 0):
        raise ConfigurationError(f"gap_sec={gap_sec!r}: a gap between recordings is 0 s or longer")
    if by_walltime and gap_sec:
        raise ConfigurationError("gap_sec and by_walltime are two rules for the same gaps; give one of them")
    fs = parts[0].recording.fs
    gap = round(gap_sec * fs)
    pieces: list[SourcePiece] = []
    faults: list[str] = []
    begin = parts[0].recording.walltime
    for part in parts:
        r = part.recording
        at = pieces[-1].output_stop + gap if pieces else r.start
        if by_walltime and (begin is None or r.walltime is None):
            faults.append(f"{part.path}: does not tell when it was recorded")
        elif by_walltime and begin is not None and r.walltime is not None:
            at = parts[0].recording.start + round((r.walltime - begin).total_seconds() * fs)
            if pieces and at < pieces[-1].output_stop:
                late = float((pieces[-1].output_stop - at) / fs)
                faults.append(f"{part.path}: its wall time lies {late:.6g} s before the end of the one before it")
        pieces.append(SourcePiece(part.path, part.stream, r.start, r.stop, at))
    if faults:
        raise ConfigurationError("these recordings have no order by wall time:\n" + "\n".join(f"  {f}" for f in faults))
    return PieceTable(tuple(pieces))


def _not_usable(part: Part) -> list[str]:
    if part.recording.segments.rows == 0:
        return [f"{part.path}: holds no samples"]
    if part.recording.is_being_written():
        return [f"{part.path}: is still being recorded; stop it first"]
    return []


def _same(part: Part, first: Part, faults: list[str]) -> npt.NDArray[np.int64]:
    mine, wanted = list(part.channels), list(first.channels)
    if len(mine) != len(wanted):
        faults.append(f"{part.path}: {len(mine)} channels, the first one has {len(wanted)}")
    differ = [i for i, (a, b) in enumerate(zip(mine, wanted, strict=False)) if _identity(a) != _identity(b)]
    if differ:
        a, b = mine[differ[0]], wanted[differ[0]]
        more = f" (and {len(differ) - 1} more)" if len(differ) > 1 else ""
        faults.append(f"{part.path}: column {differ[0]} is {_words(a)}, in the first one {_words(b)}{more}")
    return np.arange(len(wanted), dtype=np.int64)


def _by_name(part: Part, first: Part, faults: list[str], notes: list[str]) -> npt.NDArray[np.int64]:
    known: dict[tuple[int, str], list[int]] = {}
    for i, c in enumerate(part.channels):
        known.setdefault((c.type, c.name), []).append(i)
    twice = [name for (_, name), at in known.items() if len(at) > 1]
    if twice:
        faults.append(f"{part.path}: channel names occur twice: {', '.join(twice[:5])}")
    missing = [c.name for c in first.channels if (c.type, c.name) not in known]
    if missing:
        faults.append(f"{part.path}: has no channel {', '.join(missing[:8])}{' ...' if len(missing) > 8 else ''}")
        return np.zeros(len(first.channels), dtype=np.int64)
    found = [known[c.type, c.name][0] for c in first.channels]
    other = [c.name for i, c in zip(found, first.channels, strict=True) if part.channels[i].unit != c.unit]
    if other:
        faults.append(f"{part.path}: other units than the first one in {', '.join(other[:5])}")
    extra = sorted({c.name for c in part.channels} - {c.name for c in first.channels})
    if extra:
        notes.append(f"{part.path}: left out {', '.join(extra[:8])}{' ...' if len(extra) > 8 else ''}")
    return np.array(found, dtype=np.int64)


def _identity(c: Channel) -> tuple[object, ...]:
    return (c.type, c.ntv, c.name, c.unit)


def _words(c: Channel) -> str:
    return f"{c.type.name} {c.ntv} {c.name!r} in {c.unit.name.lower()}"
