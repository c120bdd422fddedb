"""A source whose samples the tests write, and that remembers what it was told to put out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from ranvier.exceptions import SourceError
from ranvier.models.ports import Port
from ranvier.models.status import BackboneMode
from ranvier.models.stim import StimParams, StimPolarity
from ranvier.recordings import Block, ChannelTable, Site, plain_channels
from ranvier.rig.source import PortScan, Source, SourceInfo

AMP, AIN, DIN, DOUT = 8, 2, 4, 4
FIRST_AIN, FIRST_DIN, FIRST_DOUT = AMP, AMP + AIN, AMP + AIN + DIN


class FakeSource(Source):
    """Plays at the sample that was read last, or later if asked; sites of 400 um2 on channels 0-3, the rest unknown."""

    def __init__(self, fs_hz: int = 30_000, *, simulated: bool = True, max_stim_ua: float = 1000.0) -> None:
        self.info = SourceInfo(
            BackboneMode.SMARTBOX_SIM_GEN_SPIKES,
            "SIMULATED fake" if simulated else "fake",
            simulated,
            (20_000.0, 30_000.0),
            frozenset({"stim", "dac", "dout", "impedance", "mosi", "sinaps"}),
            max_stim_ua,
            num_dac=2,
        )
        self.fs = Fraction(fs_hz)
        self.channels = with_areas(plain_channels(AMP, AIN, DIN, DOUT), dict.fromkeys(range(4), 400.0))
        self.head = 1000
        self.played: list[tuple[int, int, np.ndarray, tuple[int, int]]] = []
        self.outs: list[tuple[int, bool, int]] = []
        self.broken = False
        self.lag = 0  # samples from the end of a block to where a command takes effect
        self.mosi: list[int] = []

    # --- the stream, driven by tests

    def block(
        self,
        n: int = 30,
        *,
        amp: Mapping[int, Mapping[int, float]] | None = None,
        high: Mapping[int, object] | None = None,
    ) -> Block:
        """Return the next ``n`` samples: ``amp`` = values (uV) by channel and row, ``high`` = slices by SYS column."""
        x = np.zeros((n, len(self.channels)), np.float32)
        for channel, values in (amp or {}).items():
            for row, value in values.items():
                x[row, channel] = value
        for column, rows in (high or {}).items():
            x[rows, column] = 5.0 if column < FIRST_DIN else 1.0  # type: ignore[index]
        x.flags.writeable = False
        block = Block(x, self.head)
        self.head += n
        return block

    def level(self, line: int) -> bool:
        """Return how a digital output stands."""
        states = [state for at, state, _ in self.outs if at == line]
        return bool(states and states[-1])

    # --- Source

    def scan(self) -> Sequence[PortScan]:
        return [PortScan(Port.A, "", AMP)]

    def configure(self, fs_hz: float, channels: ChannelTable) -> None:
        self.fs, self.channels = Fraction(fs_hz), channels

    def start(self) -> None:
        pass

    def read(self, timeout_sec: float) -> Block | None:
        return self.block()

    def stop(self) -> None:
        pass

    def set_digital_out(self, line: int, state: bool) -> int:
        self._check()
        at = self.head + self.lag
        self.outs.append((line, state, at))
        return at

    def stimulate(
        self,
        sys_chan_idx: int,
        waveform_ua: Sequence[float],
        settle: tuple[int, int] = (0, 0),
        *,
        at: int | None = None,
    ) -> int:
        self._check()
        begun = max(self.head, at or 0)
        self.played.append((begun, sys_chan_idx, np.asarray(waveform_ua), settle))
        return begun

    def stop_stimulation(self) -> int:
        self._check()
        self.played = [p for p in self.played if p[0] <= self.head]
        return self.head + 1

    def measure_impedance(self, port: Port) -> Mapping[int, tuple[float, float]]:
        return {c.ntv: (1e6 + c.ntv, -60.0) for c in self.channels if c.port == port}

    def load_mosi(self, values: Sequence[int]) -> None:
        self.mosi = list(values)

    def transmit_mosi(self) -> None:
        pass

    def read_wire_out(self, address: int) -> int:
        return self.mosi[address]

    def _check(self) -> None:
        if self.broken:
            raise SourceError("fake: the cable was pulled")


def with_areas(channels: ChannelTable, areas: Mapping[int, float]) -> ChannelTable:
    """Return channels with sites of given areas (um2), by SYS index."""
    return channels.with_channels(
        replace(c, site=Site(0.0, 0.0, area_um2=areas[c.sys])) if c.sys in areas else c for c in channels
    )


def biphasic(channel: int = 0, ua: float = 10.0, us: float = 200.0, **other: object) -> StimParams:
    """Return a balanced pulse on key 1."""
    from ranvier.models.stim import StimKeypressIndex

    return StimParams.biphasic(
        amplitude=ua,
        pulse_duration=us,
        polarity=StimPolarity.CATHODIC_FIRST,
        stim_sys_chan_idx=channel,
        **{"trigger_source_idx": StimKeypressIndex.KEYPRESS_1, **other},
    )
