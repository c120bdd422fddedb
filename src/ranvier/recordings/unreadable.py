"""File types of the API that nobody outside their maker can read: how they are recognised, what to do instead."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ranvier.models.file_types import RadiensFileType


@dataclass(frozen=True)
class Unreadable:
    """A type whose layout is not public.

    Attributes
    ----------
    suffixes, magics
        How such a file is recognised: by the end of its name and, where that is known, its first bytes too.
    what
        What it is.
    instead
        What a user can do.
    """

    suffixes: tuple[str, ...]
    what: str
    instead: str
    magics: tuple[bytes, ...] = ()


_OWN_EXPORT = "link the recording it was made from, or export that as NWB, XDAT or NEX5 from the program that wrote it"
_HDF5 = (b"\x89HDF\r\n\x1a\n",)
_MAT5 = (b"MATLAB 5.0 MAT-file",)

#: By the API's file type.
UNREADABLE_TYPES: dict[RadiensFileType, Unreadable] = {
    RadiensFileType.PL2: Unreadable(
        (".pl2",),
        "a Plexon PL2 recording; its layout is not public and only the vendor's Windows library reads it",
        "export it as NEX5 or NWB with the vendor's or NeuroExplorer's software, and link that",
    ),
    RadiensFileType.BIOINTERFACE: Unreadable(
        (".biointerface",), "a biointerface file of Radiens (spikes and neurons); its layout is not public", _OWN_EXPORT
    ),
    RadiensFileType.KPI: Unreadable(
        (".kpi",),
        "a metrics cache of Radiens; its layout is not public",
        "link the recording itself: its metrics are computed anew",
    ),
    RadiensFileType.ANC: Unreadable((".anc",), "an internal file of Radiens; its layout is not public", _OWN_EXPORT),
    RadiensFileType.SPKTRAIN_MU: Unreadable(
        (".spktrain_mu",), "an internal multi-unit spike file of Radiens; its layout is not public", _OWN_EXPORT
    ),
    RadiensFileType.BIO_RADIENS_EXPORT_HDF5: Unreadable(
        (".bio_radiens_export.hdf5", ".bio_radiens_export.h5"),
        "a spike export of Radiens in HDF5; its layout is not public",
        _OWN_EXPORT,
        _HDF5,
    ),
    RadiensFileType.BIO_RADIENS_EXPORT_MAT5: Unreadable(
        (".bio_radiens_export.mat5", ".bio_radiens_export.mat"),
        "a spike export of Radiens for MATLAB; its layout is not public",
        _OWN_EXPORT,
        _MAT5,
    ),
    RadiensFileType.OFFLINE_SORTER_SPKS_MAT5: Unreadable(
        (".offline_sorter.mat", ".mat"),
        "a MATLAB file (a spike export of an offline sorter, perhaps); nothing in it says which variable is what",
        "export the spikes as NEX5, or the sorting as a phy folder, and link that",
        _MAT5,
    ),
    RadiensFileType.SPKS_NPY: Unreadable(
        (),
        "an array of spikes without a word about its columns",
        "put spike_times.npy and spike_clusters.npy (and params.py) into one folder, as phy does, and link the folder",
    ),
}


def why_unreadable(path: Path) -> str | None:
    """Return what a path is and what to do instead, where it is of a type that nobody else can read; else None."""
    name = path.name.lower()
    for kind, known in UNREADABLE_TYPES.items():
        if path.is_file() and name.endswith(known.suffixes) and _has_magic(path, known.magics):
            return f"{path} is {known.what} ({kind.name}): it cannot be read. What you can do: {known.instead}"
    return None


def why_unreadable_type(file_type: RadiensFileType) -> str | None:
    """Return why files of a type cannot be read and what to do instead; None where that is no matter of the layout."""
    known = UNREADABLE_TYPES.get(file_type)
    return None if known is None else f"{file_type.name} is {known.what}. What you can do: {known.instead}"


def _has_magic(path: Path, magics: tuple[bytes, ...]) -> bool:
    if not magics:
        return True
    try:
        with open(path, "rb") as handle:
            return handle.read(64).startswith(magics)
    except OSError:
        return False
