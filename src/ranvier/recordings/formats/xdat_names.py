"""The file names of an XDAT set.

``<base>_data.xdat``, ``<base>_timestamp.xdat``, and ``<base>.xdat.json`` once it is finished; while it is recorded the
metadata are ``<base>.xdat.json.part``. The base name may contain dots.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: What a user may name a set by; the longest suffix that fits decides, whatever its case.
SUFFIXES: tuple[str, ...] = (".xdat.json.part", "_timestamp.xdat", ".xdat.json", "_data.xdat", ".xdat")
PROVISIONAL_SUFFIXES: tuple[str, ...] = (".xdat.json.part", ".xdat.part.json")


@dataclass(frozen=True)
class XdatSet:
    """The files of one set; they need not exist."""

    folder: Path
    base: str

    @property
    def metadata(self) -> Path:
        """The finished metadata."""
        return self.folder / f"{self.base}.xdat.json"

    @property
    def provisional(self) -> tuple[Path, ...]:
        """The metadata of a set that is being recorded, or was when the power failed; the first is the one we write."""
        return tuple(self.folder / f"{self.base}{suffix}" for suffix in PROVISIONAL_SUFFIXES)

    @property
    def data(self) -> Path:
        """The samples."""
        return self.folder / f"{self.base}_data.xdat"

    @property
    def timestamps(self) -> Path:
        """The sample counters."""
        return self.folder / f"{self.base}_timestamp.xdat"

    @property
    def spikes(self) -> Path:
        """Spike trains: our own addition, written only where there are some."""
        return self.folder / f"{self.base}_ranvier_spikes.npz"

    @property
    def clock(self) -> Path:
        """Clocks of the recording computer: our own addition, written by the recorder only."""
        return self.folder / f"{self.base}_ranvier_clock.bin"

    @property
    def canonical(self) -> Path:
        """What names the set: its metadata, or its samples where they are missing."""
        return self.metadata if self.metadata.is_file() else self.data

    def files(self) -> list[Path]:
        """Return the files that exist."""
        known = (self.data, self.timestamps, self.spikes, self.clock, *self.provisional, self.metadata)
        return [p for p in known if p.is_file()]

    def exists(self) -> bool:
        """Return whether there is samples or finished metadata."""
        return self.metadata.is_file() or self.data.is_file()


def find_set(path: Path) -> XdatSet | None:
    """Return the set that a path names: one of its files, its base name, or a folder that holds exactly one."""
    if path.is_dir():
        sets = sets_in(path)
        if len(sets) == 1:
            return sets[0]
    lowered = path.name.lower()
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if lowered.endswith(suffix) and len(lowered) > len(suffix):
            found = XdatSet(path.parent, path.name[: -len(suffix)])
            if found.exists():
                return found
    bare = XdatSet(path.parent, path.name)
    return bare if bare.exists() else None


def sets_in(folder: Path) -> list[XdatSet]:
    """Return every set that lies directly in a folder."""
    try:
        names = [p.name for p in folder.iterdir()]
    except OSError:
        return []
    bases = {n[: -len(s)] for n in names for s in (".xdat.json", "_data.xdat") if n.endswith(s) and len(n) > len(s)}
    return [XdatSet(folder, base) for base in sorted(bases)]
