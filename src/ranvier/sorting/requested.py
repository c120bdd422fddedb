"""From what the API lets a user ask of a sorter to its parameters: the same for recordings and for streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError
from ranvier.models.spikesorter import (
    InputFeatureType,
    SpikeDetectParams,
    SpikeSorterClustererParams,
    SpikeSorterFeatureParams,
)
from ranvier.recordings.channels import ChannelTable
from ranvier.sorting.event_finder import FinderSettings, default_detect_params
from ranvier.sorting.geometry import Geometry, geometry_of
from ranvier.sorting.parameters import SorterParameters

#: Sites that a threshold event is compared with, where nothing was set.
EVENT_RADIUS_UM = 75.0
EVENT_NEIGHBORS = 12
MOST_NEIGHBORS = 63
MOST_RADIUS_UM = 10_000.0
#: A radius in which a site is alone.
_ALONE_UM = 1e-3


def requested(
    clusterer: SpikeSorterClustererParams | None, features: SpikeSorterFeatureParams | None, **given: Any
) -> SorterParameters:
    """Return the sorter's parameters; None are the defaults, ``given`` is what stands besides.

    ``eps`` or ``min_pts`` mean DBSCAN, ``num_features`` the dimensions in which spikes are clustered, ``latent_dim``
    the components that waveforms are written in.

    Raises
    ------
    ConfigurationError
        A parameter out of range, or of another sorter.
    """
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


def check_neighborhood(radius_um: float | None, most: int | None) -> None:
    """Raise ConfigurationError where a neighbourhood of sites is out of range; None is the default."""
    if radius_um is not None and not 0 <= radius_um <= MOST_RADIUS_UM:
        raise ConfigurationError(f"neighbor_radius_um is 0 to {MOST_RADIUS_UM:g}, not {radius_um}; 0 compares no sites")
    if most is not None and not 0 <= most <= MOST_NEIGHBORS:
        raise ConfigurationError(f"max_num_site_neighbors is 0 to {MOST_NEIGHBORS}, not {most}")


def with_neighborhood(
    parameters: SorterParameters, geometry: Geometry, radius_um: float | None, most: int | None
) -> SorterParameters:
    """Return parameters whose clusters are told apart on these sites: within a radius, and never more than ``most``.

    The radius shrinks to where no site has more neighbours; 0 is every site for itself.
    """
    check_neighborhood(radius_um, most)
    wanted = parameters.neighbor_radius_um if radius_um is None else radius_um
    if most is not None and most + 1 < len(geometry.positions_um):
        apart = np.sort(geometry.distance_um, axis=1)[:, most + 1]  # the first is the site itself
        wanted = min(wanted, float(np.nextafter(apart.min(), 0.0)))
    wanted = max(wanted, _ALONE_UM)
    return replace(parameters, neighbor_radius_um=wanted, template_radius_um=max(parameters.template_radius_um, wanted))


def finder_settings(
    params: Mapping[int, SpikeDetectParams],
    channels: ChannelTable,
    columns: npt.NDArray[np.int64],
    fs_hz: float,
    *,
    radius_um: float = EVENT_RADIUS_UM,
    most: int = EVENT_NEIGHBORS,
    discover_noise: bool = True,
) -> FinderSettings:
    """Return how threshold events are found on amplifier columns; ``params`` by NTV, defaults where one is missing."""
    ntv = [channels[int(c)].ntv for c in columns]
    near = geometry_of(channels, columns).nearest(radius_um, 1 + most)
    ports = [channels[int(c)].port for c in columns]
    number = {port: n for n, port in enumerate(dict.fromkeys(ports))}
    return FinderSettings.of(
        {i: params.get(i) or default_detect_params(i) for i in ntv},
        ntv,
        fs_hz,
        near,
        np.array([number[p] for p in ports], np.int32),
        discover_noise=discover_noise,
    )
