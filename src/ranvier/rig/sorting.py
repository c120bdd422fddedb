"""The live sorter at work: a consumer of the stream, and a thread that learns the units."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ranvier import _platform
from ranvier.dsp.chain import Chain
from ranvier.exceptions import JobCancelledError
from ranvier.models.signals import SignalType
from ranvier.recordings import Block
from ranvier.recordings.channels import ChannelTable
from ranvier.rig.consumer import BackPressure
from ranvier.rig.consumers import QueueConsumer
from ranvier.rig.core import Core
from ranvier.rig.recording_file import RecordingFile
from ranvier.rig.sorter_settings import SorterSettings
from ranvier.rig.spike_recording import SpikeRecording, describe
from ranvier.sorting.apart import learn_events_apart, train_apart
from ranvier.sorting.criteria import stricter
from ranvier.sorting.dynamics import Schedule
from ranvier.sorting.event_finder import FinderSettings
from ranvier.sorting.event_stream import EventLabeller, EventTape
from ranvier.sorting.event_units import linked_events
from ranvier.sorting.online import OnlineSorter, StreamSites
from ranvier.sorting.rounds import Rounds
from ranvier.sorting.source import done_in_front, filters
from ranvier.sorting.spike_table import SpikeTable
from ranvier.sorting.stream_training import digest_of, stop_when
from ranvier.sorting.tape import TrainingTape
from ranvier.sorting.tissue import Tissue
from ranvier.sorting.tracking import TOO_UNLIKE
from ranvier.sorting.trained import TrainedUnits
from ranvier.sorting.unit_tables import UnitTables

#: Units are learned when so many seconds came since it began.
TRAIN_AT_SEC = (10.0, 30.0, 60.0, 120.0)
#: The tape takes this part of the machine's memory, and at most so much.
TAPE_SHARE, TAPE_BYTES = 0.03, 512 << 20
#: A sorter that adapts learns from so much of the past: long enough for units that fire seldom, short enough that the
#: tissue has not moved by more than templates bear.
RECENT_SEC = 120.0
#: So often a sorter that adapts looks where the tissue is (spikes of all units tell it, few are enough), if that takes
#: no more than this share of a core.
MOVE_SEC, MOVE_SHARE = 2.0, 0.05
#: Units are learned anew before it is time, but not sooner than so, where this share of them may not follow any more.
SOON_SEC, LEFT_BEHIND = 60.0, 0.2
#: And waveforms of threshold events at most so much.
EVENT_BYTES = 128 << 20
#: Blocks that may wait: two seconds of the usual 5 ms.
QUEUE_BLOCKS = 400
#: Blocks that wait are sorted together, up to so many rows (10 ms at 30 kHz): half of what a packet of 1 ms costs does
#: not depend on its length.
TOGETHER_ROWS = 300
#: Spikes of so long ago are looked through for those of a recording that has just begun.
_BACK_SEC = 5.0


class Sorting:
    """One sorter of one source, from INIT or a new source on. Calls come from one control call at a time.

    Attributes
    ----------
    is_on
        Whether it takes blocks.
    progress
        Of the training that runs, 0 to 1; None while none does.
    failure
        Why it takes no more, "" while it does.
    notes
        What a person should know.
    log
        What it did by itself, JSON data.
    schedule
        When it adapts.
    """

    def __init__(self, core: Core, settings: SorterSettings, *, seed: int = 0) -> None:
        self._core = core
        self._seed = seed
        self._lock = threading.Lock()  # held while a block is worked on, and for changes between blocks
        self._consumer: QueueConsumer | None = None
        self._engine: OnlineSorter | None = None
        self._bound: tuple[object, ...] = ()
        self._acquired: list[dict[str, Any]] = []
        self._training: threading.Thread | None = None
        self._following: threading.Thread | None = None
        self._stop_training = threading.Event()
        self._rounds = 0
        self._later = Rounds()
        self._tissue: Tissue | None = None
        self._looked_sec = 0.0
        self._looking_cost_sec = 0.0
        self._moved_on = False
        self._next_label = 1
        self._shed_before = 0
        self._shed_when_recorded = 0
        self._off_at: int | None = None
        self.settings = settings
        self.progress: float | None = None
        self.training_failure = ""
        self.notes: list[str] = []
        self.log: list[dict[str, Any]] = []
        self.schedule = Schedule()
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
    def trained(self) -> TrainedUnits | None:
        """Units that spikes are given to."""
        return None if self._engine is None else self._engine.trained

    @property
    def shed_samples(self) -> int:
        """Samples that were not sorted for want of time."""
        return self._shed_before + (0 if self._consumer is None else self._consumer.status().shed_samples)

    def turn_on(self) -> None:
        """Take blocks from now on; harmless where it does."""
        if self._consumer is not None and not self._consumer.failure:
            return
        self.turn_off()
        if self._engine is not None:
            self._engine.finder.settle_again()
        self._consumer = QueueConsumer(
            "sorter",
            BackPressure.SHED_OLDEST,
            self._work,
            max_blocks=QUEUE_BLOCKS,
            together_rows=TOGETHER_ROWS,
            least_rows=self._least_rows,
        )
        self._core.pump.add_consumer(self._consumer)
        if self.spike_file is not None and self._off_at is not None:
            self.spike_file.missed(self._off_at, self._newest(), "the sorter was off")
            if not self._knows_noise():
                self.spike_file.began_at(self._newest())
        self._off_at = None

    def turn_off(self) -> None:
        """Take no more blocks; spikes and units stay."""
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            return
        self._core.pump.remove_consumer(consumer)
        consumer.close()
        self._shed_before += consumer.status().shed_samples
        self._end_training()
        with self._lock:
            if self._engine is not None:
                self._engine.flush()
            self._off_at = self._newest() if self._engine is None or self._engine.next is None else self._engine.next

    def change(self, settings: SorterSettings) -> None:
        """Take other settings from the next block on."""
        with self._lock:
            self.settings = settings
            engine = self._engine
            if engine is None:
                return
            engine.finder.change(settings.finder(engine.sites))
            if engine.tables is not None and settings.dynamics.is_enabled != (engine.follower is not None):
                self._use(engine, engine.tables)
            if settings.dynamics.is_enabled and engine.tape is None:
                engine.tape = self._tape(engine.sites.fs, engine.sites)
            if engine.tape is not None:
                engine.tape.recent_sec = self._recent_sec()

    def clear_spikes(self) -> None:
        """Forget the spikes."""
        with self._lock:
            if self._engine is not None:
                self._engine.clear()

    def record(self, file: RecordingFile, *, simulated: bool, waveforms: bool = False) -> None:
        """Write spikes beside a recording from now on, turning the sorter on where it is off."""
        self.turn_on()
        with self._lock:
            self._bind()
            engine = self._engine
            if engine is None:
                return
            made = SpikeRecording(file, describe(engine, simulated=simulated, seed=self._seed, waveforms=waveforms))
            if engine.next is not None:  # the recording may have begun meanwhile: what was told since belongs to it
                made.take(engine.ring.read(engine.next - int(_BACK_SEC * engine.sites.fs)), engine)
            if not self._knows_noise():
                made.began_at(self._newest() if engine.first is None else engine.first)
            self._shed_when_recorded = self.shed_samples
            self.spike_file = made

    def end_record(self) -> str:
        """Finish the spikes of a recording; return "" or what went wrong. Harmless where none are written."""
        file = self.spike_file
        if file is None:
            return ""
        if self.failure:
            file.missed(self._newest(), None, f"the sorter failed: {self.failure}")
        elif self._off_at is not None:
            file.missed(self._off_at, None, "the sorter was off")
        shed = self.shed_samples - self._shed_when_recorded
        if shed:
            file.told(f"{shed:,} samples were not sorted: this machine was too slow for them")
        file.end(self._engine, self.log, wait=self.is_on and not self.failure)
        self.spike_file = None
        if file.error:
            self.notes.append(file.error)
        return file.error

    def rebase(self, settings: SorterSettings) -> None:
        """Forget spikes and units, and learn anew with other settings."""
        self._end_training()
        with self._lock:
            self.settings = settings
            self._engine, self._bound = None, ()
            self._rounds, self._later = 0, Rounds()
            self.notes.clear()
        if self.spike_file is not None and self.is_on:
            self.spike_file.began_at(self._newest())

    def put_in(self, trained: TrainedUnits) -> str:
        """Give spikes to units that were learned before; return "" or why that cannot be."""
        with self._lock:
            self._bind()
            engine = self._engine
            if engine is None:
                return "there are no amplifier channels"
            if trained.digest != self._digest(engine):
                return "they were learned on another signal: rate, channels and filters must be the same"
        tables = engine.prepare(trained)
        with self._lock:
            if self._engine is not engine:
                return "filters or channels changed meanwhile"
            self._use(engine, tables)
            self._next_label = max(self._next_label, int(trained.labels.max(initial=0)) + 1)
            self._rounds = len(TRAIN_AT_SEC)
            return ""

    def _knows_noise(self) -> bool:
        return self._engine is not None and bool(np.any(self._engine.finder.noise.sd_uv > 0))

    def _newest(self) -> int:
        """Counter behind the newest sample of the stream; 0 before the first."""
        return self._core.cache.span().stop

    def _least_rows(self) -> int:
        engine = self._engine
        return 0 if engine is None else engine.least_rows

    # --- the consumer's thread --------------------------------------------------------------------------------

    def _work(self, block: Block) -> None:
        with self._lock:
            self._bind()
            engine = self._engine
            if engine is None:
                return
            engine.take(block)
            if self._is_due(engine):
                self._begin_training(engine)
            elif self.settings.dynamics.is_enabled:
                self._adapt(engine)

    def _bind(self) -> None:
        """Make the sorter anew where source or filters are other ones than before; units do not fit then."""
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
            self.notes.append("filters or channels changed: spikes and units were forgotten, and are learned anew")
        self._bound = bound
        self._rounds, self._later = 0, Rounds()
        self._stop_training.set()
        self._engine = self._made(core.source.channels, Fraction(core.source.fs), core.dsp.sorter)

    def _made(self, channels: ChannelTable, fs: Fraction, chain: Chain | None) -> OnlineSorter | None:
        columns = np.asarray(channels.columns_of(SignalType.AMP), np.int64)
        if not len(columns):
            return None
        done = done_in_front(self._core.dsp.sorter_params, {channels[int(c)].port for c in columns})
        own = filters(replace(self.settings.parameters(), **done), float(fs), len(columns))
        if own:
            bound = Chain.bind(own, fs, channels)
            chain = bound if chain is None else Chain([*chain.stages, *bound.stages])
        sites = StreamSites(fs, channels, columns)
        finder = self.settings.finder(sites)
        labeller = self._labeller(finder, sites) if self.settings.by_events else None
        tape = None if labeller is not None else self._tape(fs, sites)
        return OnlineSorter(sites, chain, finder, tape=tape, labeller=labeller, sink=self._told)

    def _labeller(self, finder: FinderSettings, sites: StreamSites) -> EventLabeller:
        wings = finder.levels.wings
        before, after = max(1, int(wings[:, 0].max(initial=0))), max(1, int(wings[:, 1].max(initial=0)))
        budget = min(EVENT_BYTES, int(TAPE_SHARE * _platform.memory_bytes()))
        places = [(np.nan, np.nan) if c.site is None else (c.site.x_um, c.site.y_um) for c in sites.sites]
        tape = EventTape(len(sites.columns), before + after, budget, self._seed)
        return EventLabeller(before, after, np.array(places, np.float32).reshape(-1, 2), tape)

    def _told(self, spikes: SpikeTable) -> None:
        file, engine = self.spike_file, self._engine
        if file is not None and engine is not None:
            file.take(spikes, engine)

    def _tape(self, fs: Fraction, sites: StreamSites) -> TrainingTape | None:
        if self.settings.detect_only:
            return None
        budget = min(TAPE_BYTES, int(TAPE_SHARE * _platform.memory_bytes()))
        tape = TrainingTape(fs, sites.sites, budget, self._seed)
        tape.recent_sec = self._recent_sec()
        return tape

    def _recent_sec(self) -> float | None:
        return RECENT_SEC if self.settings.dynamics.is_enabled else None

    def _digest(self, engine: OnlineSorter) -> str:
        return digest_of(float(engine.sites.fs), engine.sites.sites, self._filters(engine))

    def _filters(self, engine: OnlineSorter) -> list[dict[str, object]]:
        live = self._core.dsp.describe()
        return [*live, *engine.describe_filters()]

    # --- adapting -----------------------------------------------------------------------------------------------

    def _adapt(self, engine: OnlineSorter) -> None:
        """Do what is due by the stream's own time; every change goes into the log."""
        dynamics, now = self.settings.dynamics, self._now(engine)
        if self.schedule.due("detect", dynamics, now):
            largest = engine.finder.follow_noise()
            self._did("detect", engine, int(largest > 0))
            self.log.append({"event": "noise", "largest_change": largest, "in_force_from_sample": engine.next})
        if engine.follower is None or self._tissue is None:
            return
        settle = self.schedule.due("sort", dynamics, now)
        wait = max(MOVE_SEC, self._looking_cost_sec / MOVE_SHARE)
        if self._following is None and (settle or not 0.0 <= now - self._looked_sec < wait):
            self._looked_sec = now
            self._following = self._beside("following", self._follow_guarded, engine, settle)
            self._following.start()
        due = self.schedule.due("train", dynamics, now)
        soon = self._moved_on and self.schedule.since("train", now) >= SOON_SEC
        if self._training is None and (due or soon):
            self._moved_on = False
            self._begin_training(engine, again=True)

    def _follow_guarded(self, engine: OnlineSorter, settle: bool) -> None:
        """Let templates follow their spikes; what goes wrong is told, and sorting goes on."""
        began = time.thread_time()
        try:
            self._follow(engine, settle)
        except Exception as error:  # noqa: BLE001  # sorting goes on; the notes say it
            self.notes.append(f"templates could not follow their spikes: {type(error).__name__}: {error}")
            self._did("sort", engine, 0)
        finally:
            self._looking_cost_sec = time.thread_time() - began
            self._following = None

    def _follow(self, engine: OnlineSorter, settle: bool) -> None:
        with self._lock:
            tissue, follower = self._tissue, engine.take_follower()
            if tissue is None or follower is None or engine.trained is not tissue.now:
                return
        told = tissue.follow(follower, settle=settle)
        tables = engine.prepare(tissue.now) if told.is_new else None
        with self._lock:
            if self._engine is not engine or self._tissue is not tissue:  # others were learned meanwhile
                return
            if tables is not None:
                engine.use(tables, follow=self.settings.dynamics.is_enabled)
            if not settle:
                return
            unlike = sum(why == TOO_UNLIKE for why in told.refused.values())
            self._moved_on |= unlike > LEFT_BEHIND * (len(told.changed) + len(told.refused))
            self._did("sort", engine, len(told.changed), len(told.refused))
            self.log.append({"event": "followed", "changed": {str(u): v for u, v in told.changed.items()},
                             "refused": {str(u): why for u, why in told.refused.items()},
                             "displaced_um": [round(float(v), 1) for v in tissue.shift_um],
                             "in_force_from_sample": engine.next})  # fmt: skip

    def _now(self, engine: OnlineSorter) -> float:
        return 0.0 if engine.next is None else float(engine.next / engine.sites.fs)

    def _did(self, task: str, engine: OnlineSorter, accepted: int, rejected: int = 0) -> None:
        self.schedule.did(task, self._now(engine), accepted, rejected)

    # --- learning -----------------------------------------------------------------------------------------------

    def _is_due(self, engine: OnlineSorter) -> bool:
        tape = engine.tape if engine.labeller is None else engine.labeller.tape
        if tape is None or self._training is not None or self._rounds >= len(TRAIN_AT_SEC):
            return False
        return tape.taken_sec >= TRAIN_AT_SEC[self._rounds]

    def _use(self, engine: OnlineSorter, units: UnitTables) -> None:
        """Give spikes to these units; they are followed where the sorter adapts."""
        if self._tissue is None or self._tissue.now is not units.trained:
            self._tissue = Tissue(units.trained)
        engine.use(units, follow=self.settings.dynamics.is_enabled)

    def _begin_training(self, engine: OnlineSorter, *, again: bool = False) -> None:
        self._stop_training = threading.Event()
        self.progress = 0.0
        self._rounds += not again
        self._training = self._beside("training", self._train_guarded, engine, self._stop_training, again)
        self._training.start()

    def _beside(self, what: str, work: Callable[..., None], *asked: object) -> threading.Thread:
        """Return a thread for work beside the stream: blocks never wait for it."""
        return threading.Thread(target=work, args=asked, name=f"ranvier-sorter-{what}", daemon=True)

    def _train_guarded(self, engine: OnlineSorter, stopping: threading.Event, again: bool) -> None:
        """Learn; what goes wrong is told, and detection goes on."""
        try:
            if engine.labeller is not None:
                self._learn_events(engine, engine.labeller, stopping)
            else:
                self._train(engine, stopping, again)
            self.training_failure = ""
        except JobCancelledError:
            pass
        except Exception as error:  # noqa: BLE001  # detection goes on; the state says it
            self.training_failure = f"units could not be learned: {type(error).__name__}: {error}"
        finally:
            self.progress = None
            self._training = None

    def _learn_events(self, engine: OnlineSorter, labeller: EventLabeller, stopping: threading.Event) -> None:
        """Learn from the waveforms of threshold events."""
        noise = {k: float(sd) for k, sd in enumerate(engine.finder.noise.sd_uv) if sd > 0}
        with self._lock:
            sample = labeller.tape.snapshot()
        fresh = learn_events_apart(
            sample,
            noise,
            labeller.before,
            float(engine.sites.fs),
            self.settings.parameters(),
            seed=self._seed,
            report=self._report,
            check=stop_when(stopping.is_set),
        )
        units, next_label = linked_events(fresh, labeller.units, self._next_label)
        with self._lock:
            if self._engine is engine and not stopping.is_set():
                labeller.units, self._next_label = units, next_label
                labeller.learns = self._rounds < len(TRAIN_AT_SEC)
                entry = {"event": "learned", "from_sec": labeller.tape.taken_sec, "units": len(units)}
                self.log.append({**entry, "in_force_from_sample": engine.next})

    def _train(self, engine: OnlineSorter, stopping: threading.Event, again: bool) -> None:
        """Learn from the signal that was kept."""
        if engine.tape is None:
            return
        with self._lock:
            known, tissue = engine.trained, self._tissue
            began_um = None if tissue is None else tissue.shift_um.copy()
        trained, next_label = train_apart(
            engine.tape.snapshot(),
            self._filters(engine),
            stricter(self.settings.parameters(), self.settings.dynamics.level["train"], engine.tape.held_sec),
            None if again else known,
            self._next_label,
            seed=self._seed,
            report=self._report,
            check=stop_when(stopping.is_set),
            motion=engine.tape.recent_sec is not None,
        )
        entry: dict[str, Any] = {"event": "learned", "from_sec": trained.learned_sec}
        if again and known is not None:
            settled = self._later.settle(trained, known, self._next_label, float(engine.sites.fs))
            trained, next_label = settled.units, settled.next_label
            entry |= {"event": "learned_again", "new": settled.new, "dropped": settled.dropped}
            entry |= {"missed": settled.missed, "pending": settled.pending}
            self._did("train", engine, len(trained) - len(settled.missed), settled.pending)
        fresh = Tissue(trained)
        if tissue is not None and tissue is self._tissue and began_um is not None:
            fresh.move(tissue.shift_um - began_um)  # meanwhile
        tables = engine.prepare(fresh.now)
        with self._lock:
            if self._engine is engine and not stopping.is_set():
                self._tissue = fresh
                self._use(engine, tables)
                self._next_label = next_label
                if self._rounds >= len(TRAIN_AT_SEC) and not self.settings.dynamics.is_enabled:
                    engine.tape = None  # nothing is learned any more
                self.log.append({**entry, "units": len(trained), "in_force_from_sample": engine.next})

    def _report(self, fraction: float) -> None:
        self.progress = fraction

    def _end_training(self) -> None:
        self._stop_training.set()
        for thread in (self._training, self._following):
            if thread is not None:
                thread.join(30.0)
