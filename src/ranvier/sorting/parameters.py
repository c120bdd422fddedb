"""What a sorter can be told, with the defaults that the benchmark was run with."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from ranvier.exceptions import ConfigurationError

#: Features that tell clusters apart: the waveform, or waveform and position.
CLUSTERERS = ("isosplit", "dbscan", "disabled")
#: A rare unit must have so many times the spikes of another cluster: of few, noise may be the larger part.
_RARE_CLUSTERS = 3
#: Spikes that all sites together are trained with at least, where there are so many.
LEAST_EVENTS = 16_000


@dataclass(frozen=True)
class SorterParameters:
    """Parameters of the sorter; lengths in time do not depend on the sampling rate.

    Attributes
    ----------
    band_hz
        Pass band of the causal Butterworth filter in front of everything; None: the signal comes filtered.
    filter_order
        Its order.
    reference
        Whether the mean over each port is subtracted where it has at least 16 channels.
    artifact_uv
        What is as large behind the filters is an artifact, and left out with what comes just before and behind it
        (spikes outside of a cell in mammals are about 1 mV at most).
    before_ms, after_ms
        What a waveform spans around its peak.
    components
        Principal components over time that waveforms and templates are written in.
    detection_threshold
        Of the matched filter that finds the spikes to train with, in SD of its output on noise.
    exclusive_um, exclusive_ms
        A candidate is the largest within this neighbourhood.
    neighbor_radius_um
        Sites whose waveforms tell clusters apart.
    template_radius_um
        Sites that a template has.
    train_sec
        Seconds of the recording that the sorter learns from, in pieces spread evenly.
    events_per_site
        Spikes that a site is trained with, at most; more where there are few sites (``most_events``).
    clusterer
        ``isosplit``; ``dbscan`` (with ``eps`` and ``min_pts``; unit: SD of the noise); ``disabled``: one unit a site.
    eps, min_pts
        Of DBSCAN.
    latent_dim
        Dimensions in which one site's spikes are clustered.
    isocut_threshold
        Of ISO-SPLIT: lower ones split more.
    min_cluster
        A cluster of fewer spikes is no unit.
    min_energy
        A unit whose template's energy (square of SD) is smaller is no unit: its spikes cannot be told from noise.
    min_snr
        Nor one whose mean trough is smaller, in SD of the noise on its site; somewhat smaller where the rest of its
        waveform there stands out.
    match_threshold
        Energy (square of SD) that a spike must explain to be taken: half of its template's, within these limits.
    match_noise_sd
        And it must be larger than noise is along the template, by so many SD of it.
    min_excess_sd
        A unit whose spikes are above their threshold by less in the mean, in SD of that noise, is the tail of noise.
    rare_units
        Whether to look for faint units so rare that noise is as large as they are more often than they fire. Sorting a
        recording finds for each how large its spikes must be; a stream does not, and does not look for them.
    amplitude_sd
        Spread of a unit's amplitude that is expected, as a share of it.
    merge_difference
        Templates that differ by more are never merged (see ``MergeLimits``).
    block_sec
        Length of the blocks that the recording is worked through in.
    motion
        Whether templates of recordings follow the tissue along each shank (rigid motion; streams are not followed).
    motion_bin_sec
        Time bins that motion is told in.
    least_motion_um
        A shank whose motion has a smaller range stands still: its templates do not move.
    """

    band_hz: tuple[float, float] | None = (300.0, 6000.0)
    filter_order: int = 3
    reference: bool = True
    artifact_uv: float = 1500.0
    before_ms: float = 0.7
    after_ms: float = 1.3
    components: int = 6
    detection_threshold: float = 4.0
    exclusive_um: float = 50.0
    exclusive_ms: float = 0.5
    neighbor_radius_um: float = 60.0
    template_radius_um: float = 120.0
    train_sec: float = 300.0
    events_per_site: int = 2000
    clusterer: str = "isosplit"
    eps: float = 1.5
    min_pts: int = 10
    latent_dim: int = 6
    isocut_threshold: float = 1.5
    min_cluster: int = 30
    min_energy: float = 50.0
    min_snr: float = 2.3
    match_threshold: tuple[float, float] = (30.0, 100.0)
    match_noise_sd: float = 4.0
    min_excess_sd: float = 0.8
    rare_units: bool = True
    amplitude_sd: float = 0.15
    merge_difference: float = 0.40
    block_sec: float = 1.0
    motion: bool = True
    motion_bin_sec: float = 2.0
    least_motion_um: float = 5.0

    def most_events(self, sites: int) -> int:
        """Return how many spikes each of so many sites is trained with, at most.

        A few sites see all of their units at once: two that are near each other are told apart by more spikes.
        """
        return max(self.events_per_site, LEAST_EVENTS // max(sites, 1))

    @property
    def min_rare(self) -> int:
        """Spikes that a unit has at least which is told from noise by its largest ones (``rare_units``)."""
        return _RARE_CLUSTERS * self.min_cluster

    def __post_init__(self) -> None:
        other = {"band_hz", "reference", "clusterer", "match_threshold", "rare_units", "motion"}
        positive = {f.name for f in fields(self)} - other
        for name in sorted(positive):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigurationError(f"{name} must be positive and finite, not {getattr(self, name)}")
        if not 0 < self.match_threshold[0] <= self.match_threshold[1]:
            raise ConfigurationError(f"match_threshold must be positive and not fall, not {self.match_threshold}")
        if self.clusterer not in CLUSTERERS:
            raise ConfigurationError(f"clusterer {self.clusterer!r}: it is one of {', '.join(CLUSTERERS)}")
        if self.band_hz is not None and not 0 < self.band_hz[0] < self.band_hz[1]:
            raise ConfigurationError(f"band_hz must rise and be positive, not {self.band_hz}")
