"""The live sorter at work: a consumer of the stream."""

from __future__ import annotations

import threading
from fractions import Fraction
from typing import Any

import numpy as np

from ranvier.dsp.chain import Chain
from ranvier.models.signals import SignalType
from ranvier.recordings import Block
from ranvier.recordings.channels import ChannelTable
from ranvier.rig.consumer import BackPressure
from ranvier.rig.consumers import QueueConsumer
from ranvier.rig.core import Core
from ranvier.rig.recording_file import RecordingFile
from ranvier.rig.sorter_settings import SorterSettings
from ranvier.rig.spike_recording import SpikeRecording, describe
from ranvier.sorting.online import OnlineSorter, StreamSites, default_filters
from ranvier.sorting.spike_table import SpikeTable

#: Blocks that may wait: two seconds of the usual 5 ms.
QUEUE_BLOCKS = 400
#: Spikes of so long ago are looked through for those of a recording that has just begun.
_BACK_SEC = 5.0


class Sorting:
    """One sorter of one source, from INIT or a new source on. Calls come from one control call at a time.

    Attributes
    ----------
    is_on
        Whether it takes blocks.
    failure
        Why it takes no more, "" while it does.
    notes
        What a person should know.
    """

    def __init__(self, core: Core, settings: SorterSettings, *, seed: int = 0) -> None:
        self._core = core
        self._seed = seed
        self._lock = threading.Lock()  # held while a block is worked on, and for changes between blocks
        self._consumer: QueueConsumer | None = None
        self._engine: OnlineSorter | None = None
        self._bound: tuple[object, ...] = ()
        self._acquired: list[dict[str, Any]] = []
        self._shed_before = 0
        self.settings = settings
        self.notes: list[str] = []
        self.log: list[dict[str, Any]] = []
        self.spike_file: SpikeRecording | None = None

    # --- control --------------------------------------------------------------------------------------------------

    @property
    def is_on(self) -> bool:
        return self._consumer is not None

    @property
    def failure(self) -> str:
        return "" if self._consumer is None else self._consumer.failure

    @property
    def engine(self) -> OnlineSorter | None:
        """The sorter of the stream; None before the first block."""
        return self._engine

    @property
    def shed_samples(self) -> int:
        """Samples that were not sorted for want of time."""
        return self._shed_before + (0 if self._consumer is None else self._consumer.status().shed_samples)

    def turn_on(self) -> None:
        """Take blocks from now on; harmless where it does."""
        if self._consumer is not None and not self._consumer.failure:
            return
        self.turn_off()
        self._consumer = QueueConsumer("sorter", BackPressure.SHED_OLDEST, self._work, max_blocks=QUEUE_BLOCKS)
        self._core.pump.add_consumer(self._consumer)

    def turn_off(self) -> None:
        """Take no more blocks; spikes stay."""
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            return
        self._core.pump.remove_consumer(consumer)
        consumer.close()
        self._shed_before += consumer.status().shed_samples
        with self._lock:
            if self._engine is not None:
                self._engine.flush()

    def change(self, settings: SorterSettings) -> None:
        """Take other settings from the next block on."""
        with self._lock:
            self.settings = settings
            if self._engine is not None:
                self._engine.finder.change(settings.finder(self._engine.sites))

    def clear_spikes(self) -> None:
        """Forget the spikes."""
        with self._lock:
            if self._engine is not None:
                self._engine.clear()

    def record(self, file: RecordingFile, *, simulated: bool) -> None:
        """Write spikes beside a recording from now on, turning the sorter on where it is off."""
        self.turn_on()
        with self._lock:
            self._bind()
            engine = self._engine
            if engine is None:
                return
            made = SpikeRecording(file, describe(engine, simulated=simulated, seed=self._seed))
            if engine.next is not None:  # the recording may have begun meanwhile: what was told since belongs to it
                made.take(engine.ring.read(engine.next - int(_BACK_SEC * engine.sites.fs)), engine)
            self.spike_file = made

    def end_record(self) -> str:
        """Finish the spikes of a recording; return "" or what went wrong. Harmless where none are written."""
        file = self.spike_file
        if file is None:
            return ""
        file.end(self._engine, self.log, wait=self.is_on and not self.failure)
        self.spike_file = None
        if file.error:
            self.notes.append(file.error)
        return file.error

    def rebase(self, settings: SorterSettings) -> None:
        """Forget the spikes, and begin anew with other settings."""
        with self._lock:
            self.settings = settings
            self._engine, self._bound = None, ()
            self.notes.clear()

    # --- the consumer's thread --------------------------------------------------------------------------------

    def _work(self, block: Block) -> None:
        with self._lock:
            self._bind()
            if self._engine is not None:
                self._engine.process(block)

    def _bind(self) -> None:
        """Make the sorter anew where source or filters are other ones than before."""
        core = self._core
        bound = (core.source.channels, core.source.fs, core.dsp.sorter, core.dsp.live)
        if len(self._bound) == len(bound) and all(a is b for a, b in zip(bound, self._bound, strict=True)):
            return
        same = self._bound[:3] and all(a is b for a, b in zip(bound[:3], self._bound[:3], strict=True))
        described, self._acquired = self._acquired, core.dsp.describe()
        if same and described == self._acquired:  # a new stream has a new chain of the same filters
            self._bound = bound
            return
        if self._engine is not None:
            self.notes.append("filters or channels changed: the spikes were forgotten")
        self._bound = bound
        self._engine = self._made(core.source.channels, Fraction(core.source.fs), core.dsp.sorter)

    def _made(self, channels: ChannelTable, fs: Fraction, chain: Chain | None) -> OnlineSorter | None:
        columns = np.asarray(channels.columns_of(SignalType.AMP), np.int64)
        if not len(columns):
            return None
        if chain is None:
            chain = Chain.bind(default_filters(float(fs), len(columns)), fs, channels)
        sites = StreamSites(fs, channels, columns)
        return OnlineSorter(sites, chain, self.settings.finder(sites), sink=self._told)

    def _told(self, spikes: SpikeTable) -> None:
        file, engine = self.spike_file, self._engine
        if file is not None and engine is not None:
            file.take(spikes, engine)
