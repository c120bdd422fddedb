"""The online sorter as the live benchmarks use it: default settings, trained on the beginning of a recording."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranvier.dsp.chain import Chain
from ranvier.recordings import Block, ChannelTable, Recording
from ranvier.rig.sorter_settings import SorterSettings
from ranvier.sorting.online import OnlineSorter, StreamSites
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.source import filters
from ranvier.sorting.spike_table import SpikeTable
from ranvier.sorting.stream_training import train_on_tape
from ranvier.sorting.tape import TrainingTape
from ranvier.sorting.trained import TrainedUnits, load_units

I64 = npt.NDArray[np.int64]
PARAMETERS = SorterParameters()
#: As much as the rig gives a tape, at most.
TAPE_BYTES = 1 << 30


def live_sorter(fs: Fraction, channels: ChannelTable, tape: TrainingTape | None = None) -> tuple[OnlineSorter, Chain]:
    """Return the sorter of a stream of amplifier channels, and the filters in front of it."""
    chain = Chain.bind(filters(PARAMETERS, float(fs), len(channels)), fs, channels)
    sites = StreamSites(fs, channels, np.arange(len(channels)))
    sorter = OnlineSorter(sites, chain, SorterSettings().finder(sites), tape=tape)
    return sorter, chain


def trained_on(recording: Recording, seconds: float, kept: Path | None = None) -> OnlineSorter:
    """Return a sorter that was trained on the first seconds of a recording, as fast as they can be read.

    It has seen the last two of them: kernels are loaded, filters and noise have settled.
    """
    sorter, _ = live_sorter(recording.fs, recording.channels)
    if kept is None or not kept.exists():
        units = learned(recording, seconds)
        if kept is not None:
            units.save(kept)
    else:
        units = load_units(kept)
    sorter.use(units)
    stop = recording.start + int(seconds * recording.fs)
    for block in recording.blocks(int(recording.fs) // 10, max(recording.start, stop - 2 * int(recording.fs)), stop):
        sorter.process(block)
    return sorter


def learned(recording: Recording, seconds: float) -> TrainedUnits:
    """Return what is learned from the first seconds of a recording."""
    tape = TrainingTape(recording.fs, recording.channels, TAPE_BYTES, 1)
    teacher, chain = live_sorter(recording.fs, recording.channels, tape)
    stop = recording.start + int(seconds * recording.fs)
    for block in recording.blocks(int(recording.fs), recording.start, stop):
        teacher.process(block)
    units, _ = train_on_tape(
        tape.snapshot(),
        chain.describe_stages(),
        PARAMETERS,
        None,
        1,
        seed=1,
        report=lambda fraction: None,
        check=lambda: None,
    )
    return units


@dataclass
class Labels:
    """A labeller for :func:`benchmarks.sorting.online.replay`: the spikes of units that the sorter tells."""

    sorter: OnlineSorter

    def __call__(self, block: Block) -> tuple[I64, I64]:
        told = SpikeTable.concatenate(self.sorter.take(block))
        own = told.label > 0
        return told.counter[own], told.label[own].astype(np.int64) - 1
