"""What a run is, as plain data: a source, a tree of operations, outputs. Can be pickled and run anywhere.

Source and outputs are named by URI (``file://`` or a path), operations are parameters and not bound to anything, so a
task made here and run in another process, or on another machine that sees the same files, gives the same bits (on one
CPU type).
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from ranvier.dsp import Operation
from ranvier.exceptions import CapabilityError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.sink import Header


def to_uri(path: Path | str) -> str:
    """Return the ``file://`` URI of a path."""
    return Path(path).expanduser().absolute().as_uri()


def to_path(uri: str) -> Path:
    """Return the path of a ``file://`` URI, or of a plain path; CapabilityError for other schemes."""
    scheme, host, path, *_ = urlsplit(uri)
    if scheme == "file":
        if host not in ("", "localhost"):
            return Path(f"//{host}{unquote(path)}")
        return Path(url2pathname(path))
    if "://" in uri:
        raise CapabilityError(f"{uri}: this version reads and writes files; give a path or a file:// URI")
    return Path(uri).expanduser().absolute()


@dataclass(frozen=True, slots=True)
class SourceRef:
    """A recording to read, over the counters ``[start, stop)``.

    Attributes
    ----------
    stream
        Name of one of several streams; None where there is only one.
    channels
        Its channels as the user has them (a probe may have been assigned).
    """

    uri: str
    file_type: RadiensFileType
    stream: str | None
    channels: ChannelTable
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class OutputRef:
    """A recording to write.

    Attributes
    ----------
    node
        The node of the protocol that it is.
    uri
        ``dir/base``, without the format's suffix.
    name
        What reports call it: its path with the suffix.
    start, stop
        Counters that it will span, at its own rate.
    events
        Counters of the source ``[first, last)`` whose events, and spikes, it takes over.
    format
        Name of the format, where several share the type.
    """

    node: str
    name: str
    uri: str
    file_type: RadiensFileType
    header: Header
    start: int
    stop: int
    events: tuple[int, int]
    force: bool = False
    format: str = ""

    @property
    def key(self) -> str:
        """What tells it from every other output."""
        return self.uri + self.file_type.name


@dataclass(frozen=True, slots=True)
class Branch:
    """Operations in a row, and what follows: further branches, outputs.

    Attributes
    ----------
    cut
        Counters ``[start, stop)`` that it takes of what comes; None for all.
    """

    cut: tuple[int, int] | None = None
    operations: tuple[Operation, ...] = ()
    branches: tuple[Branch, ...] = ()
    outputs: tuple[OutputRef, ...] = ()

    def all_outputs(self) -> Iterator[OutputRef]:
        """Yield the outputs of this branch and of all behind it."""
        yield from self.outputs
        for branch in self.branches:
            yield from branch.all_outputs()

    def without(self, names: Container[str]) -> Branch:
        """Return it without outputs of these names, and without branches that then lead nowhere."""
        pruned = (branch.without(names) for branch in self.branches)
        return replace(
            self,
            branches=tuple(branch for branch in pruned if branch.branches or branch.outputs),
            outputs=tuple(output for output in self.outputs if output.name not in names),
        )


@dataclass(frozen=True, slots=True)
class Task:
    """One pass over one source: the unit that an executor runs.

    ``root`` has no operations of its own; its branches and outputs take the source as it is.
    """

    label: str
    source: SourceRef
    root: Branch

    @property
    def outputs(self) -> tuple[OutputRef, ...]:
        """Every output."""
        return tuple(self.root.all_outputs())

    def without(self, names: Container[str]) -> Task:
        """Return what is left to do where outputs of these names stand already."""
        return replace(self, root=self.root.without(names))
