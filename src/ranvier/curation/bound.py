"""A tree of branches as it runs: chains bound to what comes, their mailboxes, and what became of each output."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from ranvier.curation.crew import Mailbox
from ranvier.curation.task import Branch, OutputRef
from ranvier.dsp.chain import Chain, ChainState
from ranvier.models.jobs import PartProgress
from ranvier.recordings.block import Block
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.sink import Sink


@dataclass
class Output:
    """One output of a run: its sink, how far it is, and what went wrong with it.

    Any thread may give it up, also while another one writes; a sink belongs to one thread at a time.
    """

    ref: OutputRef
    sink: Sink | None = None
    error: Exception | None = None
    reached: int = 0
    rows: int = 0
    path: Path | None = None
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)

    @property
    def live(self) -> bool:
        """Whether it still takes blocks."""
        return self.error is None

    def fail(self, error: Exception) -> None:
        """Give it up, and remove what was written."""
        with self.lock:
            self.error = self.error or error
            if self.sink is not None:
                self.sink.abort()

    def write(self, block: Block) -> None:
        """Write a block, unless it was given up."""
        with self.lock:
            if self.sink is None or not self.live:
                return
            try:
                self.sink.write(block)
            except Exception as error:  # noqa: BLE001 - the report tells
                self.fail(error)
            else:
                self.reached = block.stop
                self.rows += len(block)

    def progress(self) -> PartProgress:
        """Return how far it is."""
        if self.error is not None:
            return PartProgress(name=self.ref.name, state="failed", fraction=self._fraction)
        if self.path is not None:
            return PartProgress(name=self.ref.name, state="done", fraction=1.0)
        return PartProgress(name=self.ref.name, state="running", fraction=self._fraction)

    @property
    def _fraction(self) -> float:
        whole = self.ref.stop - self.ref.start
        return min(1.0, max(0.0, (self.reached - self.ref.start) / whole)) if whole > 0 else 0.0


@dataclass
class Node:
    """A branch bound to its input: chain, state and the two mailboxes of its halves."""

    cut: tuple[int, int] | None
    chain: Chain | None
    state: ChainState | None
    children: list[Node]
    outputs: list[Output]
    begun: Mailbox = field(default_factory=Mailbox)
    completed: Mailbox = field(default_factory=Mailbox)
    written: list[Mailbox] = field(default_factory=list)

    @classmethod
    def bind(cls, branch: Branch, fs: Fraction, channels: ChannelTable, outputs: Mapping[str, Output]) -> Node:
        """Bind a branch, and all behind it, to what comes."""
        own = Chain.bind(branch.operations, fs, channels) if branch.operations else None
        node = cls(
            cut=branch.cut,
            chain=own,
            state=None if own is None else own.start(),
            children=[cls.bind(child, *_gives(own, fs, channels), outputs) for child in branch.branches],
            outputs=[outputs[ref.key] for ref in branch.outputs],
        )
        node.written = [Mailbox() for _ in node.outputs]
        return node

    def all(self) -> Iterator[Node]:
        """Yield this node and all behind it."""
        yield self
        for child in self.children:
            yield from child.all()

    @property
    def live(self) -> bool:
        """Whether anything behind it still takes blocks."""
        return any(output.live for node in self.all() for output in node.outputs)

    def fail(self, error: Exception) -> None:
        """Give up every output behind it."""
        for node in self.all():
            for output in node.outputs:
                if output.live:
                    output.fail(error)


def _gives(chain: Chain | None, fs: Fraction, channels: ChannelTable) -> tuple[Fraction, ChannelTable]:
    return (fs, channels) if chain is None else (chain.out_fs, chain.out_channels)
