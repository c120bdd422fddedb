"""Plays stimulation: from triggers in the stream to pulses at counters, never more than 0.1 s ahead."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from ranvier.models.rig import PulseRecord
from ranvier.recordings.block import Block
from ranvier.rig.source import Source
from ranvier.rig.stim import StimPlan
from ranvier.rig.stim_inputs import Active, InputLevel, Keys

#: No pulse is handed to the source earlier than this before it begins: what a dead engine leaves behind is bounded.
HORIZON_SEC = 0.1


@dataclass
class _Line:
    """One configured channel: its plan, and where it stands."""

    plan: StimPlan
    level: InputLevel | None
    ready_at: int  # triggers before this counter fall into the refractory period
    next_at: int = 0
    left: int = 0  # pulses of the running train still to be played
    cause: str = ""
    ignored: int = 0

    @property
    def is_idle(self) -> bool:
        return self.left == 0


class Gate:
    """Whether pulses may start, and for whom. Shutting it waits for nothing but one hand-over to the source.

    Attributes
    ----------
    client
        Who opened it, "" for nobody in particular; None while it is shut.
    lock
        Held while a pulse is handed over, so that none slips through behind an emergency stop.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.client: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether pulses may start."""
        return self.client is not None

    def open(self, client: str) -> None:
        """Let pulses start."""
        with self.lock:
            self.client = client

    def shut(self) -> bool:
        """Let no pulse start from now on; return whether it was open."""
        with self.lock:
            was, self.client = self.client, None
        return was is not None


class StimPlayer:
    """The running stimulation of one stream. Everything here happens in the pump's thread.

    Parameters
    ----------
    plans
        By SYS index; disabled channels are not among them.
    keys
        Shared with the clients' threads.
    log
        Is given every pulse that was handed to the source.
    gate
        Is asked before every pulse.
    """

    def __init__(self, plans: Mapping[int, StimPlan], fs: Fraction, keys: Keys, log: PulseLog, gate: Gate) -> None:
        least = -(2**62)
        self._lines = [
            _Line(plan, InputLevel(plan.trigger) if plan.trigger.key is None else None, least)
            for plan in plans.values()
        ]
        self._keys = keys
        self._log = log
        self._gate = gate
        self._horizon = math.ceil(HORIZON_SEC * float(fs))

    @property
    def ignored(self) -> int:
        """How many triggers came while outputs were not armed, or in a refractory period."""
        return sum(line.ignored for line in self._lines)

    def on_block(self, block: Block, source: Source) -> None:
        """Look for triggers in a block and play what is due."""
        moves = self._keys.take(block.stop)
        for line in self._lines:
            trigger = line.plan.trigger
            active = line.level.look(block) if line.level is not None else moves[trigger.key or 0].look(trigger)
            if self._gate.is_open:
                self._trigger(line, active)
                self._play(line, block.stop, source)
            else:
                line.left = 0
                line.ignored += len(active.edges)

    def _trigger(self, line: _Line, active: Active) -> None:
        plan = line.plan
        if plan.trigger.level:
            # While the level holds, one pulse or train follows the other as the refractory period allows.
            for start, stop in active.spans:
                at = max(start, line.ready_at)
                if at < stop and line.is_idle:
                    self._begin(line, at)
            return
        for at in active.edges:
            if line.is_idle and at >= line.ready_at:
                self._begin(line, at)
            else:
                line.ignored += 1

    def _begin(self, line: _Line, at: int) -> None:
        plan = line.plan
        line.next_at = at + plan.delay
        line.left = plan.num_pulses
        key = plan.trigger.key
        line.cause = f"key {key}" if key is not None else f"input column {plan.trigger.column}"
        line.ready_at = line.next_at + plan.num_samples + plan.refractory

    def _play(self, line: _Line, now: int, source: Source) -> None:
        plan = line.plan
        while line.left and line.next_at <= now + self._horizon:
            with self._gate.lock:
                if not self._gate.is_open:
                    line.left = 0
                    return
                begun = source.stimulate(plan.channel.sys, plan.waveform_ua.tolist(), plan.settle, at=line.next_at)
                self._log.add(begun, plan.channel.sys, line.cause, plan.verdict.charge_nc)
            line.left -= 1
            # A pulse that came late moves the rest of its train: the distance from pulse to pulse is what matters.
            line.next_at = begun + plan.period
            end = begun + line.left * plan.period + len(plan.waveform_ua)
            line.ready_at = max(line.ready_at, end + plan.refractory)


class PulseLog:
    """Every pulse handed to the source since streaming began, in a few bytes each."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, int, str, float]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, counter: int, sys_idx: int, cause: str, charge_nc: float) -> None:
        """Write down a pulse."""
        self._rows.append((counter, sys_idx, cause, charge_nc))

    def forget_from(self, counter: int) -> None:
        """Take back the pulses from a counter on: the source dropped them before they began."""
        self._rows = [row for row in self._rows if row[0] < counter]

    def clear(self) -> None:
        """Forget all: another stream begins."""
        self._rows = []

    def records(self) -> list[PulseRecord]:
        """Return the pulses in order of their counters."""
        rows = sorted(self._rows.copy(), key=lambda row: row[:2])
        return [PulseRecord(counter=c, sys_chan_idx=s, cause=cause, charge_nc=q) for c, s, cause, q in rows]
