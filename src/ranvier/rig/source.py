"""What an instrument is to the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ranvier.exceptions import CapabilityError
from ranvier.models.ports import Port
from ranvier.models.status import BackboneMode, SinapsStatusRegisters
from ranvier.recordings import Block, ChannelTable, Events, SpikeTrains

#: What a source may be able to do, and what the name stands for.
CAPABILITIES: Mapping[str, str] = {
    "dac": "route channels to analog outputs",
    "dout": "set_digital_out",
    "ground_truth": "ground_truth",
    "impedance": "measure_impedance",
    "mosi": "load_mosi, transmit_mosi, read_wire_out",
    "plug": "plug: what is on a port is a setting (simulators)",
    "sinaps": "sinaps_status",
    "stim": "stimulate",
}


@dataclass(frozen=True, slots=True)
class PortScan:
    """What a scan found on a port: a headstage (id without prefix, "" unknown) and its number of amplifier channels."""

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
        Of :data:`CAPABILITIES`; what is not among them raises CapabilityError.
    max_stim_ua
        Largest stimulation current.
    num_dac
        Analog outputs.
    max_channels
        Amplifier channels that it can take, over all ports; 0 where nobody knows.
    """

    mode: BackboneMode
    name: str
    simulated: bool
    sampling_rates_hz: tuple[float, ...]
    capabilities: frozenset[str] = frozenset()
    max_stim_ua: float = 0.0
    num_dac: int = 0
    max_channels: int = 0


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

    def default_channels(self) -> ChannelTable:
        """Return the channels as a scan finds them: a replay's with the sites of its file, an instrument's without."""
        return self.channels

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

    def marks(self, start: int, stop: int) -> Events:
        """Return what the source has to say about the counters ``[start, stop)``, e.g. that a replay began again."""
        return Events.empty()

    def plug(self, port: Port, headstage_id: str, num_channels: int) -> None:
        """Put a headstage on a port of a simulator, or take it away (0 channels); ``scan`` then finds it."""
        raise CapabilityError(f"{self.info.name}: what is on a port is what its cables say; plug it in and scan")

    def set_digital_out(self, line: int, state: bool) -> int:
        """Drive a digital output at once; return the counter from which it holds.

        Outputs keep their state when the source stops; where it does not run the counter is that of its first sample.
        """
        raise CapabilityError(f"{self.info.name} has no digital outputs")

    def stimulate(
        self,
        sys_chan_idx: int,
        waveform_ua: Sequence[float],
        settle: tuple[int, int] = (0, 0),
        *,
        at: int | None = None,
    ) -> int:
        """Play a current waveform (uA, one value per sample) on a channel; return the counter of its first sample.

        ``settle`` is for how many samples before and after the waveform the amplifier is settled. The waveform begins
        at the counter ``at``, or at the next sample that can still be changed where that is later (or None). The
        engine never asks for more than 0.1 s ahead: when it dies, no more than that is left to be played.
        """
        raise CapabilityError(f"{self.info.name} cannot stimulate")

    def stop_stimulation(self) -> int:
        """Drop the waveforms that have not begun; return the counter from which none begins.

        One that has begun is finished: half a pulse would leave its charge behind.
        """
        raise CapabilityError(f"{self.info.name} cannot stimulate")

    def sample_time(self, counter: int) -> float | None:
        """Return when a sample was taken, in the engine's monotonic seconds; None where nobody knows."""
        return None

    def measure_impedance(self, port: Port) -> Mapping[int, tuple[float, float]]:
        """Return magnitude (ohm) and phase (degrees) by native channel index."""
        raise CapabilityError(f"{self.info.name} cannot measure impedance")

    def ground_truth(self, start: int, stop: int) -> SpikeTrains:
        """Return the true spikes of a simulation."""
        raise CapabilityError(f"{self.info.name} is not simulated: nobody knows the true spikes")

    def load_mosi(self, values: Sequence[int]) -> None:
        """Load the MOSI registers, 32-bit values."""
        raise CapabilityError(f"{self.info.name} has no MOSI registers")

    def transmit_mosi(self) -> None:
        """Send the MOSI registers that were loaded."""
        raise CapabilityError(f"{self.info.name} has no MOSI registers")

    def read_wire_out(self, address: int) -> int:
        """Read a wire-out register."""
        raise CapabilityError(f"{self.info.name} has no wire-out registers")

    def sinaps_status(self) -> SinapsStatusRegisters:
        """Read the registers of a SiNAPS probe."""
        raise CapabilityError(f"{self.info.name} has no SiNAPS registers")

    def flash_sinaps(self, bitfile: str) -> None:
        """Flash a SiNAPS probe's controller."""
        raise CapabilityError(f"{self.info.name} cannot be flashed (asked for {bitfile})")

    def __repr__(self) -> str:
        table = getattr(self, "channels", ())
        mark = "SIMULATED " if self.info.simulated and "SIMULATED" not in self.info.name else ""
        return f"<{mark}{type(self).__name__} {self.info.name}: {len(table)} channels>"
