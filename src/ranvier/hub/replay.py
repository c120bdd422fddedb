"""Doing again what provenance says, and comparing."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ranvier.curation.output import existing_files, resolve_output, writable
from ranvier.curation.plan import Line, Plan
from ranvier.dsp.rebuild import rebuild
from ranvier.exceptions import CapabilityError, DatasetError, RecordingError
from ranvier.hub.curation import Curation
from ranvier.hub.datasets import Datasets
from ranvier.hub.linked import Linked
from ranvier.hub.sessions import joined, part_of
from ranvier.hub.simulation import Simulation
from ranvier.models.dataset import RadiensFileType
from ranvier.models.output_options import OutputOptions
from ranvier.models.sessions import ReplayReport
from ranvier.models.simulation import SimulationSpec
from ranvier.recordings import Format, open_session
from ranvier.recordings.compare import Comparison, compare
from ranvier.recordings.fingerprint import changes
from ranvier.recordings.pieces import pieces_in
from ranvier.recordings.provenance import new_record
from ranvier.services.progress import Progress

Record = Mapping[str, Any]

#: Largest difference, relative to full scale, between CPU types and versions.
TOLERANCE = 1e-6


@dataclass
class _Work:
    """One repetition: where sources are now, a folder for what is made on the way, what was noticed."""

    moved: Mapping[str, str]
    scratch: Path
    opened: ExitStack
    progress: Progress | None = None
    notes: list[str] = field(default_factory=list)


class Replays:
    """Service ``HubReplays``: repeats what a file's record says, from the recorded sources."""

    def __init__(self, datasets: Datasets, curation: Curation, simulation: Simulation) -> None:
        self._datasets = datasets
        self._curation = curation
        self._simulation = simulation

    def replay(
        self,
        dataset_id: str,
        *,
        output: Path | None = None,
        moved: Mapping[str, str] | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> ReplayReport:
        """Make a file again and compare; see the Protocol."""
        linked = self._datasets.linked(dataset_id)
        record = linked.session.provenance
        if not record:
            raise CapabilityError(f"{linked.base_name} says nothing about how it was made: there is nothing to repeat")
        with _working(moved, progress) as work:
            if output is None:
                destination, known = work.scratch / "replayed" / linked.base_name, linked.format
            else:
                destination, known = resolve_output(output, linked.format)
            if known.sink is None:
                raise CapabilityError(f"{linked.base_name}: {known.name} files are not made by steps to repeat")
            if known.file_type != linked.format.file_type:
                raise CapabilityError(f"{destination.name}: a repetition is written as {linked.format.name}")
            path = self._make(record, destination, known, work, force=force, keep=output is not None)
            with open_session(path, known.file_type) as session:
                found = compare((linked.session, linked.recording), (session, session.stream()))
        return _report(str(linked.canonical), "" if output is None else str(path), record, found, work.notes)

    def repeat(self, request: Record, progress: Progress | None = None) -> list[Path]:
        """Do again what a job was asked for (see ``repeat_request``); return the files made.

        Of a job with several outputs, those that stand whole already are left alone, unless they were to be replaced.
        """
        made: list[Path] = []
        for one in request.get("outputs", [request]):
            destination, kind = Path(one["destination"]), RadiensFileType[one["file_type"]]
            if "outputs" in request and not one["force"] and existing_files(destination, kind):
                continue
            with _working(None, progress) as work:
                known = writable(kind, destination, one.get("format", ""))
                made.append(self._make(one["record"], destination, known, work, force=bool(one["force"]), keep=True))
        return made

    def _make(
        self, record: Record, destination: Path, known: Format, work: _Work, *, force: bool = False, keep: bool = False
    ) -> Path:
        """Write what a record describes; return the path to link."""
        if record.get("simulation"):
            spec = SimulationSpec.model_validate(record["simulation"])
            return self._simulation.write(spec, destination, known, force=force, progress=work.progress)
        sources = record.get("sources", [])
        if not sources or not all(s.get("path") and s.get("bytes") for s in sources):
            raise CapabilityError(
                f"{destination.name} was recorded by an instrument or simulator, not made from files: nothing to repeat"
            )
        stages = list(record.get("stages", []))
        whole, prefix, stages = _begin(self._sources(sources, work), stages, destination)
        options = OutputOptions.model_validate(record["options"]) if record.get("options") else None
        planned = _plan(whole, prefix, stages, work)
        paths = self._curation.write_planned(
            whole,
            planned,
            destination,
            known,
            label=f"repeating {destination.name}",
            sources=sources,
            keep_record=keep,
            options=options,
            force=force,
            progress=work.progress,
        )
        return paths[0]

    def _sources(self, sources: Sequence[Record], work: _Work) -> list[Linked]:
        """Open all sources; DatasetError names each one that is gone, RecordingError each one that changed."""
        found: list[Linked] = []
        gone: list[str] = []
        changed: list[str] = []
        for source in sources:
            path = _now(str(source["path"]), work.moved)
            if not path.exists():
                again = self._made_again(source, work)
                if again is None:
                    gone.append(str(path))
                    continue
                path = again
            linked = self._datasets.open_as(path, str(source.get("stream", "")) or None, str(source.get("uid", "")))
            work.opened.callback(linked.session.close)
            if path == _now(str(source["path"]), work.moved):
                changed += _changes(source, linked)
            found.append(linked)
        if gone:
            raise DatasetError(
                f"source gone: {', '.join(gone)}; where it moved, say so with sources={{old: new}} "
                f"(--source OLD=NEW on the command line)"
            )
        if changed:
            raise RecordingError(f"not the source that was recorded: {'; '.join(changed)}; nothing was repeated")
        return found

    def _made_again(self, source: Record, work: _Work) -> Path | None:
        """Make a source that is gone from its own record, where that says how; None where it does not."""
        record = source.get("provenance") or {}
        kind = record.get("file_type")
        if not kind or not (record.get("simulation") or record.get("sources")):
            return None
        try:
            known = writable(RadiensFileType[kind], Path(str(source["path"])), str(source.get("format", "")))
        except (CapabilityError, KeyError):
            return None
        base = known.base_name(Path(str(source["path"])))
        path = self._make(record, work.scratch / f"{len(work.notes)}" / base, known, work)
        work.notes.append(f"{source['path']} is gone and was made again from its own record")
        return path


@contextmanager
def _working(moved: Mapping[str, str] | None, progress: Progress | None) -> Iterator[_Work]:
    with tempfile.TemporaryDirectory(prefix="ranvier-replay-") as scratch, ExitStack() as opened:
        yield _Work(dict(moved or {}), Path(scratch), opened, progress)


def _begin(
    linked: Sequence[Linked], stages: list[dict[str, Any]], destination: Path
) -> tuple[Linked, list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what the stages work on, what provenance says about that, and the stages that are left."""
    first = stages[0] if stages else {}
    if first.get("kind") == "concatenate":
        p = first["parameters"]
        whole, record, _, _ = joined(linked, p["match"], p["gap_sec"], p["by_walltime"], destination)
        _check_places(record["stages"][0], first)
        return whole, record["stages"], stages[1:]
    if len(linked) > 1:
        raise CapabilityError(f"{destination.name} was made from {len(linked)} sources in a way that is not known")
    if first.get("kind") == "split":
        table = pieces_in(linked[0].session.provenance)
        part = None if table is None else part_of(linked[0], table[0], int(first["parameters"]["piece"]))
        if part is None:
            raise RecordingError(f"{destination.name}: its source has no such piece any more")
        return part[0], [first], stages[1:]
    return linked[0], [], stages


def _plan(whole: Linked, prefix: list[dict[str, Any]], stages: list[dict[str, Any]], work: _Work) -> Plan:
    """Return the plan that recorded stages mean."""
    line = Line(whole.recording, whole.channels, prefix)
    for stage in stages:
        if stage.get("kind") == "slice_time":
            start, stop = stage["parameters"]["retained"]
            line.cut(int(start), int(stop))
        else:
            line.add(rebuild(stage))
    again = list(line.end.stages[len(prefix) :])
    if json.loads(json.dumps(again)) != json.loads(json.dumps(stages)):
        work.notes.append("this version designs other coefficients from the recorded parameters; it used its own")
    return line.plan()


def _check_places(now: Record, then: Record) -> None:
    """Refuse where concatenating again puts samples elsewhere."""
    places = [[(p["source"], p["output"]) for p in stage["parameters"]["pieces"]] for stage in (now, then)]
    if places[0] != places[1]:
        raise RecordingError(f"the sources go to other places than recorded: {places[0]} instead of {places[1]}")


def _changes(source: Record, linked: Linked) -> list[str]:
    files = [f for f in linked.format.files(linked.canonical) if f.exists()]
    size = sum(f.stat().st_size for f in files)
    if source.get("fingerprint"):
        return [f"{linked.canonical}: {c}" for c in changes(source["fingerprint"], files)]
    if size != source["bytes"]:
        return [f"{linked.canonical}: had {source['bytes']:,} bytes and has {size:,}"]
    return []


def _now(path: str, moved: Mapping[str, str]) -> Path:
    """Return where a recorded path is now: ``moved`` maps files, or folders that they are in."""
    for old, new in sorted(moved.items(), key=lambda pair: -len(pair[0])):
        if path == old:
            return Path(new)
        if Path(path).is_relative_to(old):
            return Path(new) / Path(path).relative_to(old)
    return Path(path)


def _report(path: str, output: str, record: Record, found: Comparison, notes: Sequence[str]) -> ReplayReport:
    then, now = record.get("made_by", {}), new_record()["made_by"]
    environment = {k: f"{then.get(k)} -> {now.get(k)}" for k in sorted({*then, *now}) if then.get(k) != now.get(k)}
    # a value that lies between two counts may round to either one, where the last bit before that differs
    tolerance = max(TOLERANCE, 1.01 * found.count_step) if environment else 0.0
    differences = list(found.differences)
    if not found.identical_samples and found.largest_difference > tolerance:
        differences.append(f"samples differ by up to {found.largest_difference:.3g} of full scale")
    elif not found.identical_samples and not environment:
        differences.append("samples differ in the last bits")
    return ReplayReport(
        path=path,
        output=output,
        same=not differences,
        identical=not differences and found.identical_samples,
        largest_difference=found.largest_difference,
        tolerance=tolerance,
        samples=found.samples,
        environment=environment,
        differences=tuple(differences),
        notes=tuple(notes),
    )
