"""Where the sites of a named probe lie.

Coordinates are probe coordinates in um: y grows from the tip up and is 0 at the lowest site, x is 0 at the first
shank (at its left column where it has several), z is 0. Sites are numbered as the catalogue's site maps number them
where those are known to us.

Sources (facts, re-derived here; nothing is copied):

* one column, A family: numbers alternate from both ends, 1, n, 2, n-1, ... from the tip up; A1x16 has an order of its
  own; Edge probes count from the tip up. Site maps as used by probeinterface_library (MIT), spyke and benware.
* Poly3 on a square grid (``50``): probeinterface_library, neuronexus/A1x32-Poly3-10mm-50-177 (MIT).
* Poly3 staggered (``25s``): 10-12-10 sites, 18 um between columns: maps of A1x32-Poly3-5mm-25s-177.
* Poly5 (``35s``): columns of 1-6-6-6-6-6-1 sites 14 um apart: maps of A1x32-Poly5-6mm-35s-100.
* Buzsaki: 8 sites on a tapered shank, 20 um steps that alternate sides, site 5 at the tip: two independent maps of
  Buzsaki64-5mm-BUZ-200-160, which agree on order and heights.
* eeg_mouse_1x30: millimetres from bregma of the H32 Mouse EEG package: M. Miyakoshi, MouseMEA (BSD-2), after
  Jonak et al. 2018, doi:10.3389/fnint.2018.00053.

Everything else that a name allows follows the same rules by analogy and is marked approximate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ranvier.exceptions import ProbeError
from ranvier.probes.names import ProbeName
from ranvier.recordings.channels import Site

#: Site numbers of A1x16 from the tip up.
_A1X16_FROM_TIP = (6, 11, 3, 14, 1, 16, 2, 15, 5, 12, 4, 13, 7, 10, 8, 9)
#: Buzsaki shank: x and y of sites 1 to 8.
_BUZSAKI_X = (-18.5, -14.5, -10.5, -8.5, 0.0, 8.5, 12.5, 16.5)
_BUZSAKI_Y = (140.0, 100.0, 60.0, 20.0, 0.0, 40.0, 80.0, 120.0)
_BUZSAKI_SITE_UM = (12.0, 40.0 / 3.0)
#: Right half and midline of the mouse EEG grid: (lateral, anterior) mm from bregma, sites 1 to 15.
_EEG_MOUSE_MM = (
    (4.05, -4.14), (2.24, -4.14), (1.00, -4.14), (4.13, -3.04), (2.88, -3.04), (1.13, -3.04), (4.05, -1.96),
    (2.88, -1.96), (1.12, -1.96), (3.50, -0.48), (2.12, -0.48), (1.93, 1.04), (0.55, 1.04), (1.50, 2.30),
    (0.50, 2.30),
)  # fmt: skip
#: Distance between neighbouring sites of a planar tetrode, a square standing on its corner.
_TETRODE_SIDE_UM = 25.0


@dataclass(frozen=True, slots=True)
class PlacedSite:
    """One site of a probe: 1-based number, 0-based shank, place, and the maker's contact name (``""``: none)."""

    number: int
    shank: int
    site: Site
    contact_id: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """All sites of a probe, in order of their numbers.

    Attributes
    ----------
    approximate
        What is not certain about places or numbers, in words; ``""`` where both are known.
    """

    sites: tuple[PlacedSite, ...]
    approximate: str = ""

    def __len__(self) -> int:
        return len(self.sites)


def layout(name: ProbeName) -> Layout:
    """Return the sites of a named probe; ProbeError where the name describes no layout that is known."""
    if name.family == "eeg_mouse":
        return _eeg_mouse(name)
    if name.family == "buz":
        return _buzsaki(name)
    if name.style == "tet":
        return _tetrodes(name)
    if name.style.startswith("poly"):
        return _columns(name)
    return _linear(name)


def radius_um(area_um2: float) -> float:
    """Return the radius of a circular site, r = sqrt(area / pi)."""
    return math.sqrt(area_um2 / math.pi)


def _circle(x_um: float, y_um: float, area_um2: float) -> Site:
    width = 2 * radius_um(area_um2)
    return Site(x_um, y_um, shape="circle", area_um2=float(area_um2), width_um=width, height_um=width)


def _sorted(sites: Iterable[PlacedSite], approximate: str = "") -> Layout:
    return Layout(tuple(sorted(sites, key=lambda s: s.number)), approximate)


def _linear(name: ProbeName) -> Layout:
    """One column per shank; ``s`` shifts every second site sideways (by half the pitch, which is our guess)."""
    n = name.per_shank
    order = _order_from_tip(name)
    sideways = name.pitch_um / 2 if name.staggered else 0.0
    placed = [
        PlacedSite(
            number=shank * n + order[i],
            shank=shank,
            site=_circle(shank * name.shank_pitch_um + sideways * (i % 2), float(i * name.pitch_um), name.area_um2),
        )
        for shank in range(name.shanks)
        for i in range(n)
    ]
    doubts = ["site numbers"] * (name.family != "a") + ["sideways shift of staggered sites"] * name.staggered
    return _sorted(placed, ", ".join(doubts))


def _order_from_tip(name: ProbeName) -> tuple[int, ...]:
    """Return the site numbers of one shank from the tip up."""
    n = name.per_shank
    if name.style == "edge":
        return tuple(range(1, n + 1))
    if name.shanks == 1 and n == 16:
        return _A1X16_FROM_TIP
    return tuple(i // 2 + 1 if i % 2 == 0 else n - i // 2 for i in range(n))


def _columns(name: ProbeName) -> Layout:
    """Two to five columns per shank."""
    count = int(name.style[-1])
    if not 2 <= count <= 5:
        raise ProbeError(
            f"probe {name.catalogue}: {name.style} is not known; give the geometry as a probeinterface file"
        )
    columns, approximate = _column_places(name, count)
    if sum(len(ys) for _, ys in columns) != name.per_shank:
        raise ProbeError(
            f"probe {name.catalogue}: {name.per_shank} sites cannot be put into {count} columns by its rule; "
            f"give the geometry as a probeinterface file"
        )
    numbers = _column_numbers(name, [len(ys) for _, ys in columns])
    placed = [
        PlacedSite(shank * name.per_shank + number, shank, _circle(shank * name.shank_pitch_um + x, y, name.area_um2))
        for shank in range(name.shanks)
        for (x, ys), column in zip(columns, numbers, strict=True)
        for y, number in zip(ys, column, strict=True)
    ]
    return _sorted(placed, approximate)


def _column_places(name: ProbeName, count: int) -> tuple[list[tuple[float, list[float]]], str]:
    """Return x and the heights (tip up) of each column, from left to right, and what is uncertain."""
    pitch, n = float(name.pitch_um), name.per_shank
    if count == 5:
        return _poly5_places(pitch, n)
    if count == 4:
        return _even_columns(pitch, n, 4, name.staggered), "poly4 column distance and site numbers"
    if count == 2:
        return _even_columns(pitch, n, 2, name.staggered), "poly2 column distance and site numbers"
    side = (n - 1) // 3
    middle = n - 2 * side
    if not name.staggered:
        # the sides start one pitch above the tip's site
        heights = [pitch * (i + 1) for i in range(side)]
        grid = [(0.0, heights), (pitch, [pitch * i for i in range(middle)]), (2 * pitch, heights)]
        return grid, "" if (n, name.shanks) == (32, 1) else "sites per column, site numbers"
    apart = 18.0 if pitch == 25 else pitch * math.sin(math.pi / 3)
    heights = [pitch * (i + 0.5) for i in range(side)]
    doubts = ["column distance"] * (pitch != 25) + ["sites per column"] * (n != 32 or pitch != 25)
    doubts += ["site numbers"] * (n != 32 or name.shanks > 1)
    staggered = [(0.0, heights), (apart, [pitch * i for i in range(middle)]), (2 * apart, heights)]
    return staggered, ", ".join(doubts)


def _poly5_places(pitch: float, n: int) -> tuple[list[tuple[float, list[float]]], str]:
    """Five columns, the middle one lowest, each next one half a pitch higher; one more site at either edge on top."""
    rows, rest = divmod(n - 2, 5)
    if rest:
        return [], ""
    apart = 0.4 * pitch
    columns = [(apart * i, [pitch * (0.5 * abs(3 - i) + k) for k in range(rows)]) for i in range(1, 6)]
    top = pitch * (rows + 0.5)
    return [(0.0, [top]), *columns, (6 * apart, [top])], "poly5 site numbers"


def _even_columns(pitch: float, n: int, count: int, staggered: bool) -> list[tuple[float, list[float]]]:
    """Columns of equal length; neighbouring sites of staggered ones form equilateral triangles."""
    if n % count:
        return []
    apart = pitch * math.sin(math.pi / 3) if staggered else pitch
    return [
        (apart * i, [pitch * (k + (0.5 if staggered and i % 2 else 0.0)) for k in range(n // count)])
        for i in range(count)
    ]


def _column_numbers(name: ProbeName, lengths: list[int]) -> list[list[int]]:
    """Return the site numbers of each column, tip up."""
    if name.style == "poly3" and name.per_shank == 32:
        # left column up (staggered) or down, middle alternating from 17 at the top, right mirrored
        left = list(range(1, 11)) if name.staggered else [*range(10, 2, -1), 1, 2]
        middle = [11, 22, 12, 21, 13, 20, 14, 19, 15, 18, 16, 17]
        right = list(range(32, 22, -1)) if name.staggered else [*range(23, 31), 32, 31]
        return [left, middle, right]
    firsts = [sum(lengths[:i]) + 1 for i in range(len(lengths))]
    return [list(range(first, first + n)) for first, n in zip(firsts, lengths, strict=True)]


def _tetrodes(name: ProbeName) -> Layout:
    """Squares of 25 um side standing on a corner: sites top, left, right, bottom; tetrodes from the tip up."""
    half = _TETRODE_SIDE_UM / math.sqrt(2)
    corners = ((0.0, 2 * half), (-half, half), (half, half), (0.0, 0.0))
    placed = []
    for shank in range(name.shanks):
        for tetrode in range(name.per_shank):
            first = 4 * (shank * name.per_shank + tetrode) + 1
            for i, (dx, dy) in enumerate(corners):
                site = _circle(shank * name.shank_pitch_um + dx, tetrode * name.pitch_um + dy, name.area_um2)
                placed.append(PlacedSite(first + i, shank, site))
    return _sorted(placed, "tetrode site numbers")


def _buzsaki(name: ProbeName) -> Layout:
    """Tapered shanks of eight staggered sites."""
    width, height = _BUZSAKI_SITE_UM
    placed = [
        PlacedSite(
            number=8 * shank + i + 1,
            shank=shank,
            site=Site(
                shank * name.shank_pitch_um + _BUZSAKI_X[i],
                _BUZSAKI_Y[i],
                shape="rect",
                area_um2=float(name.area_um2),
                width_um=width,
                height_um=height,
            ),
        )
        for shank in range(name.shanks)
        for i in range(8)
    ]
    return _sorted(placed)


def _eeg_mouse(name: ProbeName) -> Layout:
    """Thirty disks of 0.5 mm on the skull: x to the right and y forward of bregma; 16 to 30 mirror 15 to 1."""
    half = [(1000.0 * x, 1000.0 * y) for x, y in _EEG_MOUSE_MM]
    places = half + [(-x, y) for x, y in reversed(half)]
    placed = [PlacedSite(i + 1, 0, _circle(x, y, name.area_um2)) for i, (x, y) in enumerate(places)]
    return _sorted(placed, "surface grid: site numbers follow one laboratory's recordings")
