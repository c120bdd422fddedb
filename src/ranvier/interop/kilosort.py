"""Output of Kilosort and phy as spikes with templates in uV, amplitudes, positions and labels.

What the arrays mean (phy's documentation, Kilosort's ``rezToPhy`` and ``save_to_phy``):

* a spike's waveform is ``amplitudes[i] * templates[spike_templates[i]]``, in whitened counts; ``templates @
  whitening_mat_inv`` are counts of the raw file (channels are columns). Counts become uV by ``ampfactor`` (V per
  count) of ``params.py``, else by the gain of the recording that it names, else by 0.195 uV, which is said in
  ``parameters``;
* templates of Kilosort 4 are mean waveforms as they are, and its amplitudes the norms of whitened spikes: a spike is
  ``amplitudes[i]``, by the mean amplitude of its template's spikes, of that template. It is told by amplitudes that are
  about as large as the norms of templates (those of Kilosort 1 to 3 are 1);
* a folder without whitening (SpikeInterface writes such) has templates and amplitudes in uV;
* ``spike_clusters`` is what people made of ``spike_templates``; a cluster's mean waveform is that of its spikes'
  templates, each at its amplitude. Labels: ``cluster_group.tsv`` before ``cluster_info.tsv`` before
  Kilosort's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.recordings import ChannelTable, Recording
from ranvier.recordings.formats.phy_tables import cluster_labels, load_array, load_integers
from ranvier.recordings.formats.raw_shape import DEFAULT_GAIN_UV, gain_from_params, params_py
from ranvier.spikes import SpikeStore, StoreInfo, Templates, UnitRecord
from ranvier.spikes.columns import Columns
from ranvier.spikes.segment import Segment

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

#: Sites with at least this share of the largest swing tell where a unit is.
_NEAR_SHARE = 0.3
#: Amplitudes by the norms of their templates, in the middle, where amplitudes are norms; Kilosort 1 to 3: above 5.
_NORM_SHARES = (0.8, 1.6)


@dataclass(frozen=True)
class _Shapes:
    """Templates in uV ``(templates, points, channels)``, NaN where the folder has none, and what tells their scale."""

    uv: F32
    before: int
    amplitudes_are_uv: bool
    how: dict[str, Any]
    norms: F64 | None = None  # of templates.npy, where it is there


def store_of_folder(
    folder: Path, fs: Fraction, channels: ChannelTable, recording: Recording | None, *, name: str = "phy"
) -> SpikeStore:
    """Return the spikes of a folder; units are its clusters, plus one where a cluster 0 exists (0 means: no unit).

    Parameters
    ----------
    channels
        Of the recording, or the sorted ones; their native indices are columns of the raw file.
    recording
        The signals that ``params.py`` names, where they are there; counters begin with its first.

    Raises
    ------
    RecordingError
        Spike times or clusters are damaged.
    """
    times = load_integers(folder / "spike_times.npy")
    template_of, cluster_of = (_integers(folder / f"spike_{what}.npy") for what in ("templates", "clusters"))
    own = cluster_of if cluster_of is not None else template_of
    if own is None:
        raise RecordingError(f"{folder} has neither spike_clusters.npy nor spike_templates.npy")
    template_of = own if template_of is None else template_of
    n = min(len(times), len(own), len(template_of))
    order = np.argsort(times[:n], kind="stable")
    own, template_of = own[:n][order], template_of[:n][order]
    shift = 1 if n and int(own.min()) == 0 else 0
    ntv = _channel_map(folder, channels, has_columns=recording is not None)
    shapes = _shapes(folder, ntv, recording)
    columns: Columns = {
        "sample_index": times[:n][order] + (0 if recording is None else recording.start),
        "unit": (own + shift).astype(np.int32),
    }
    columns |= _per_spike(folder, template_of, order, shapes, ntv)
    segment = Segment(columns)
    templates = None if shapes is None else _by_cluster(shapes, own, template_of, columns, ntv, shift)
    info = StoreInfo(
        fs=fs,
        start=segment.first if n else 0,
        stop=segment.last + 1 if n else 0,
        sorter=name,
        parameters={} if shapes is None else shapes.how,
        uid=f"{folder.name}:{name}",
    )
    if templates is not None:
        points = templates.templates_uv.shape[2]
        info = replace(info, before=templates.before, after=max(1, points - templates.before))
    units = _units(folder, segment, templates, channels, shift)
    return SpikeStore(folder, info, [segment] if n else [], units, templates=templates)


def _shapes(folder: Path, ntv: I64, recording: Recording | None) -> _Shapes | None:
    """Return templates in uV; None where there are none that fit."""
    found = _array(folder / "templates.npy")
    unwhitened = _array(folder / "templates_unw.npy")
    norms = None if found is None or found.ndim != 3 else np.sqrt((found.astype(np.float64) ** 2).sum(axis=(1, 2)))
    if unwhitened is not None and (found is None or unwhitened.shape == found.shape):
        found = unwhitened
    if found is None or found.ndim != 3 or not len(found):
        return None
    dense = _dense(folder, np.asarray(found, np.float64), len(ntv))
    if dense is None:
        return None
    inverse = None if unwhitened is not None else _inverse(folder, len(ntv))
    scale, how = _scale(folder, recording, whitened=unwhitened is not None or inverse is not None)
    if inverse is not None:
        dense = np.nan_to_num(dense) @ inverse
        how["unwhitened_with"] = "whitening_mat_inv"
    elif unwhitened is not None:
        how["unwhitened_with"] = "templates_unw"
    uv = np.asarray(dense * scale, np.float32)
    size = np.nan_to_num(np.abs(uv))
    if not size.any():
        return None
    fired = size.max(axis=(1, 2)) > 0
    return _Shapes(uv, int(np.median(size.max(axis=2).argmax(axis=1)[fired])), how["amplitudes"] == "uV", how, norms)


def _scale(folder: Path, recording: Recording | None, *, whitened: bool) -> tuple[float, dict[str, Any]]:
    """Return uV per unit of the unwhitened templates, and how that and the amplitudes were understood."""
    stated = gain_from_params(params_py(folder / "params.py"))
    if stated is not None:
        return stated, {"uv_per_count": stated, "amplitudes": "share of the template"}
    if not whitened:
        return 1.0, {"uv_per_count": 1.0, "amplitudes": "uV"}
    gains = [] if recording is None else sorted(set(recording.channels.gains.tolist()))
    gain = gains[0] if len(gains) == 1 else DEFAULT_GAIN_UV
    how: dict[str, Any] = {"uv_per_count": gain, "amplitudes": "share of the template"}
    if len(gains) != 1 or (recording is not None and any("assumed" in note for note in recording.notes)):
        how["assumed"] = f"{gain:g} uV per count; state it as ampfactor (V) in {folder / 'params.py'}"
    return gain, how


def _dense(folder: Path, found: F64, channels: int) -> F64 | None:
    """Return templates over all channels; None where they do not fit the channels."""
    for name in ("template_ind.npy", "templates_ind.npy"):
        where = _array(folder / name)
        if where is None or where.shape != (len(found), found.shape[2]):
            continue
        at = where.astype(np.int64)
        out = np.full((len(found), found.shape[1], channels), np.nan)
        for k in range(len(found)):
            valid = (at[k] >= 0) & (at[k] < channels)
            out[k][:, at[k][valid]] = found[k][:, valid]
        return out
    return found if found.shape[2] == channels else None


def _inverse(folder: Path, channels: int) -> F64 | None:
    """Return the inverse of the whitening, ``(channels, channels)``; None where the folder has none that fits."""
    found = _array(folder / "whitening_mat_inv.npy")
    if found is None:
        forward = _array(folder / "whitening_mat.npy")
        try:
            found = None if forward is None else np.linalg.inv(np.atleast_2d(forward))
        except np.linalg.LinAlgError:
            return None
    return None if found is None or found.shape != (channels, channels) else np.asarray(found, np.float64)


def _per_spike(folder: Path, template_of: I64, order: I64, shapes: _Shapes | None, ntv: I64) -> Columns:
    """Return site, amplitude and position of each spike, as far as the folder tells them."""
    columns: Columns = {"site": np.full(len(order), -1, np.int32)}
    amplitudes, places = _array(folder / "amplitudes.npy"), _array(folder / "spike_positions.npy")
    known = None if amplitudes is None or amplitudes.size < len(order) else amplitudes.ravel()[: len(order)][order]
    if shapes is not None:
        row, extreme = _extremes(shapes.uv)
        valid = template_of < len(row)
        columns["site"][valid] = ntv[row[template_of[valid]]]
        if known is not None and not shapes.amplitudes_are_uv:
            scaled = np.full(len(order), np.nan, np.float32)
            scaled[valid] = _shares(known[valid], template_of[valid], shapes) * extreme[template_of[valid]]
            columns["amplitude_uv"] = scaled
        elif known is not None:
            columns["amplitude_uv"] = known.astype(np.float32)
    if places is not None and places.ndim == 2 and places.shape[1] >= 2 and len(places) >= len(order):
        columns["x_um"], columns["y_um"] = (places[: len(order), k][order].astype(np.float32) for k in (0, 1))
    return columns


def _shares(amplitudes: npt.NDArray[Any], template_of: I64, shapes: _Shapes) -> F64:
    """Return amplitudes as shares of the templates: as they are, or, where they are norms, by their template's mean.

    Not by the template's own norm: that of a spike holds the noise too, that of the mean does not.
    """
    given = np.asarray(amplitudes, np.float64)
    if shapes.norms is None or not len(given):
        return given
    by_norm = given / np.maximum(shapes.norms[template_of], 1e-12)
    if not _NORM_SHARES[0] < float(np.median(by_norm)) < _NORM_SHARES[1]:
        return given
    shapes.how["amplitudes"] = "norm of the whitened spike"
    mean = np.bincount(template_of, weights=given) / np.maximum(np.bincount(template_of), 1)
    return np.asarray(given / np.maximum(mean[template_of], 1e-12), np.float64)


def _by_cluster(shapes: _Shapes, own: I64, template_of: I64, columns: Columns, ntv: I64, shift: int) -> Templates:
    """Return a mean waveform per cluster: that of its spikes' templates, each at its amplitude."""
    clusters = np.unique(own)
    means = np.full((len(clusters), len(ntv), shapes.uv.shape[1]), np.nan, np.float32)
    _, extreme = _extremes(shapes.uv)
    told = None if shapes.amplitudes_are_uv else columns.get("amplitude_uv")  # in uV, a template is the mean itself
    share = np.ones(len(own))
    if told is not None:
        valid = template_of < len(extreme)
        share[valid] = np.abs(told[valid]) / np.maximum(np.abs(extreme[template_of[valid]]), 1e-12)
    order = np.argsort(own, kind="stable")
    edges = np.searchsorted(own[order], clusters[1:])
    for k, rows in enumerate(np.split(order, edges)):
        rows = rows[(template_of[rows] < len(shapes.uv)) & np.isfinite(share[rows])]
        used, at = np.unique(template_of[rows], return_inverse=True)
        if len(used):
            weight = np.bincount(at, weights=share[rows]) / len(rows)
            means[k] = np.tensordot(weight, shapes.uv[used], axes=1).T
    return Templates((clusters + shift).astype(np.int32), ntv.astype(np.int32), means, shapes.before)


def _units(
    folder: Path, segment: Segment, templates: Templates | None, channels: ChannelTable, shift: int
) -> list[UnitRecord]:
    labels = cluster_labels(folder)
    places = {c.ntv: (c.site.x_um, c.site.y_um) for c in channels if c.site is not None}
    amplitude, x, y = (segment.column(name) for name in ("amplitude_uv", "x_um", "y_um"))
    found = []
    for unit in segment.by_unit.keys.tolist():
        rows = segment.by_unit.of(unit)
        template = None if templates is None else templates.of(unit)
        site, where = (-1, None) if template is None or templates is None else _place(template, templates.sites, places)
        spikes_at = [float(np.nanmedian(c[rows])) if np.isfinite(c[rows]).any() else None for c in (x, y)]
        at = spikes_at if spikes_at[0] is not None else (where or (None, None))
        sizes = np.abs(amplitude[rows])
        found.append(
            UnitRecord(
                unit,
                site=site,
                x_um=at[0],
                y_um=at[1],
                mean_abs_peak_uv=float(np.nanmean(sizes)) if np.isfinite(sizes).any() else None,
                label=labels.get(unit - shift, "").lower(),
                name=str(unit - shift) if shift else "",
            )
        )
    return found


def _place(
    template: F32, sites: npt.NDArray[np.int32], places: dict[int, tuple[float, float]]
) -> tuple[int, tuple[float, float] | None]:
    """Return the site with the largest swing, and the mean place of large ones, weighted by their squares."""
    swing = np.ptp(np.nan_to_num(template), axis=1)
    if not swing.any():
        return -1, None
    near = [k for k in np.flatnonzero(swing >= _NEAR_SHARE * swing.max()) if int(sites[k]) in places]
    main = int(sites[int(swing.argmax())])
    if not near:
        return main, None
    x, y = np.average([places[int(sites[k])] for k in near], axis=0, weights=swing[near] ** 2)
    return main, (float(x), float(y))


def _extremes(uv: F32) -> tuple[I64, F32]:
    """Return the channel with the largest swing of each template, and its extreme value there, signed."""
    known = np.nan_to_num(uv)
    row = np.ptp(known, axis=1).argmax(axis=1).astype(np.int64)
    own = known[np.arange(len(known)), :, row]
    return row, np.asarray(own[np.arange(len(own)), np.abs(own).argmax(axis=1)], np.float32)


def _channel_map(folder: Path, channels: ChannelTable, *, has_columns: bool) -> I64:
    """Return the native channel of each sorted one."""
    native = np.array([c.ntv for c in channels], np.int64)
    try:
        column = load_integers(folder / "channel_map.npy", 100_000)
    except (RecordingError, OSError):
        return native
    if has_columns and len(column) and int(column.max()) < len(native):
        return native[column]
    return column


def _integers(path: Path) -> I64 | None:
    return load_integers(path, 2**31 - 2) if path.is_file() else None


def _array(path: Path) -> npt.NDArray[Any] | None:
    """Return an array of numbers; None where it is missing or damaged."""
    try:
        return load_array(path) if path.is_file() else None
    except RecordingError:
        return None
