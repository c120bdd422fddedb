"""From what a sorter found to the columns, units and templates of a ``.spikes`` file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ranvier.recordings.channels import ChannelTable
from ranvier.sorting.geometry import Geometry
from ranvier.sorting.offline import SortedUnits
from ranvier.sorting.spike_table import SpikeFlag, SpikeTable
from ranvier.spikes.columns import FLAG_ARTIFACT, FLAG_COLLISION, Columns
from ranvier.spikes.info import SiteRecord, UnitRecord, sites_of
from ranvier.spikes.writer import SpikeWriter

I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]

#: Spikes that are handed over at a time.
_AT_A_TIME = 1 << 20


def event_columns(table: SpikeTable, ntv: npt.NDArray[np.int32]) -> Columns:
    """Return a table of spikes as columns of a file; ``ntv`` are the native indices of the sites."""
    flags = np.where(table.flags & np.uint8(SpikeFlag.NOISE), FLAG_ARTIFACT, 0)
    flags |= np.where(table.flags & np.uint8(SpikeFlag.COLLISION), FLAG_COLLISION, 0)
    return {
        "sample_index": table.counter,
        "unit": table.label,
        "site": ntv[table.site],
        "amplitude_uv": table.amplitude_uv,
        "margin": table.margin,
        "x_um": table.x_um,
        "y_um": table.y_um,
        "flags": flags.astype(np.uint32),
    }


def site_records(
    channels: ChannelTable, columns: I64, geometry: Geometry, radius_um: float, noise_uv: npt.NDArray[np.float64]
) -> tuple[SiteRecord, ...]:
    """Return sorted columns as sites with their noise and their neighbours."""
    ntv = [channels[int(c)].ntv for c in columns]
    noise = {n: float(sd) for n, sd in zip(ntv, noise_uv, strict=True) if np.isfinite(sd)}
    known = {site.ntv: site for site in sites_of(channels, noise)}
    near = geometry.nearest(radius_um, len(columns))
    return tuple(
        replace(known[n], neighbors=tuple(ntv[int(k)] for k in near[row][1:] if k >= 0)) for row, n in enumerate(ntv)
    )


def write_units(
    writer: SpikeWriter,
    found: SortedUnits,
    channels: ChannelTable,
    rows: I64 | slice = slice(None),
    shift: int = 0,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Write what a sort found: unit ``k`` becomes number ``k + 1``, with its template in uV.

    Parameters
    ----------
    channels
        Of the recording that was sorted.
    rows
        Spikes to write, in order; all by default.
    shift
        Is added to their counters.
    check
        Called between pieces; raises where the writing is to stop.
    """
    ntv = np.array([channels[int(c)].ntv for c in found.columns], np.int32)
    site = np.array([channels[int(c)].ntv for c in found.site], np.int32)
    trough = troughs_uv(found)
    place = found.position_um.astype(np.float32)
    sample, unit, share = found.sample_index[rows], found.unit[rows], found.amplitude[rows]
    size = np.abs(np.asarray(share, np.float64) * trough[unit]) if len(found) else np.zeros(0)
    for at in range(0, len(sample), _AT_A_TIME):
        check()
        part = slice(at, at + _AT_A_TIME)
        u = unit[part]
        writer.append(
            sample_index=sample[part] + shift,
            unit=u + 1,
            site=site[u],
            amplitude_uv=share[part] * trough[u],
            x_um=place[u, 0],
            y_um=place[u, 1],
        )
    counts = np.bincount(unit, minlength=len(found))
    total = np.bincount(unit, weights=size, minlength=len(found))
    depth = {c.ntv: c.site.z_um for c in channels if c.site is not None}
    writer.set_units(
        [
            UnitRecord(
                k + 1,
                site=int(site[k]),
                x_um=float(place[k, 0]),
                y_um=float(place[k, 1]),
                z_um=depth.get(int(site[k])),
                snr=float(found.snr[k]),
                mean_abs_peak_uv=_known(total[k] / counts[k] if counts[k] else abs(trough[k])),
            )
            for k in range(len(found))
        ]
    )
    for shank, motion in enumerate(found.motion):
        writer.log(
            event="motion",
            shank=shank,
            time_sec=np.round(motion.time_sec, 3).tolist(),
            shift_um=np.round(motion.shift_um, 2).tolist(),
        )
    if len(found):
        templates = np.ascontiguousarray(found.templates_uv.transpose(0, 2, 1))
        writer.set_templates(np.arange(1, len(found) + 1), ntv, templates, before=found.before)


def troughs_uv(found: SortedUnits) -> F32:
    """Return the depth (negative, uV) of each unit's mean waveform on its site; NaN where none was averaged."""
    if not len(found):
        return np.zeros(0, np.float32)
    row = {int(c): k for k, c in enumerate(found.columns)}
    own = np.array([row[int(c)] for c in found.site], np.int64)
    waves = found.templates_uv[np.arange(len(found)), :, own]
    return np.asarray(waves.min(axis=1), np.float32)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
