"""Protocols and bulk calls, as both file clients have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Unpack

from ranvier.clients._output_options import OutputKeywords, output_options
from ranvier.clients._progress import shown_parts
from ranvier.clients._transforms import TransformsClient
from ranvier.exceptions import ConfigurationError, DatasetError, OutputExistsError, RadiensError
from ranvier.models.dataset import (
    BulkSinkParams,
    DatasetMetadata,
    ProtocolGraph,
    ProtocolSpec,
    RadiensFileType,
    SinkParams,
    SourceParams,
    TransformEdge,
    TransformNode,
)
from ranvier.models.flex import FlexDataset
from ranvier.models.transform_params import FamilyInput

Folder = str | Path


class ProtocolsClient(TransformsClient):
    """Graphs of transforms with several branches and outputs, run in one pass; and single transforms in bulk.

    Outputs are written, with provenance, and not linked. Each is whole or absent: one that fails does not take the
    others along, and PartialFailureError tells all failures at the end. ``force`` replaces outputs that exist.
    """

    def set_protocol(
        self, nodes: Sequence[TransformNode], edges: Sequence[TransformEdge], *, protocol_id: str | None = None
    ) -> ProtocolSpec:
        """Check a graph as a whole and save it; one of the same id is replaced, and None makes a new id.

        Raises
        ------
        GraphError
            Its ``faults`` tell all that is wrong, by node; the message prints it.
        """
        graph = ProtocolGraph(id=protocol_id or "", nodes=[_absolute(node) for node in nodes], edges=list(edges))
        return self._hub.protocols.set(graph)

    def apply_protocol(self, protocol_id: str, *, force: bool = False) -> None:
        """Run a saved protocol; see the class about failures. Progress shows every output."""
        with shown_parts(self._progress, f"protocol {protocol_id}") as progress:
            self._hub.protocols.run(protocol_id, force=force, progress=progress)

    def get_protocol(self, protocol_id: str) -> ProtocolSpec:
        """Return id and number of nodes of a saved protocol."""
        graph = self._hub.protocols.get(protocol_id)
        return ProtocolSpec(id=graph.id, node_count=len(graph.nodes))

    def get_all_protocols(self) -> list[ProtocolSpec]:
        """Return id and number of nodes of every saved protocol, oldest first."""
        return list(self._hub.protocols.list())

    def get_protocol_graph(self, protocol_id: str) -> ProtocolGraph:
        """Return the nodes and edges of a saved protocol (an addition to the documented API, as are all below)."""
        return self._hub.protocols.get(protocol_id)

    def rename_protocol(self, protocol_id: str, new_id: str) -> ProtocolSpec:
        """Give a saved protocol another id."""
        return self._hub.protocols.rename(protocol_id, new_id)

    def remove_protocol(self, protocol_id: str) -> None:
        """Forget a saved protocol; its outputs stay."""
        self._hub.protocols.remove(protocol_id)

    def save_protocol_file(self, protocol_id: str, path: Folder, *, force: bool = False) -> Path:
        """Write a saved protocol as YAML."""
        target = Path(path).expanduser().absolute()
        text = self._hub.protocols.to_yaml(self._hub.protocols.get(protocol_id))
        if target.exists() and not force:
            raise OutputExistsError(f"{target} exists already; choose another name or pass force=True")
        target.write_text(text, encoding="utf-8")
        return target

    def load_protocol_file(
        self,
        path: Folder,
        *,
        sources: Sequence[FlexDataset] | None = None,
        output_dir: Folder | None = None,
        file_type: RadiensFileType | None = None,
        protocol_id: str | None = None,
        **options: Unpack[OutputKeywords],
    ) -> ProtocolSpec:
        """Read a protocol from YAML, check and save it; its id is the text's name, or the file's.

        ``sources``, ``output_dir``, ``file_type``, ``metadata`` and ``compression`` (of all outputs, see ``convert``)
        take the place of what the text says.
        """
        graph = self._protocol_file(path, sources, output_dir, file_type, **options)
        return self._hub.protocols.set(graph.model_copy(update={"id": protocol_id or graph.id or Path(path).stem}))

    def apply_protocol_file(
        self,
        path: Folder,
        *,
        sources: Sequence[FlexDataset] | None = None,
        output_dir: Folder | None = None,
        file_type: RadiensFileType | None = None,
        force: bool = False,
        **options: Unpack[OutputKeywords],
    ) -> list[Path]:
        """Run a protocol from YAML without saving it; return the paths to link, one per output."""
        graph = self._protocol_file(path, sources, output_dir, file_type, **options)
        with shown_parts(self._progress, f"protocol {graph.id or Path(path).stem}") as progress:
            return list(self._hub.protocols.run_graph(graph, force=force, progress=progress))

    def check_protocol_file(
        self,
        path: Folder,
        *,
        sources: Sequence[FlexDataset] | None = None,
        output_dir: Folder | None = None,
        file_type: RadiensFileType | None = None,
        **options: Unpack[OutputKeywords],
    ) -> list[Path]:
        """Check a protocol from YAML; return the outputs that it would write. Errors name line and node."""
        graph = self._protocol_file(path, sources, output_dir, file_type, **options)
        return list(self._hub.protocols.check(graph))

    # Bulk -------------------------------------------------------------------------------------------------------------

    def bulk_highpass(
        self, sources: Sequence[FlexDataset], frequency: float, output_dir: Folder, output_suffix: str, *,
        order: int | None = None, zero_phase: bool = False, family: FamilyInput = None,
        ripple_db: float | None = None, attenuation_db: float | None = None, force: bool = False,
        **options: Unpack[OutputKeywords],
    ) -> None:  # fmt: skip
        """``highpass`` of several recordings into ``output_dir/<base name>_<output_suffix>``, in the first format.

        A format that this version does not write becomes XDAT. Every bulk call takes ``metadata`` and ``compression``
        of all its outputs, as ``convert`` does.
        """
        node = TransformNode.highpass(
            frequency, order, zero_phase=zero_phase, family=family, ripple_db=ripple_db, attenuation_db=attenuation_db
        )
        self._bulk(sources, node, output_dir, output_suffix, force, **options)

    def bulk_lowpass(
        self, sources: Sequence[FlexDataset], frequency: float, output_dir: Folder, output_suffix: str, *,
        order: int | None = None, zero_phase: bool = False, family: FamilyInput = None,
        ripple_db: float | None = None, attenuation_db: float | None = None, force: bool = False,
        **options: Unpack[OutputKeywords],
    ) -> None:  # fmt: skip
        """``lowpass`` of several recordings; outputs as for ``bulk_highpass``."""
        node = TransformNode.lowpass(
            frequency, order, zero_phase=zero_phase, family=family, ripple_db=ripple_db, attenuation_db=attenuation_db
        )
        self._bulk(sources, node, output_dir, output_suffix, force, **options)

    def bulk_bandpass(
        self, sources: Sequence[FlexDataset], low_freq: float, high_freq: float, output_dir: Folder,
        output_suffix: str, *, order: int | None = None, zero_phase: bool = False, family: FamilyInput = None,
        ripple_db: float | None = None, attenuation_db: float | None = None, force: bool = False,
        **options: Unpack[OutputKeywords],
    ) -> None:  # fmt: skip
        """``bandpass`` of several recordings; outputs as for ``bulk_highpass``."""
        node = TransformNode.bandpass(
            low_freq,
            high_freq,
            order,
            zero_phase=zero_phase,
            family=family,
            ripple_db=ripple_db,
            attenuation_db=attenuation_db,
        )
        self._bulk(sources, node, output_dir, output_suffix, force, **options)

    def bulk_bandstop(
        self, sources: Sequence[FlexDataset], low_freq: float, high_freq: float, output_dir: Folder,
        output_suffix: str, *, order: int | None = None, zero_phase: bool = False, family: FamilyInput = None,
        ripple_db: float | None = None, attenuation_db: float | None = None, force: bool = False,
        **options: Unpack[OutputKeywords],
    ) -> None:  # fmt: skip
        """``bandstop`` of several recordings; outputs as for ``bulk_highpass``."""
        node = TransformNode.bandstop(
            low_freq,
            high_freq,
            order,
            zero_phase=zero_phase,
            family=family,
            ripple_db=ripple_db,
            attenuation_db=attenuation_db,
        )
        self._bulk(sources, node, output_dir, output_suffix, force, **options)

    def bulk_notch(
        self, sources: Sequence[FlexDataset], notch_freq: float | None = None, bandwidth: float | None = None,
        output_dir: Folder | None = None, output_suffix: str | None = None, *, frequency: float | None = None,
        zero_phase: bool = False, force: bool = False,
        **options: Unpack[OutputKeywords],
    ) -> None:  # fmt: skip
        """``notch`` of several recordings; ``frequency`` is the newer name of ``notch_freq``. All are required."""
        if output_dir is None or output_suffix is None:
            raise ConfigurationError("bulk_notch needs notch_freq (or frequency), bandwidth, output_dir, output_suffix")
        node = TransformNode.notch(notch_freq, bandwidth, frequency=frequency, zero_phase=zero_phase)
        self._bulk(sources, node, output_dir, output_suffix, force, **options)

    def bulk_downsample(
        self, sources: Sequence[FlexDataset], factor: int, output_dir: Folder, output_suffix: str, *,
        operator: Literal["antialiased", "plain"] = "antialiased", force: bool = False,
        **options: Unpack[OutputKeywords],
    ) -> None:  # fmt: skip
        """``downsample`` of several recordings; outputs as for ``bulk_highpass``."""
        self._bulk(
            sources, TransformNode.downsample(factor, operator=operator), output_dir, output_suffix, force, **options
        )

    def bulk_slice_time(
        self, sources: Sequence[FlexDataset], start_sec: float, end_sec: float, output_dir: Folder,
        output_suffix: str, *, force: bool = False,
        **options: Unpack[OutputKeywords],
    ) -> None:  # fmt: skip
        """``slice_time`` of several recordings; outputs as for ``bulk_highpass``."""
        self._bulk(sources, TransformNode.slice_time(start_sec, end_sec), output_dir, output_suffix, force, **options)

    def _bulk(
        self, sources: Sequence[FlexDataset], node: TransformNode, output_dir: Folder, suffix: str, force: bool,
        **keywords: Unpack[OutputKeywords],
    ) -> None:  # fmt: skip
        if isinstance(sources, (str, Path, DatasetMetadata)):
            raise ConfigurationError("bulk calls take a list of datasets; for one dataset use the single call")
        options = output_options(**keywords)
        known = self._all_known(sources)
        what = node.type.name.lower().replace("_", " ")
        with shown_parts(self._progress, f"{what}: {len(known)} recordings") as progress:
            self._hub.protocols.apply_many(
                [dataset.id for dataset in known],
                [node],
                Path(output_dir).expanduser().absolute(),
                suffix,
                options=options,
                force=force,
                progress=progress,
            )

    def _all_known(self, sources: Sequence[FlexDataset]) -> list[DatasetMetadata]:
        """Return the metadata of every dataset, or raise with all those that cannot be opened: before any work."""
        found: list[DatasetMetadata] = []
        wrong: list[RadiensError] = []
        for source in sources:
            try:
                found.append(self._metadata(source))
            except RadiensError as error:
                wrong.append(error)
        if len(wrong) == 1:
            raise wrong[0]
        if wrong:
            raise DatasetError("\n  ".join([f"{len(wrong)} of {len(sources)} cannot be opened:", *map(str, wrong)]))
        return found

    def _protocol_file(
        self,
        path: Folder,
        sources: Sequence[FlexDataset] | None,
        output_dir: Folder | None,
        file_type: RadiensFileType | None,
        **keywords: Unpack[OutputKeywords],
    ) -> ProtocolGraph:
        file = Path(path).expanduser()
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{file} cannot be read: {error}") from error
        return self._hub.protocols.from_yaml(
            text,
            name=file.name,
            sources=None if sources is None else [_source_params(s) for s in self._all_known(sources)],
            output_dir=None if output_dir is None else Path(output_dir).expanduser().absolute(),
            file_type=file_type,
            options=output_options(**keywords),
        )


def _source_params(dataset: DatasetMetadata) -> SourceParams:
    params = TransformNode.source(dataset).params
    if not isinstance(params, SourceParams):
        raise ConfigurationError(f"{dataset.id} is no source")
    return params


def _absolute(node: TransformNode) -> TransformNode:
    """Return a node whose folder does not depend on where the engine runs."""
    params = node.params
    if not isinstance(params, (SinkParams, BulkSinkParams)):
        return node
    path: Mapping[str, Any] = {"path": str(Path(params.path).expanduser().absolute())}
    return node.model_copy(update={"params": params.model_copy(update=path)})
