"""Units as an NWB file of their own: spike times, electrodes, mean waveforms, quality; for archives.

Times are stream seconds, of which ``timestamps_reference_time`` is 0, as in the NWB files of recordings. A unit has the
electrodes nearest to it, its mean waveform on them in volts, its label, and quality metrics as columns. Units labelled
noise, bad or delete are left out, as are spikes without a unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import CapabilityError, OutputExistsError
from ranvier.interop.sorted_spikes import SortedSpikes, UnitMeans, positions_of
from ranvier.models.output_options import OutputOptions
from ranvier.models.units import UnitQuality
from ranvier.recordings.files import StagedFiles, writing
from ranvier.recordings.formats.hdf5_output import Hdf5Output, guarded
from ranvier.recordings.formats.nwb_events import PEAK_CHANNEL
from ranvier.recordings.formats.nwb_own import SCRATCH_NAME
from ranvier.recordings.formats.nwb_skeleton import add_electrodes, new_file, to_json
from ranvier.recordings.sink import Header

#: Electrodes of a unit's mean waveform.
NEAREST = 6
#: Columns of quality, and what they are.
_QUALITY = {
    "firing_rate": ("spike_rate_hz", "spikes per second of the time that was sorted"),
    "presence_ratio": ("presence_ratio", "fraction of whole minutes with a spike"),
    "isi_violations_ratio": ("isi_violations_ratio", "intervals below 1.5 ms, relative to the unit's rate (Hill 2011)"),
    "rp_contamination": ("contamination", "estimated fraction of foreign spikes (Llobet 2022)"),
    "sliding_rp_violation": ("sliding_contamination", "contamination excluded to be exceeded, 90 % confidence"),
    "amplitude_cutoff": ("amplitude_cutoff", "estimated fraction of spikes below the threshold (Hill 2011)"),
    "snr": ("snr", "peak of the mean waveform over the SD of the noise"),
    "drift_ptp": ("drift_ptp_um", "range of the median depth over minutes, um"),
}  # fmt: skip


def export_nwb(
    spikes: SortedSpikes,
    path: Path,
    *,
    quality: Sequence[UnitQuality] = (),
    options: OutputOptions | None = None,
    force: bool = False,
) -> Path:
    """Write a file; return its path.

    Parameters
    ----------
    quality
        What is known of units; the others have NaN.
    options
        Subject and session; archives ask for them.

    Raises
    ------
    OutputExistsError, OutputError
        It exists already and ``force`` was not given; it cannot be written.
    CapabilityError
        There are no units with spikes, or no channels.
    """
    target = path.expanduser().absolute()
    if target.exists() and not force:
        raise OutputExistsError(f"{target} exists already; choose another name or pass force=True")
    units = spikes.neurons()
    if not units or not len(spikes.amplifier):
        raise CapabilityError(f"{spikes.store.path.name}: there are no units with spikes, or no channels, to write")
    means = _means(spikes, units)
    header = _header(spikes, options or OutputOptions())
    staged = StagedFiles()
    try:
        with guarded(target), writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(staged.path(target), spikes, header, units, means, {q.unit: q for q in quality})
        staged.commit([target])
    except BaseException:
        staged.abort()
        raise
    return target


def _header(spikes: SortedSpikes, options: OutputOptions) -> Header:
    info = spikes.store.info
    return Header(
        fs=info.fs,
        channels=spikes.amplifier,
        start=spikes.start,
        walltime=spikes.walltime,
        name=f"units of {spikes.name or spikes.store.path.name}",
        simulated=info.simulated,
        provenance=info.provenance,
        options=options,
    )


def _write(
    path: Path,
    spikes: SortedSpikes,
    header: Header,
    units: list[int],
    means: UnitMeans | None,
    quality: Mapping[int, UnitQuality],
) -> None:
    from pynwb import NWBHDF5IO

    file = new_file(header)
    metadata = header.options.metadata
    location = "" if metadata is None else metadata.electrode_location
    add_electrodes(file, list(spikes.amplifier), location or "unknown")
    record = {"provenance": header.provenance, "sorter": spikes.store.info.sorter, "simulated": header.simulated}
    file.add_scratch(to_json(record), name=SCRATCH_NAME, description="How these units were found (JSON)")
    file.units = _table(spikes, units, means, quality, file.electrodes)
    with Hdf5Output(path, "w") as target, NWBHDF5IO(file=target.file, mode="w") as io:
        io.write(file)


def _table(
    spikes: SortedSpikes, units: list[int], means: UnitMeans | None, quality: Mapping[int, UnitQuality], electrodes: Any
) -> Any:
    from hdmf.common import DynamicTableRegion, VectorData, VectorIndex
    from pynwb.misc import Units

    records = [spikes.units[unit] for unit in units]
    samples = [spikes.store.unit_samples(unit) for unit in units]
    near = [_nearest(spikes, record.site) for record in records]
    whole = [float(spikes.start / spikes.fs), float(spikes.stop / spikes.fs)]

    def ragged(name: str, about: str, parts: Sequence[npt.NDArray[Any]], target: Any = None) -> list[Any]:
        data = target or VectorData(name=name, description=about, data=np.concatenate(parts))
        ends = np.cumsum([len(part) for part in parts]).astype(np.uint64)
        return [data, VectorIndex(name=f"{name}_index", data=ends, target=data)]

    def column(name: str, about: str, values: Any) -> Any:
        return VectorData(name=name, description=about, data=values)

    region = DynamicTableRegion(
        name="electrodes", description="nearest to the unit", data=np.concatenate(near), table=electrodes
    )
    columns = [
        *ragged("spike_times", "seconds", [s / spikes.fs for s in samples]),
        *ragged("obs_intervals", "what was sorted, seconds", [np.array([whole])] * len(units)),
        *ragged("electrodes", "", near, region),
        column("unit_name", "number of the unit in the .spikes file", [str(unit) for unit in units]),
        column("quality", "what people or the sorter called it", [r.label or "unsorted" for r in records]),
        column("peak_channel", PEAK_CHANNEL, [r.site for r in records]),
        column("x_um", "estimated x on the probe, um", [_known(r.x_um) for r in records]),
        column("y_um", "estimated y on the probe, um", [_known(r.y_um) for r in records]),
    ]
    for name, (field, about) in _QUALITY.items():
        values = [_known(getattr(quality.get(unit), field, None)) for unit in units]
        if np.isfinite(values).any():  # a column of nothing would only look like one
            columns.append(column(name, about, values))
    names = [c.name for c in columns if not c.name.endswith("_index")]
    if means is not None:
        mean = np.stack([means.waveforms_uv[k][near[k]].T for k in range(len(units))]).astype(np.float64) * 1e-6
        columns.append(column("waveform_mean", "mean waveform on the unit's electrodes", mean))
        names.append("waveform_mean")
    return Units(
        name="units",
        description=f"units sorted by {spikes.store.info.sorter or 'an unknown sorter'}",
        id=np.array(units, np.int64),
        columns=columns,
        colnames=names,
        resolution=float(1 / spikes.fs),
        **({} if means is None else {"waveform_rate": spikes.fs, "waveform_unit": "volts"}),
    )


def _means(spikes: SortedSpikes, units: list[int]) -> UnitMeans | None:
    """Return mean waveforms; None where nothing tells them."""
    try:
        return spikes.means(units)
    except CapabilityError:
        return None


def _nearest(spikes: SortedSpikes, site: int) -> npt.NDArray[np.int64]:
    """Return the rows of the electrodes nearest to a channel, itself first; the first ones where it is not known."""
    n = min(NEAREST, len(spikes.amplifier))
    if site not in spikes.ntv:
        return np.arange(n)
    places = positions_of(spikes.amplifier)
    apart = np.hypot(*(places - places[spikes.ntv.index(site)]).T)
    return np.argsort(apart, kind="stable")[:n]


def _known(value: float | None) -> float:
    return float("nan") if value is None else float(value)
