"""Everything that differs between operating systems, in one place."""

from __future__ import annotations

import errno
import mmap
import os
import platform
import re
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any


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


def prefer_thread() -> bool:
    """Ask the scheduler to prefer the calling thread to all others; return whether it will.

    Linux only, and only where the user may (root, or limits on ``rtprio`` or ``nice`` in /etc/security/limits.conf);
    elsewhere nothing changes. The thread must spend most of its time waiting.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK  # children begin as others do
        os.sched_setscheduler(0, policy, os.sched_param(10))  # 0: this thread
        return True
    except (OSError, AttributeError):
        pass
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -20)
    except (OSError, AttributeError):
        return False
    return True


#: Numbers of the system call sched_setattr; the C library of many systems has no function for it.
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}


def take_short_turns(turn_sec: float = 0.0001) -> bool:
    """Ask the scheduler for short turns for the calling thread and those it starts; return whether it does.

    Whoever runs in short turns gets the next one sooner: a thread that mostly waits is let in when it wakes, though
    others compute. Linux from 6.12; needs no permission. Elsewhere nothing changes.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if not sys.platform.startswith("linux") or number is None:
        return False
    import ctypes
    import struct

    nice = os.getpriority(os.PRIO_PROCESS, 0)
    normal = 0  # SCHED_OTHER: it takes the runtime as the length of a turn
    attributes = struct.pack("=IIQiIQQQ", 48, normal, 0, nice, 0, int(turn_sec * 1e9), 0, 0)  # struct sched_attr
    try:
        return int(ctypes.CDLL(None).syscall(number, 0, attributes, 0)) == 0
    except (OSError, AttributeError):
        return False


def memory_bytes() -> int:
    """Return how much memory this machine has (or a container may use, where it says so); 4 GiB where nobody tells."""
    if sys.platform == "win32":
        import ctypes

        class Status(ctypes.Structure):  # MEMORYSTATUSEX
            _fields_ = [
                ("length", ctypes.c_ulong),
                ("load", ctypes.c_ulong),
                *((n, ctypes.c_ulonglong) for n in "abcdefg"),
            ]

        status = Status(length=ctypes.sizeof(Status))
        found = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return int(status.a) if found else 4 << 30
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 4 << 30
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return size
    return min(size, int(limit)) if limit.isdigit() else size


def shared_memory(size: int) -> tuple[mmap.mmap, int] | None:
    """Return memory that other processes can map and its handle; None where the platform has none without a name.

    Linux's memfd: no file, no name, and gone with the last process that maps it, however that ends.
    """
    if not hasattr(os, "memfd_create"):
        return None
    try:
        handle = os.memfd_create("ranvier", os.MFD_CLOEXEC)
    except OSError:
        return None
    try:
        os.ftruncate(handle, size)
        return mmap.mmap(handle, size), handle
    except (OSError, ValueError, OverflowError):
        os.close(handle)
        return None


def map_shared(handle: int, size: int) -> mmap.mmap:
    """Return the memory behind a handle, read-only; OSError or ValueError where that cannot be."""
    return mmap.mmap(handle, size, access=mmap.ACCESS_READ)


def send_handle(connection: socket.socket, data: bytes, handle: int) -> None:
    """Send bytes with a handle that can be read and not written (socket files of Linux); OSError otherwise."""
    readable = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        socket.send_fds(connection, [data], [readable])
    finally:
        os.close(readable)


def receive_handle(connection: socket.socket, size: int) -> tuple[bytes, int | None]:
    """Return bytes and the handle that came with them, if one did."""
    if not hasattr(socket, "recv_fds"):
        return connection.recv(size), None
    data, handles, _, _ = socket.recv_fds(connection, size, 1)
    return data, handles[0] if handles else None


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


def flush_handle(handle: int) -> None:
    """Force what was written to an open file to the disk (macOS: past the disk's own cache)."""
    if sys.platform == "darwin":
        import fcntl

        try:
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
        except OSError:  # file systems without it
            os.fsync(handle)
        return
    os.fsync(handle)


#: RWF_DONTCACHE of linux/fs.h: whole pages go to the disk at once, and nothing of them stays in memory.
_DONTCACHE = 0x80

#: Held from the seek to the write where these are two calls.
_POSITION = threading.Lock()


def write_past_cache(handle: int, parts: Sequence[Any], start: int, *, keep: bool = False) -> int:
    """Write some buffers one after the other from an offset of an open file on; return their size in bytes.

    Unless ``keep``, the system is asked to keep nothing of them in memory. Linux from 6.16 (6.14 had errors) and its
    larger file systems do so; elsewhere they stay until ``forget_cached``, or as long as the system likes.
    """
    left = [memoryview(part).cast("B") for part in parts if len(part)]
    size = sum(len(part) for part in left)
    at = start
    while left:
        written = _write_at(handle, left, at, keep)
        at += written
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if left:
            left[0] = left[0][written:]
    return size


def _write_at(handle: int, parts: list[memoryview], start: int, keep: bool) -> int:
    if not hasattr(os, "pwritev"):  # Windows; the handle has one position for all threads
        with _POSITION:
            os.lseek(handle, start, os.SEEK_SET)
            return os.write(handle, parts[0])
    if not keep and _drops_behind():
        try:
            return os.pwritev(handle, parts, start, _DONTCACHE)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
                raise
    return os.pwritev(handle, parts, start)


@cache
def _drops_behind() -> bool:
    """Return whether this system can be trusted with ``_DONTCACHE``."""
    release = re.match(r"(\d+)\.(\d+)", platform.release())
    return sys.platform.startswith("linux") and release is not None and tuple(map(int, release.groups())) >= (6, 16)


#: Memory, offsets and lengths that ``write_direct`` takes are multiples of this: blocks of nearly every disk.
DIRECT_BYTES = 4096


def open_direct(path: Path) -> int | None:
    """Return a second handle of a file that is being written, for ``write_direct``; None where there is no such thing.

    Linux; its file systems in memory and some on the network refuse it.
    """
    if not sys.platform.startswith("linux") or not hasattr(os, "O_DIRECT"):
        return None
    try:
        return os.open(path, os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
    except OSError:
        return None


def write_direct(handle: int, data: memoryview, start: int) -> int:
    """Write from this memory to the disk itself; return how many bytes went there, 0 where that cannot be done.

    A multiple of ``DIRECT_BYTES`` or less than was given; OSError where the disk refuses it.
    """
    try:
        return os.pwrite(handle, data, start)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP):  # larger blocks, or no such thing after all
            return 0
        raise


def close_handle(handle: int) -> None:
    """Close what ``open_direct`` returned."""
    os.close(handle)


def forget_cached(path: Path, start: int) -> None:
    """Let go of what the system keeps in memory of a flushed file from ``start`` on, where it can be asked."""
    if hasattr(os, "posix_fadvise"):
        with open(path, "rb") as handle, suppress(OSError):
            os.posix_fadvise(handle.fileno(), start, 0, os.POSIX_FADV_DONTNEED)


def claim_space(handle: int, start: int, length: int) -> bool:
    """Set disk space aside for ``[start, start + length)`` of an open file without changing its size.

    Returns False where the platform or the file system cannot do that, or has not so much: the file then grows as it
    is written. ``truncate`` gives back what is not needed.
    """
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    keep_size = 1  # FALLOC_FL_KEEP_SIZE, linux/falloc.h
    try:
        call = ctypes.CDLL(None).fallocate64
    except (OSError, AttributeError):
        return False
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return int(call(handle, keep_size, start, length)) == 0


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


#: File systems whose files several machines may write (Linux names, after a "fuse." where there is one).
_NETWORK_FILE_SYSTEMS = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "davfs", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "orangefs",
        "panfs", "rclone", "s3fs", "smb3", "sshfs",
    }
)  # fmt: skip


def is_network_path(path: Path) -> bool:
    """Return whether a path lies on a network drive; False where the platform does not tell."""
    if sys.platform == "win32":
        import ctypes

        drive = os.path.splitdrive(os.path.abspath(path))[0]
        drive_remote = 4  # DRIVE_REMOTE of GetDriveTypeW
        return drive.startswith("\\\\") or ctypes.windll.kernel32.GetDriveTypeW(drive + "\\") == drive_remote
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    target = os.path.realpath(path)
    found = ("", "")
    for line in mounts:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ")
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(found[0]):
            found = (point, fields[2])
    return found[1].removeprefix("fuse.") in _NETWORK_FILE_SYSTEMS


def try_lock(handle: IO[Any]) -> bool:
    """Try to lock an open file for this process; False where another process holds it.

    The operating system gives the lock up when the process ends, however it ends, or when the process closes the file
    (POSIX: any handle of that file). A forked child does not inherit it. OSError where the file system has no locks.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            handle.seek(0)
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def make_private_folder(folder: Path) -> None:
    """Make a folder that only this user can look into (POSIX; elsewhere the user's profile protects it)."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.name == "posix":
        os.chmod(folder, 0o700)


def is_private(folder: Path) -> bool:
    """Return whether only this user can look into a folder (POSIX; elsewhere the user's profile protects it)."""
    if os.name != "posix":
        return True
    status = folder.stat()
    return status.st_uid == os.geteuid() and not status.st_mode & 0o077


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read, replacing one that is there."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)


def before_threads_end(action: Callable[[], object]) -> None:
    """Run something when the main thread has ended and other threads may still begin work.

    From then on ``concurrent.futures`` takes no more work, although threads that are no daemons go on. It uses this
    hook of ``threading`` itself; where that is gone, ``atexit`` comes late but is something.
    """
    import atexit
    import concurrent.futures.thread  # its own hook is run after those that come later  # noqa: F401
    import threading

    getattr(threading, "_register_atexit", atexit.register)(action)


def absolute_environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for a process that starts in another folder: relative entries count from this one's."""
    variables = {**os.environ, **(changes or {})}
    if variables.get("PYTHONPATH"):
        entries = variables["PYTHONPATH"].split(os.pathsep)
        variables["PYTHONPATH"] = os.pathsep.join(os.path.abspath(entry) for entry in entries if entry)
    return variables


def run_in_background() -> None:
    """Let everybody else go first: for a process whose work can wait."""
    if sys.platform == "win32":
        import ctypes

        below_normal = 0x4000
        ctypes.windll.kernel32.SetPriorityClass(ctypes.windll.kernel32.GetCurrentProcess(), below_normal)
        return
    with suppress(OSError):
        os.nice(10)
    if hasattr(os, "SCHED_BATCH"):
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def detached() -> dict[str, Any]:
    """Return what makes ``subprocess.Popen`` start a process that outlives its parent, its Ctrl-C and its terminal."""
    if sys.platform == "win32":
        import subprocess

        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}
