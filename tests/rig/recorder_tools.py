"""A stream for tests of the recorder: values are a function of counter and column."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.models.ports import Port
from ranvier.models.status import BackboneMode, RecordingConfig
from ranvier.recordings import Block, ChannelTable
from ranvier.recordings.channels import plain_channels
from ranvier.rig.clock import RealClock
from ranvier.rig.recorder import Recorder
from ranvier.rig.source import SourceInfo
from ranvier.rig.stream import StreamInfo
from ranvier.store import Store

FS = 1000


def two_ports() -> ChannelTable:
    """Four amplifier channels on port A, three on C, two analog inputs, one digital line in and one out."""
    table = plain_channels(7, 2, 1, 1)
    ports = [Port.A] * 4 + [Port.C] * 3
    channels = [
        type(c)(**{**{n: getattr(c, n) for n in c.__slots__}, "port": p})
        for c, p in zip(table.channels, [*ports, None, None, None, None], strict=True)
    ]
    return table.with_channels(channels)


@dataclass
class Stream:
    """The context of a recorder, and its blocks."""

    channels: ChannelTable = field(default_factory=two_ports)
    simulated: bool = False
    fs: Fraction = Fraction(FS)
    started: int = 0

    def ensure_streaming(self) -> None:
        self.started += 1

    def stream(self) -> StreamInfo:
        info = SourceInfo(BackboneMode.SMARTBOX_SIM_GEN_SINE, "test source", self.simulated, (float(self.fs),))
        return StreamInfo(self.fs, self.channels, info, simulated=self.simulated, dsp=[{"kind": "highpass"}])

    def client_name(self) -> str:
        return "somebody"

    def gains(self) -> np.ndarray:
        return np.where(self.channels.is_digital, 1.0, 0.25) + 0.125 * (np.arange(len(self.channels)) % 3 == 1)

    def counts(self, start: int, stop: int) -> np.ndarray:
        counters = np.arange(start, stop)
        values = (counters[:, None] * 31 + np.arange(len(self.channels)) * 7) % 4001 - 2000
        digital = self.channels.is_digital
        values[:, digital] = (counters[:, None] // 5 + np.arange(len(self.channels)))[:, digital] % 2
        return values.astype(np.int16)

    def physical(self, start: int, stop: int) -> np.ndarray:
        return (self.counts(start, stop) * self.gains()).astype(np.float32)

    def block(self, start: int, stop: int, *, counts: bool = True) -> Block:
        samples: Any = self.counts(start, stop) if counts else self.physical(start, stop)
        samples.flags.writeable = False
        gains = self.gains()
        return Block(samples, start, gains, np.zeros_like(gains)) if counts else Block(samples, start)


@contextmanager
def recording(stream: Stream, folder: Path, **arguments: Any) -> Iterator[Recorder]:
    """A recorder with its configuration set to ``folder`` and the name 'test', closed at the end."""
    config = arguments.pop("config", {})
    recorder = Recorder(arguments.pop("store", None) or Store(), stream, RealClock(), **arguments)
    if folder.exists():
        recorder.set_config(
            RecordingConfig(**{"base_file_name": "test", "base_file_path": str(folder), "time_stamp": False, **config})
        )
    try:
        yield recorder
    finally:
        recorder.close()
