"""Registers of a simulated instrument: what is written can be read back."""

from __future__ import annotations

from collections.abc import Sequence

from ranvier.exceptions import ConfigurationError
from ranvier.models.status import SinapsStatusRegisters

#: Addresses of wire-out registers (Opal Kelly's range), and which of them tell board and version.
FIRST_WIRE_OUT, LAST_WIRE_OUT = 0x20, 0x3F
BOARD_ID_ADDRESS, VERSION_ADDRESS = 0x3E, 0x3F
#: What a simulator answers there; no instrument has this board id.
SIMULATED_BOARD_ID, SIMULATED_VERSION = 0x51B, 1
#: MOSI registers that are echoed: those that have an address of their own below the board id.
MOSI_REGISTERS = BOARD_ID_ADDRESS - FIRST_WIRE_OUT
_SHANKS = 4
_REFERENCE_V = 0.9


class EchoRegisters:
    """MOSI registers that come back as wire-outs: register i, once transmitted, is read at address 0x20 + i."""

    def __init__(self) -> None:
        self._loaded: tuple[int, ...] = ()
        self._sent: tuple[int, ...] = ()

    def load(self, values: Sequence[int]) -> None:
        """Load the registers; ConfigurationError for too many, and for values that do not fit 32 bits."""
        if len(values) > MOSI_REGISTERS:
            raise ConfigurationError(f"{len(values)} MOSI registers; a simulator has {MOSI_REGISTERS}")
        wrong = [v for v in values if not -(2**31) <= v < 2**32]
        if wrong:
            raise ConfigurationError(f"MOSI register values must fit 32 bits; {wrong[:4]} do not")
        self._loaded = tuple(v & 0xFFFF_FFFF for v in values)

    def transmit(self) -> None:
        """Send what was loaded."""
        self._sent = self._loaded

    def read(self, address: int) -> int:
        """Read a wire-out; 0 where nothing was sent; ConfigurationError outside the range of addresses."""
        if not FIRST_WIRE_OUT <= address <= LAST_WIRE_OUT:
            raise ConfigurationError(
                f"wire-out addresses are {FIRST_WIRE_OUT:#x} to {LAST_WIRE_OUT:#x}; {address:#x} is not among them"
            )
        if address == BOARD_ID_ADDRESS:
            return SIMULATED_BOARD_ID
        if address == VERSION_ADDRESS:
            return SIMULATED_VERSION
        register = address - FIRST_WIRE_OUT
        return self._sent[register] if register < len(self._sent) else 0


def sinaps_registers(num_channels: int, counter: int) -> SinapsStatusRegisters:
    """Return what a calibrated, faultless SiNAPS probe would say; channels are spread over its shanks."""
    pixels = [num_channels // _SHANKS + (i < num_channels % _SHANKS) for i in range(_SHANKS)]
    return SinapsStatusRegisters(
        calibration_state=True,
        calibration_progress=1.0,
        num_active_pixels_shank0=pixels[0],
        num_active_pixels_shank1=pixels[1],
        num_active_pixels_shank2=pixels[2],
        num_active_pixels_shank3=pixels[3],
        v_ref_ffa=_REFERENCE_V,
        v_ref_ffb=_REFERENCE_V,
        v_ref_ffc=_REFERENCE_V,
        v_ref_ffd=_REFERENCE_V,
        is_error0=False,
        is_error1=False,
        is_error2=False,
        is_error3=False,
        host_counter=counter & 0xFFFF_FFFF,
        fpga_counter=counter & 0xFFFF_FFFF,
        firmware_version="SIMULATED",
        probe_generation=0,
        probe_model=0,
    )
