"""Clients and the services that they talk to."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ClientType", "ServiceEndpoint"]


class ClientType(StrEnum):
    """The typed clients."""

    ALLEGO = "AllegoClient"
    VIDERE = "VidereClient"
    CURATE = "CurateClient"


class ServiceEndpoint(StrEnum):
    """Keys of a map from service to address."""

    ALLEGO_CORE = "ALLEGO_CORE"
    ALLEGO_PCACHE = "ALLEGO_PCACHE"
    ALLEGO_KPI = "ALLEGO_KPI"
    ALLEGO_NEURONS = "ALLEGO_NEURONS"
    ALLEGO_LIFECYCLE = "ALLEGO_LIFECYCLE"
    RADIENS_CORE = "RADIENS_CORE"
    RADIENS_SPIKE_SORTER = "RADIENS_SPIKE_SORTER"
    RADIENS_DEV = "RADIENS_DEV"
    RADIENS_DASHBOARDS = "RADIENS_DASHBOARDS"
    RADIENS_LIFECYCLE = "RADIENS_LIFECYCLE"
