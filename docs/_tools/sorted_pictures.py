"""Draw docs/images/locust.png and kilosort.png: real units, of the sample recordings (RANVIER_SAMPLES: their folder).

The recordings themselves are not part of this repository; where they are missing, nothing is drawn.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from ranvier import VidereClient
from ranvier.models import SpikeSorterLaunchParams

IMAGES = Path(__file__).parents[1] / "images"


def locust(videre: VidereClient, source: Path, folder: Path) -> None:
    """Sort the tetrode of a locust's antennal lobe (C. Pouzat, Zenodo 21589) and draw its units."""
    from matplotlib.figure import Figure

    copy = folder / "locust_trial_01.raw"
    shutil.copy(source, copy)
    copy.with_name(copy.name + ".yaml").write_text("fs: 15000\nnum_channels: 4\n", "utf-8")
    ds = videre.link_data_file(copy)  # how the wires lay is not known: no probe
    videre.spike_sort(SpikeSorterLaunchParams(dsource_id=ds.id, seed=0))
    units = {unit.label: unit for unit in videre.get_units(ds)}
    figure = Figure(figsize=(13, 9.5), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 1.7])
    traces, raster = top.subplots(2, 1, height_ratios=[1.4, 1])
    _traces(videre, ds, traces, (10.0, 10.4))
    videre.get_spike_raster(ds, list(units)).plot(raster)
    raster.set(ylabel="unit", ylim=(-0.7, len(units) - 0.3))
    waveforms, lags = bottom.subplots(2, len(units), sharey="row", sharex="row", height_ratios=[1.7, 1])
    found = videre.get_correlograms(ds, list(units), bin_ms=2.0, window_ms=50)
    for upper, lower, (number, unit) in zip(waveforms, lags, units.items(), strict=True):
        videre.get_unit_waveforms(ds, number, [0, 1, 2, 3]).plot(upper, most=60)
        upper.set_title(f"unit {number}: {unit.spike_count}\nSNR {unit.snr:.1f}", fontsize="medium")
        upper.set(xlabel="channel, 2 ms each" if number == 1 else "", ylabel="µV" if number == 1 else "")
        found.plot(lower, units=(number, number))
        lower.set(title="", xlabel="lag, ms" if number == 1 else "", ylabel="spikes/s" if number == 1 else "")
    figure.savefig(IMAGES / "locust.png", dpi=90)


def _traces(videre: VidereClient, ds: Any, ax: Any, window: tuple[float, float]) -> None:
    """Draw the four channels behind the sorter's filter, with the spikes of units marked."""
    import numpy as np
    from scipy.signal import butter, sosfilt

    from ranvier.models._pictures_units import color_of

    start, stop = window
    signals = videre.get_signals(ds, [start - 0.1, stop], "all").amp
    fs = ds.sampling_rate
    shown = sosfilt(butter(3, [300, 6000], "bandpass", fs=fs, output="sos"), signals, axis=1)[:, round(0.1 * fs) :]
    sec = start + np.arange(shown.shape[1]) / fs
    step = 8 * float(np.median(np.abs(shown)) / 0.6745)
    for row, channel in enumerate(shown):
        ax.plot(sec, channel - row * 1.6 * step, color="0.35", lw=0.6)
    for unit, spikes in videre.get_spikes_by_neuron(ds, time_range=[start, stop]).items():
        ax.plot(spikes.timestamps, np.full(len(spikes.timestamps), 1.3 * step), "v", ms=5, color=color_of(unit))
    ax.set(xlim=window, yticks=[], ylabel="channels 0-3", xlabel="s")


def kilosort(videre: VidereClient, source: Path, folder: Path) -> None:
    """Draw the units of a Kilosort 2 output: places, firing, mean waveforms, auto-correlograms."""
    from matplotlib.figure import Figure

    ds = videre.convert_spikes(videre.link_data_file(source), folder / "imported")
    neurons = [n for some in videre.get_neurons(ds).neurons_by_channel.values() for n in some]
    largest = sorted(neurons, key=lambda n: -n.mean_abs_peak_wfm)[:3]
    figure = Figure(figsize=(13, 9), layout="constrained")
    axes = figure.subplot_mosaic("PRRR;PABC;PLLL", width_ratios=[1.3, 1, 1, 1], height_ratios=[1, 1, 1.3])
    videre.get_neurons(ds).plot(ds, axes["P"])
    axes["P"].set(ylim=(-20, 180), xlim=(0, 70))
    videre.get_spike_raster(ds, time_range=[600, 660]).plot(axes["R"])
    for name, neuron in zip("ABC", largest, strict=True):
        videre.get_unit_waveforms(ds, int(neuron.spike_label)).plot(axes[name])
    videre.get_correlograms(ds, bin_ms=1.0, window_ms=50).plot(axes["L"])
    figure.savefig(IMAGES / "kilosort.png", dpi=90)


def main() -> int:
    """Draw what the samples allow."""
    samples = Path(os.environ.get("RANVIER_SAMPLES", ""))
    tetrode, output = samples / "tetrode_locust" / "locust_trial_01.raw", samples / "kilosort_bombcell_toy"
    if not tetrode.is_file() or not output.is_dir():
        print("RANVIER_SAMPLES names no folder with the sample recordings: nothing is drawn", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder, VidereClient(address=f"embedded:{folder}/state") as videre:
        locust(videre, tetrode, Path(folder))
        kilosort(videre, output, Path(folder))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
