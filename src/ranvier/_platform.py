"""Everything that differs between operating systems, in one place."""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from pathlib import Path


def home() -> Path:
    """Return the folder that holds the engine's state: ``RANVIER_HOME``, else the platform's data folder."""
    named = os.environ.get("RANVIER_HOME")
    if named:
        return Path(named).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("ranvier", appauthor=False))


def kernel_cache() -> Path:
    """Return the folder that holds compiled kernels: ``RANVIER_KERNEL_CACHE``, else the platform's cache folder."""
    named = os.environ.get("RANVIER_KERNEL_CACHE")
    if named:
        return Path(named).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("ranvier", appauthor=False)) / "kernels"


def worker_count() -> int:
    """Return how many cores this process may use (affinity and cgroup aware where the platform tells)."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


@cache
def cpu_name() -> str:
    """Return the CPU type, as provenance names it."""
    if sys.platform.startswith("linux"):
        try:
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
        except OSError:
            pass
    return platform.processor() or platform.machine()


def flush_to_disk(path: Path) -> None:
    """Force a file's content to the disk (fsync)."""
    with open(path, "rb+") as handle:
        os.fsync(handle.fileno())


def flush_folder(folder: Path) -> None:
    """Force a folder's entries to the disk, where the platform can (POSIX)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace(temporary: Path, final: Path) -> None:
    """Give a finished file its final name, atomically where the platform can."""
    os.replace(temporary, final)
    flush_folder(final.parent)
