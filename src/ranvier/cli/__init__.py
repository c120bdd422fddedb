"""The command line: ``ranvier info | convert | demo | provenance | warm``."""

from ranvier.cli.main import main

__all__ = ["main"]
