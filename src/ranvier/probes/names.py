"""Probe names: NeuroNexus-style spellings, Radiens ids and their aliases, as one typed value.

The grammar, in the catalogue's spelling and in Radiens' (lower case, fewer separators)::

    A4x8-5mm-100-200-177         a4x8_5mm100_200_177
    <family><shanks>x<sites per shank>[-Poly3|Edge|tet]-<length>mm-<pitch>[s][-<shank pitch>]-<area>[-<package>]

Lengths are in um (the shank's in mm), areas in um2; ``s`` marks staggered columns. Where there is one site, or one
tetrode, per shank there is no site pitch, and the first number is the shank pitch (``a8x1_tet_7mm_200_121``).
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from ranvier.exceptions import ProbeError

PROBE_PREFIX = "probe__"

_GRAMMAR = re.compile(
    r"(?P<family>[a-z]+)(?P<shanks>\d+)x(?P<per_shank>\d+)(?:[_-](?P<style>poly\d|tet|edge))?"
    r"[_-](?P<length>\d+)mm[_-]?(?P<first>\d+)(?P<staggered>s?)(?:[_-](?P<second>\d+))?[_-](?P<area>\d+)"
    r"(?:[_-](?P<package>[a-z]+\d+[a-z]*))?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ProbeName:
    """What a probe's name says.

    Attributes
    ----------
    family
        Lower case: ``a`` acute planar, ``v`` Vector, ``buz`` Buzsaki, ``eeg_mouse`` surface grid, ...
    per_shank
        Sites per shank; tetrodes per shank where ``style`` is ``"tet"``.
    style
        ``""`` (one column), ``"poly2"`` ... ``"poly5"``, ``"edge"`` or ``"tet"``.
    length_mm
        Of a shank; 0 where the name does not tell.
    pitch_um
        Between neighbouring sites of a column (tetrodes of a shank); 0 where there is only one.
    staggered
        Columns are shifted by half a pitch against each other (``50s``).
    shank_pitch_um
        Between shanks; 0 for one shank.
    area_um2
        Of one site.
    package
        Connector, upper case (``H32``, ``CM32``); ``""`` where the name does not tell. It decides the wiring.
    """

    family: str
    shanks: int
    per_shank: int
    style: str = ""
    length_mm: int = 0
    pitch_um: int = 0
    staggered: bool = False
    shank_pitch_um: int = 0
    area_um2: int = 0
    package: str = ""

    @property
    def site_count(self) -> int:
        """Number of sites."""
        return self.shanks * self.per_shank * (4 if self.style == "tet" else 1)

    @property
    def id(self) -> str:
        """The Radiens spelling, e.g. ``a4x8_5mm100_200_177``; a known package follows (``..._177_h32``)."""
        special = _special_id(self)
        if special:
            return special
        style = f"_{self.style}" if self.style else ""
        return f"{self._head}{style}_{self.length_mm}mm{self._numbers('_')}" + _suffix("_", self.package.lower())

    @property
    def wire_id(self) -> str:
        """The id as files and the wire carry it: ``probe__`` and the id."""
        return PROBE_PREFIX + self.id

    @property
    def catalogue(self) -> str:
        """The catalogue's spelling, e.g. ``A4x8-5mm-100-200-177``."""
        special = _special_id(self)
        if special:
            return _SPECIAL_CATALOGUE[special]
        style = f"-{self.style if self.style == 'tet' else self.style.capitalize()}" if self.style else ""
        head = self._head[0].upper() + self._head[1:]
        return f"{head}{style}-{self.length_mm}mm-{self._numbers('-').lstrip('-')}" + _suffix("-", self.package)

    @property
    def _head(self) -> str:
        return f"{self.family}{self.shanks}x{self.per_shank}"

    def _numbers(self, separator: str) -> str:
        site = f"{self.pitch_um}{'s' if self.staggered else ''}" if self.pitch_um else ""
        shank = f"{separator}{self.shank_pitch_um}" if self.shank_pitch_um else ""
        return f"{site}{shank}{separator}{self.area_um2}"


#: Names outside the grammar.
SPECIAL_NAMES: dict[str, ProbeName] = {
    "buz32": ProbeName("buz", 4, 8, length_mm=5, pitch_um=20, staggered=True, shank_pitch_um=200, area_um2=160),
    "buz64": ProbeName("buz", 8, 8, length_mm=5, pitch_um=20, staggered=True, shank_pitch_um=200, area_um2=160),
    "eeg_mouse_1x30": ProbeName("eeg_mouse", 1, 30, area_um2=196350),
}
_SPECIAL_CATALOGUE = {"buz32": "Buzsaki32", "buz64": "Buzsaki64", "eeg_mouse_1x30": "eeg_mouse_1x30"}

#: Short names that the documented clients accept (one of them with a leading blank), and usual spellings.
PROBE_ALIASES: dict[str, str] = {
    "v1x16-16": "v1x16_edge_10mm200_177",
    "4x8-32": "a4x8_5mm100_200_177",
    "8x1tet-32": "a8x1_tet_7mm_200_121",
    "buz-32": "buz32",
    "poly3-32": "a1x32_poly3_8mm50s_177",
    "poly5-32": "a1x32_poly5_6mm35s_100",
    "8x8-64": "a8x8_5mm200_200_413",
    "poly3-64": "v1x64_poly3_10mm25s_177",
    "buz-64": "buz64",
    "buzsaki32": "buz32",
    "buzsaki64": "buz64",
}

#: Ids that the documented clients know.
KNOWN_PROBES: tuple[str, ...] = (
    "a1x16_5mm150_177",
    "a1x32_poly3_8mm50s_177",
    "a1x32_poly5_6mm35s_100",
    "a2x16_10mm50_500_177",
    "a4x8_5mm100_200_177",
    "a8x1_tet_7mm_200_121",
    "a8x8_5mm200_200_413",
    "buz32",
    "buz64",
    "eeg_mouse_1x30",
    "v1x16_edge_10mm200_177",
    "v1x64_poly3_10mm25s_177",
)


def parse_probe_name(text: str) -> ProbeName:
    """Read a probe's name: Radiens id (with or without ``probe__``), catalogue spelling or alias; any case.

    Raises
    ------
    ProbeError
        Not a name of this grammar; the message lists what comes near and how to give the geometry as a file.
    """
    key = text.strip().lower().removeprefix(PROBE_PREFIX)
    key = PROBE_ALIASES.get(key, key)
    if key in SPECIAL_NAMES:
        return SPECIAL_NAMES[key]
    match = _GRAMMAR.fullmatch(key)
    if match is None:
        raise ProbeError(_unknown(text, key))
    return _from_match(text, match)


def _from_match(text: str, match: re.Match[str]) -> ProbeName:
    """Give the numbers of a name their meaning, and refuse the ones that have none."""
    shanks, per_shank = int(match["shanks"]), int(match["per_shank"])
    numbers = [int(match["first"])] + ([int(match["second"])] if match["second"] else [])
    wants_pitch, wants_shank_pitch = per_shank > 1, shanks > 1
    if len(numbers) != wants_pitch + wants_shank_pitch:
        wanted = " and ".join(["site pitch"] * wants_pitch + ["shank pitch"] * wants_shank_pitch) or "no pitch"
        raise ProbeError(
            f"probe name {text!r}: {shanks} shank(s) of {per_shank} need {wanted} before the area, "
            f"but the name gives {len(numbers)} number(s); e.g. A4x8-5mm-100-200-177, A1x16-5mm-150-177"
        )
    if min(shanks, per_shank, int(match["area"]), *numbers) == 0:
        raise ProbeError(f"probe name {text!r}: counts, pitches and area must be positive")
    if match["staggered"] and not wants_pitch:
        raise ProbeError(f"probe name {text!r}: one site per shank cannot be staggered; leave out the 's'")
    return ProbeName(
        family=match["family"].lower(),
        shanks=shanks,
        per_shank=per_shank,
        style=(match["style"] or "").lower(),
        length_mm=int(match["length"]),
        pitch_um=numbers[0] if wants_pitch else 0,
        staggered=bool(match["staggered"]),
        shank_pitch_um=numbers[-1] if wants_shank_pitch else 0,
        area_um2=int(match["area"]),
        package=(match["package"] or "").upper(),
    )


def _unknown(text: str, key: str) -> str:
    known = sorted({*KNOWN_PROBES, *PROBE_ALIASES})
    near = difflib.get_close_matches(key.replace("-", "_"), known, n=4, cutoff=0.5) or list(KNOWN_PROBES)
    return (
        f"unknown probe {text!r}; near matches: {', '.join(near)}. Names look like A4x8-5mm-100-200-177 or "
        f"a4x8_5mm100_200_177; for any other probe pass the path of a probeinterface .json file"
    )


def _special_id(name: ProbeName) -> str:
    return next((key for key, known in SPECIAL_NAMES.items() if known == name), "")


def _suffix(separator: str, text: str) -> str:
    return f"{separator}{text}" if text else ""
