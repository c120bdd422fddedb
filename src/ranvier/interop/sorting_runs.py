"""``.spikes`` files of what came from elsewhere: spike trains in memory, and our own sort of any recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.dsp import Chain, HighPass
from ranvier.exceptions import ConfigurationError
from ranvier.interop.sorted_spikes import SortedSpikes, UnitMeans
from ranvier.interop.wrapped import SpikeInterfaceRecording
from ranvier.models.signals import SignalType
from ranvier.recordings import ChannelTable, Recording, detect, open_session
from ranvier.recordings.provenance import new_record
from ranvier.sorting.offline import sort_recording
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.stored import write_units
from ranvier.spikes import (
    RecordingIdentity,
    SpikeStore,
    SpikeWriter,
    StoreInfo,
    Templates,
    UnitRecord,
    sites_of,
    write_store,
)
from ranvier.spikes.columns import Columns
from ranvier.spikes.segment import Segment
from ranvier.spikes.waveforms import WaveformReader

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]

#: What mean waveforms are read behind where nobody says what spikes were found behind.
_HIGHPASS_HZ = 300.0


@dataclass(frozen=True)
class Source:
    """What spikes are of: a recording where there is one, and its identity where it is a file."""

    fs: Fraction
    recording: Recording | None = None
    identity: RecordingIdentity | None = None

    @classmethod
    def of(cls, given: Any, fs: float) -> Source:
        """Return the source that a path, a SpikeInterface recording or None means.

        ConfigurationError where it has another rate than the spikes.
        """
        if given is None:
            return cls(Fraction(fs).limit_denominator(1_000_000))
        path = given if isinstance(given, (str, Path)) else _path_of(given)
        found = cls._wrapped(given) if path is None else cls._opened(str(path))
        if abs(float(found.fs) - fs) > 1e-6 * fs:
            raise ConfigurationError(
                f"spikes at {fs:g} Hz, and a recording at {float(found.fs):g} Hz: these are not its spikes"
            )
        return found

    @classmethod
    def _wrapped(cls, given: Any) -> Source:
        recording = SpikeInterfaceRecording(given)
        return cls(recording.fs, recording)

    @classmethod
    def _opened(cls, text: str) -> Source:
        name, _, stream = text.partition("#")
        path = Path(name).expanduser().absolute()
        session = open_session(path)
        recording = session.stream(stream) if stream else session.stream()
        format_, canonical = detect(path)
        identity = RecordingIdentity.of(
            recording, format_.files(canonical), name=format_.base_name(canonical), stream=stream
        )
        return cls(recording.fs, recording, identity)

    @property
    def channels(self) -> ChannelTable:
        """The channels; none where nothing is known."""
        return ChannelTable(()) if self.recording is None else self.recording.channels

    @property
    def start(self) -> int:
        """Counter of the first sample."""
        return 0 if self.recording is None else self.recording.start


def write_trains(
    path: Path,
    source: Source,
    samples: I64,
    units: I32,
    *,
    names: Mapping[int, str],
    labels: Mapping[int, str],
    sorter: str,
    force: bool = False,
) -> Path:
    """Write spikes that count from the first sample of their source; mean waveforms are read where there is one."""
    recording = source.recording
    counters = samples + source.start
    if (
        recording is not None
        and len(counters)
        and not (recording.start <= counters.min() <= counters.max() < recording.stop)
    ):
        raise ConfigurationError(
            f"spikes from sample {int(samples.min()):,} to {int(samples.max()):,}, and the recording has "
            f"{recording.stop - recording.start:,}: these are not its spikes"
        )
    start = source.start if recording is not None else 0
    stop = recording.stop if recording is not None else int(counters.max(initial=-1)) + 1
    info = StoreInfo(
        source.fs,
        start=start,
        stop=max(stop, start),
        recording=source.identity,
        sites=sites_of(source.channels),
        sorter=sorter,
        filters=_filters(recording),
        waveforms="none" if recording is None else "recording",
        provenance=new_record(stages=[{"kind": "spikes", "parameters": {"from": sorter}}]),
    )
    order = np.argsort(counters, kind="stable")
    columns: Columns = {"sample_index": counters[order], "unit": units[order]}
    numbers = sorted(names)
    records = {u: UnitRecord(u, label=labels.get(u, ""), name=names[u]) for u in numbers}
    if recording is None or not len(counters) or not recording.channels.count(SignalType.AMP):
        return write_store(path, info, columns, units=list(records.values()), force=force)
    means = _means(info, columns, records, recording)
    found, site_of = _described(means, records, recording, info)
    columns["site"] = site_of[np.searchsorted(np.array(means.units), columns["unit"])]
    templates = Templates(
        np.array(means.units, np.int32), np.array(means.sites, np.int32), means.waveforms_uv, means.before
    )
    return write_store(path, info, columns, units=found, templates=templates, force=force)


def sort_to_file(
    recording: Recording, path: Path, parameters: SorterParameters, *, seed: int = 0, workers: int = 2
) -> Path:
    """Sort a recording and write its units; return the file. Raises what ``sort_recording`` raises."""
    found = sort_recording(recording, parameters, seed=seed, workers=workers)
    described = [dict(stage) for stage in found.filters]
    info = StoreInfo(
        recording.fs,
        start=recording.start,
        stop=recording.stop,
        sites=sites_of(recording.channels),
        sorter="ranvier",
        parameters={name: getattr(parameters, name) for name in parameters.__dataclass_fields__},
        seed=seed,
        filters=tuple(described),
        before=found.before,
        after=max(1, found.templates_uv.shape[1] - found.before),
        provenance=new_record(stages=[*described, {"kind": "sort", "parameters": {}}], seed=seed),
    )
    with SpikeWriter(path, info) as writer:
        write_units(writer, found, recording.channels)
    return writer.path


def _means(info: StoreInfo, columns: Columns, records: Mapping[int, UnitRecord], recording: Recording) -> UnitMeans:
    segment = Segment(dict(columns))
    store = SpikeStore(recording.path, info, [segment], records.values())
    spikes = SortedSpikes(store, records, recording.channels, recording, recording.start, recording.stop)
    return spikes.means(sorted(records))


def _described(
    means: UnitMeans, records: Mapping[int, UnitRecord], recording: Recording, info: StoreInfo
) -> tuple[list[UnitRecord], I32]:
    """Return units with site, place, peak and SNR of their mean waveform, and the site of each."""
    row, extreme = means.peaks()
    sites = np.array(means.sites, np.int32)[row]
    noise = dict(zip(means.sites, WaveformReader(recording, info).noise_sd_uv(means.sites), strict=True))
    places = {c.ntv: c.site for c in recording.channels if c.site is not None}
    found = []
    for k, unit in enumerate(means.units):
        fired = bool(np.isfinite(means.waveforms_uv[k]).any())
        place, peak = places.get(int(sites[k])), abs(float(extreme[k]))
        sd = float(noise[int(sites[k])])
        known = replace(
            records[unit],
            site=int(sites[k]),
            x_um=None if place is None else place.x_um,
            y_um=None if place is None else place.y_um,
            z_um=None if place is None else place.z_um,
            snr=peak / sd if sd > 0 else None,
            mean_abs_peak_uv=peak,
        )
        found.append(known if fired else records[unit])
    return found, sites


def _filters(recording: Recording | None) -> tuple[dict[str, Any], ...]:
    if recording is None or not recording.channels.count(SignalType.AMP) or recording.fs <= 4 * _HIGHPASS_HZ:
        return ()
    chain = Chain.bind([HighPass(_HIGHPASS_HZ, zero_phase=True)], recording.fs, recording.channels)
    return tuple(chain.describe_stages())


def _path_of(given: Any) -> str | None:
    """Return the path of a SpikeInterface recording that Ranvier reads; None for any other."""
    if type(given).__module__ != "ranvier.interop.spikeinterface_objects":
        return None
    return str(given._kwargs["file_path"])
