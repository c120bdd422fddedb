"""The documented module ``radiens.exceptions.scan_for_server_error``."""

from ranvier.classic.exceptions.scan_for_server_error import *  # noqa: F403
