"""Linked datasets: what a path is, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ranvier.models.channels import ChannelMetadata
from ranvier.models.dataset import DatasetMetadata, RadiensFileType
from ranvier.models.ports import Port
from ranvier.models.provenance import Provenance
from ranvier.models.signals import SignalType
from ranvier.models.tailing import TailingState


class HubDatasets(Protocol):
    """Datasets linked on one hub. One dataset is one stream; linking copies and changes nothing on disk."""

    def link(
        self, path: Path, file_type: RadiensFileType | None, *, stream: str | None = None, force: bool = False
    ) -> DatasetMetadata:
        """Link a recording and return what it is.

        Parameters
        ----------
        path
            File, folder or base name; ``~`` is expanded, a relative path counts from the caller's folder. The name of
            a stream may follow after ``#`` (``folder#stream``).
        file_type
            Insist on one format; None detects it by content.
        stream
            Which stream of a path that holds several; the same as ``#stream`` in the path.
        force
            Link again under a new id even if this path is linked: the id gets a counter. Without it the same path
            and type give the same id, and the file is looked at afresh.

        Raises
        ------
        NotARecordingError
            Nothing recognises the path, or it is not of ``file_type``.
        RecordingError
            It is damaged beyond reading. A truncated recording links with what is there.
        DatasetError
            It holds several streams and none was named (the message lists the exact paths), or no such stream.
        CapabilityError
            This version does not read ``file_type``.
        """
        ...

    def streams(self, path: Path) -> Sequence[str]:
        """Return the exact path to link for each stream of signals at a path (the path itself where there is one)."""
        ...

    def get(self, dataset_id: str) -> DatasetMetadata:
        """Return a linked dataset as it is now (the time range of a growing file moves on)."""
        ...

    def list(self, ids: Sequence[str] | None = None) -> dict[str, DatasetMetadata]:
        """Return linked datasets by id, in order of linking; None = all. DatasetError names the unknown ids."""
        ...

    def ids(self) -> Sequence[str]:
        """Return the ids of all linked datasets, in order of linking."""
        ...

    def clear(self, ids: Sequence[str] | None = None) -> Sequence[str]:
        """Forget datasets and return the ids forgotten; None = all. Files stay. Unknown ids are passed over.

        A face that promises "what this client linked" passes those ids; the hub keeps no account of clients.
        """
        ...

    def resolve(self, text: str) -> DatasetMetadata:
        """Return the dataset that a text means: an id, or a path that is linked on demand.

        An id wins over a path of the same spelling. Raises what ``link`` raises; a text that is neither raises
        DatasetError naming it and the linked ids.
        """
        ...

    def set_selected(self, dataset_id: str, channels: Mapping[SignalType, Sequence[int]]) -> DatasetMetadata:
        """Store which channels are selected (NTV), per signal type; types that are not named keep their selection.

        An empty sequence deselects a type. SignalSelectionError names channels that the dataset does not have; then
        nothing changes. The selection belongs to the dataset id and lasts over sessions.
        """
        ...

    def set_groups(self, dataset_id: str, groups: Sequence[Mapping[SignalType, Sequence[int]]]) -> DatasetMetadata:
        """Store channel groups (NTV): group ``i`` gives its channels the colour group ``i``; all others have none.

        A channel in two groups, or one that the dataset does not have, raises SignalSelectionError; then nothing
        changes. An empty sequence removes all groups.
        """
        ...

    def set_probe(
        self,
        dataset_id: str,
        probe: str,
        *,
        headstage: str | None = None,
        port: Port | None = None,
        wiring: Sequence[int] | str | None = None,
        override: bool = False,
    ) -> DatasetMetadata:
        """Give the amplifier channels the geometry of a probe; it belongs to the dataset id and lasts over sessions.

        Parameters
        ----------
        probe
            NeuroNexus-style name or alias, or the path of a probeinterface JSON file.
        headstage, port
            Id or alias of the headstage; the port whose channels are meant, None where there is only one.
        wiring
            Native channel index of each site (-1: not connected), or the name of a known pathway; None assumes
            identity, flagged unverified.
        override
            Replace the geometry that the file itself brings; otherwise the file wins.

        Raises
        ------
        ProbeError
            An unknown name (the message lists near ones), or numbers of sites and channels that do not fit.
        """
        ...

    def channel_metadata(self, dataset_id: str) -> ChannelMetadata:
        """Return names, indices in the three index spaces, sites (um) and selection of all channels."""
        ...

    def provenance(self, dataset_id: str) -> Provenance:
        """Return how the recording came to be, as far as its files tell; without a record the origin says so."""
        ...

    def tailing_state(self, dataset_id: str) -> TailingState:
        """Look whether the files are still growing and how far they reach now."""
        ...
