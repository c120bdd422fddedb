"""``radiens.exceptions``: scripts that catch the documented errors catch ours."""

from __future__ import annotations

import importlib
import pickle

import pytest

from ranvier.exceptions import RadiensError, ServerCommunicationError, ServerDiscoveryError

NAMES = {
    "grpc_error": ("RpcException",),
    "scan_for_server_error": ("UnexpectedTCPFormat", "PIDParsingError", "PortParsingError"),
}


@pytest.mark.parametrize("package", ["radiens", "ranvier.classic"])
def test_every_documented_error_is_one_of_ours(package: str) -> None:
    for module, names in NAMES.items():
        found = importlib.import_module(f"{package}.exceptions.{module}")
        assert all(issubclass(getattr(found, name), RadiensError) for name in names)


def test_what_a_silent_engine_raises_is_caught_as_documented() -> None:
    from radiens.exceptions.grpc_error import RpcException
    from radiens.exceptions.scan_for_server_error import PortParsingError

    with pytest.raises(RpcException, match="does not answer"):
        raise ServerCommunicationError("the hub does not answer")
    with pytest.raises(PortParsingError, match="no hub"):
        raise ServerDiscoveryError("no hub")


def test_rpc_exception_is_made_and_reads_as_documented() -> None:
    from radiens.exceptions.grpc_error import RpcException

    for error in (made := RpcException("server unavailable", 14), pickle.loads(pickle.dumps(made))):
        assert str(error) == "server unavailable. Error code: 14"
        assert error.status_code == 14
        assert error.errno is None
    assert str(RpcException("gone")) == "gone"
