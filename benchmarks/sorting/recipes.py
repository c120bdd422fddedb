"""Which recordings there are: names, probes, units, seeds. Needs NumPy alone: the peers' environment imports it too."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

FS = 30_000
#: Every recording is int16, this many uV to a count.
GAIN_UV = 0.195
#: Seeds to develop with, and seeds that are looked at for reports only; they never meet.
DEVELOPMENT, EVALUATION = "development", "evaluation"
SEEDS_PER_SET = 5
_EVALUATION_OFFSET = 50_000


@dataclass(frozen=True)
class Layout:
    """Columns of sites, every second one shifted up by ``stagger_um``."""

    columns: int
    rows: int
    x_pitch_um: float
    y_pitch_um: float
    stagger_um: float = 0.0

    @property
    def channels(self) -> int:
        return self.columns * self.rows

    def places_um(self) -> npt.NDArray[np.float64]:
        """``(channels, 2)``: column by column, from the tip up, as probeinterface counts them."""
        x = np.arange(self.columns) * self.x_pitch_um
        y = np.arange(self.rows) * self.y_pitch_um
        shift = (np.arange(self.columns) % 2) * self.stagger_um
        return np.array([(x[c], y[r] + shift[c]) for c in range(self.columns) for r in range(self.rows)])


@dataclass(frozen=True)
class Recipe:
    """One recording.

    Attributes
    ----------
    recipe
        ``gt`` (that of the first peers' figures), ``hard`` (the same units before a harder background), ``garcia``
        (scaled from Garcia et al. 2026, eLife RP110588), ``ours`` (Ranvier's own simulation, main environment) or
        ``hybrid`` (from the sample recordings, main environment; the layout is only about right).
    first_seed
        Of the first development recording; the further ones are 10 apart.
    hash_units
        Far units that add to the background and are not part of the truth.
    drift
        ``""``, ``zigzag``, ``zigzag+walk`` or ``walk``.
    collisions
        Whether units come in pairs that fire together.
    live
        Whether it is for the live benchmarks alone: too long to be sorted at rest by everybody.
    """

    name: str
    recipe: str
    layout: Layout
    units: int
    seconds: float
    first_seed: int
    hash_units: int = 0
    drift: str = ""
    collisions: bool = False
    live: bool = False

    @property
    def peers_make_it(self) -> bool:
        """Whether SpikeInterface's generator makes it, in the peers' environment."""
        return self.recipe in ("gt", "hard", "garcia")

    def seed(self, which: str, index: int) -> int:
        """Return a seed of one of the two sets."""
        if which not in (DEVELOPMENT, EVALUATION):
            raise ValueError(f"there are {DEVELOPMENT} and {EVALUATION} seeds, not {which!r}")
        return self.first_seed + 10 * index + (_EVALUATION_OFFSET if which == EVALUATION else 0)


_P32 = Layout(2, 16, 25.0, 25.0, 12.5)
_P64 = Layout(2, 32, 30.0, 23.0, 11.5)
_P128 = Layout(4, 32, 22.0, 20.0)
_P384 = Layout(4, 96, 16.0, 20.0, 10.0)
_TETRODE = Layout(2, 2, 25.0, 25.0)
_SPARSE = Layout(1, 16, 0.0, 150.0)
_GRID = Layout(32, 32, 30.0, 30.0)
_SINAPS = Layout(4, 128, 28.0, 28.0)
_SINGLES = Layout(1, 8, 0.0, 1000.0)
_GARCIA = Layout(4, 32, 16.0, 20.0, 10.0)

RECIPES = {
    r.name: r
    for r in (
        Recipe("r1_32ch_10u", "gt", _P32, 10, 120.0, 101),
        Recipe("r2_64ch_40u", "gt", _P64, 40, 180.0, 202),
        Recipe("r3_128ch_80u", "gt", _P128, 80, 120.0, 303),
        Recipe("r4_64ch_40u_drift", "gt", _P64, 40, 180.0, 404, drift="zigzag"),
        Recipe("hard_32ch_10u", "hard", _P32, 10, 120.0, 2201, hash_units=40),
        Recipe("hard_64ch_40u", "hard", _P64, 40, 180.0, 2302, hash_units=120),
        Recipe("hard_128ch_80u", "hard", _P128, 80, 120.0, 2403, hash_units=240),
        Recipe("hard_64ch_40u_drift", "hard", _P64, 40, 180.0, 2504, hash_units=120, drift="zigzag"),
        Recipe("garcia_128ch_160u", "garcia", _GARCIA, 160, 300.0, 505),
        Recipe("garcia_128ch_160u_drift", "garcia", _GARCIA, 160, 300.0, 606, drift="zigzag+walk"),
        Recipe("garcia_384ch_480u", "garcia", _P384, 480, 120.0, 707),
        Recipe("ours_32ch", "ours", _P32, 10, 120.0, 1101, hash_units=40),
        Recipe("ours_64ch", "ours", _P64, 40, 180.0, 1202, hash_units=120),
        Recipe("ours_128ch", "ours", _P128, 80, 120.0, 1303, hash_units=240),
        Recipe("ours_384ch", "ours", _P384, 240, 120.0, 1404, hash_units=720),
        Recipe("ours_64ch_drift", "ours", _P64, 40, 180.0, 1505, hash_units=120, drift="zigzag+walk"),
        Recipe("ours_32ch_drift_30min", "ours", _P32, 12, 1800.0, 2612, hash_units=40, drift="walk", live=True),
        Recipe("ours_64ch_collisions", "ours", _P64, 40, 180.0, 1606, hash_units=80, collisions=True),
        Recipe("tetrode", "ours", _TETRODE, 8, 180.0, 1707, hash_units=24),
        Recipe("sparse_16ch", "ours", _SPARSE, 16, 180.0, 1808, hash_units=48),
        Recipe("singles_8ch", "ours", _SINGLES, 8, 120.0, 1909, hash_units=24),
        Recipe("hybrid_kilosort", "hybrid", Layout(4, 8, 16.0, 40.0), 15, 180.0, 3001),
        Recipe("hybrid_locust", "hybrid", _TETRODE, 3, 28.77, 3102),
        Recipe("grid_1024ch", "ours", _GRID, 512, 60.0, 2010, hash_units=1024),
        Recipe("sinaps_512ch", "ours", _SINAPS, 384, 60.0, 2111, hash_units=1024),
    )
}


def data_folder() -> Path:
    """Where recordings are kept: ``RANVIER_BENCH_DATA``, or a folder in the user's cache. Nothing here is precious."""
    named = os.environ.get("RANVIER_BENCH_DATA")
    return Path(named) if named else Path.home() / ".cache" / "ranvier-bench-sorting"


def truth_folder(name: str, seed: int) -> Path:
    """Return the folder of one recording."""
    return data_folder() / "recordings" / f"{name}__{seed}"
