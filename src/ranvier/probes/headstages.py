"""Headstages: their ids, aliases and channel counts."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from ranvier.exceptions import ProbeError

HEADSTAGE_PREFIX = "hstg__"

#: Ids that the documented clients know, plus Intan's amplifier boards by their chip.
KNOWN_HEADSTAGES: dict[str, int] = {
    "acute_smartlink_A16": 16,
    "acute_smartlink_A64": 64,
    "chronic_smartlink_CM32": 32,
    "chronic_smartlink_H64": 64,
    "chronic_smartlink_HC16": 16,
    "passthrough_32": 32,
    "passthrough_64": 64,
    "RHD2132": 32,
    "RHD2164": 64,
}

HEADSTAGE_ALIASES: dict[str, str] = {
    "smart-16": "acute_smartlink_A16",
    "smart-32": "chronic_smartlink_CM32",
    "pass-32": "passthrough_32",
    "pass-64": "passthrough_64",
    "chronic-64": "chronic_smartlink_H64",
}

_FAMILY = re.compile(r"(acute_smartlink_|chronic_smartlink_|passthrough_)([a-z]*)(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Headstage:
    """A headstage.

    Attributes
    ----------
    id
        Without prefix, e.g. ``passthrough_32``.
    channels
        Amplifier channels.
    """

    id: str
    channels: int

    @property
    def wire_id(self) -> str:
        """The id as files and the wire carry it: ``hstg__`` and the id."""
        return HEADSTAGE_PREFIX + self.id


def parse_headstage(text: str) -> Headstage:
    """Read a headstage's id (with or without ``hstg__``) or alias; ProbeError names near matches."""
    key = text.strip()
    if key.lower().startswith(HEADSTAGE_PREFIX):
        key = key[len(HEADSTAGE_PREFIX) :]
    key = HEADSTAGE_ALIASES.get(key.lower(), key)
    by_lower = {known.lower(): known for known in KNOWN_HEADSTAGES}
    if key.lower() in by_lower:
        known = by_lower[key.lower()]
        return Headstage(known, KNOWN_HEADSTAGES[known])
    match = _FAMILY.fullmatch(key)
    if match is not None and int(match[3]) > 0:
        return Headstage(f"{match[1].lower()}{match[2].upper()}{int(match[3])}", int(match[3]))
    names = [*KNOWN_HEADSTAGES, *HEADSTAGE_ALIASES]
    near = difflib.get_close_matches(key, names, n=4, cutoff=0.4) or names
    raise ProbeError(
        f"unknown headstage {text!r}; near matches: {', '.join(near)}. Leave it out where it is none of these: "
        f"it names the connection, the geometry comes from the probe"
    )
