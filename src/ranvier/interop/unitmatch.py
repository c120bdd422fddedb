"""A folder for UnitMatch, which follows units over days by their waveforms (van Beest et al. 2024, Nat. Methods).

::

    channel_positions.npy              (channels, 2), um
    cluster_group.tsv                  cluster_id, group: UnitMatch takes those that are good
    RawWaveforms/Unit{N}_RawSpikes.npy (82, channels, 2): the spike at point 41

The third axis are the first and the second half of at most 1000 spikes, whose likeness tells UnitMatch how stable a
unit is. As in its own extraction: unfiltered samples (uV), smoothed over time by a Gaussian of 1 sample, the mean of
the first 20 points taken off, the median over spikes. Units that nobody labelled are written as good: without that
UnitMatch would see none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import CapabilityError, OutputExistsError
from ranvier.interop.sorted_spikes import SortedSpikes, positions_of, spread
from ranvier.recordings.files import StagedFiles, check_replaceable, writing
from ranvier.recordings.sidecar import npy_bytes
from ranvier.spikes.waveforms import WaveformReader

F32 = npt.NDArray[np.float32]

POINTS, PEAK, BASELINE = 82, 41, 20
MOST_SPIKES = 1000
#: What an earlier export holds.
_OURS = ("RawWaveforms", "cluster_group.tsv", "channel_positions.npy")
#: A half needs as many spikes for a median.
_FEWEST = 4


def export_unitmatch(spikes: SortedSpikes, folder: Path, *, force: bool = False) -> Path:
    """Write a folder; return it. Units with fewer than 8 whole waveforms are left out.

    Raises
    ------
    OutputExistsError, OutputError
        It exists already and ``force`` was not given; it holds other files, which are never removed; it cannot be
        written.
    CapabilityError
        The recording is not there, or no unit has enough spikes.
    """
    folder = folder.expanduser().absolute()
    if folder.exists() and not force:
        raise OutputExistsError(f"{folder} exists already; choose another name or pass force=True")
    check_replaceable(folder, _OURS)
    reader = spikes.reader(before=PEAK, after=POINTS - PEAK, raw=True)
    staged = StagedFiles()
    try:
        with writing(folder):
            inside = staged.path(folder)
            (inside / "RawWaveforms").mkdir(parents=True)
            written = []
            for unit in spikes.counted():
                halves = _halves(spikes, unit, reader)
                if halves is not None:
                    (inside / "RawWaveforms" / f"Unit{unit}_RawSpikes.npy").write_bytes(npy_bytes(halves))
                    written.append(unit)
            if not written:
                raise CapabilityError(f"{spikes.store.path.name}: no unit has {2 * _FEWEST} whole waveforms")
            rows = [f"{unit}\t{spikes.units[unit].label or 'good'}" for unit in written]
            (inside / "cluster_group.tsv").write_text("\n".join(["cluster_id\tgroup", *rows]) + "\n", "utf-8")
            (inside / "channel_positions.npy").write_bytes(npy_bytes(positions_of(spikes.amplifier)))
        staged.commit([folder])
    except BaseException:
        staged.abort()
        raise
    return folder


def _halves(spikes: SortedSpikes, unit: int, reader: WaveformReader) -> npt.NDArray[np.float64] | None:
    """Return the two medians ``(points, channels, 2)``; None for too few spikes."""
    samples = spread(spikes.store.unit_samples(unit), MOST_SPIKES)
    middle = len(samples) // 2
    medians = []
    for half in (samples[:middle], samples[middle:]):
        found = reader.read(half, spikes.ntv)
        whole = found[np.isfinite(found).all(axis=(1, 2))]
        if len(whole) < _FEWEST:
            return None
        medians.append(np.median(_smoothed(whole), axis=0).T)
    return np.asarray(np.stack(medians, axis=2), np.float64)


def _smoothed(waveforms: F32) -> F32:
    """Return waveforms ``(spikes, channels, points)`` smoothed over time, without their baseline."""
    from scipy.ndimage import gaussian_filter1d

    smooth = gaussian_filter1d(waveforms, 1.0, axis=2, radius=2)
    return np.asarray(smooth - smooth[:, :, :BASELINE].mean(axis=2, keepdims=True), np.float32)
