"""What runs in the pump's thread beside the pump itself."""

from __future__ import annotations

from typing import Protocol

from ranvier.recordings.block import Block


class StreamHook(Protocol):
    """Told when a stream begins and ends, and given every raw block between. It never waits and never raises."""

    def stream_started(self) -> None:
        """Begin: the source and its channels are those of the stream now. Called before the first block."""
        ...

    def on_block(self, block: Block, arrival_monotonic: float) -> None:
        """Take a raw block and when it arrived. Called by the pump's thread."""
        ...

    def stream_stopped(self) -> None:
        """End, for whatever reason; outputs go to rest. Called after the last block, also where none came."""
        ...
