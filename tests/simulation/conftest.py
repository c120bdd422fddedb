"""Simulations that several tests look at."""

from __future__ import annotations

import pytest

from ranvier.simulation import SimulatedRecording, SimulationSpec


@pytest.fixture(scope="session")
def small() -> SimulatedRecording:
    """16 channels with everything that a simulation can have, 6 s; cheap to read."""
    return SimulatedRecording(
        SimulationSpec(
            seed=5,
            probe="a1x16_5mm50_177",
            duration_sec=6.0,
            start_sec=1.5,
            num_units=6,
            rate_hz=(5.0, 30.0),
            overlap_fraction=0.3,
            drift_um=12.0,
            mains_hz=60.0,
            dead_channels=(3,),
            saturated_channels=(7,),
            noisy_channels=(11,),
            gaps_sec=((3.0, 3.25), (5.0, 5.01)),
        )
    )


@pytest.fixture(scope="session")
def quiet() -> SimulatedRecording:
    """Units only: no noise, no hum, no drift; 60 s on 32 channels."""
    return SimulatedRecording(
        SimulationSpec(
            seed=2,
            probe="A1x32-Poly3-5mm-25s-177",
            duration_sec=60.0,
            num_units=10,
            rate_hz=(2.0, 20.0),
            noise_uv=0.0,
            lfp_uv=0.0,
            mains_uv=0.0,
        )
    )
