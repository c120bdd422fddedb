"""What a user set for the live sorter: kept in the store, turned into what the sorter takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ranvier.models.signals import SignalType
from ranvier.models.spikesorter import (
    SpikeDetectParams,
    SpikeSorterClustererParams,
    SpikeSorterDynamicConfig,
    SpikeSorterFeatureParams,
    SpikeSorterSubCommand,
)
from ranvier.recordings.channels import ChannelTable
from ranvier.sorting.criteria import CRITERIA
from ranvier.sorting.dynamics import Dynamics
from ranvier.sorting.event_finder import FinderSettings, default_detect_params
from ranvier.sorting.online import StreamSites
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.requested import (
    EVENT_NEIGHBORS,
    EVENT_RADIUS_UM,
    check_neighborhood,
    finder_settings,
    requested,
)
from ranvier.store import Store

_KEY = "sorter:live"


@dataclass
class SorterSettings:
    """Of one rig.

    Attributes
    ----------
    params
        Detection parameters by native index; channels without an entry have the defaults.
    clusterer, features
        None: the defaults.
    neighbor_radius_um, max_neighbors
        Sites that an event is compared with; 0 neighbours: every site for itself.
    detect_only
        Whether nothing is learned, and no spike gets a label.
    by_events
        Whether spikes get labels by the waveforms of their threshold events alone (sorter type SPIKES_STREAM).
    dynamics
        How it adapts by itself, and how strict it is.
    """

    params: dict[int, SpikeDetectParams] = field(default_factory=dict)
    clusterer: SpikeSorterClustererParams | None = None
    features: SpikeSorterFeatureParams | None = None
    neighbor_radius_um: float = EVENT_RADIUS_UM
    max_neighbors: int = EVENT_NEIGHBORS
    detect_only: bool = False
    by_events: bool = False
    dynamics: Dynamics = field(default_factory=Dynamics)

    def default_params(self, ntv: int) -> SpikeDetectParams:
        """Return the parameters of a site for which nothing was set, at the level of detection."""
        sd = CRITERIA[self.dynamics.level["detect"]].threshold_sd
        return default_detect_params(ntv).model_copy(update={"thr_sd": [-sd, sd]})

    def of_site(self, ntv: int) -> SpikeDetectParams:
        """Return the parameters of a site."""
        given = self.params.get(ntv)
        if given is None or repr(given) == repr(default_detect_params(ntv)):
            return self.default_params(ntv)
        return given

    def take(
        self,
        sub_command: SpikeSorterSubCommand,
        clusterer: SpikeSorterClustererParams | None,
        features: SpikeSorterFeatureParams | None,
        neighbor_radius_um: float | None,
        max_neighbors: int | None,
    ) -> SorterSettings:
        """Return settings with changes; ConfigurationError where one is out of range."""
        check_neighborhood(neighbor_radius_um, max_neighbors)
        changed = replace(
            self,
            clusterer=clusterer or self.clusterer,
            features=features or self.features,
            neighbor_radius_um=self.neighbor_radius_um if neighbor_radius_um is None else neighbor_radius_um,
            max_neighbors=self.max_neighbors if max_neighbors is None else max_neighbors,
            detect_only=sub_command == SpikeSorterSubCommand.DETECT_ONLY,
        )
        changed.parameters()
        return changed

    def parameters(self) -> SorterParameters:
        """Return the parameters of training and matching."""
        return requested(self.clusterer, self.features)

    def finder(self, sites: StreamSites) -> FinderSettings:
        """Return how events of a stream are found."""
        return finder_settings(
            {ntv: self.of_site(ntv) for ntv in sites.ntv},
            sites.channels,
            sites.columns,
            float(sites.fs),
            radius_um=self.neighbor_radius_um,
            most=self.max_neighbors,
        )

    # --- the store ----------------------------------------------------------------------------------------------

    @classmethod
    def load(cls, store: Store) -> SorterSettings:
        """Return what was saved, else the defaults."""
        saved: dict[str, Any] = store.settings.get(_KEY) or {}
        params = [SpikeDetectParams.model_validate(p) for p in saved.get("params", [])]
        made = cls(params={p.ntv_chan_idx: p for p in params if p.ntv_chan_idx is not None})
        if saved.get("clusterer"):
            made.clusterer = SpikeSorterClustererParams.model_validate(saved["clusterer"])
        if saved.get("features"):
            made.features = SpikeSorterFeatureParams.model_validate(saved["features"])
        if saved.get("dynamics"):
            made.dynamics = made.dynamics.take(SpikeSorterDynamicConfig.model_validate(saved["dynamics"]))
        made.neighbor_radius_um = float(saved.get("neighbor_radius_um", made.neighbor_radius_um))
        made.max_neighbors = int(saved.get("max_neighbors", made.max_neighbors))
        return made

    def save(self, store: Store) -> None:
        """Keep what outlives the rig; whether it only detects does not."""
        store.settings.set(
            _KEY,
            {
                "params": [p.model_dump(mode="json") for p in self.params.values()],
                "clusterer": None if self.clusterer is None else self.clusterer.model_dump(mode="json"),
                "features": None if self.features is None else self.features.model_dump(mode="json"),
                "dynamics": self.dynamics.config().model_dump(mode="json"),
                "neighbor_radius_um": self.neighbor_radius_um,
                "max_neighbors": self.max_neighbors,
            },
        )


def amplifier_ntv(channels: ChannelTable) -> list[int]:
    """Return the native indices of the amplifier channels."""
    return [channels[int(c)].ntv for c in channels.columns_of(SignalType.AMP)]


def known_only(params: Mapping[int, SpikeDetectParams], ntv: Sequence[int]) -> dict[int, SpikeDetectParams]:
    """Return the parameters of channels that are there."""
    return {i: p for i, p in params.items() if i in set(ntv)}
