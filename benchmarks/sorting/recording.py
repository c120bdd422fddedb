"""A folder of truth as a :class:`ranvier.recordings.Recording` (main environment)."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.sorting.truth import Truth

from ranvier.recordings import Recording, Site, plain_channels
from ranvier.recordings.memory import ArrayRecording


def open_recording(truth: Truth) -> Recording:
    """Return the recording: int16 counts behind a memory map, a site for every channel, marked as simulated."""
    plain = plain_channels(amp=truth.channels)
    gain = float(truth.about["gain_uv"])
    shanks = truth.about.get("shanks", [0] * truth.channels)
    channels = [
        replace(
            c,
            gain=gain,
            site=Site(float(x), float(y), width_um=12.0, height_um=12.0),
            shank=int(shank),
            probe_id=str(truth.about["name"]),
            site_num=c.ntv + 1,
        )
        for c, (x, y), shank in zip(plain, truth.places_um, shanks, strict=True)
    ]
    table = replace(plain, channels=tuple(channels), geometry_source="simulated", wiring_verified=True)
    return ArrayRecording(truth.counts(), truth.about["fs"], table, name=truth.folder.name, simulated=True)
