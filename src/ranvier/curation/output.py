"""What an output path means: ``dir/base[.suffix]``, the suffix picks the format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ranvier.exceptions import CapabilityError, ConfigurationError, OutputError
from ranvier.models._coerce import output_path
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings import Format, all_formats, format_for_type
from ranvier.recordings.pieces import pieces_in

#: Suffixes of the API's file types (radiens_core 0.1.2 table, with the older spellings); longest match wins.
SUFFIXES: dict[str, RadiensFileType] = {
    ".rhd": RadiensFileType.RHD,
    ".rhs": RadiensFileType.RHS,
    ".xdat.json": RadiensFileType.XDAT,
    "_data.xdat": RadiensFileType.XDAT,
    "_timestamp.xdat": RadiensFileType.XDAT,
    ".xdat": RadiensFileType.XDAT,
    ".csv": RadiensFileType.CSV,
    ".hdf5": RadiensFileType.HDF5,
    ".h5": RadiensFileType.HDF5,
    ".mearec.hdf5": RadiensFileType.MEAREC_HDF5,
    ".mearec.h5": RadiensFileType.MEAREC_HDF5,
    ".nex5": RadiensFileType.NEX5,
    ".nwb": RadiensFileType.NWB,
    ".bin": RadiensFileType.KILOSORT2,
    ".kilosort2": RadiensFileType.KILOSORT2,
    **{f".ns{i}": RadiensFileType.NSX for i in range(1, 7)},
    ".nsx": RadiensFileType.NSX,
    ".pl2": RadiensFileType.PL2,
    ".tsq": RadiensFileType.TDT,
    ".sev": RadiensFileType.TDT,
    ".tdt": RadiensFileType.TDT,
    ".oebin": RadiensFileType.OE_DAT,
    ".dat": RadiensFileType.OE_DAT,
    ".edf": RadiensFileType.EDF,
    ".bdf": RadiensFileType.EDF,
    ".ncs": RadiensFileType.NCS,
    ".spikes": RadiensFileType.SPIKES,
    ".kpi": RadiensFileType.KPI,
    ".session.json": RadiensFileType.SESSION,
}


def format_of_suffix(path: Path) -> tuple[str, RadiensFileType] | None:
    """Return the longest known suffix of a file name and the type it names, or None."""
    name = path.name.lower()
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.endswith(suffix) and len(name) > len(suffix):
            return suffix, SUFFIXES[suffix]
    return None


def resolve_output(path: Path | str, default: Format | None = None) -> tuple[Path, Format]:
    """Return ``dir/base`` (absolute, ``~`` expanded) and the format that will be written.

    Without a suffix ``default`` is written if it can be, else XDAT.

    Raises
    ------
    ConfigurationError
        The suffix is none that we know; a folder is named.
    CapabilityError
        The suffix names a format that this version does not write.
    """
    target = output_path(path)
    plugin = _plugin_of_suffix(target)
    if plugin is not None:
        return plugin
    known = format_of_suffix(target)
    if known is not None:
        suffix, file_type = known
        return target.with_name(target.name[: -len(suffix)]), writable(file_type, target)
    if target.suffix and not target.suffix[1:].isdigit() and " " not in target.suffix:
        raise ConfigurationError(
            f"{target.name}: {target.suffix!r} names no format; this version writes {writable_suffixes()} "
            f"(for a dot in the name itself end it with .xdat)"
        )
    if target.is_dir():
        raise ConfigurationError(f"{target} is a folder; name the output in it, as {target / 'name'}")
    if default is not None and default.sink is not None:
        return target, default
    return target, format_for_type(RadiensFileType.XDAT)


def _plugin_of_suffix(target: Path) -> tuple[Path, Format] | None:
    """Return base and format of a suffix that belongs to a plug-in's sink and to none of the API's types."""
    for known in all_formats():
        suffixes = known.sink.suffixes if known.sink is not None else ()
        for suffix in sorted(suffixes, key=len, reverse=True):
            if suffix and suffix not in SUFFIXES and target.name.lower().endswith(suffix):
                return target.with_name(target.name[: -len(suffix)]), known
    return None


def writable(file_type: RadiensFileType, target: Path, name: str = "") -> Format:
    """Return the format of a type, of this name where several share the type (plug-ins do).

    CapabilityError where this version does not write it.
    """
    candidates = [known for known in all_formats() if known.file_type == file_type and known.sink is not None]
    for known in sorted(candidates, key=lambda one: one.name != name):
        return known
    raise CapabilityError(
        f"{target.name}: {file_type.name} files cannot be written by this version; it writes {writable_suffixes()}"
    )


def writable_suffixes() -> str:
    """Return the suffixes that can be written, as text."""
    return ", ".join(sorted(known.sink.suffixes[0] for known in all_formats() if known.sink is not None))


def refuse_own_source(
    source: Format, canonical: Path, destination: Path, known: Format, record: Mapping[str, Any] | None = None
) -> None:
    """Raise OutputError where an output (``dir/base`` and format) would replace a file of its own source.

    ``record`` is the source's provenance: where the source was concatenated, its pieces are protected too.
    """
    pieces = pieces_in(record)
    paths = [Path(piece.path) for piece in pieces[0].pieces] if pieces is not None else []
    protected = [(known, path) for path in paths if known.detect(path) is not None]
    if known.file_type == source.file_type:
        protected.append((source, canonical))
    suffix = known.sink.suffixes[0] if known.sink is not None else ""
    candidate = destination.with_name(destination.name + suffix)
    base = destination.parent.resolve() / destination.name
    for owner, path in protected:
        same_base = path.parent.resolve() / owner.base_name(path) == base
        if same_base or candidate.resolve() in {f.resolve() for f in owner.files(path)}:
            raise OutputError(f"{candidate} is the source itself; choose another name (a source is never overwritten)")


def existing_files(destination: Path, file_type: RadiensFileType) -> list[Path]:
    """Return the files that stand under the names of an output (``dir/base``)."""
    suffixes = writable(file_type, destination).suffixes
    return [p for suffix in suffixes if (p := destination.with_name(destination.name + suffix)).exists()]
