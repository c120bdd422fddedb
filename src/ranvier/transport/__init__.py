"""Any service Protocol made remote, and engine processes with their registry.

Derived from the Protocols' types: nothing is written per method, nothing is generated. One gRPC channel carries raw
bytes: a JSON header that the models validate, then the buffers of arrays. Only processes of this machine and of this
user talk: loopback or a socket file, and a token that only the user can read.
"""

from ranvier.transport import wire as _wire  # noqa: F401  # before gRPC: it says how much that writes to stderr
from ranvier.transport.client import connect, connection_of, disconnect, shared_memory
from ranvier.transport.lifetime import Lifetime
from ranvier.transport.processes import Hosted, end_process, find_process, join_process, start_process
from ranvier.transport.registry import ProcessRecord
from ranvier.transport.server import RunningServer, serve
from ranvier.transport.service import describe

__all__ = [
    "Hosted",
    "Lifetime",
    "ProcessRecord",
    "RunningServer",
    "connect",
    "connection_of",
    "describe",
    "disconnect",
    "end_process",
    "find_process",
    "join_process",
    "serve",
    "shared_memory",
    "start_process",
]
