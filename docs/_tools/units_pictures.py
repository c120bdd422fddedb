"""Draw docs/images/units.png: what spikes and units look like, simulated."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ranvier import VidereClient
from ranvier.models import SimulationSpec

IMAGES = Path(__file__).parents[1] / "images"


def main() -> None:
    """Simulate, convert the truth, draw."""
    from matplotlib.figure import Figure

    spec = SimulationSpec(duration_sec=60.0, num_units=8, seed=11, lfp_uv=60.0, mains_uv=0.0, burst_fraction=0.05)
    with tempfile.TemporaryDirectory() as folder, VidereClient(address=f"embedded:{folder}/state") as videre:
        ds = videre.simulate_recording(spec, Path(folder) / "units")
        videre.convert_spikes(ds)
        figure = Figure(figsize=(12, 8), layout="constrained")
        axes = figure.subplot_mosaic("RRP;WCP")
        videre.get_spike_raster(ds, time_range=[20, 30]).plot(axes["R"])
        videre.get_neurons(ds).plot(ds, axes["P"])
        videre.get_unit_waveforms(ds, 3).plot(axes["W"])
        videre.get_correlograms(ds, bin_ms=1.0, window_ms=40).plot(axes["C"])
        figure.savefig(IMAGES / "units.png", dpi=90)


if __name__ == "__main__":
    main()
