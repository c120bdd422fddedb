"""Spikes as files of their own: written as ``.spikes``, and exported for other programs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ranvier.exceptions import ConfigurationError, DatasetError, OutputError, RecordingError
from ranvier.hub.linked import Linked
from ranvier.hub.spike_sets import SpikeSet, SpikeSets
from ranvier.hub.unit_quality import quality_of
from ranvier.interop.nwb_units import export_nwb
from ranvier.interop.phy import export_phy
from ranvier.interop.sorted_spikes import SortedSpikes
from ranvier.interop.unitmatch import export_unitmatch
from ranvier.models._coerce import output_path
from ranvier.models.dataset import RadiensFileType
from ranvier.models.output_options import OutputOptions
from ranvier.recordings.provenance import new_record
from ranvier.recordings.signalless import NoSignals
from ranvier.spikes import RecordingIdentity, SpikeWriter, StoreInfo
from ranvier.spikes.columns import KNOWN, SNIPPETS
from ranvier.spikes.writer import SUFFIX

#: What spikes can be exported as.
EXPORTS = ("phy", "nwb", "unitmatch")


def write_spikes(
    sets: SpikeSets, spikes: SpikeSet, owner: Linked, output: Path | None, *, shift: int = 0, force: bool = False
) -> Path:
    """Write spikes as a ``.spikes`` file of a recording, ``shift`` later, by default beside it; return the file."""
    target = output if output is not None else owner.canonical.parent / (owner.base_name + SUFFIX)
    target = output_path(target)
    target = target.with_name(target.name.removesuffix(SUFFIX) + SUFFIX)
    _refuse_own_source(target, spikes, owner)
    with SpikeWriter(target, _converted(spikes, owner, shift), force=force) as writer:
        names = tuple(KNOWN) + ((SNIPPETS,) if spikes.store.info.waveforms == "stored" else ())
        spikes.store.damaged_spikes()  # looked for now at the latest: it stands in the notes
        for note in spikes.store.notes:
            writer.note(f"{spikes.store.path.name}: {note}")
        for columns in spikes.store.walk(columns=names):
            writer.append(**{**columns, "sample_index": columns["sample_index"] + shift})
        units = sets.units(spikes)
        writer.set_units(list(units.values()))
        templates = spikes.store.templates
        if templates is not None and units:
            blank = np.full(templates.templates_uv.shape[1:], np.nan, np.float32)
            means = [blank if (t := spikes.store.template(u)) is None else t for u in units]
            writer.set_templates(list(units), templates.sites, np.stack(means), before=templates.before)
    return writer.path


def check_format(file_format: str, *, signals: bool) -> None:
    """Raise ConfigurationError where nothing can be exported like that."""
    if file_format not in EXPORTS:
        raise ConfigurationError(f"file_format={file_format!r}; spikes are exported as {', '.join(EXPORTS)}")
    if signals and file_format != "phy":
        raise ConfigurationError(f"signals are copied for phy only, not for {file_format}")


def export_spikes(
    sets: SpikeSets, spikes: SpikeSet, owner: Linked, output: Path, file_format: str, *, shift: int = 0,
    signals: bool = False, options: OutputOptions | None = None, force: bool = False,
) -> Path:  # fmt: skip
    """Write spikes of a recording for another program (one of ``EXPORTS``), refused where it is ``shift`` later."""
    for damage in spikes.store.damaged_spikes():
        raise RecordingError(
            f"{spikes.store.path}: {damage}, so that some of its spikes are wrong; use a copy of the file, sort "
            f"again, or let convert_spikes write what is left to a new file, which says so"
        )
    if shift:
        raise ConfigurationError(
            f"{spikes.store.path.name} counts from the first sample of {owner.base_name}, which is not sample 0; "
            f"convert_spikes makes a .spikes file of it, which can be exported"
        )
    output = output_path(output)
    if file_format == "nwb" and output.suffix != ".nwb":
        output = output.with_name(output.name + ".nwb")
    _refuse_own_source(output, spikes, owner)
    found = _sorted(sets, spikes, owner)
    if file_format == "phy":
        return export_phy(found, output, signals=signals, force=force)
    if file_format == "unitmatch":
        return export_unitmatch(found, output, force=force)
    kept = [found.units[unit] for unit in found.neurons()]
    quality = quality_of(spikes, kept, found.start, found.stop, isolation=False)
    return export_nwb(found, output, quality=quality, options=options, force=force)


def _sorted(sets: SpikeSets, spikes: SpikeSet, owner: Linked) -> SortedSpikes:
    """Return spikes as exports take them."""
    recording = None if isinstance(owner.recording, NoSignals) else owner.recording
    known = spikes.store.info.recording
    first, stop = spikes.extent
    start = recording.start if recording is not None else first if known is None else known.start
    return SortedSpikes(
        store=spikes.store,
        units=sets.units(spikes),
        channels=owner.channels,
        recording=recording,
        start=start,
        stop=stop,
        name=owner.base_name,
        walltime=owner.recording.walltime,
    )


def _converted(spikes: SpikeSet, owner: Linked, shift: int) -> StoreInfo:
    """Return what a converted file says about itself."""
    info, files = spikes.store.info, owner.format.files(owner.canonical)
    has_signals = owner.recording.stop > owner.recording.start and bool(owner.session.streams)
    identity = RecordingIdentity.of(
        owner.recording, files, name=owner.base_name, stream=owner.stream, dataset_id=owner.id
    )
    start, stop = (counter + shift for counter in spikes.extent)
    if has_signals and info.recording is None:  # nobody said what was looked at: all of it
        start, stop = owner.recording.start, owner.recording.stop
    return replace(
        info,
        start=start,
        stop=stop,
        sites=tuple(spikes.sites.values()),
        recording=identity if has_signals else info.recording,
        provenance=info.provenance
        or new_record(stages=[{"kind": "spikes", "parameters": {"from": str(spikes.store.path)}}]),
    )


def _refuse_own_source(target: Path, spikes: SpikeSet, owner: Linked) -> None:
    """Raise OutputError where an output is a file (or folder) of the spikes themselves or of their recording."""
    sources = [spikes.store.path, *owner.format.files(owner.canonical), owner.canonical]
    if target.exists() and any(source.exists() and target.samefile(source) for source in sources):
        raise OutputError(f"{target} is of these spikes or of their recording, and never replaced; name another output")


def shift_of(spikes: SpikeSet, owner: Linked) -> int:
    """Return what makes counters of spikes those of a recording: phy counts from its first sample.

    DatasetError where the spikes cannot be of that recording.
    """
    recording, store = owner.recording, spikes.store
    counts_from_first = spikes.recording.format.file_type == RadiensFileType.SPKS_PHY2
    own_start = spikes.recording.recording.start
    shift = recording.start - own_start if counts_from_first else 0
    if store.info.fs != recording.fs:
        raise DatasetError(
            f"{store.path.name} counts at {float(store.info.fs):g} Hz and {owner.base_name} was sampled at "
            f"{float(recording.fs):g} Hz: these are not its spikes"
        )
    first, last = store.first_sample + shift, store.last_sample + shift
    if len(store) and not recording.start <= first <= last < recording.stop:
        raise DatasetError(
            f"the spikes of {store.path.name} lie from sample {first:,} to {last:,}, and {owner.base_name} holds "
            f"[{recording.start:,}, {recording.stop:,}): these are not its spikes"
        )
    return shift
