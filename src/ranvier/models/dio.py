"""Digital outputs."""

from __future__ import annotations

from enum import IntEnum

from ranvier.models._base import Model

__all__ = ["DIOMode", "DigitalOutChannelRegister", "DigitalOutRegister"]


class DIOMode(IntEnum):
    """What drives the digital outputs."""

    MANUAL = 0
    EVENTS = 1
    """Threshold events on amplifier channels."""
    GATED = 2
    """A gate; see ``gated_polarity``."""
    PULSE = 3
    """Periodic pulses."""


class DigitalOutChannelRegister(Model):
    """Settings of one digital output.

    Attributes
    ----------
    event_threshold, event_polarity
        Level in uV whose crossing raises the output, and in which direction.
    ntv_chan_idx
        The amplifier channel that is watched, native index.
    pulse_interval_sec, pulse_duration_sec
        Period and length of pulses in seconds.
    """

    manual_state: bool
    event_threshold: float
    event_polarity: bool
    ntv_chan_idx: int
    pulse_interval_sec: float
    pulse_duration_sec: float


class DigitalOutRegister(Model):
    """Settings of the digital outputs; requested pulses: period and length in seconds, output by native index."""

    mode: DIOMode
    dout_chan_registers: list[DigitalOutChannelRegister]
    gated_polarity: bool
    req_pulse_interval_sec: float
    req_pulse_duration_sec: float
    req_pulse_ntv_chan_idx: int
