"""``radiens.exceptions.scan_for_server_error``: what a script catches where no engine process is found.

The vendor's package looks for its servers in the output of ``lsof`` and has a class for each way to misread it. This
engine reads an address that the process left behind: the three are names of its one error of discovery.
"""

from __future__ import annotations

from ranvier.exceptions import ServerDiscoveryError

UnexpectedTCPFormat = ServerDiscoveryError
PIDParsingError = ServerDiscoveryError
PortParsingError = ServerDiscoveryError

__all__ = ["PIDParsingError", "PortParsingError", "UnexpectedTCPFormat"]
