"""The documented module ``radiens.exceptions.grpc_error``."""

from ranvier.classic.exceptions.grpc_error import *  # noqa: F403
