"""Zero-phase filters: forward and backward, streaming, equal to the whole-run result.

The reference is ``scipy.signal.sosfiltfilt(sos, x, axis=0)`` over each run of samples without gap and NaN (odd
extension and steady state at the run's ends; runs shorter than the extension are extended by all they have).

*Forward* the state is carried through the run, so that pass is exact. *Backward* works on the fixed grid of tiles
(:mod:`ranvier.dsp.tiles`): the state at a tile's right edge comes from the ``margin`` samples behind it, the
filter's own decay, beyond which the response sums up to less than 1e-7.

* A margin of up to one tile is simply filtered backward from a zero state (memory: three tiles).
* A longer one (a high-pass of 1 Hz rings for 200 000 samples) would cost too much: each complete tile is filtered
  once backward from zero for the state ``carry`` at its left edge; then ``state(i) = carry(i + 1) + A state(i + 1)``,
  with A the matrix that takes a state through one tile of silence, over as many tiles as the margin spans. The
  samples of those tiles wait in memory up to 64 MiB, then in a temporary file.

At the end of a run the backward pass begins in its exact state instead. Nothing of this depends on how the input was
cut into blocks or on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.dsp.causal import COLUMN_UNIT, filter_and_find_broken, finite_columns, runs_of
from ranvier.dsp.design import FilterDesign
from ranvier.dsp.joint_rows import JointRows
from ranvier.dsp.kernels import filter_rows
from ranvier.dsp.response import achieved
from ranvier.dsp.run_ends import state_at_end, state_at_start
from ranvier.dsp.stage import Rest, Stage, stage_input
from ranvier.dsp.tiles import TILE_ROWS, Tile, TileQueue
from ranvier.models.signals import SignalType
from ranvier.recordings.block import Block
from ranvier.recordings.buffers import aligned_empty
from ranvier.recordings.channels import ChannelTable

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass
class ZeroPhaseState:
    """Where the stream stands.

    Attributes
    ----------
    next
        Counter of the next sample to come; None before the first.
    front
        Counter of the next sample of the forward pass: it stays ``edge_samples`` behind, so that the beginning of a
        run is known when it is entered.
    recent
        The last input rows, up to ``next``: what the forward pass has not seen, and ``edge_samples`` + 1 before it.
    alive
        Channels that are inside a run at ``front``.
    began
        Counter at which each channel's run began.
    sections
        Forward state, ``(2 sections, amplifiers)``.
    """

    next: int | None
    front: int
    recent: F32
    alive: Mask
    began: npt.NDArray[np.int64]
    sections: F64
    queue: TileQueue


class ZeroPhaseFilter(Stage):
    """A cascade of second-order sections, forward and backward, over the amplifier channels; others pass untouched."""

    fresh_output = True

    def __init__(
        self, design: FilterDesign, fs: Fraction, channels: ChannelTable, description: dict[str, Any] | None = None
    ) -> None:
        self.design = design
        self.in_fs = self.out_fs = fs
        self.in_channels = self.out_channels = channels
        self.amplifiers = channels.count(SignalType.AMP)
        self.edge = design.edge_samples
        self.margin = max(1, design.decay_samples)
        if self.margin > TILE_ROWS:
            self.margin = TILE_ROWS * -(-self.margin // TILE_ROWS)
        self.latency = TILE_ROWS + self.margin + self.edge - 1
        self._description = description or {"kind": design.kind, "parameters": {"zero_phase": True}}

    def start(self) -> ZeroPhaseState:
        """Return the state before the first block."""
        n = self.amplifiers
        return ZeroPhaseState(
            next=None,
            front=0,
            recent=np.empty((0, len(self.in_channels)), dtype=np.float32),
            alive=np.zeros(n, dtype=np.bool_),
            began=np.zeros(n, dtype=np.int64),
            sections=np.zeros((2 * len(self.design.coefficients), n)),
            queue=TileQueue(len(self.in_channels), n),
        )

    def process(self, block: Block, state: ZeroPhaseState) -> list[Block]:
        """Filter a block."""
        return [done for rest in self.begin(block, state) for done in rest()]

    def begin(self, block: Block, state: ZeroPhaseState) -> list[Rest]:
        """Filter a block forward; the rest is the backward pass, which changes nothing that the forward pass needs."""
        if len(block) == 0:
            return []
        x = stage_input(block, self.in_channels)
        done: list[Rest] = []
        if state.next != block.start:
            left = self.finish(state)
            done.append(lambda: left)
            state.next = state.front = block.start
        window = JointRows(state.recent, x, state.next)
        state.next = block.stop
        done += self._forward(window, max(state.front, block.stop - self.edge), state)
        state.recent = window.tail(state.front - 1 - self.edge)
        return done

    def finish(self, state: ZeroPhaseState) -> list[Block]:
        """Return what is left at the end of the stream."""
        if state.next is None:
            return []
        window = JointRows(state.recent, state.recent[:0], state.next)
        done = [block for rest in self._forward(window, state.next, state) for block in rest()]
        entering = np.zeros_like(state.sections)
        alive = np.flatnonzero(state.alive)
        entering[:, alive] = self._ends(window, alive, state.next - 1, state)
        done += self._end_of_run(entering, state)
        fresh = self.start()
        state.queue.clear()
        state.next, state.recent, state.sections[:] = None, fresh.recent, 0.0
        state.alive[:] = False
        return done

    def describe(self) -> dict[str, Any]:
        """Return kind, parameters, coefficients and what they achieve, as JSON data."""
        return {
            **self._description,
            "coefficients": self.design.describe(),
            "response": achieved(self.design, zero_phase=True),
            "margin_samples": self.margin,
        }

    # Forward -------------------------------------------------------------------------------------------------------

    def _forward(self, window: JointRows, until: int, state: ZeroPhaseState) -> list[Rest]:
        """Take the forward pass up to ``until``, piece by piece; return what is left for complete tiles."""
        done: list[Rest] = []
        while state.front < until:
            start = state.front
            tile = state.queue.at(start)
            stop = min(until, tile.start + TILE_ROWS)
            tile.stop = stop
            first = state.queue.tiles[0]
            self._by_columns(partial(self._forward_share, window, tile, start, stop, state))
            if self.margin > TILE_ROWS and tile.complete:
                self._find_carry(tile)
                state.queue.park(tile)
            if stop >= first.start + TILE_ROWS + self.margin:
                if self.margin > TILE_ROWS:
                    done.append(self._take_first_by_carry(state.queue))
                else:
                    behind = state.queue.tiles[1]
                    done.append(partial(self._finish_by_margin, _as_it_is(first), _as_it_is(behind)))
                    state.queue.tiles.popleft()
            state.front = stop
        return done

    def _forward_share(
        self, window: JointRows, tile: Tile, start: int, stop: int, state: ZeroPhaseState, first: int, last: int
    ) -> None:
        """Filter ``[start, stop)``, which lies in one tile, for the amplifier columns ``[first, last)``."""
        out = _held(tile)
        for x, row, a, b in window.parts(start, stop):
            at = a - tile.start
            good = state.alive[first:last]
            if not good.all():
                finite = finite_columns(x[row : row + b - a], first, last)
                self._enter_runs(window, first + np.flatnonzero(finite & ~good), a, state)
            good = good.copy()
            for c, d, whole in runs_of(good, first):
                if whole:
                    where = (self.design, x, row, out, at, b - a, (c, d), state.sections, a)
                    for e, f in filter_and_find_broken(*where):
                        good[e - first : f - first] = False
            for channel in first + np.flatnonzero(~good):
                self._forward_channel(window, tile, int(channel), a, b, state)
            if last == self.amplifiers:
                out[at : at + b - a, last:] = x[row : row + b - a, last:]

    def _by_columns(self, share: Callable[[int, int], None]) -> None:
        self.team.each(share, self.team.shares(self.amplifiers, multiple=COLUMN_UNIT) or [(0, 0)])

    def _enter_runs(
        self, window: JointRows, channels: npt.NDArray[np.int64], start: int, state: ZeroPhaseState
    ) -> None:
        """Begin a run at ``start`` in those of the channels whose next samples are all there."""
        if len(channels) == 0 or window.stop - start <= self.edge:
            return
        head = window.rows(start, start + self.edge + 1, channels)
        whole = np.isfinite(head).all(axis=0)
        entering = channels[whole]
        if len(entering):
            state.sections[:, entering] = state_at_start(self.design, head[:, whole])
            state.alive[entering] = True
            state.began[entering] = start

    def _forward_channel(
        self, window: JointRows, tile: Tile, channel: int, start: int, stop: int, state: ZeroPhaseState
    ) -> None:
        """Filter one channel that begins, ends or lacks samples in ``[start, stop)``."""
        column = np.array([channel])
        out = _held(tile)[:, channel]
        finite = np.isfinite(window.rows(start, stop, column)[:, 0])
        for a, b, there in runs_of(finite, start):
            rows = slice(a - tile.start, b - tile.start)
            if not there:
                if state.alive[channel]:  # the run ended with the sample before this one
                    self._end_run(window, tile, channel, a - 1, state)
                out[rows] = np.nan
                tile.broken[channel] = True
                continue
            if not state.alive[channel]:
                ahead = window.rows(a, min(a + self.edge + 1, window.stop), column)
                missing = np.flatnonzero(~np.isfinite(ahead[:, 0]))
                head = ahead[: missing[0]] if len(missing) else ahead
                state.sections[:, column] = state_at_start(self.design, head)
                state.alive[channel], state.began[channel] = True, a
            out[rows] = self._cascade_one(window.rows(a, b, column), 1, state.sections, channel, a)

    def _end_run(self, window: JointRows, tile: Tile, channel: int, last: int, state: ZeroPhaseState) -> None:
        """Note how the backward pass enters a channel's run that ends at ``last``, in this tile or the one before."""
        owner = tile if last >= tile.start else state.queue.tiles[-2]
        end = owner.ends[channel, last] = self._ends(window, np.array([channel]), last, state)
        if owner.carry is not None and not owner.broken[channel]:  # it was taken for granted that the run goes on
            for k in range(len(end)):
                owner.carry[:, channel] += self._silence[:, k] * end[k, 0]
        owner.broken[channel] = True
        state.alive[channel] = False

    def _ends(self, window: JointRows, channels: npt.NDArray[np.int64], last: int, state: ZeroPhaseState) -> F64:
        """Return the state with which the backward pass enters the runs of some channels that end at ``last``."""
        states = np.zeros((len(state.sections), len(channels)))
        known = np.minimum(self.edge, last - state.began[channels])
        for n in np.unique(known):
            those = np.flatnonzero(known == n)
            tail = window.rows(last - int(n), last + 1, channels[those])
            states[:, those] = state_at_end(self.design, state.sections[:, channels[those]], tail)
        return states

    # Backward ------------------------------------------------------------------------------------------------------

    def _finish_by_margin(self, first: Tile, behind: Tile) -> list[Block]:
        """Finish a tile, from the first ``margin`` samples of the one behind it. No state is touched."""
        entering = np.zeros((2 * len(self.design.coefficients), self.amplifiers))
        scratch = aligned_empty((self.margin, len(self.in_channels)))
        out = aligned_empty((first.stop - first.first, len(self.in_channels)))

        def share(a: int, b: int) -> None:
            self._backward_share(behind, behind.start, behind.start + self.margin, entering, scratch, a, b)
            self._backward_share(first, first.first, first.stop, entering, out, a, b)

        self._by_columns(share)
        return [self._finished(first, out)]

    def _take_first_by_carry(self, queue: TileQueue) -> Rest:
        """Take the first tile out of the queue, with all that its backward pass needs; that pass is what is left."""
        first, *following = queue.tiles
        entering = np.zeros((2 * len(self.design.coefficients), self.amplifiers))
        entering = self._through(following[: self.margin // TILE_ROWS], entering)
        queue.fetch(first)
        queue.tiles.popleft()
        return lambda: [self._finish_tile(first, entering)]

    def _end_of_run(self, entering: F64, state: ZeroPhaseState) -> list[Block]:
        """Finish every tile that waits; the backward pass enters the last one with an exact state."""
        tiles = list(state.queue.tiles)
        if not tiles:
            return []
        leaving = entering.copy()
        state.queue.fetch(tiles[-1])
        last = self._finish_tile(tiles[-1], leaving)
        done: list[Block] = []
        if self.margin <= TILE_ROWS:  # two tiles at most
            done = [self._finish_tile(tile, leaving) for tile in tiles[-2::-1]][::-1]
        else:
            for i, tile in enumerate(tiles[:-1]):
                state.queue.fetch(tile)
                done.append(self._finish_tile(tile, self._through(tiles[i + 1 : -1], leaving)))
        return [*done, last]

    def _finish_tile(self, tile: Tile, entering: F64) -> Block:
        """Filter a tile, which is in memory, backward; ``entering`` becomes the state at its left edge."""
        out = aligned_empty((tile.stop - tile.first, len(self.in_channels)))
        self._by_columns(lambda a, b: self._backward_share(tile, tile.first, tile.stop, entering, out, a, b))
        return self._finished(tile, out)

    def _finished(self, tile: Tile, out: F32) -> Block:
        """Return a tile's block; channels that are not filtered pass."""
        out[:, self.amplifiers :] = _held(tile)[tile.first - tile.start : tile.stop - tile.start, self.amplifiers :]
        tile.samples = None
        return Block(out, tile.first)

    def _find_carry(self, tile: Tile) -> None:
        carry = np.zeros((2 * len(self.design.coefficients), self.amplifiers))
        scratch = aligned_empty((tile.stop - tile.first, len(self.in_channels)))
        self._by_columns(lambda a, b: self._backward_share(tile, tile.first, tile.stop, carry, scratch, a, b))
        tile.carry = carry

    def _through(self, tiles: Iterable[Tile], entering: F64) -> F64:
        """Return the state at the left edge of complete tiles, where the backward pass enters them with this one."""
        state = entering
        for tile in reversed(list(tiles)):
            if tile.carry is None:
                raise RuntimeError("a tile is passed before it is complete")
            passed = np.zeros_like(state)
            for k in range(len(state)):  # a matrix product with a fixed order of summation
                passed += self._silence[:, k : k + 1] * state[k]
            passed[:, tile.broken] = 0.0
            state = tile.carry + passed
        return state

    @cached_property
    def _silence(self) -> F64:
        """The matrix that takes a state through one tile of silence."""
        n = 2 * len(self.design.coefficients)
        state = np.eye(n)
        quiet, out = np.zeros((TILE_ROWS, n), dtype=np.float32), np.empty((TILE_ROWS, n), dtype=np.float32)
        filter_rows(self.design, quiet, 0, out, 0, TILE_ROWS, 1, (0, n), state, 0)
        return state

    def _backward_share(self, tile: Tile, first: int, stop: int, state: F64, out: F32, column: int, last: int) -> None:
        """Filter ``[first, stop)`` of some columns backward into ``out``.

        ``state`` is that at ``stop``, and becomes that at ``first``.
        """
        x, top = _held(tile), stop - 1 - tile.start
        whole = ~tile.broken[column:last]
        for a, b, good in runs_of(whole, column):
            if good:
                filter_rows(self.design, x, top, out, stop - 1 - first, stop - first, -1, (a, b), state, 0)
        for channel in column + np.flatnonzero(~whole):
            self._backward_channel(tile, int(channel), first, stop, state, out)

    def _backward_channel(self, tile: Tile, channel: int, first: int, stop: int, state: F64, out: F32) -> None:
        """Filter one channel with missing samples or ends of runs backward."""
        x = _held(tile)[first - tile.start : stop - tile.start, channel]
        for a, b, there in reversed(list(runs_of(np.isfinite(x), first))):
            if not there:
                out[a - first : b - first, channel] = np.nan
                continue
            end = tile.ends.get((channel, b - 1))
            if end is not None:
                state[:, channel] = end[:, 0]
            piece = np.ascontiguousarray(x[a - first : b - first, None])
            out[a - first : b - first, channel] = self._cascade_one(piece, -1, state, channel, 0)

    def _cascade_one(self, x: F32, step: int, state: F64, channel: int, counter: int) -> F32:
        """Filter one column ``(n, 1)``; return it ``(n,)``."""
        out = np.empty_like(x)
        own = np.ascontiguousarray(state[:, channel : channel + 1])
        edge = 0 if step > 0 else len(x) - 1
        filter_rows(self.design, x, edge, out, edge, len(x), step, (0, 1), own, counter)
        state[:, channel] = own[:, 0]
        return out[:, 0]


def _as_it_is(tile: Tile) -> Tile:
    """Return a tile that the forward pass no longer changes: it goes on in rows behind those that are filled now."""
    return replace(tile, broken=tile.broken.copy(), ends=dict(tile.ends))


def _held(tile: Tile) -> F32:
    if tile.samples is None:
        raise RuntimeError("a tile is used while it waits on disk")
    return tile.samples
