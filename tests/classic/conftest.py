"""A recording of known content, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from ranvier import VidereClient
from ranvier.models.simulation import SimulationSpec


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of two simulated seconds."""
    folder = tmp_path_factory.mktemp("made")
    with VidereClient(address=f"embedded:{folder / 'home'}", progress=False) as videre:
        spec = SimulationSpec(duration_sec=2.0, start_sec=3.0, probe="a1x16_5mm50_177", num_units=4)
        ds = videre.simulate_recording(spec, folder / "rec_SIMULATED.xdat")
    return Path(ds.path, ds.base_name + ".xdat")
