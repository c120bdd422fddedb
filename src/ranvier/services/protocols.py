"""Protocols: graphs of transforms, checked as a whole, kept, and run in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ranvier.models.dataset import ProtocolGraph, ProtocolSpec, RadiensFileType, SourceParams, TransformNode
from ranvier.models.output_options import OutputOptions
from ranvier.services.progress import Progress

Specs = list[ProtocolSpec]


class HubProtocols(Protocol):
    """Graphs that lead from sources over transforms to sinks; each run is a job.

    A source is the root of a tree, each step has one input, each sink ends a branch; several sources and several
    sinks are allowed. What branches share is computed once. A slice of time keeps counters.
    """

    def set(self, graph: ProtocolGraph) -> ProtocolSpec:
        """Check a protocol as a whole and save it; one of the same id is replaced, an empty id becomes a new one.

        Raises
        ------
        GraphError
            With every fault of every node: cycles, edges to nowhere, joins, parameters of another kind, filters that
            cannot exist at their rate, unknown channels, slices outside, sinks that would replace a source or write
            one name, sources that cannot be opened. Of several recordings of a bulk source, a fault that only some of
            them have is no fault of the graph: the run reports it.
        """
        ...

    def get(self, protocol_id: str) -> ProtocolGraph:
        """Return a saved protocol; DatasetError for an unknown id."""
        ...

    def list(self) -> Specs:
        """Return every saved protocol, oldest first."""
        ...

    def rename(self, protocol_id: str, new_id: str) -> ProtocolSpec:
        """Give a protocol another id; ConfigurationError where that one is taken."""
        ...

    def remove(self, protocol_id: str) -> None:
        """Forget a protocol; its outputs stay."""
        ...

    def check(self, graph: ProtocolGraph, *, force: bool = True) -> Sequence[Path]:
        """Check a protocol without running or saving it; return the outputs (with suffix) that it would write.

        Without ``force``, outputs that exist are OutputExistsError here already. PartialFailureError (its ``outputs``
        are those that would be written) where only some recordings of a bulk source have a fault.
        """
        ...

    def run(self, protocol_id: str, *, force: bool = False, progress: Progress | None = None) -> Sequence[Path]:
        """Run a saved protocol and return the paths to link, one per output; nothing is linked.

        Progress has one part per output. Each output is whole or absent: one that fails (a full disk, a damaged source)
        does not take the others along, and all failures are raised together at the end.

        Raises
        ------
        GraphError, OutputExistsError
            Before anything is written.
        PartialFailureError
            Some outputs failed; the others stand.
        JobCancelledError
            Cancelled: nothing is left of the pass under way; outputs of earlier sources of a bulk run stay.
        """
        ...

    def run_graph(
        self, graph: ProtocolGraph, *, force: bool = False, progress: Progress | None = None
    ) -> Sequence[Path]:
        """Run a protocol without saving it; otherwise as ``run``."""
        ...

    def apply_many(
        self,
        dataset_ids: Sequence[str],
        nodes: Sequence[TransformNode],
        output_dir: Path,
        suffix: str,
        *,
        file_type: RadiensFileType | None = None,
        options: OutputOptions | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> Sequence[Path]:
        """Run a chain of transforms over several datasets into ``output_dir/<base name>_<suffix>``; as ``run``.

        ``file_type`` is the first dataset's by default, XDAT where this version cannot write that; ``options`` are
        those of every output.
        """
        ...

    def from_yaml(
        self,
        text: str,
        *,
        name: str = "protocol",
        sources: Sequence[SourceParams] | None = None,
        output_dir: Path | None = None,
        file_type: RadiensFileType | None = None,
        options: OutputOptions | None = None,
    ) -> ProtocolGraph:
        """Return the protocol that a YAML text describes; its form stands in the guide to protocols.

        Parameters
        ----------
        name
            What errors call the text (its file name).
        sources
            Recordings to read instead of those that the text names; it needs none then.
        output_dir, file_type, options
            Folder, format, metadata and compression of all outputs, instead of what the text says.

        Raises
        ------
        ConfigurationError
            With line and node of every mistake. Faults of the graph come with ``check``, ``set`` or a run.
        """
        ...

    def to_yaml(self, graph: ProtocolGraph) -> str:
        """Return the YAML form of a protocol; nodes without a name of their own get one by what they do."""
        ...
