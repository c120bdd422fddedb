"""Names and settings that both sides use."""

from __future__ import annotations

import os
from pathlib import Path

from ranvier.exceptions import ConfigurationError

# gRPC writes to stderr where a server went away; that is told by our errors. It reads this when it is first imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

#: Paths of the calls that are not methods of a service.
HELLO, LEASE, FETCH, END = "/ranvier/hello", "/ranvier/lease", "/ranvier/fetch", "/ranvier/end"
#: Before the name of a method: one answer, or a stream both ways (work and subscriptions).
CALL, STREAM = "/ranvier/call/", "/ranvier/stream/"

#: Metadata of every call.
TOKEN_KEY, CALLER_KEY = "ranvier-token", "ranvier-caller"

#: Items of a subscription that may be on their way before the subscriber asked for more, and how many it asks for at a
#: time. More of them are a little faster, and older when a slow subscriber that wants the newest gets them.
WINDOW, ASK_FOR = 4, 2

#: Bytes that the path of a socket file may have on every system.
MAX_SOCKET_PATH = 103

OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.so_reuseport", 0),  # two engines at one port would share its calls
]
CHANNEL_OPTIONS = [
    *OPTIONS,
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # else a new connection inherits the pause after an old one's failure
    ("SingleThreadedUnaryStream", 1),
]

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def socket_address(path: Path) -> str:
    """Return the address of a socket file; ConfigurationError where its path is too long for the system."""
    absolute = os.path.abspath(path)
    if len(absolute.encode()) > MAX_SOCKET_PATH:
        raise ConfigurationError(f"the path of a socket file has at most {MAX_SOCKET_PATH} bytes, not {absolute!r}")
    return f"unix:{absolute}"


def check_address(address: str) -> str:
    """Return an address that an engine may listen at.

    ConfigurationError for anything but this machine: the wire is not encrypted (use ``ssh -L`` to reach another one).
    """
    host, _, port = address.rpartition(":")
    if address.startswith("unix:") or (host in _LOOPBACK and port.isdigit()):
        return address
    raise ConfigurationError(
        f"an engine listens at 127.0.0.1:PORT or unix:PATH only, not at {address!r}; "
        f"to use it from another machine forward the port: ssh -L PORT:127.0.0.1:PORT this-machine"
    )
