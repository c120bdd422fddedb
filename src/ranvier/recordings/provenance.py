"""Where data came from: the record that travels with every output.

The record is plain JSON data with these keys; the mechanism that runs chains writes it, no operation does::

    {"version": 1,
     "made_by": {"ranvier": "...", "numpy": "...", "scipy": "...", "numba": "...", "cpu": "..."},
     "created_utc": "...",
     "sources": [{"path": "...", "format": "...", "uid": "...", "bytes": n, "fingerprint": {...},
                  "provenance": {...} or null}],
     "stages": [{"kind": "bandpass", "parameters": {...}, "coefficients": {...}}, ...],
     "simulated": false, "seed": null, "notes": [...]}

``fingerprint`` tells later whether a source changed (:mod:`ranvier.recordings.fingerprint`).
``sources[i].provenance`` is the source's own record, so a chain of files tells its whole history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ranvier._platform import cpu_name
from ranvier._version import __version__

RECORD_VERSION = 1


def new_record(
    *,
    sources: Iterable[Mapping[str, Any]] = (),
    stages: Iterable[Mapping[str, Any]] = (),
    simulated: bool = False,
    seed: int | None = None,
    notes: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the record of something made now."""
    return {
        "version": RECORD_VERSION,
        "made_by": {"ranvier": __version__, **_versions("numpy", "scipy", "numba"), "cpu": cpu_name()},
        "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "sources": [dict(s) for s in sources],
        "stages": [dict(s) for s in stages],
        "simulated": simulated,
        "seed": seed,
        "notes": list(notes),
    }


def _versions(*names: str) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found
