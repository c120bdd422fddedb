"""Names and settings that both sides use."""

from __future__ import annotations

from pathlib import Path

from ranvier.exceptions import ConfigurationError

#: Paths of the calls that are not methods of a service.
HELLO, LEASE, FETCH = "/ranvier/hello", "/ranvier/lease", "/ranvier/fetch"
#: Before the name of a method: one answer, or a stream both ways (work and subscriptions).
CALL, STREAM = "/ranvier/call/", "/ranvier/stream/"

#: Metadata of every call.
TOKEN_KEY, CALLER_KEY = "ranvier-token", "ranvier-caller"

#: Items of a subscription that may be on their way before the subscriber asked for more.
WINDOW = 4

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
    absolute = str(path.absolute())
    if len(absolute.encode()) > 95:  # 107 with the data socket's suffix
        raise ConfigurationError(f"the path of a socket file has at most 95 bytes, not {absolute!r}")
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
