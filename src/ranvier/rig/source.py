"""What an instrument is to the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ranvier.exceptions import CapabilityError
from ranvier.models.ports import Port
from ranvier.models.status import BackboneMode
from ranvier.recordings import Block, ChannelTable, SpikeTrains


@dataclass(frozen=True, slots=True)
class PortScan:
    """What a scan found on a port: a headstage and how many amplifier channels it has."""

    port: Port
    headstage_id: str
    num_channels: int


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source is and can do.

    Attributes
    ----------
    sampling_rates_hz
        The rates it offers.
    capabilities
        Of ``"stim"``, ``"dac"``, ``"dout"``, ``"impedance"``, ``"mosi"``, ``"sinaps"``, ``"ground_truth"``.
    max_stim_ua
        Largest stimulation current.
    """

    mode: BackboneMode
    name: str
    simulated: bool
    sampling_rates_hz: tuple[float, ...]
    capabilities: frozenset[str] = frozenset()
    max_stim_ua: float = 0.0
    num_dac: int = 0


class Source(ABC):
    """Samples with int64 counters. One thread (the pump) calls start, read and stop; the rest may come from any.

    Attributes
    ----------
    info
        What it is.
    fs, channels
        In force; both change with ``configure`` only, while it does not run.
    block_sec
        How long the blocks of ``read`` should be, about; the engine sets it while the source does not run.
    """

    info: SourceInfo
    fs: Fraction
    channels: ChannelTable
    block_sec: float = 0.005

    @abstractmethod
    def scan(self) -> Sequence[PortScan]:
        """Look what is plugged in."""

    @abstractmethod
    def configure(self, fs_hz: float, channels: ChannelTable) -> None:
        """Set the rate (one that ``info`` offers, else ConfigurationError) and the channels (sites assigned)."""

    @abstractmethod
    def start(self) -> None:
        """Begin; the next ``read`` gives the first block."""

    @abstractmethod
    def read(self, timeout_sec: float) -> Block | None:
        """Return the next samples, int16 counts with gain or physical float32; None on time-out.

        The memory is the caller's: it is never written again.
        A counter that jumps tells of lost samples. SourceError where the instrument failed or was unplugged; after
        it the source can be stopped and started again.
        """

    @abstractmethod
    def stop(self) -> None:
        """End; harmless where it does not run."""

    def close(self) -> None:  # noqa: B027 - most sources hold nothing
        """Release the instrument."""

    def buffer_level(self) -> float:
        """Return how full the instrument's own buffer is, 0 to 1."""
        return 0.0

    def set_digital_out(self, line: int, state: bool) -> int:
        """Drive a digital output at once; return the counter from which it holds."""
        raise CapabilityError(f"{self.info.name} has no digital outputs")

    def stimulate(self, sys_chan_idx: int, waveform_ua: Sequence[float], settle: tuple[int, int] = (0, 0)) -> int:
        """Play a current waveform (uA, one value per sample) on a channel; return the counter of its first sample."""
        raise CapabilityError(f"{self.info.name} cannot stimulate")

    def measure_impedance(self, port: Port) -> Mapping[int, tuple[float, float]]:
        """Return magnitude (ohm) and phase (degrees) by native channel index."""
        raise CapabilityError(f"{self.info.name} cannot measure impedance")

    def ground_truth(self, start: int, stop: int) -> SpikeTrains:
        """Return the true spikes of a simulation."""
        raise CapabilityError(f"{self.info.name} is not simulated: nobody knows the true spikes")
