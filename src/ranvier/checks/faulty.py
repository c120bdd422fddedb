"""Sources that fail on purpose: what tests put between an engine and a source that works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

import numpy as np

from ranvier.exceptions import SourceError
from ranvier.models.ports import Port
from ranvier.models.status import SinapsStatusRegisters
from ranvier.recordings import Block, ChannelTable, Events, SpikeTrains
from ranvier.rig.clock import Clock, RealClock
from ranvier.rig.source import PortScan, Source


class FaultKind(StrEnum):
    """What goes wrong at a counter."""

    DROP = "samples are lost: the counters [at, at + size) never come"
    STALL = "nothing comes for ``size`` seconds"
    JUMP = "the counter is ``size`` too high from there on, though nothing is missing"
    BACKWARD = "the counter is ``size`` too low from there on"
    WRAP = "the counter has 32 bits and wraps to 0 there"
    NAN = "the counters [at, at + size) are NaN (those blocks are float32)"
    WIDTH = "the block that begins at ``at`` (blocks are cut there) lacks its last ``size`` columns"
    UNPLUG = "the instrument is gone, until ``plug_in``"


#: Faults of a range of counters; faults that move the counter.
_RANGES = (FaultKind.DROP, FaultKind.NAN)
_SIGNS = {FaultKind.JUMP: 1, FaultKind.BACKWARD: -1}


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault at a counter of the source behind; each happens once per start."""

    kind: FaultKind
    at: int
    size: float = 1


class FaultySource(Source):
    """A source whose blocks, counters and patience are spoilt as ordered.

    Parameters
    ----------
    source
        What works.
    faults
        In the counters of ``source``.
    clock
        For stalls: the clock that paces ``source``.
    """

    def __init__(self, source: Source, faults: Sequence[Fault], *, clock: Clock | None = None) -> None:
        self.source = source
        self.faults = tuple(sorted(faults, key=lambda fault: fault.at))
        self.info = replace(source.info, name=f"{source.info.name} (faulty)")
        self.fs, self.channels = source.fs, source.channels
        self.block_sec = source.block_sec
        self.is_plugged_in = True
        self._clock = clock or RealClock()
        self._queue: list[Block] = []
        self._happened: set[Fault] = set()
        self._stalls_until = 0.0

    def unplug(self) -> None:
        """Let the instrument be gone from the next read on."""
        self.is_plugged_in = False

    def plug_in(self) -> None:
        """Let it be there again; it can then be started."""
        self.is_plugged_in = True

    def scan(self) -> Sequence[PortScan]:
        self._require_plugged_in()
        return self.source.scan()

    def default_channels(self) -> ChannelTable:
        return self.source.default_channels()

    def configure(self, fs_hz: float, channels: ChannelTable) -> None:
        self.source.configure(fs_hz, channels)
        self.fs, self.channels = self.source.fs, self.source.channels

    def start(self) -> None:
        self._require_plugged_in()
        self.source.block_sec = self.block_sec
        self.source.start()
        self._queue.clear()
        self._happened.clear()
        self._stalls_until = 0.0

    def read(self, timeout_sec: float) -> Block | None:
        self._require_plugged_in()
        if not self._queue:
            block = self.source.read(timeout_sec)
            self._queue = [] if block is None else self._spoilt(block)
        if not self._queue:
            return None
        self._let_happen(self._queue[0].start)
        left = self._stalls_until - self._clock.monotonic()
        if left > 0:
            self._clock.sleep(min(timeout_sec, left))
            return None
        return self._numbered(self._queue.pop(0))

    def stop(self) -> None:
        self.source.stop()

    def close(self) -> None:
        self.source.close()

    def buffer_level(self) -> float:
        return self.source.buffer_level()

    def marks(self, start: int, stop: int) -> Events:
        return self.source.marks(start, stop)

    def plug(self, port: Port, headstage_id: str, num_channels: int) -> None:
        self.source.plug(port, headstage_id, num_channels)
        self.channels = self.source.channels

    def set_digital_out(self, line: int, state: bool) -> int:
        return self.source.set_digital_out(line, state)

    def stimulate(
        self,
        sys_chan_idx: int,
        waveform_ua: Sequence[float],
        settle: tuple[int, int] = (0, 0),
        *,
        at: int | None = None,
    ) -> int:
        return self.source.stimulate(sys_chan_idx, waveform_ua, settle, at=at)

    def stop_stimulation(self) -> int:
        return self.source.stop_stimulation()

    def sample_time(self, counter: int) -> float | None:
        return self.source.sample_time(counter)

    def measure_impedance(self, port: Port) -> Mapping[int, tuple[float, float]]:
        return self.source.measure_impedance(port)

    def ground_truth(self, start: int, stop: int) -> SpikeTrains:
        return self.source.ground_truth(start, stop)

    def load_mosi(self, values: Sequence[int]) -> None:
        self.source.load_mosi(values)

    def transmit_mosi(self) -> None:
        self.source.transmit_mosi()

    def read_wire_out(self, address: int) -> int:
        return self.source.read_wire_out(address)

    def sinaps_status(self) -> SinapsStatusRegisters:
        return self.source.sinaps_status()

    def _require_plugged_in(self) -> None:
        if not self.is_plugged_in:
            raise SourceError(f"{self.info.name} was unplugged; plug it in and start again")

    def _let_happen(self, counter: int) -> None:
        """Stall, or be gone, where a fault of that kind lies at or before a counter."""
        for fault in self.faults:
            if fault.at <= counter and fault not in self._happened:
                self._happened.add(fault)
                if fault.kind == FaultKind.STALL:
                    self._stalls_until = self._clock.monotonic() + fault.size
                if fault.kind == FaultKind.UNPLUG:
                    self.is_plugged_in = False
        self._require_plugged_in()

    def _spoilt(self, block: Block) -> list[Block]:
        """Return what is left of a block, cut where something happens."""
        edges = {fault.at for fault in self.faults} | {int(f.at + f.size) for f in self.faults if f.kind in _RANGES}
        cuts = [block.start, *sorted(e for e in edges if block.start < e < block.stop), block.stop]
        pieces = [_part(block, a, b) for a, b in pairwise(cuts)]
        return [spoilt for piece in pieces if (spoilt := self._content(piece)) is not None]

    def _content(self, piece: Block) -> Block | None:
        """Return a piece that no fault begins or ends within; None where it is lost."""
        for fault in self.faults:
            if fault.kind in _RANGES and fault.at <= piece.start < fault.at + fault.size:
                if fault.kind == FaultKind.DROP:
                    return None
                piece = Block(np.full(piece.samples.shape, np.nan, np.float32), piece.start)
            if fault.kind == FaultKind.WIDTH and fault.at == piece.start:
                piece = _narrow(piece, int(fault.size))
        return piece

    def _numbered(self, block: Block) -> Block:
        """Return a block with the counter that the faulty instrument tells."""
        start = block.start
        for fault in self.faults:
            if fault.at <= block.start:
                start += int(fault.size) * _SIGNS.get(fault.kind, 0)
            if fault.kind == FaultKind.WRAP:
                start = (start - fault.at) % 2**32
        return Block(block.samples, start, block.gain, block.offset)


def _part(block: Block, start: int, stop: int) -> Block:
    return Block(block.samples[start - block.start : stop - block.start], start, block.gain, block.offset)


def _narrow(block: Block, columns: int) -> Block:
    gain = None if block.gain is None else block.gain[:-columns]
    offset = None if block.offset is None else block.offset[:-columns]
    return Block(np.ascontiguousarray(block.samples[:, :-columns]), block.start, gain, offset)
