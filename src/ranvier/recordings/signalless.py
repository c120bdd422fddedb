"""A session of spike trains or events without signals, as a dataset can hold it."""

from __future__ import annotations

from fractions import Fraction
from typing import NoReturn

from ranvier.exceptions import CapabilityError
from ranvier.recordings.block import Block
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.recording import Recording
from ranvier.recordings.segments import Segments
from ranvier.recordings.session import Session


class NoSignals(Recording):
    """Stands for the missing stream of a session of spikes or events: rate, channels and time range, no samples.

    It reaches from counter 0 to the last spike or event, or is as long as the session says. Reading raises
    CapabilityError, which says what is missing.
    """

    def __init__(self, session: Session) -> None:
        self.path = session.path
        self.fs = Fraction(1) if session.fs is None else session.fs
        self.channels = ChannelTable(()) if session.channels is None else session.channels
        self.segments = Segments.single(0, 0)
        if session.extent is not None:
            self._start, self._stop = session.extent
            self._what = "spike trains"
            self.notes = (f"no signals; {session.content}",)
            return
        self._start = 0
        trains = list(session.spike_trains.values())
        if session.fs is None:
            self.fs = next((t.fs for t in trains if t.fs is not None), self.fs)
        trains = [t.counted_at(self.fs) for t in trains]
        events = list(session.events.values())
        counters = [*(t.counter for t in trains), *(e.counter for e in events)]
        self._stop = max((int(c[-1]) + 1 for c in counters if len(c)), default=0)
        self._what = " and ".join([*(["spike trains"] if trains else []), *(["events"] if events else [])])
        units = sum(len({int(u) for u in t.units if u > 0}) for t in trains)
        spikes = sum(len(t) for t in trains)
        told = [f"{units} units with {spikes:,} spikes"] if trains else []
        told += [f"{sum(map(len, events)):,} events"] if events else []
        self.notes = (f"no signals; {', '.join(told)}",)

    @property
    def start(self) -> int:
        """First counter."""
        return self._start

    @property
    def stop(self) -> int:
        """Counter behind the last spike or event."""
        return self._stop

    def read(self, *_: object, **__: object) -> Block:
        """Refuse: there are no samples."""
        self._refuse()

    def read_counts(self, *_: object, **__: object) -> Block:
        """Refuse: there are no samples."""
        self._refuse()

    def clip(self, *_: object) -> tuple[int, int]:
        """Refuse: there are no samples."""
        self._refuse()

    def _read_rows(self, *_: object) -> None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise CapabilityError(
            f"{self.path} holds {self._what} but not the signals they belong to; link the recording for those"
        )
