"""Memory that processes of one computer share: who owns it names it by a token, others map it read-only.

Nothing here synchronises. Whoever reads what its owner still writes has to ask the owner afterwards whether that was
overwritten meanwhile.
"""

from __future__ import annotations

import os
import secrets
import weakref

import numpy as np
import numpy.typing as npt

from ranvier import _platform

#: Characters of a token.
TOKEN_CHARS = 16

Bytes = npt.NDArray[np.uint8]


class SharedMemory:
    """Memory of this process, zero at first. It lives as long as an array in it, here or in another process.

    Attributes
    ----------
    bytes
        The memory.
    token
        What others ask for it by; "" where the platform cannot share it: then it is plain memory.
    """

    def __init__(self, size: int) -> None:
        self.token = ""
        self.handle = -1
        found = _platform.shared_memory(size) if size else None
        if found is None:
            self.bytes: Bytes = np.empty(size, np.uint8)
            return
        mapped, self.handle = found
        self.bytes = np.frombuffer(mapped, np.uint8)
        self.token = secrets.token_hex(TOKEN_CHARS // 2)
        weakref.finalize(self, os.close, self.handle)
        _OWNED[self.token] = self


_OWNED: weakref.WeakValueDictionary[str, SharedMemory] = weakref.WeakValueDictionary()


def owned(token: str) -> SharedMemory | None:
    """Return memory of this process by its token; None where it is gone, or another process's."""
    return _OWNED.get(token)


def mapped(handle: int, size: int) -> Bytes | None:
    """Return another process's memory by the handle that it sent (closed here); None where that cannot be."""
    try:
        return np.frombuffer(_platform.map_shared(handle, size), np.uint8)
    except (OSError, ValueError):
        return None
    finally:
        os.close(handle)
