"""Sites and sampling skew of Neuropixels probes that Open Ephys recorded, from the ``settings.xml`` of the record node.

probeinterface reads the settings and knows the probes; what it cannot read is left out and noted, never fatal.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.models.signals import SignalType
from ranvier.recordings.channels import ChannelTable, Site
from ranvier.recordings.formats.openephys_layout import RecordingFolder

_PROBES = (b"<NP_PROBE", b"<NEUROPIXELSV")
#: Larger settings, or such with entities of their own, are not what the program writes.
_MAX_BYTES = 1 << 23
_SUSPICIOUS = (b"<!ENTITY", b"<!DOCTYPE")


def with_probe(
    folder: RecordingFolder, stream: str, fs: Fraction, table: ChannelTable
) -> tuple[ChannelTable, list[str]]:
    """Return the channels with the sites and skew of their probe, and notes; unchanged where there is none.

    Parameters
    ----------
    stream
        Name of the stream's folder, e.g. ``Neuropix-PXI-100.ProbeA-AP``.
    """
    from ranvier.recordings.registry import FILE_ERRORS

    settings = settings_of(folder)
    amplifiers = table.columns_of(SignalType.AMP)
    if settings is None or not len(amplifiers):
        return table, []
    failures: tuple[type[Exception], ...] = (*FILE_ERRORS, AssertionError, SyntaxError)  # the last: the XML parser's
    try:
        probe = _read(settings, stream)
        if probe is None:
            return table, []
        return _placed(probe, stream, fs, table), []
    except failures as error:
        return table, [f"{settings.name}: the probe of {stream} cannot be read ({type(error).__name__}: {error})"]


def settings_of(folder: RecordingFolder) -> Path | None:
    """Return the settings of the experiment where they describe Neuropixels probes."""
    number = folder.path.parent.name.removeprefix("experiment")
    name = "settings.xml" if number in ("", "1") else f"settings_{number}.xml"
    path = folder.path.parent.parent / name
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return None
        content = path.read_bytes()
    except OSError:
        return None
    safe = not any(word in content for word in _SUSPICIOUS)
    return path if safe and any(word in content for word in _PROBES) else None


def _read(settings: Path, stream: str) -> Any:
    """Return the probe of a stream; None where the stream is not of a probe. Raises where the settings are damaged."""
    from xml.etree import ElementTree

    from probeinterface.neuropixels_tools import read_openephys_neuropixels

    ElementTree.parse(settings)  # raises where they are cut, which probeinterface takes for settings without probes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_openephys_neuropixels(settings, stream_name=stream, raise_error=False)


def _placed(probe: Any, stream: str, fs: Fraction, table: ChannelTable) -> ChannelTable:
    columns = table.columns_of(SignalType.AMP)
    wiring = np.asarray(probe.device_channel_indices)
    if sorted(wiring.tolist()) != list(range(len(columns))):
        raise ValueError(f"it has {len(wiring)} channels, the stream {len(columns)}")
    contact_of = np.argsort(wiring)
    skew = _skew(probe, stream, fs)
    shanks = (
        np.unique(probe.shank_ids, return_inverse=True)[1] if probe.shank_ids is not None else np.zeros(len(wiring))
    )
    names = probe.contact_ids if probe.contact_ids is not None else [""] * len(wiring)
    channels = list(table.channels)
    for i, column in enumerate(columns.tolist()):
        contact = int(contact_of[i])
        x, y = probe.contact_positions[contact][:2]
        side = float(probe.contact_shape_params[contact].get("width", 0.0))
        channels[column] = replace(
            channels[column],
            site=Site(float(x), float(y), shape="square", area_um2=side**2, width_um=side, height_um=side),
            shank=int(shanks[contact]),
            contact_id=str(names[contact]),
            probe_id=str(probe.annotations.get("part_number") or probe.annotations.get("model_name") or "neuropixels"),
            skew_samples=float(skew[contact]),
        )
    return replace(table, channels=tuple(channels), geometry_source="probeinterface", wiring_verified=True)


def _skew(probe: Any, stream: str, fs: Fraction) -> Any:
    """Return by how much of a period each contact is late: its place in the round of its ADC over the round's slots.

    An AP round of probes with an LF band has one slot more; see
    :mod:`ranvier.recordings.formats.spikeglx_channels`.
    """
    order = probe.contact_annotations.get("adc_sample_order")
    groups = probe.annotations.get("num_channels_per_adc")
    if order is None or not groups:
        return np.zeros(len(probe.contact_positions))
    ap_hz = float(probe.annotations.get("ap_sample_frequency_hz") or 0.0)
    lf_hz = float(probe.annotations.get("lf_sample_frequency_hz") or 0.0)
    is_low = lf_hz > 0 and (stream.endswith("LFP") or abs(float(fs) - lf_hz) < abs(float(fs) - ap_hz))
    slots = int(groups) + (1 if lf_hz > 0 and not is_low else 0)
    return np.asarray(order, dtype=np.float64) / slots
