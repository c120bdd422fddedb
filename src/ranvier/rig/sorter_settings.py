"""What a user set for the live sorter: kept in the store, turned into what the sorter takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ranvier.exceptions import ConfigurationError
from ranvier.models.signals import SignalType
from ranvier.models.spikesorter import (
    InputFeatureType,
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
from ranvier.sorting.geometry import geometry_of
from ranvier.sorting.online import StreamSites
from ranvier.sorting.parameters import SorterParameters
from ranvier.store import Store

_KEY = "sorter:live"

#: Sites that an event is compared with, where nothing was set.
NEIGHBOR_RADIUS_UM = 75.0
MAX_NEIGHBORS = 12
_MOST_NEIGHBORS = 63
_MOST_RADIUS_UM = 10_000.0


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
    dynamics
        How it adapts by itself, and how strict it is.
    """

    params: dict[int, SpikeDetectParams] = field(default_factory=dict)
    clusterer: SpikeSorterClustererParams | None = None
    features: SpikeSorterFeatureParams | None = None
    neighbor_radius_um: float = NEIGHBOR_RADIUS_UM
    max_neighbors: int = MAX_NEIGHBORS
    detect_only: bool = False
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
        if neighbor_radius_um is not None and not 0 <= neighbor_radius_um <= _MOST_RADIUS_UM:
            raise ConfigurationError(
                f"neighbor_radius_um is 0 to {_MOST_RADIUS_UM:g}, not {neighbor_radius_um}; 0 compares no sites"
            )
        if max_neighbors is not None and not 0 <= max_neighbors <= _MOST_NEIGHBORS:
            raise ConfigurationError(f"max_num_site_neighbors is 0 to {_MOST_NEIGHBORS}, not {max_neighbors}")
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
        given: dict[str, Any] = {}
        clusterer, features = self.clusterer, self.features
        if clusterer is not None:
            if clusterer.disabled:
                given["clusterer"] = "disabled"
            elif clusterer.eps is not None or clusterer.min_pts is not None:
                given["clusterer"] = "dbscan"
                given.update({k: v for k in ("eps", "min_pts") if (v := getattr(clusterer, k)) is not None})
            for name in ("pos_influence_frac", "wfm_shape_influence_frac"):
                share = getattr(clusterer, name)
                if share is not None and not 0 <= share <= 1:
                    raise ConfigurationError(f"{name} is 0 to 1, not {share}")
        if features is not None:
            if features.feature_type in (InputFeatureType.SPD, InputFeatureType.SPD_POS):
                raise ConfigurationError(
                    f"feature_type {features.feature_type.name}: this sorter clusters waveforms, not spectra; take WFM"
                )
            if not 1 <= features.num_features <= 64:
                raise ConfigurationError(f"num_features is 1 to 64, not {features.num_features}")
            given["latent_dim"] = features.num_features
            if features.latent_dim is not None:
                if not 1 <= features.latent_dim <= 20:
                    raise ConfigurationError(f"latent_dim is 1 to 20, not {features.latent_dim}")
                given["components"] = features.latent_dim
        return SorterParameters(**given)

    def finder(self, sites: StreamSites) -> FinderSettings:
        """Return how events of a stream are found."""
        ntv = sites.ntv
        params = {i: self.of_site(i) for i in ntv}
        geometry = geometry_of(sites.channels, sites.columns)
        near = geometry.nearest(self.neighbor_radius_um, 1 + self.max_neighbors)
        ports = [sites.channels[int(c)].port for c in sites.columns]
        number = {port: n for n, port in enumerate(dict.fromkeys(ports))}
        port = np.array([number[p] for p in ports], np.int32)
        return FinderSettings.of(params, ntv, float(sites.fs), near, port)

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
