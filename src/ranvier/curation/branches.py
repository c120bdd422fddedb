"""Runs a tree of chains over one recording: one pass, several outputs.

Every block is read once and computed once per branch; what branches share is shared. Branches, the two halves of each
chain, and outputs are mailboxes that a few threads serve (:mod:`ranvier.curation.crew`), so that both cores are busy
whatever the shape of the tree. The bits of each output are those of its path run alone: stages do not depend on how
their input is cut.

Each output is whole or absent. One that fails (a full disk) is removed, and the others go on; what a failing branch
feeds fails with it; a source that cannot be read fails all. ``TreeReport`` tells both. A cancelled run leaves nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ranvier._platform import worker_count
from ranvier.curation.bound import Node, Output
from ranvier.curation.crew import Crew, Flight, Mailbox
from ranvier.curation.pipeline import BlockReader, usual_rows
from ranvier.curation.progress import Meter
from ranvier.curation.task import Branch, OutputRef
from ranvier.dsp.chain import Chain
from ranvier.dsp.parallel import ALONE, Team
from ranvier.exceptions import JobCancelledError, RadiensError, TimeRangeError
from ranvier.models.jobs import JobProgress
from ranvier.recordings.block import Block
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.events import Events
from ranvier.recordings.recording import Recording
from ranvier.recordings.sink import Sink

#: Blocks of input that may be on their way at once.
IN_FLIGHT = 4

#: How often the waiting thread looks for a cancel and tells progress.
LOOK_SEC = 0.05

#: The tasks' way of making an output; OutputError where it cannot be opened.
OpenSink = Callable[[OutputRef], Sink]


@dataclass(frozen=True, slots=True)
class TreeReport:
    """How a run ended: the outputs, each with its path or its error, and the samples per channel that were read."""

    outputs: tuple[Output, ...]
    samples: int

    @property
    def failures(self) -> dict[str, str]:
        """What went wrong, by name of the output."""
        return {o.ref.name: str(o.error) or type(o.error).__name__ for o in self.outputs if o.error is not None}

    @property
    def kinds(self) -> dict[str, type[BaseException]]:
        """The class of what went wrong, by name of the output."""
        return {o.ref.name: type(o.error) for o in self.outputs if o.error is not None}


def run_tree(
    recording: Recording,
    root: Branch,
    open_sink: OpenSink,
    *,
    channels: ChannelTable | None = None,
    start: int | None = None,
    stop: int | None = None,
    events: Events | None = None,
    prepare: Callable[[OutputRef, Sink], None] | None = None,
    workers: int | None = None,
    progress: Callable[[JobProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    block_rows: int | None = None,
    label: str = "",
) -> TreeReport:
    """Run a tree of branches over the counters ``[start, stop)`` of a recording and commit its outputs.

    Parameters
    ----------
    channels
        Of the recording, as the user has them; its own where not given.
    open_sink
        Opens the sink of an output.
    prepare
        Called with each open sink before the first block (spike trains).
    progress, cancelled, workers, block_rows
        As :func:`ranvier.curation.executor.run`; progress tells each output as a part.

    Raises
    ------
    JobCancelledError
        If ``cancelled`` said so before the outputs got their names; nothing is left of any.
    TimeRangeError
        If no sample is stored in the range.

    Failing outputs raise nothing: the report tells them.
    """
    outputs = {ref.key: Output(ref, reached=ref.start) for ref in root.all_outputs()}
    try:
        for output in outputs.values():
            _open(output, open_sink, prepare)
        tree = Node.bind(root, recording.fs, channels or recording.channels, outputs)
        return _Run(recording, tree, outputs, workers, progress, cancelled, label).over(
            start, stop, events or Events.empty(), block_rows
        )
    except BaseException:
        for output in outputs.values():
            if output.sink is not None:
                output.sink.abort()
        raise


def _open(output: Output, open_sink: OpenSink, prepare: Callable[[OutputRef, Sink], None] | None) -> None:
    try:
        output.sink = open_sink(output.ref)
        output.sink.lent = True  # every block has memory of its own until nobody refers to it
        if prepare is not None:
            prepare(output.ref, output.sink)
    except RadiensError as error:
        output.fail(error)


class _Run:
    def __init__(
        self,
        recording: Recording,
        root: Node,
        outputs: Mapping[str, Output],
        workers: int | None,
        progress: Callable[[JobProgress], None] | None,
        cancelled: Callable[[], bool] | None,
        label: str,
    ) -> None:
        self.recording = recording
        self.outputs = list(outputs.values())
        self.root = root
        self.cancelled = cancelled
        self.workers = worker_count() if workers is None else workers
        self.meter = Meter(None if progress is None else self._with_parts(progress), label=label)
        self._slots = threading.Semaphore(IN_FLIGHT)
        self._all_landed = threading.Event()
        self._counts = self._reader(counts=True) if self._wants_counts() else None
        chained = any(node.chain is not None for node in self.root.all())
        self._physical = self._reader(counts=False) if chained or self._counts is None else None

    def over(self, start: int | None, stop: int | None, events: Events, block_rows: int | None) -> TreeReport:
        first, last = self._range(start, stop)
        pieces = [(p.counter, p.counter + p.n) for p in self.recording.segments.pieces(first, last)]
        if not pieces:
            raise TimeRangeError(
                f"{self.recording.path.name} stores no sample in [{first}, {last}): the range lies in a gap"
            )
        rows = block_rows or usual_rows(len(self.recording.channels))
        self.meter.begin(sum(b - a for a, b in pieces))
        teams = self._share_threads()
        try:
            with Crew(self.workers + 1 if self.workers > 1 else 0) as crew:
                self._feed(crew, pieces, rows)
                if crew.failure is not None:
                    raise crew.failure
        finally:
            for chain in teams:
                chain.use(ALONE)
        self.meter.phase("finishing")
        self._stop_if_cancelled()
        for output in self.outputs:
            self._commit(output, events)
        self.meter.end()
        return TreeReport(tuple(self.outputs), self.meter.total)

    # What is read -----------------------------------------------------------------------------------------------------

    def _range(self, start: int | None, stop: int | None) -> tuple[int, int]:
        """Return the counters that anybody needs: of branches that begin with a cut, no more than that."""
        first = self.recording.start if start is None else start
        last = self.recording.stop if stop is None else stop
        cuts = [child.cut for child in self.root.children]
        if not self.root.outputs and cuts and all(cut is not None for cut in cuts):
            known = [cut for cut in cuts if cut is not None]
            first, last = max(first, min(a for a, _ in known)), min(last, max(b for _, b in known))
        return self.recording.clip(first, last)

    def _wants_counts(self) -> bool:
        """Whether stored counts go to an output untouched: nothing but cuts lies on its path."""
        bare = [node for node in self._bare(self.root) if node.outputs]
        return self.recording.stores_counts and bool(bare)

    def _reader(self, *, counts: bool) -> BlockReader:
        return BlockReader(self.recording, None, len(self.recording.channels), counts=counts)

    def _bare(self, node: Node) -> Iterator[Node]:
        if node.chain is None:
            yield node
            for child in node.children:
                yield from self._bare(child)

    def _share_threads(self) -> list[Chain]:
        """Let a chain that cannot be divided, and that everything waits for, share its columns among the threads."""
        chains = [node.chain for node in self.root.all() if node.chain is not None]
        trunk = self.root.children[0].chain if len(self.root.children) == 1 else None
        if self.workers > 1 and trunk is not None and (trunk.independent or not trunk.divisible):
            trunk.use(Team(self.workers))
        return chains

    # The flow of blocks -----------------------------------------------------------------------------------------------

    def _feed(self, crew: Crew, pieces: Sequence[tuple[int, int]], rows: int) -> None:
        reading = Mailbox()
        try:
            for start, stop in pieces:
                for at in range(start, stop, rows):
                    self._wait_for_slot(crew)
                    flight = Flight(self._slots.release)
                    crew.post(reading, self._reading(crew, flight, at, min(at + rows, stop)), flight)
                    flight.leave()
                    self.meter.advance(min(at + rows, stop) - at)
                    if not self.root.live:
                        return
            self._end(crew, reading)
        except BaseException as error:
            self.root.fail(error if isinstance(error, Exception) else JobCancelledError("interrupted"))
            raise

    def _wait_for_slot(self, crew: Crew) -> None:
        while True:
            self._stop_if_cancelled()
            if crew.failure is not None:
                raise crew.failure
            if self._slots.acquire(timeout=LOOK_SEC):
                return
            self.meter.advance(0)

    def _end(self, crew: Crew, reading: Mailbox) -> None:
        """Let every branch give what it holds back, and wait for it."""
        flight = Flight(self._all_landed.set)
        crew.post(reading, lambda: self._finish(crew, self.root, flight), flight)
        flight.leave()
        while not self._all_landed.wait(LOOK_SEC):
            self._stop_if_cancelled()
            self.meter.advance(0)

    def _reading(self, crew: Crew, flight: Flight, start: int, stop: int) -> Callable[[], None]:
        def read() -> None:
            if not self.root.live:
                return
            try:
                block = None if self._physical is None else self._physical.read(start, stop)
                counts = None if self._counts is None else self._counts.read(start, stop)
            except Exception as error:  # noqa: BLE001 - a source that fails, fails all outputs; the report tells
                self.root.fail(error)
                return
            self._pass_on(crew, self.root, block, counts, flight)

        return read

    def _take(self, crew: Crew, node: Node, block: Block | None, counts: Block | None, flight: Flight) -> None:
        """Take a block into a branch: cut it, and send it through the first half of the chain."""
        if not node.live:
            return
        block, counts = _cut(block, node.cut), _cut(counts, node.cut)
        if block is None and counts is None:
            return
        if node.chain is None:
            self._pass_on(crew, node, block, counts, flight)
            return
        if block is None:
            return
        try:
            rests = node.chain.begin(block, node.state)  # type: ignore[arg-type]  # a chain has a state
        except Exception as error:  # noqa: BLE001 - the report tells
            node.fail(error)
            return
        for rest in rests:
            crew.post(node.completed, lambda rest=rest: self._complete(crew, node, rest, flight), flight)  # type: ignore[misc]

    def _complete(self, crew: Crew, node: Node, rest: Callable[[], list[Block]], flight: Flight) -> None:
        if not node.live:
            return
        try:
            done = rest()
        except Exception as error:  # noqa: BLE001 - the report tells
            node.fail(error)
            return
        for block in done:
            self._pass_on(crew, node, block, None, flight)

    def _pass_on(self, crew: Crew, node: Node, block: Block | None, counts: Block | None, flight: Flight) -> None:
        """Give a block to everything behind a node."""
        for child in node.children:
            crew.post(child.begun, _call(self._take, crew, child, block, counts, flight), flight)
        written = block if counts is None else counts
        if written is not None:
            for output, box in zip(node.outputs, node.written, strict=True):
                crew.post(box, _call(output.write, written), flight)

    def _finish(self, crew: Crew, node: Node, flight: Flight) -> None:
        """Empty a node once all that was given to it is done, then what is behind it."""

        def end() -> None:
            if node.chain is not None and node.live:
                self._complete(crew, node, lambda: node.chain.finish(node.state), flight)  # type: ignore[union-attr,arg-type]
            for child in node.children:
                crew.post(child.begun, _call(self._finish, crew, child, flight), flight)
            for box in node.written:
                crew.post(box, _nothing, flight)  # lands when all that was given to the output is written

        crew.post(node.completed, end, flight)

    # Ends -------------------------------------------------------------------------------------------------------------

    def _commit(self, output: Output, events: Events) -> None:
        if output.sink is None or not output.live:
            return
        try:
            if not output.rows:
                raise TimeRangeError(f"[{output.ref.start}, {output.ref.stop}) lies in a gap: no sample is stored")
            ratio = self.recording.fs / output.ref.header.fs
            carried = events.between(*output.ref.events).at_rate(ratio, output.ref.stop)
            if len(carried):
                output.sink.write_events(carried)
            output.path = output.sink.commit()
        except Exception as error:  # noqa: BLE001 - the report tells
            output.fail(error)

    def _stop_if_cancelled(self) -> None:
        if self.cancelled is not None and self.cancelled():
            raise JobCancelledError("cancelled; nothing was left of the outputs")

    def _with_parts(self, progress: Callable[[JobProgress], None]) -> Callable[[JobProgress], None]:
        return lambda now: progress(now.model_copy(update={"parts": tuple(o.progress() for o in self.outputs)}))


def _nothing() -> None:
    """Do nothing."""


def _call(function: Callable[..., None], *arguments: object) -> Callable[[], None]:
    return lambda: function(*arguments)


def _cut(block: Block | None, cut: tuple[int, int] | None) -> Block | None:
    """Return the part of a block inside a cut; None where there is none."""
    if block is None or cut is None:
        return block
    first, last = max(block.start, cut[0]), min(block.stop, cut[1])
    if first >= last:
        return None
    rows = slice(first - block.start, last - block.start)
    return Block(block.samples[rows], first, block.gain, block.offset)
