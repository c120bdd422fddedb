"""Everything Ranvier raises on purpose.

The tree (each class also is the standard-library exception in brackets)::

    RadiensError (Exception)                    root; documented
    ├── ConfigurationError (ValueError)         a request that cannot be meant; documented
    │   └── FilterDesignError                   a filter that cannot exist at this sampling rate
    ├── DatasetError (LookupError)              unknown dataset or channel; documented
    ├── TimeRangeError (ValueError)             time range outside the data; documented
    ├── SignalSelectionError (ValueError)       channel selection that does not fit; documented
    ├── ServerCommunicationError (ConnectionError)   documented
    ├── ServerDiscoveryError (ConnectionError)       documented
    ├── DataProcessingError (RuntimeError)      work that failed half way; documented
    │   ├── JobCancelledError                   cancelled by the user
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


class RadiensError(Exception):
    """Root of everything that Ranvier raises on purpose."""


class ConfigurationError(RadiensError, ValueError):
    """A request whose parameters cannot be meant."""


class FilterDesignError(ConfigurationError):
    """A filter that cannot exist at this sampling rate (cutoff at or above Nyquist, low >= high, unstable)."""


class DatasetError(RadiensError, LookupError):
    """An unknown dataset, stream or channel."""


class TimeRangeError(RadiensError, ValueError):
    """A time range that lies wholly outside the data, or is reversed."""


class SignalSelectionError(RadiensError, ValueError):
    """A selection of channels that does not fit the dataset."""


class ServerCommunicationError(RadiensError, ConnectionError):
    """An engine process that does not answer, or answered with a failure."""


class ServerDiscoveryError(RadiensError, ConnectionError):
    """No engine process where one was named."""


class DataProcessingError(RadiensError, RuntimeError):
    """Work that failed while it ran; nothing half-written was left under a final name."""


class JobCancelledError(DataProcessingError):
    """Work that the user cancelled."""


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
