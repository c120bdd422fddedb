"""What to simulate: an addition to the API."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from ranvier.exceptions import ConfigurationError
from ranvier.models._base import OwnModel

__all__ = ["SimulationSpec"]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Channels = tuple[Annotated[int, Field(ge=0)], ...]


class SimulationSpec(OwnModel):
    """A recording with known truth; the same specification gives the same samples.

    Attributes
    ----------
    seed
        Seed of everything random.
    duration_sec, fs
        Length in seconds, sampling rate in Hz.
    probe
        NeuroNexus-style id of the probe.
    num_channels
        Amplifier channels; None = as many as the probe has sites.
    num_units
        Neurons near the probe.
    min_rate_hz, max_rate_hz
        Range of the neurons' mean firing rates in Hz.
    refractory_sec
        No neuron fires twice within this time.
    burst_frac
        Fraction of the neurons that fire in bursts.
    noise_uv
        Standard deviation of the noise in uV, part of it shared by neighbouring sites.
    lfp_uv
        Standard deviation of the local field potential in uV.
    mains_hz, mains_uv
        Frequency and amplitude of the mains hum.
    drift_um
        How far the probe moves along its axis during the recording, in um.
    ttl_period_sec
        Time between rising edges of digital input 0; 0 = no TTL events.
    dead_channels, saturated_channels, noisy_channels
        Native indices of faulty channels; a channel has at most one fault.
    start_sample
        Counter of the first sample.
    """

    seed: int = 1
    duration_sec: Positive = 20.0
    fs: Positive = 30000.0
    probe: str = "a8x8_5mm200_200_413"
    num_channels: Annotated[int, Field(ge=1)] | None = None
    num_units: Annotated[int, Field(ge=0)] = 12
    min_rate_hz: Positive = 2.0
    max_rate_hz: Positive = 20.0
    refractory_sec: NotNegative = 0.002
    burst_frac: Annotated[float, Field(ge=0, le=1)] = 0.25
    noise_uv: NotNegative = 8.0
    lfp_uv: NotNegative = 40.0
    mains_hz: Positive = 50.0
    mains_uv: NotNegative = 5.0
    drift_um: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    ttl_period_sec: NotNegative = 1.0
    dead_channels: Channels = ()
    saturated_channels: Channels = ()
    noisy_channels: Channels = ()
    start_sample: int = 0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min_rate_hz > self.max_rate_hz:
            raise ConfigurationError(f"min_rate_hz {self.min_rate_hz} is above max_rate_hz {self.max_rate_hz}")
        if self.max_rate_hz * self.refractory_sec >= 1:
            raise ConfigurationError(
                f"{self.max_rate_hz} Hz cannot be reached with a refractory time of {self.refractory_sec} s"
            )
        faulty = [*self.dead_channels, *self.saturated_channels, *self.noisy_channels]
        twice = sorted({channel for channel in faulty if faulty.count(channel) > 1})
        if twice:
            raise ConfigurationError(f"channels {twice} have more than one fault")
        return self
