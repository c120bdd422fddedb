"""``radiens.utils.util``: time ranges, selections and small helpers.

Left out by name, because they carry protobuf messages: ``time_range_to_protobuf``, ``time_range_from_protobuf``,
``is_protobuf_time_range_empty``, ``sig_sel_to_protobuf``, ``make_neighbors_desc``, ``make_neuron_desc``,
``from_dense_matrix``; and because they search for the vendor's servers: ``get_radiens_port_dict``,
``discover_radiens_servers_unix``, ``discover_radiens_servers_windows``, ``new_insecure_channel``,
``new_server_channel``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.classic._errors import ArgumentTypeError
from ranvier.classic.utils.constants import (
    ALL_SITES,
    ALLEGO_CORE_PORT,
    BYTES_PER_SAMPLE,
    NEURONS1_PORT,
    SELECTED_SITES,
    TIME_SPEC,
    KeyIdxs,
    SigSelect,
    SitePosition,
    TimeRange,
)
from ranvier.classic.utils.enums import KeyIndex
from ranvier.exceptions import ConfigurationError, TimeRangeError
from ranvier.models.time_range import sample_at

_RECORDINGS = ("rhd", "xdat", "csv", "hdf5", "h5", "nwb", "kilosort2", "nsx", "pl2", "tdt")
_FILE_TYPES = {"recording": _RECORDINGS, "spikes": ("spikes",), "all": (*_RECORDINGS, "spikes")}
_XDAT_PARTS = ("_data.xdat", "_timestamp.xdat", ".xdat.json")
_APP_DATA = {
    "linux": Path(".config/radiens"),
    "darwin": Path("Library/Application Support/radiens"),
    "win32": Path("AppData/Roaming/radiens"),
}
_WORDS = {"all": ALL_SITES, "sel": SELECTED_SITES, "selected": SELECTED_SITES}


@dataclass
class Histogram:
    """A histogram; ``scale`` is ``'pdf'`` or ``'counts'``, ``dividers`` are the edges of the bins."""

    stats: Any
    counts: Any
    dividers: Any
    num_bins: int
    scale: str


def time_now() -> str:
    """Return the local time as text."""
    return datetime.now().strftime(TIME_SPEC)


def file_types(category: str = "all") -> list[str]:
    """Return file types as words: of ``'recording'``, of ``'spikes'``, or ``'all'``."""
    if category not in _FILE_TYPES:
        raise ConfigurationError(f"{category!r} is no category of files; valid: {', '.join(_FILE_TYPES)}")
    return list(_FILE_TYPES[category])


def is_xdat_file(p: str | Path) -> bool:
    """Return whether there is an XDAT recording of that name (``<dir>/<base>``, with or without suffix)."""
    return _xdat_part(p, "_data.xdat").exists()


def rm_xdat_file(p: str | Path) -> None:
    """Delete the files of an XDAT recording; those that are not there are no error."""
    for part in _XDAT_PARTS:
        _xdat_part(p, part).unlink(missing_ok=True)


def _xdat_part(p: str | Path, part: str) -> Path:
    path = Path(p).expanduser()
    return path.parent / (path.name.removesuffix(".json").removesuffix(".xdat").removesuffix("_data") + part)


def make_site_pos(probe: Sequence[float], tissue: Sequence[float]) -> SitePosition:
    """Return a position from ``(x, y, z)`` in probe and in tissue coordinates, um."""
    return SitePosition(*probe, *tissue)


def make_time_range(
    time_range: Sequence[float] | npt.NDArray[Any] | None = None,
    timestamp: Sequence[int] | npt.NDArray[Any] | None = None,
    fs: float | None = None,
    walltime: datetime | None = None,
    pbTR: Any = None,  # noqa: N803  # the documented name
) -> TimeRange:
    """Return the time range of two seconds, or of two sample counters (which win).

    Parameters
    ----------
    time_range
        Start and end in stream seconds; the counter is the integer part of ``sec * fs``. (A product within a
        thousandth of a sample of a whole number is that number, so that seconds made from counters give them back.)
    timestamp
        Start and end as sample counters.
    fs
        Samples per second; required.
    walltime
        Wall-clock time of the start; ``datetime.min`` where it is not known.
    pbTR
        Anything with ``timestamp`` and ``fs``, a ``ranvier.models.TimeRange`` say; wins over all others.

    Raises
    ------
    ConfigurationError
        Without ``fs`` ("missing fs"), and without a range (a ValueError).
    TimeRangeError
        Not two numbers, NaN or infinite (a ValueError): such ranges have no counters; the clients take
        ``[seconds, nan]`` as the last so many seconds.
    """
    if pbTR is not None:
        timestamp, fs, walltime = pbTR.timestamp, pbTR.fs, walltime or _walltime(pbTR)
    if fs is None or not fs > 0:
        raise ConfigurationError("missing fs: give the sampling rate in Hz")
    if timestamp is not None:
        stamps = np.asarray(_pair(timestamp), dtype=np.int64)
        sec = stamps / fs
    elif time_range is not None:
        sec = _pair(time_range)
        stamps = np.array([sample_at(float(edge), fs) for edge in sec], dtype=np.int64)
    else:
        raise ConfigurationError("give time_range (seconds) or timestamp (sample counters)")
    return TimeRange(
        sec=sec,
        timestamp=stamps,
        fs=float(fs),
        dur_sec=float(sec[1] - sec[0]),
        walltime=datetime.min if walltime is None else walltime,
        N=int(stamps[1] - stamps[0]),
    )


def _pair(values: Any) -> npt.NDArray[np.float64]:
    pair = np.asarray(values, dtype=np.float64).reshape(-1)
    if pair.shape != (2,) or not np.isfinite(pair).all():
        raise TimeRangeError(f"a time range is two finite numbers, [start, end], not {values!r}")
    return pair


def _walltime(known: Any) -> datetime | None:
    try:
        found = known.walltime
    except (AttributeError, ValueError):  # an unknown date
        return None
    return found if isinstance(found, datetime) else None


def make_signal_selector(amp: Any = None, ain: Any = None, din: Any = None, dout: Any = None) -> SigSelect:
    """Return a selection of native (NTV) indices: lists, one number, ``'all'``, or ``'sel'`` (the selected ones)."""
    return SigSelect(_selected(amp), _selected(ain), _selected(din), _selected(dout), key_idx=KeyIndex.NTV)


def _selected(channels: Any) -> npt.NDArray[np.int64]:
    if channels is None:
        return np.empty(0, dtype=np.int64)
    if isinstance(channels, str):
        if channels.strip().lower() not in _WORDS:
            raise ConfigurationError(f"{channels!r} is no selection; valid: {', '.join(_WORDS)}, or indices")
        return np.array([_WORDS[channels.strip().lower()]])
    found = np.atleast_1d(np.asarray(channels))
    if found.size and found.dtype.kind not in "iu":
        raise ArgumentTypeError(f"channels are whole numbers, not {channels!r}")
    return found.astype(np.int64)


def ntv_to_dset_dict(idxs: KeyIdxs) -> dict[int, int]:
    """Return ``{native index: dataset index}``."""
    return dict(zip(idxs.ntv, idxs.dset, strict=True))


def dset_to_ntv_dict(idxs: KeyIdxs) -> dict[int, int]:
    """Return ``{dataset index: native index}``."""
    return dict(zip(idxs.dset, idxs.ntv, strict=True))


def equal_key_idxs(key_idxs: Iterable[KeyIdxs]) -> bool:
    """Return whether all name the same channels in the same order."""
    every = [tuple(map(tuple, one)) for one in key_idxs]
    return all(one == every[0] for one in every)


def is_concatable_trs(trs: Sequence[TimeRange]) -> bool:
    """Return whether ranges follow each other without a gap, at one sampling rate."""
    return all(a.fs == b.fs and int(a.timestamp[1]) == int(b.timestamp[0]) for a, b in pairwise(trs))


def time_range_chunks(tr: TimeRange, num_chunks: int) -> list[TimeRange]:
    """Return a range in pieces of equal length; the last one also takes what remains (no sample is lost)."""
    if num_chunks < 1 or num_chunks > tr.N:
        raise ConfigurationError(f"{tr.N} samples cannot be cut into {num_chunks} pieces")
    first, size = int(tr.timestamp[0]), tr.N // num_chunks
    edges = [*(first + size * i for i in range(num_chunks)), int(tr.timestamp[1])]
    known = tr.walltime != datetime.min
    return [
        make_time_range(
            timestamp=(start, stop),
            fs=tr.fs,
            walltime=tr.walltime + timedelta(seconds=(start - first) / tr.fs) if known else None,
        )
        for start, stop in pairwise(edges)
    ]


def calc_num_chans(sig_sel: SigSelect) -> int:
    """Return how many channels a selection has; ConfigurationError for the words, which nobody counted."""
    if any(index in _WORDS.values() for channels in sig_sel[:4] for index in channels):
        raise ConfigurationError("how many channels 'all' and 'sel' mean depends on the dataset; give indices")
    return sum(len(channels) for channels in sig_sel[:4])


def calc_sig_size_bytes(sig_sel: SigSelect, tr: TimeRange) -> int:
    """Return the size of a read as float32: channels times samples times 4 bytes."""
    return calc_num_chans(sig_sel) * tr.N * BYTES_PER_SAMPLE


def is_dev() -> bool:
    """Return whether the environment asks for development: RADIENS_DEV=1, unless ALLEGO_PROD or RADIENS_PROD is 1."""
    prod = any(os.environ.get(name) == "1" for name in ("ALLEGO_PROD", "RADIENS_PROD"))
    return os.environ.get("RADIENS_DEV") == "1" and not prod


def is_qa() -> bool:
    """Return whether RADIENS_QA is 1."""
    return os.environ.get("RADIENS_QA") == "1"


def get_user_app_data_dir() -> Path:
    """Return where the documented applications keep a user's data. This engine keeps its own in RANVIER_HOME."""
    return Path.home() / _APP_DATA.get(sys.platform, _APP_DATA["linux"])


def is_allego_addr(addr: str) -> bool:
    """Return whether an address has one of the documented ports of an acquisition system."""
    port = addr.strip().rpartition(":")[2]
    return port.isdecimal() and int(port) in range(ALLEGO_CORE_PORT, NEURONS1_PORT + 1)
