"""The typed clients: coerce friendly arguments, call a service, show progress."""

from ranvier.clients.allego import AllegoClient
from ranvier.clients.curate import CurateClient
from ranvier.clients.videre import VidereClient

__all__ = ["AllegoClient", "CurateClient", "VidereClient"]
