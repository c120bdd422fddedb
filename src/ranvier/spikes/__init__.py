"""Spikes as files: the ``.spikes`` store, its queries, its curation.

Writing: :class:`SpikeWriter` (segments while spikes come, finished at the end) or :func:`write_store`. Reading:
:class:`SpikeStore`. ``docs/contract/spikes-format.md`` describes the file.
"""

from ranvier.spikes.columns import FLAG_ARTIFACT, FLAG_COLLISION, FLAG_RELABELLED
from ranvier.spikes.file import Templates
from ranvier.spikes.finishing import recover
from ranvier.spikes.info import RecordingIdentity, SiteRecord, StoreInfo, UnitRecord, sites_of
from ranvier.spikes.store import Spikes, SpikeStore
from ranvier.spikes.writer import SpikeWriter, write_store

__all__ = [
    "FLAG_ARTIFACT",
    "FLAG_COLLISION",
    "FLAG_RELABELLED",
    "RecordingIdentity",
    "SiteRecord",
    "SpikeStore",
    "SpikeWriter",
    "Spikes",
    "StoreInfo",
    "Templates",
    "UnitRecord",
    "recover",
    "sites_of",
    "write_store",
]
