"""A cheap mark of what files hold, so that a source that changed is noticed.

Per file: its size, and a SHA-256 over that size and eight blocks of 16 KiB spread evenly from the first byte to the
last. Files up to 128 KiB are read whole. Any change of length, of a header or of a footer is noticed; a change of some
bytes between the blocks is not: it is no proof against forgery, and reads 128 KiB of a file of any size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

METHOD = "sha256 of size and 8 x 16 KiB"
BLOCKS, BLOCK_BYTES = 8, 16 * 1024


def fingerprint(files: Iterable[Path]) -> dict[str, Any]:
    """Return the mark of the files of one recording, as JSON data; files that do not exist are left out."""
    return {"method": METHOD, "files": [_mark(path) for path in files if path.is_file()]}


def changes(recorded: Mapping[str, Any], files: Sequence[Path]) -> list[str]:
    """Return what differs between a recorded mark and the files as they are, in words; empty where nothing does.

    Names are not compared (a recording may be renamed). A mark by an unknown method says so.
    """
    if recorded.get("method") != METHOD:
        return [f"its mark was made by a method that this version does not know ({recorded.get('method')!r})"]
    then, now = list(recorded.get("files", [])), fingerprint(files)["files"]
    if len(then) != len(now):
        return [f"it had {len(then)} files and has {len(now)}"]
    found = []
    for old, new in zip(then, now, strict=True):
        if old["bytes"] != new["bytes"]:
            found.append(f"{new['name']} had {old['bytes']:,} bytes and has {new['bytes']:,}")
        elif old["sha256"] != new["sha256"]:
            found.append(f"the content of {new['name']} changed")
    return found


def _mark(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as handle:
        if size <= BLOCKS * BLOCK_BYTES:
            digest.update(handle.read())
        else:
            for k in range(BLOCKS):
                handle.seek((size - BLOCK_BYTES) * k // (BLOCKS - 1))
                digest.update(handle.read(BLOCK_BYTES))
    return {"name": path.name, "bytes": size, "sha256": digest.hexdigest()}
