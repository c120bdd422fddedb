"""Analog outputs that monitor amplifier channels."""

from __future__ import annotations

from ranvier.models._base import Model

__all__ = ["AnalogOutChannel", "AnalogOutRegister", "DACHighPass"]


class AnalogOutChannel(Model):
    """Which amplifier channel an analog output carries; both native indices, and where it lies in the data stream."""

    pri_ntv_chan_idx: int
    analog_out_ntv_chan_idx: int
    stream: int
    stream_offset_idx: int


class DACHighPass(Model):
    """High-pass of the analog outputs; corner in Hz."""

    enable: bool
    cutoff_freq: float


class AnalogOutRegister(Model):
    """Settings of the analog outputs; ``gain`` as the instrument counts it."""

    gain: int
    highpass_reg: DACHighPass
    channels: list[AnalogOutChannel]
