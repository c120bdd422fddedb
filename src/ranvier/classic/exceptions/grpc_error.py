"""``radiens.exceptions.grpc_error``: what a script catches where an engine process does not answer."""

from __future__ import annotations

from ranvier.exceptions import ServerCommunicationError

#: Documented as ``RpcException(message, status_code)``; the same class, so that ``except RpcException`` catches ours.
RpcException = ServerCommunicationError

__all__ = ["RpcException"]
