"""Everything Ranvier raises on purpose.

The tree (each class also is the standard-library exception in brackets)::

    RadiensError (Exception)                    root; documented
    ├── ConfigurationError (ValueError)         a request that cannot be meant; documented
    │   ├── FilterDesignError                   a filter that cannot exist at this sampling rate
    │   └── GraphError                          a protocol graph that cannot run; tells every fault of every node
    ├── DatasetError (LookupError)              unknown dataset or channel; documented
    ├── TimeRangeError (ValueError)             time range outside the data; documented
    ├── SignalSelectionError (ValueError)       channel selection that does not fit; documented
    ├── ServerCommunicationError (ConnectionError)   documented
    ├── ServerDiscoveryError (ConnectionError)       documented
    ├── DataProcessingError (RuntimeError)      work that failed half way; documented
    │   ├── JobCancelledError                   cancelled by the user
    │   ├── SortStalledError (TimeoutError)     a sort that made no progress, and was cancelled
    │   ├── PartialFailureError                 some of several outputs failed; the others are whole
    │   └── StoreError                          the engine's own store is damaged, locked or newer than us
    ├── CapabilityError (NotImplementedError)   this engine or this file cannot do that; documented
    ├── RecordingError (OSError)                a file that cannot be read as a recording
    │   └── NotARecordingError                  nothing recognises it
    ├── OutputError (OSError)                   an output that cannot be written
    │   └── OutputExistsError (FileExistsError) it is there already and force was not given
    ├── SourceError (OSError)                   an instrument that failed, stalls or was unplugged
    ├── ClientClosedError (RuntimeError)        a client that was closed and used again
    └── ProbeError (ValueError)                 a probe, headstage or map that is unknown or wrong

Each message names what was wrong and what to do about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self


class RadiensError(Exception):
    """Root of everything that Ranvier raises on purpose."""

    @property
    def details(self) -> dict[str, Any]:
        """What an error carries besides its message, as JSON data (it travels between processes)."""
        return {}

    @classmethod
    def restored(cls, message: str, details: Mapping[str, Any]) -> Self:
        """Return an error from what another process told of it."""
        return cls(message)


class ConfigurationError(RadiensError, ValueError):
    """A request whose parameters cannot be meant."""


class FilterDesignError(ConfigurationError):
    """A filter that cannot exist at this sampling rate (cutoff at or above Nyquist, low >= high, unstable)."""


class GraphError(ConfigurationError):
    """A protocol graph that cannot run.

    Attributes
    ----------
    faults
        What is wrong, by id of the node (or of the edge, where no node is to blame); the message prints all of it.
    """

    def __init__(self, message: str, faults: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__(message)
        self.faults = {node: tuple(messages) for node, messages in (faults or {}).items()}

    @classmethod
    def of(cls, faults: Mapping[str, Sequence[str]]) -> Self:
        """Return the error that prints all of these."""
        lines = [f"{node}: {message}" for node, messages in faults.items() for message in messages]
        return cls("\n  ".join(["the protocol cannot run:", *lines]), faults)

    @property
    def details(self) -> dict[str, Any]:
        """The faults."""
        return {"faults": {node: list(messages) for node, messages in self.faults.items()}}

    @classmethod
    def restored(cls, message: str, details: Mapping[str, Any]) -> Self:
        """Return the error with its faults."""
        return cls(message, details.get("faults"))

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (str(self), self.faults))


class DatasetError(RadiensError, LookupError):
    """An unknown dataset, stream or channel."""


class TimeRangeError(RadiensError, ValueError):
    """A time range that lies wholly outside the data, or is reversed."""


class SignalSelectionError(RadiensError, ValueError):
    """A selection of channels that does not fit the dataset."""


class ServerCommunicationError(RadiensError, ConnectionError):
    """An engine process that does not answer, or answered with a failure.

    Attributes
    ----------
    status_code
        A gRPC status, where one is known; the message ends with it, as documented. None from this engine.
    """

    def __init__(self, message: str = "", status_code: int | None = None) -> None:
        super().__init__(message if status_code is None else f"{message}. Error code: {status_code}")
        self.status_code = status_code


class ServerDiscoveryError(RadiensError, ConnectionError):
    """No engine process where one was named."""


class DataProcessingError(RadiensError, RuntimeError):
    """Work that failed while it ran; nothing half-written was left under a final name."""


class JobCancelledError(DataProcessingError):
    """Work that the user cancelled."""


class SortStalledError(DataProcessingError, TimeoutError):
    """A sort that made no progress for as long as its caller would wait; it was cancelled."""


class PartialFailureError(DataProcessingError):
    """Some of several outputs failed; the others are whole and stay.

    Attributes
    ----------
    failures
        What happened, by name of the output (or of the source, where it could not be read).
    outputs
        The paths that were written whole.
    """

    def __init__(self, message: str, failures: Mapping[str, str] | None = None, outputs: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.failures = dict(failures or {})
        self.outputs = tuple(outputs)

    @classmethod
    def of(cls, failures: Mapping[str, str], outputs: Sequence[str]) -> Self:
        """Return the error that prints all failures."""
        lines = [f"{name}: {message}" for name, message in failures.items()]
        whole = f"{len(outputs)} other outputs are whole" if outputs else "no output was written"
        return cls("\n  ".join([f"{len(lines)} failed, {whole}:", *lines]), failures, outputs)

    @property
    def details(self) -> dict[str, Any]:
        """The failures and the whole outputs."""
        return {"failures": self.failures, "outputs": list(self.outputs)}

    @classmethod
    def restored(cls, message: str, details: Mapping[str, Any]) -> Self:
        """Return the error with its failures."""
        return cls(message, details.get("failures"), details.get("outputs") or ())

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (str(self), self.failures, self.outputs))


class StoreError(DataProcessingError):
    """The engine's own store is damaged, locked for too long, or written by a newer version."""


class CapabilityError(RadiensError, NotImplementedError):
    """Something this engine, or this file, cannot do; the message names what is missing."""


class RecordingError(RadiensError, OSError):
    """A file or folder that cannot be read as the recording it claims to be."""


class NotARecordingError(RecordingError):
    """A file or folder that no format recognises."""


class OutputError(RadiensError, OSError):
    """An output that cannot be written (folder, permission, disk full)."""


class OutputExistsError(OutputError, FileExistsError):
    """An output that exists already, where ``force=True`` was not given."""


class SourceError(RadiensError, OSError):
    """An instrument that failed, stalls or was unplugged; it can be restarted."""


class ClientClosedError(RadiensError, RuntimeError):
    """A client that was closed and is used again."""


class ProbeError(RadiensError, ValueError):
    """A probe, headstage or channel map that is unknown or contradicts the recording."""


__all__ = sorted(
    name for name, value in dict(globals()).items() if isinstance(value, type) and issubclass(value, RadiensError)
)
