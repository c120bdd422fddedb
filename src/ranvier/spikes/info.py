"""What a ``.spikes`` file says about itself: from what, by what, with which parameters."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from ranvier.exceptions import ConfigurationError
from ranvier.models.signals import SignalType
from ranvier.recordings import ChannelTable, Recording
from ranvier.recordings.fingerprint import changes, fingerprint


@dataclass(frozen=True)
class SiteRecord:
    """One channel on which spikes were detected: NTV index, place (um), and what detection knew of it.

    Thresholds are in uV and in SD of the noise, negative ones below 0; None is off.
    """

    ntv: int
    x_um: float | None = None
    y_um: float | None = None
    z_um: float | None = None
    noise_sd_uv: float | None = None
    neg_threshold_uv: float | None = None
    pos_threshold_uv: float | None = None
    neg_threshold_sd: float | None = None
    pos_threshold_sd: float | None = None
    neighbors: tuple[int, ...] = ()


@dataclass(frozen=True)
class UnitRecord:
    """One unit as the sorter left it; ``label`` is empty, or what somebody calls it (good, mua, noise, ...).

    Attributes
    ----------
    site
        NTV index of the channel with its largest peak; -1 unknown.
    snr
        Absolute peak of the template over the noise SD there.
    mean_abs_peak_uv
        Mean over its spikes.
    tissue_um
        Position in tissue coordinates ``(x, y, z)``; None where it is the probe's.
    name
        What the source called it, where it had another name.
    """

    unit: int
    site: int = -1
    x_um: float | None = None
    y_um: float | None = None
    z_um: float | None = None
    snr: float | None = None
    mean_abs_peak_uv: float | None = None
    label: str = ""
    name: str = ""
    tissue_um: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class RecordingIdentity:
    """Which recording spikes belong to.

    Attributes
    ----------
    name
        Base name of its files.
    start, stop
        Its first counter and the one behind its last.
    mark
        What :func:`ranvier.recordings.fingerprint.fingerprint` says of its files; None while it grew, or without files.
    """

    name: str
    fs: Fraction
    channels: int
    start: int
    stop: int
    stream: str = ""
    dataset_id: str = ""
    mark: Mapping[str, Any] | None = None

    @classmethod
    def of(
        cls, recording: Recording, files: Sequence[Path] = (), *, name: str = "", stream: str = "", dataset_id: str = ""
    ) -> RecordingIdentity:
        """Return the identity of an open recording and its files."""
        return cls(
            name=name or recording.path.name,
            fs=recording.fs,
            channels=recording.channels.count(SignalType.AMP),
            start=recording.start,
            stop=recording.stop,
            stream=stream,
            dataset_id=dataset_id,
            mark=fingerprint(files) if files else None,
        )

    def differences(self, recording: Recording, files: Sequence[Path] = ()) -> list[str]:
        """Return in words why this cannot be the recording; empty where nothing speaks against it.

        A recording may have been renamed, and one that still grew when its identity was written may be longer now.
        """
        found = []
        if self.fs != recording.fs:
            found.append(f"it was sampled at {float(self.fs):g} Hz, this one at {float(recording.fs):g} Hz")
        n = recording.channels.count(SignalType.AMP)
        if self.channels != n:
            found.append(f"it had {self.channels} amplifier channels, this one has {n}")
        if self.start != recording.start:
            found.append(f"it began at sample {self.start:,}, this one at {recording.start:,}")
        if recording.stop < self.stop:
            found.append(f"it reached to sample {self.stop:,}, this one to {recording.stop:,}")
        if not found and self.mark is not None and files:
            found += changes(self.mark, files)
        return found


@dataclass(frozen=True)
class StoreInfo:
    """What a set of spikes is.

    Attributes
    ----------
    fs
        Counters per second.
    start, stop
        Counters that were looked at.
    recording
        None for spikes that came without one.
    sites
        The channels on which spikes were detected.
    sorter, parameters, seed
        What found the spikes, and how.
    filters
        Descriptions (``Chain.describe_stages``) of what the samples went through first.
    waveforms
        ``"recording"``: read from the recording through ``filters``; ``"stored"``: with the spikes; ``"none"``.
    before, after
        Samples of a waveform before the spike's own, and from it on.
    provenance
        JSON data as :mod:`ranvier.recordings.provenance` defines it.
    """

    fs: Fraction
    start: int = 0
    stop: int = 0
    recording: RecordingIdentity | None = None
    sites: tuple[SiteRecord, ...] = ()
    sorter: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    filters: tuple[Mapping[str, Any], ...] = ()
    waveforms: str = "recording"
    before: int = 30
    after: int = 60
    neighbor_radius_um: float = 0.0
    simulated: bool = False
    provenance: Mapping[str, Any] | None = None
    uid: str = field(default_factory=lambda: uuid.uuid4().hex)
    created_utc: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def __post_init__(self) -> None:
        if self.fs <= 0 or self.before < 0 or self.after < 1 or self.stop < self.start:
            raise ConfigurationError(
                f"spikes at {self.fs} Hz, samples [{self.start}, {self.stop}), waveforms of {self.before} samples "
                f"before and {self.after} from the spike on: this cannot be"
            )
        if self.waveforms not in ("recording", "stored", "none"):
            raise ConfigurationError(f"waveforms={self.waveforms!r}; it is 'recording', 'stored' or 'none'")

    @property
    def filter_hash(self) -> str:
        """SHA-256 of the filters, by which two sets of spikes tell whether they saw the same signals."""
        return filter_hash(self.filters)

    def to_json(self) -> dict[str, Any]:
        """Return JSON data."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        data["fs"] = _ratio(self.fs)
        data["filter_hash"] = self.filter_hash
        data["sites"] = [_slim(site) for site in self.sites]
        if self.recording is not None:
            data["recording"] = {**vars(self.recording), "fs": _ratio(self.recording.fs)}
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StoreInfo:
        """Return what ``to_json`` wrote; fields of later versions are left out. ValueError, TypeError where damaged."""
        known = {f.name for f in fields(cls)}
        values = {name: value for name, value in data.items() if name in known}
        values["fs"] = Fraction(*map(int, values["fs"]))
        values["sites"] = tuple(site_from_json(site) for site in values.get("sites", ()))
        values["filters"] = tuple(values.get("filters", ()))
        if values.get("recording") is not None:
            given = values["recording"]
            names = {f.name for f in fields(RecordingIdentity)}
            identity = {name: value for name, value in given.items() if name in names}
            values["recording"] = RecordingIdentity(**{**identity, "fs": Fraction(*map(int, given["fs"]))})
        return cls(**values)


def filter_hash(filters: Sequence[Mapping[str, Any]]) -> str:
    """Return the SHA-256 of descriptions of filters."""
    text = json.dumps(list(filters), sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def sites_of(channels: ChannelTable, noise_sd_uv: Mapping[int, float] | None = None) -> tuple[SiteRecord, ...]:
    """Return the amplifier channels of a recording as sites, with the noise SD (uV) by NTV where it is known."""
    found = []
    for column in channels.columns_of(SignalType.AMP):
        channel = channels[int(column)]
        place = channel.site
        found.append(
            SiteRecord(
                ntv=channel.ntv,
                x_um=None if place is None else place.x_um,
                y_um=None if place is None else place.y_um,
                z_um=None if place is None else place.z_um,
                noise_sd_uv=None if noise_sd_uv is None else noise_sd_uv.get(channel.ntv),
            )
        )
    return tuple(found)


def unit_to_json(unit: UnitRecord) -> dict[str, Any]:
    """Return JSON data without what is not known."""
    return _slim(unit)


def unit_from_json(data: Mapping[str, Any]) -> UnitRecord:
    """Return what ``unit_to_json`` wrote."""
    return UnitRecord(**_lists_as_tuples(data, UnitRecord))


def site_from_json(data: Mapping[str, Any]) -> SiteRecord:
    """Return what ``to_json`` wrote about a site."""
    return SiteRecord(**_lists_as_tuples(data, SiteRecord))


def _lists_as_tuples(data: Mapping[str, Any], kind: Any) -> dict[str, Any]:
    names = {f.name for f in fields(kind)}
    return {n: tuple(v) if isinstance(v, list) else v for n, v in data.items() if n in names}


def _slim(record: SiteRecord | UnitRecord) -> dict[str, Any]:
    return {f.name: v for f in fields(record) if (v := getattr(record, f.name)) != f.default}


def _ratio(fs: Fraction) -> list[int]:
    return [fs.numerator, fs.denominator]
