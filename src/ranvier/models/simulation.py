"""What a simulated recording contains."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ranvier.exceptions import ConfigurationError
from ranvier.models._base import OwnModel

__all__ = ["SimulationSpec"]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction01 = Annotated[float, Field(ge=0, le=1)]
Ntv = Annotated[int, Field(ge=0)]


class SimulationSpec(OwnModel):
    """Settings of a simulated extracellular recording; the same settings and seed give the same samples.

    Attributes
    ----------
    seed
        Of everything that is random.
    duration_sec, start_sec
        Length of the recording, and time of its first sample (a recording seldom starts at 0), in s.
    fs
        Sampling rate in Hz.
    probe
        Name of the probe, e.g. ``a4x8_5mm100_200_177``; it says how many amplifier channels there are.
    num_units
        Neurons near the probe.
    rate_hz
        Lowest and highest mean firing rate, in spikes per s.
    amplitude_uv
        Lowest and highest peak of a unit on its best channel (a trough; given as positive numbers), in uV.
    unit_spread_um, unit_depth_um
        How far a unit lies beside its site at most (along x and y), and how far in front of it, in um.
        Small amplitudes at 70 um and more make a background of far units.
    pair_distance_um
        0: all units are placed by themselves. Else the second unit of every pair lies at most so far from the first
        along x and y.
    amplitude_jitter
        Standard deviation of a spike's amplitude, as a fraction of its unit's.
    refractory_ms
        Absolute refractory period: no interval of a unit is shorter, in ms.
    burst_fraction
        Fraction of intervals that are within a burst: ``refractory_ms`` to ``refractory_ms + burst_isi_ms``, amplitude
        falling by 12 % from spike to spike.
    burst_isi_ms
        See ``burst_fraction``, in ms.
    overlap_fraction
        Fraction of the spikes of every first unit of a pair that make the second one fire within ``overlap_lag_ms``, on
        top of the overlaps that happen by chance.
    overlap_lag_ms
        See ``overlap_fraction``; each pair has one lag of its own.
    noise_uv
        Background noise between 300 and 6000 Hz, RMS in uV, averaged over channels.
    noise_correlation_um
        Distance over which the noise of two sites is alike, in um; 0: independent.
    lfp_uv
        Local field potential, RMS in uV, averaged over channels; 0: none.
    mains_hz, mains_uv
        Frequency of the mains in Hz and amplitude (not RMS) of its hum in uV; either 0: none.
    drift_um
        How far the tissue has moved up the probe by the end of the recording, in um; a recording that is longer than
        ``duration_sec`` sees it move back, and so on.
    drift_path
        ``ramp``: what ``drift_um`` says. ``walk``: anywhere between 0 and ``drift_um``, a fifth of it to and fro within
        200 s, the rest with the spectrum of a random walk.
    ttl_period_sec, ttl_jitter_sec
        Period of the pulses on digital input 0, and the standard deviation of their jitter (cut at a fifth of the
        period), in s. Input 1 has pulses at random.
    dead_channels, saturated_channels, noisy_channels
        Native indices of amplifier channels that are 0 uV; at the amplifier's rails most of the time; or have
        ``noisy_factor`` times the noise.
    gaps_sec
        ``(start, stop)`` of stretches that are missing, in s of recording time (``start_sec`` is the first sample's).
    """

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    duration_sec: Positive = 20.0
    start_sec: NotNegative = 10.0
    fs: Annotated[float, Field(ge=1000, le=1e6)] = 30000.0
    probe: str = "v1x64_poly3_10mm25s_177"
    num_units: Annotated[int, Field(ge=0, le=10000)] = 24
    rate_hz: tuple[Positive, Positive] = (1.0, 15.0)
    amplitude_uv: tuple[Positive, Positive] = (60.0, 300.0)
    unit_spread_um: NotNegative = 12.0
    unit_depth_um: tuple[NotNegative, NotNegative] = (8.0, 25.0)
    pair_distance_um: NotNegative = 0.0
    amplitude_jitter: Annotated[float, Field(ge=0, le=0.3)] = 0.06
    refractory_ms: NotNegative = 2.0
    burst_fraction: Annotated[float, Field(ge=0, le=0.9)] = 0.1
    burst_isi_ms: NotNegative = 4.0
    overlap_fraction: Fraction01 = 0.0
    overlap_lag_ms: Annotated[float, Field(ge=0, le=1)] = 0.4
    noise_uv: NotNegative = 8.0
    noise_correlation_um: NotNegative = 30.0
    lfp_uv: NotNegative = 120.0
    mains_hz: NotNegative = 50.0
    mains_uv: NotNegative = 10.0
    drift_um: float = Field(default=0.0, ge=-1000, le=1000)
    drift_path: Literal["ramp", "walk"] = "ramp"
    ttl_period_sec: Positive = 1.0
    ttl_jitter_sec: NotNegative = 0.01
    dead_channels: tuple[Ntv, ...] = ()
    saturated_channels: tuple[Ntv, ...] = ()
    noisy_channels: tuple[Ntv, ...] = ()
    noisy_factor: Positive = 6.0
    gaps_sec: tuple[tuple[float, float], ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> SimulationSpec:
        for name in ("rate_hz", "amplitude_uv", "unit_depth_um"):
            low, high = getattr(self, name)
            if low > high:
                raise ConfigurationError(f"{name}: the lowest value {low} is above the highest {high}")
        burst_sec = (self.refractory_ms + 0.5 * self.burst_fraction * self.burst_isi_ms) / 1000
        if self.rate_hz[1] * burst_sec >= 0.9:
            raise ConfigurationError(
                f"rate_hz {self.rate_hz[1]} is too fast for a refractory period of {self.refractory_ms} ms; "
                f"lower one of them"
            )
        if self.mains_hz >= self.fs / 6:
            raise ConfigurationError(f"mains_hz {self.mains_hz} is too high for fs {self.fs}")
        faulty = [*self.dead_channels, *self.saturated_channels, *self.noisy_channels]
        twice = sorted({channel for channel in faulty if faulty.count(channel) > 1})
        if twice:
            raise ConfigurationError(f"channels {twice} have more than one fault; leave each in one list")
        at = self.start_sec
        for start, stop in self.gaps_sec:
            if not at < start < stop < self.start_sec + self.duration_sec:
                raise ConfigurationError(
                    f"gaps_sec {self.gaps_sec}: gaps must be in order, apart, and within "
                    f"{self.start_sec} to {self.start_sec + self.duration_sec} s"
                )
            at = stop
        return self
